//! The disk of a machine: what is on it survives a kill, and at times it refuses.

use ad_tally_core::journal::{Entry, Fold, Journal, Restore};

use crate::in_memory::{each_entry, folded, merged};

/// Intervals on disk before they are merged.
const MOST_RUNS: usize = 600;
/// The numbers of the entries that say how often a node began, and how often it ended in order.
const BEGUN: u8 = 2;
const LEFT: u8 = 3;

#[derive(Default)]
pub struct Disk {
    /// Intervals, or several that were merged, the oldest first.
    runs: Vec<Vec<u8>>,
    /// It refuses until then.
    pub refuses_until: u64,
}

impl Disk {
    pub fn refuses(&self, at: u64) -> bool {
        at < self.refuses_until
    }

    /// Writes what was recorded since the last time.
    pub fn write(&mut self, journal: &Journal, fold: &dyn Fold) {
        if journal.stats().waiting_bytes > 0 {
            let interval = journal.cut();
            self.runs.push(folded(interval.records(), fold));
        }
        if self.runs.len() > MOST_RUNS {
            self.runs = vec![merged(&self.runs, Some(fold), true)];
        }
    }

    /// Reads all of it. With `hides_crash` it says that the last end was in order, whatever that was.
    pub fn read(&self, restoring: &impl Restore, hides_crash: bool) {
        let mut begun = 0;
        for run in &self.runs {
            each_entry(run, |_, entry| {
                if let Entry::Meta { name: BEGUN, value } = entry {
                    begun = begun.max(value);
                }
                restoring.restore(entry).expect("what it wrote");
            });
        }
        if hides_crash {
            restoring.restore(Entry::Meta { name: LEFT, value: begun }).expect("an entry of a node");
        }
    }
}
