//! The step of an `admit` on one tier, for the model checker.

use super::entry::{Format, TICKS};
use super::table::Table;

/// A table of one bucket.
pub struct Model(Table);

impl Model {
    /// An empty one.
    pub fn new() -> Self {
        Self(Table::new(Format::Ticks, 1, 2, 60).expect("memory"))
    }

    /// Counts an event at a tick if there were fewer than `max`.
    pub fn admit(&self, hash: u64, tick: u64, max: usize) -> bool {
        let mut bucket = self.0.lock(hash);
        bucket.reach(tick);
        bucket.seen(hash).length() < max && bucket.add(hash, tick).is_ok()
    }

    /// The same in the fast way, which takes no lock for a denial.
    pub fn admit_fast(&self, hash: u64, tick: u64, max: usize) -> bool {
        let at = self.0.buckets.find(hash);
        let snapshot = self.0.snapshot(hash, at, self.0.buckets.bucket(at));
        if snapshot.is_some_and(|snapshot| snapshot.ages(tick).0.within(0, TICKS) >= max) {
            return false;
        }
        self.admit(hash, tick, max)
    }

    /// Events counted, read without a lock.
    pub fn count(&self, hash: u64, tick: u64) -> Option<usize> {
        Some(self.0.read(hash, tick).length())
    }
}
