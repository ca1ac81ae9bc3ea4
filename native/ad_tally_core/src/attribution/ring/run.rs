//! Runs: neighbours in a path that have dimensions and kind in common, of which only the first and the last one are kept.

use super::entry::MOST_REPEATS;
use crate::attribution::Step;

/// Whether two neighbours are of one run.
#[inline(always)]
pub(super) fn is_alike(one: &Step, other: &Step) -> bool {
    one.dimensions == other.dimensions && one.kind == other.kind
}

/// The last touch of a run, given all after the first one: it stands for them, and counts itself among its repeats.
pub(super) fn last(after_first: impl DoubleEndedIterator<Item = Step> + Clone) -> Step {
    let repeats: usize = after_first.clone().map(|step| usize::from(step.repeats.max(1))).sum();
    let last = after_first.into_iter().next_back().unwrap_or_else(|| unreachable!("a run has a last touch"));
    Step { repeats: repeats.min(usize::from(MOST_REPEATS)) as u16, ..last }
}

/// Of every run of a path more than two touches long, leaves the first and the last one.
pub(super) fn collapse(path: &mut Vec<Step>) {
    let mut kept = Vec::with_capacity(path.len());
    for run in path.chunk_by(is_alike) {
        match run {
            [first, rest @ ..] if rest.len() > 1 => kept.extend([*first, last(rest.iter().copied())]),
            short => kept.extend_from_slice(short),
        }
    }
    *path = kept;
}
