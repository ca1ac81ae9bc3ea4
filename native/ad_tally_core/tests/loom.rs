//! Interleavings of adders and a drainer, by loom, all of them or as many as a test's preemption bound allows: run with
//! `RUSTFLAGS="--cfg loom"`.
//!
//! The real `Row`, `Stripes`, `Current` and `Registry` on loom's atomics, a table of one row. Those of buckets, which the crate
//! keeps to itself, are unit tests of it: see `loom/`.
#![cfg(loom)]

#[path = "loom/journal.rs"]
mod journal;

use std::sync::Arc;

use ad_tally_core::counters::row::Row;
use ad_tally_core::counters::stripes::Stripes;
use ad_tally_core::sync::hazard::{Current, Registry};
use loom::sync::atomic::AtomicU64;
use loom::thread;

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
        let registry = Arc::new(Registry::default());
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
