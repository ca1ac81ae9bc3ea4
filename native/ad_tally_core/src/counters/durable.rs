//! Counters that survive a restart.
//!
//! ```text
//! added    the amount, and whether it is wide, as the number
//! merged   for each metric: the low and the high word of its total
//! ```

use super::amounts::{amounts, are_of_metrics, fold_amounts};
use super::cells::{Cells, Config};
use crate::journal::{Entries, Entry, NO_KEY};
use crate::key::HashedKey;
use crate::sync::hazard::Protected;
use crate::table::{Durable, Generation, Of, Value};

/// The smallest and the largest amount that a cell takes at once.
const LEAST: i128 = i64::MIN as i128;
const MOST: i128 = i64::MAX as i128;
/// From the smallest number of a cell to the largest one.
const MOST_STEPS: usize = 3;

impl Durable for Cells {
    fn to_words(totals: &Vec<i128>) -> Vec<u64> {
        totals.iter().flat_map(|total| [*total as u64, (*total >> 64) as u64]).collect()
    }

    fn overflow_to_words(totals: &Vec<i128>, _overflowed: &Vec<i128>) -> Vec<u64> {
        Self::to_words(totals)
    }

    fn fold_added(config: &Config, of: Of, key: HashedKey<'_>, number: u32, words: &[u64], into: &mut Entries) {
        let amounts = amounts(words, number == 1);
        if are_of_metrics(of.part, config.metrics, amounts.clone(), into) {
            fold_amounts((of.part, of.instance), key, config.metrics, amounts, of.spilled, into);
        }
    }

    fn fold_merged(_config: &Config, of: Of, key: HashedKey<'_>, words: &[u64], into: &mut Entries) {
        let totals = || totals(words).enumerate();
        let those = |are_spilled: bool| {
            totals().map(move |(metric, total)| if of.spilled.has(metric) == are_spilled { total } else { 0 })
        };
        if !of.spilled.is_all() {
            into.row_sums(of.part, of.instance, key, &those(false).collect::<Vec<_>>());
        }
        if of.spilled.has_amounts() {
            into.row_sums(of.part, of.instance, NO_KEY, &those(true).collect::<Vec<_>>());
        }
    }

    fn fold_overflow(config: &Config, of: Of, words: &[u64], into: &mut Entries) {
        Self::fold_merged(config, of, NO_KEY, words, into);
    }

    fn restore(table: &Protected<'_, Generation<Self>>, entry: &Entry<'_>) -> Result<(), String> {
        let Entry::Row { key, sums, .. } = *entry else { return Err("counters have no sketches".into()) };
        let metrics = table.value.metrics();
        if sums.len() > metrics {
            return Err(format!("a row has sums of {} metrics, and the table has {metrics}", sums.len()));
        }
        let mut totals = sums.to_vec();
        totals.resize(metrics, 0);
        if key.is_empty() {
            Self::merge_overflow(table, &totals, &Vec::new());
            return Ok(());
        }
        let key = table.keyed.seed().key(key);
        // What a cell has changed by since may be more than 64 bits, though it never was. In steps that lead the same way it is not either.
        for _ in 0..MOST_STEPS {
            let step: Vec<i128> = totals.iter().map(|total| (*total).clamp(LEAST, MOST)).collect();
            totals.iter_mut().zip(&step).for_each(|(total, step)| *total -= step);
            Self::merge(table, key, &step);
            if totals.iter().all(|total| *total == 0) {
                return Ok(());
            }
        }
        // Of a row with lanes the sum may be, and then the rest has no row.
        Self::merge_overflow(table, &totals, &Vec::new());
        Ok(())
    }
}

fn totals(words: &[u64]) -> impl Iterator<Item = i128> {
    words.as_chunks::<2>().0.iter().map(|[low, high]| i128::from(*high as i64) << 64 | i128::from(*low))
}
