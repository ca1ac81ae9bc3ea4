//! Interleavings of those that ask a frequency cap about one pair, by loom: the step of an `admit` on one tier.

use std::sync::Arc;

use loom::thread;

use super::entry::{Format, TICKS};
use super::table::Table;

/// A table of one bucket.
struct Model(Table);

impl Model {
    /// An empty one.
    fn new() -> Self {
        Self(Table::new(Format::Ticks, (1, 2), [1, 60, 60]).expect("memory"))
    }

    /// Counts an event at a tick if there were fewer than `max`.
    fn admit(&self, hash: u64, tick: u64, max: usize) -> bool {
        let mut bucket = self.0.lock(hash);
        bucket.reach(tick);
        bucket.seen(hash).length() < max && bucket.add(hash, tick).is_ok()
    }

    /// The same in the fast way, which takes no lock for a denial.
    fn admit_fast(&self, hash: u64, tick: u64, max: usize) -> bool {
        let at = self.0.buckets.find(hash);
        let snapshot = self.0.snapshot(hash, at, self.0.buckets.bucket(at));
        if snapshot.is_some_and(|snapshot| snapshot.ages(tick).0.within(0, TICKS) >= max) {
            return false;
        }
        self.admit(hash, tick, max)
    }

    /// Events counted, read without a lock.
    fn count(&self, hash: u64, tick: u64) -> usize {
        self.0.read(hash, tick).length()
    }
}

/// Two that ask about one pair, and one that looks: the last slot goes to exactly one of them.
fn last_slot(admit: fn(&Model, usize) -> bool) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let caps = Arc::new(Model::new());
        assert!(caps.admit(7, 1_000, 2));
        let askers: Vec<_> = (0..2)
            .map(|asker| {
                let caps = caps.clone();
                thread::spawn(move || admit(&caps, asker))
            })
            .collect();
        // A reader sees one moment: an event is there or not, and those that were there before are.
        let seen = caps.count(7, 1_001);
        assert!(seen == 1 || seen == 2, "{seen}");
        let admitted = askers.into_iter().map(|asker| asker.join().expect("no panic"));
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 1);
        assert_eq!(caps.count(7, 1_001), 2);
    });
}

#[test]
fn the_last_slot_of_a_cap_goes_to_one() {
    last_slot(|caps, _asker| caps.admit(7, 1_001, 2));
}

#[test]
fn the_last_slot_of_a_cap_goes_to_one_in_the_fast_way() {
    last_slot(|caps, _asker| caps.admit_fast(7, 1_001, 2));
}

#[test]
fn the_last_slot_of_a_cap_goes_to_one_in_whichever_way_they_ask() {
    last_slot(|caps, asker| if asker == 0 { caps.admit(7, 1_001, 2) } else { caps.admit_fast(7, 1_001, 2) });
}

/// An event that a rule does not block is not denied because of another one's change at the same time.
#[test]
fn a_slot_that_is_free_is_given_beside_changes() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let caps = Arc::new(Model::new());
        let other = caps.clone();
        // Pair 9 lies in the same line.
        let other = thread::spawn(move || other.admit(9, 1_200, 1));
        assert!(caps.admit_fast(7, 1_001, 1));
        assert!(other.join().expect("no panic"));
        assert!(!caps.admit_fast(7, 1_001, 1));
    });
}
