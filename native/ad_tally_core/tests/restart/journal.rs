//! Intervals as runs in memory, and the way back.

use std::sync::Arc;

use ad_tally_core::journal::{Config, Fold, Journal, Part, Restore};

use crate::in_memory::{each_entry, folded, merged};

pub const PART: u16 = 3;

/// A journal of what was opened so often, and the part that writes into it.
pub fn part(opened: u32) -> Part {
    part_within(opened, 64 << 20)
}

/// The same with room for so many bytes.
pub fn part_within(opened: u32, buffer_bytes: usize) -> Part {
    let journal = Journal::new(Config { buffer_bytes, wake_bytes: buffer_bytes }, opened);
    Part::new(journal, PART)
}

/// The next interval, as a run.
pub fn cut(part: &Part, fold: &Arc<dyn Fold>) -> Vec<u8> {
    folded(part.journal.cut().records(), &**fold)
}

/// Has a run be taken back.
pub fn take_back(run: &[u8], by: &impl Restore) {
    each_entry(run, |part, entry| {
        if part == PART {
            by.restore(entry).expect("one of the part's");
        }
    });
}

/// Runs as compaction leaves them: the first half is a base, the others are one run.
pub fn compacted(runs: &[&[u8]], fold: &Arc<dyn Fold>) -> [Vec<u8>; 2] {
    let (first, rest) = runs.split_at(runs.len() / 2);
    [(first, true), (rest, false)].map(|(runs, is_base)| merged(runs, Some(&**fold), is_base))
}
