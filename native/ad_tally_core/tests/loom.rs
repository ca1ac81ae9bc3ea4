//! Interleavings of adders and a drainer, by loom, all of them or as many as a test's preemption bound allows: run with
//! `RUSTFLAGS="--cfg loom"`.
//!
//! The real `Row`, `Stripes`, `Current` and `Registry` on loom's atomics, a table of one row; the real buckets, of
//! two words, and those of a frequency cap.
#![cfg(loom)]

use std::sync::Arc;

use ad_tally_core::BucketModel;
use ad_tally_core::counters::row::Row;
use ad_tally_core::counters::stripes::Stripes;
use ad_tally_core::frequency_cap::Model;
use ad_tally_core::sync::hazard::{Current, Registry};
use loom::sync::atomic::AtomicU64;
use loom::thread;

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
        assert!(seen.is_none_or(|seen| seen == 1 || seen == 2), "{seen:?}");
        let admitted = askers.into_iter().map(|asker| asker.join().expect("no panic"));
        assert_eq!(admitted.filter(|admitted| *admitted).count(), 1);
        assert_eq!(caps.count(7, 1_001), Some(2));
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

struct Table {
    head: AtomicU64,
    cells: [AtomicU64; 1],
    stripes: Stripes,
}

impl Table {
    fn new() -> Self {
        Self { head: AtomicU64::new(0), cells: [AtomicU64::new(0)], stripes: Stripes::new(1, || 2) }
    }

    /// A row that is one collision away from stripes.
    fn about_to_be_striped() -> Self {
        Self { head: AtomicU64::new(15), ..Self::new() }
    }

    fn row(&self) -> Row<'_> {
        Row { head: &self.head, cells: &self.cells }
    }
}

/// Adds `amounts` one after the other, each under a pin of its own, in a slot of this thread.
fn add(current: &Current<Table>, registry: &Registry, amounts: &[i64]) {
    let slot = registry.claim();
    for amount in amounts {
        // SAFETY: this thread claimed the slot, and the pin before was dropped.
        let table = unsafe { current.protect_in(slot) };
        // SAFETY: the slot is this thread's, and the stripes are the row's.
        unsafe { table.row().add(0, *amount, slot.id(), &table.stripes) }.expect("small amounts fit");
    }
    // SAFETY: claimed above, nothing is pinned, and not used again.
    unsafe { slot.release() };
}

/// Two adders beside one drain, from a given first table: what the drain took out and what is left is what was added.
fn adds_are_in_exactly_one_drain(first: fn() -> Table) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(move || {
        let current = Arc::new(Current::new(Arc::new(first())));
        let registry = Arc::new(Registry::new());
        let adders: Vec<_> = [&[1, 10][..], &[100]]
            .into_iter()
            .map(|amounts| {
                let (current, registry) = (current.clone(), registry.clone());
                thread::spawn(move || add(&current, &registry, amounts))
            })
            .collect();

        let drained = current.replace(Arc::new(Table::new()), &registry);
        let taken = drained.row().total(0);
        // What a drain took out is final.
        thread::yield_now();
        assert_eq!(drained.row().total(0), taken);

        for adder in adders {
            adder.join().expect("adders do not panic");
        }
        assert_eq!(drained.row().total(0), taken);
        let left = current.replace(Arc::new(Table::new()), &registry).row().total(0);
        assert_eq!(taken + left, 111);
    });
}

#[test]
fn an_add_beside_a_drain_is_in_exactly_one_of_the_tables() {
    adds_are_in_exactly_one_drain(Table::new);
}

#[test]
fn an_add_that_stripes_the_row_beside_a_drain_is_in_exactly_one_of_the_tables() {
    adds_are_in_exactly_one_drain(Table::about_to_be_striped);
}

/// Two that add to a row that gets so many lanes: nothing is lost.
fn threads_that_stripe_a_row_lose_nothing(lanes: fn() -> usize) {
    loom::model(move || {
        let table = Arc::new(Table { stripes: Stripes::new(1, lanes), ..Table::about_to_be_striped() });
        let adders: Vec<_> = (0..2)
            .map(|slot| {
                let table = table.clone();
                thread::spawn(move || {
                    for amount in [1, 10] {
                        // SAFETY: each thread has a slot number of its own, as if it had claimed that slot.
                        unsafe { table.row().add(0, amount, slot, &table.stripes) }.expect("small amounts fit");
                    }
                })
            })
            .collect();
        for adder in adders {
            adder.join().expect("adders do not panic");
        }
        assert_eq!(table.row().total(0), 22);
    });
}

#[test]
fn threads_that_stripe_a_row_together_lose_nothing() {
    threads_that_stripe_a_row_lose_nothing(|| 2);
}

#[test]
fn a_thread_without_a_lane_in_a_striped_row_loses_nothing() {
    threads_that_stripe_a_row_lose_nothing(|| 1);
}

fn check_bucket(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A full bucket's last entry moves to the overflow bucket: a reader sees it once all the same.
#[test]
fn a_reader_beside_an_insert_that_links_an_overflow_bucket_sees_every_entry_once() {
    check_bucket(|| {
        let bucket = Arc::new(BucketModel::new(&[2, 4]));
        let other = bucket.clone();
        let other = thread::spawn(move || other.insert(6));
        let seen = bucket.read(2);
        assert!(seen.as_ref().is_none_or(|seen| seen == &[2, 4] || seen == &[2, 4, 6]), "{seen:?}");
        other.join().expect("no panic");
        assert_eq!(bucket.read(2), Some(vec![2, 4, 6]));
    });
}

#[test]
fn inserts_that_each_link_an_overflow_bucket_lose_nothing() {
    check_bucket(|| {
        let bucket = Arc::new(BucketModel::new(&[2, 4, 6]));
        let others = [8, 10].map(|entry| {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.insert(entry))
        });
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!((bucket.read(2), bucket.overflow()), (Some(vec![2, 4, 6, 8, 10]), 3));
    });
}

/// What is given back is used again at once, while a reader may still be on its way there.
#[test]
fn a_reader_beside_a_removal_that_gives_an_overflow_bucket_back_sees_one_moment() {
    check_bucket(|| {
        let bucket = Arc::new(BucketModel::new(&[2, 4, 6]));
        let other = bucket.clone();
        let other = thread::spawn(move || {
            other.remove(4);
            other.insert(8);
        });
        let seen = bucket.read(2);
        let moments = [vec![2, 4, 6], vec![2, 6], vec![2, 6, 8]];
        assert!(seen.as_ref().is_none_or(|seen| moments.contains(seen)), "{seen:?}");
        other.join().expect("no panic");
        assert_eq!((bucket.read(2), bucket.overflow()), (Some(vec![2, 6, 8]), 1));
    });
}

#[test]
fn a_reader_beside_a_split_finds_every_entry_in_its_bucket() {
    check_bucket(|| {
        let bucket = Arc::new(BucketModel::new(&[2, 3, 4]));
        let other = bucket.clone();
        let other = thread::spawn(move || {
            other.grow();
            other.insert(5);
        });
        for (entry, before, after) in [(3, vec![2, 3, 4], vec![3]), (2, vec![2, 3, 4], vec![2, 4])] {
            let seen = bucket.read(entry);
            let moments = [before, after, vec![3, 5]];
            assert!(seen.as_ref().is_none_or(|seen| moments.contains(seen) && seen.contains(&entry)), "{seen:?}");
        }
        other.join().expect("no panic");
        assert_eq!([bucket.read(2), bucket.read(3)], [Some(vec![2, 4]), Some(vec![3, 5])]);
    });
}
