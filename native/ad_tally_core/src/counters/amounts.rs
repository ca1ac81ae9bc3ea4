//! Amounts as words of a record.
//!
//! ```text
//! narrow   a word each    bits 0..4 the metric, bits 4..64 the amount
//! wide     two words each, where an amount has more than 60 bits: the metric, the amount
//! ```

use super::MAX_METRICS;
use super::cells::Add;
use crate::journal::{Entries, NO_KEY, Words};
use crate::key::HashedKey;
use crate::table::Spilled;

const METRIC_BITS: u32 = 4;
const METRIC_MASK: u64 = (1 << METRIC_BITS) - 1;
const _: () = assert!(MAX_METRICS <= 1 << METRIC_BITS);

/// Whether amounts need two words each.
#[inline(always)]
pub(crate) fn are_wide(adds: &[Add]) -> bool {
    adds.iter().any(|add| add.amount << METRIC_BITS >> METRIC_BITS != add.amount)
}

/// How many words that is.
#[inline(always)]
pub(crate) fn count_words(adds: &[Add], are_wide: bool) -> usize {
    adds.len() << u32::from(are_wide)
}

/// Writes amounts.
#[inline(always)]
pub(crate) fn push_amounts(words: &mut Words<'_>, adds: &[Add], are_wide: bool) {
    for add in adds {
        if are_wide {
            words.push(add.metric.into());
            words.push(add.amount as u64);
        } else {
            words.push((add.amount << METRIC_BITS) as u64 | u64::from(add.metric) & METRIC_MASK);
        }
    }
}

/// Reads amounts again, one after the other.
pub(crate) fn amounts(words: &[u64], are_wide: bool) -> impl Iterator<Item = Add> + Clone {
    let read = move |words: &[u64]| match *words {
        [metric, amount] => Add { metric: metric as u32, amount: amount as i64 },
        [word] => Add { metric: (word & METRIC_MASK) as u32, amount: word as i64 >> METRIC_BITS },
        _ => unreachable!("in chunks of one or two"),
    };
    words.chunks_exact(1 << u32::from(are_wide)).map(read)
}

/// Whether all amounts are of metrics that there are. Otherwise the record is refused: it is of another configuration.
pub(crate) fn are_of_metrics(
    part: u16,
    metrics: usize,
    mut amounts: impl Iterator<Item = Add>,
    into: &mut Entries,
) -> bool {
    let other = amounts.find(|add| add.metric as usize >= metrics);
    if let Some(Add { metric, .. }) = other {
        into.refuse(|| format!("metric {metric} of part {part}, which has {metrics}"));
    }
    other.is_none()
}

/// The entries of amounts that were added to a key, each of a metric below `metrics`, but for what was spilled.
pub(crate) fn fold_amounts(
    (part, instance): (u16, u64),
    key: HashedKey<'_>,
    metrics: usize,
    amounts: impl Iterator<Item = Add> + Clone,
    spilled: Spilled,
    into: &mut Entries,
) {
    let those = |are_spilled: bool| {
        let amounts = amounts.clone().enumerate().filter(move |(place, _)| spilled.has(*place) == are_spilled);
        amounts.map(|(_, add)| (add.metric as usize, add.amount))
    };
    // A key that was counted has a row, also by no amounts.
    if !spilled.is_all() {
        into.row(part, instance, key, metrics, those(false));
    }
    if spilled.has_amounts() {
        into.row(part, instance, NO_KEY, metrics, those(true));
    }
}
