//! Many threads at once: nothing is lost and nothing is counted twice.
#![cfg(not(loom))]

#[path = "support/at_end.rs"]
mod at_end;
mod support;

use std::ops::ControlFlow;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ad_tally_core::counters::Cells;
use ad_tally_core::{Add, Added, Batch, Counters, KeyWriter, Rows};
use at_end::AtEnd;
use support::{Key, Part};

const THREADS: i64 = 8;
const ADDS: i64 = 200_000;

fn sum(mut rows: Rows<Cells>) -> i128 {
    let mut sum = 0;
    rows.walk(|_, totals| {
        sum += totals.iter().sum::<i128>();
        ControlFlow::Continue(())
    });
    sum
}

fn key(at: i64) -> Key {
    Key::Tuple(vec![Part::Integer(at), Part::Bytes(b"creative".to_vec())])
}

/// Threads add while this one drains: what all drains took out, rows and overflow, is what was added.
fn drains_beside_adds(keys: i64, max_keys: usize) {
    let counters = Counters::new(2, max_keys).expect("two metrics");
    let done = AtomicBool::new(false);
    let mut drains = 0;
    let taken = thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let adders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let counters = &counters;
                scope.spawn(move || {
                    for at in 0..ADDS {
                        key((at * 7 + thread) % keys)
                            .with(counters.seed(), |key| counters.add(key, (at % 2) as usize, at % 5 - 1));
                    }
                })
            })
            .collect();
        let drainer = scope.spawn(|| {
            let mut taken = 0;
            while !done.load(Ordering::Acquire) {
                let drained = counters.drain();
                taken += drained.overflow.iter().sum::<i128>() + sum(drained.rows);
                drains += 1;
            }
            taken
        });
        adders.into_iter().for_each(|adder| adder.join().expect("adders do not panic"));
        drop(at_end);
        drainer.join().expect("the drainer does not panic")
    });
    let left = counters.drain();
    let left = left.overflow.iter().sum::<i128>() + sum(left.rows);
    let added: i64 = (0..ADDS).map(|at| at % 5 - 1).sum::<i64>() * THREADS;
    assert_eq!(taken + left, i128::from(added));
    assert!(drains > 1, "the drainer hardly ran");
}

#[test]
fn every_add_to_one_hot_key_is_in_exactly_one_drain() {
    drains_beside_adds(1, 10);
}

#[test]
fn every_add_to_many_keys_is_in_exactly_one_drain() {
    drains_beside_adds(5_000, 10_000);
}

#[test]
fn every_add_is_in_exactly_one_drain_when_the_budget_is_used_up_all_the_time() {
    drains_beside_adds(5_000, 300);
}

#[test]
fn a_hot_key_gets_stripes_and_its_total_stays_exact() {
    let counters = Counters::new(1, 10).expect("one metric");
    let all_add = || {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..ADDS {
                        assert_eq!(key(0).with(counters.seed(), |key| counters.add(key, 0, 1)), Added::Row);
                    }
                });
            }
        });
    };
    // Until threads have met: on one core that takes a few turns.
    let mut rounds = 0;
    while counters.info().grown_rows == 0 {
        rounds += 1;
        assert!(rounds < 1_000, "eight threads never met on one key");
        all_add();
    }
    all_add();
    let total = key(0).with(counters.seed(), |key| counters.get_metric(key, 0));
    assert_eq!(total, i128::from((rounds + 1) * THREADS * ADDS));
    assert_eq!(counters.info().grown_rows, 1);
}

#[test]
fn threads_together_fill_the_budget_and_never_pass_it() {
    let counters = Counters::new(1, 1_000).expect("one metric");
    let refused: i64 = thread::scope(|scope| {
        let adders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let counters = &counters;
                scope.spawn(move || {
                    let add = |at| key(at).with(counters.seed(), |key| counters.add(key, 0, 1));
                    (0..500).filter(|at| add(thread * 500 + at) == Added::Overflow).count() as i64
                })
            })
            .collect();
        adders.into_iter().map(|adder| adder.join().expect("adders do not panic")).sum()
    });
    assert_eq!(refused, THREADS * 500 - 1_000);
    assert_eq!(counters.info().keys, 1_000);
    assert_eq!(counters.info().overflow, [i128::from(refused)]);
    assert_eq!(sum(counters.rows()), 1_000);
}

#[test]
fn threads_that_add_the_last_key_of_the_budget_at_once_all_find_its_row() {
    for round in 0..2_000 {
        let counters = Counters::new(1, 1).expect("one metric");
        let together = Barrier::new(4);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    together.wait();
                    let added = key(0).with(counters.seed(), |key| counters.add(key, 0, 1));
                    assert_eq!(added, Added::Row, "round {round}");
                });
            }
        });
        assert_eq!(sum(counters.drain().rows), 4);
    }
}

#[test]
fn batches_count_as_single_adds_do() {
    let counters = Counters::new(2, 100).expect("two metrics");
    let mut batch = Batch::default();
    for at in 0..1_000_i64 {
        let seed = counters.seed().clone();
        let mut writer = KeyWriter::bare(batch.room(0));
        writer.integer(at % 150);
        let key = seed.key(writer.finish());
        let (hash, length) = (key.hash, key.words.len());
        // SAFETY: the key was finished at the start of the room just now.
        unsafe { batch.push(hash, length, Add { metric: (at % 2) as u32, amount: at }) };
    }
    // Keys 100 to 149 come first at at = 100 to 149, when the budget is used up.
    let overflowed = (0..1_000).filter(|at| at % 150 >= 100).count();
    assert_eq!(counters.add_batch(&batch, || true), Ok((1_000, overflowed)));
    let expected: i128 = (0..1_000).filter(|at| at % 150 == 7).sum();
    let row = Key::Bare(Part::Integer(7)).with(counters.seed(), |key| counters.get(key)).expect("key 7 was added");
    assert_eq!(row.iter().sum::<i128>(), expected);
}

#[test]
fn a_batch_that_is_stopped_says_how_far_it_came() {
    let counters = Counters::new(1, 1_000).expect("one metric");
    let mut batch = Batch::default();
    let seed = counters.seed().clone();
    for at in 0..200 {
        let mut writer = KeyWriter::bare(batch.room(0));
        writer.integer(at);
        let key = seed.key(writer.finish());
        let (hash, length) = (key.hash, key.words.len());
        // SAFETY: the key was finished at the start of the room just now.
        unsafe { batch.push(hash, length, Add { metric: 0, amount: 1 }) };
    }
    let mut asked = 0;
    let (applied, overflowed) = counters
        .add_batch(&batch, || {
            asked += 1;
            asked < 2
        })
        .expect("no journal");
    assert_eq!((applied, overflowed), (128, 0));
    assert_eq!(counters.info().keys, 128);
}

#[test]
fn a_panic_while_a_table_is_pinned_holds_no_drain_up() {
    let counters = Counters::new(1, 10).expect("one metric");
    key(1).with(counters.seed(), |key| counters.add(key, 0, 1));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        counters.while_protected(|| std::panic::resume_unwind(Box::new("on purpose")))
    }));
    assert!(result.is_err());
    assert_eq!(sum(counters.drain().rows), 1);
}

#[test]
fn a_pin_within_a_pin_keeps_both_tables() {
    let outer = Counters::new(1, 10).expect("one metric");
    let inner = Counters::new(1, 10).expect("one metric");
    outer.while_protected(|| {
        key(1).with(inner.seed(), |key| inner.add(key, 0, 1));
        assert_eq!(sum(inner.drain().rows), 1);
    });
    assert_eq!(sum(outer.drain().rows), 0);
}

#[test]
fn a_drain_waits_for_a_pin_whatever_else_its_thread_has_pinned() {
    fn within(others: &[Counters], act: &mut dyn FnMut()) {
        match others {
            [] => act(),
            [first, rest @ ..] => first.while_protected(|| within(rest, act)),
        }
    }
    for depth in 0..5 {
        let others: Vec<Counters> = (0..depth).map(|_| Counters::new(1, 10).expect("one metric")).collect();
        let counters = Counters::new(1, 10).expect("one metric");
        let is_drained = AtomicBool::new(false);
        thread::scope(|scope| {
            within(&others, &mut || {
                counters.while_protected(|| {
                    scope.spawn(|| {
                        let _ = counters.drain();
                        is_drained.store(true, Ordering::Relaxed);
                    });
                    thread::sleep(Duration::from_millis(100));
                    assert!(!is_drained.load(Ordering::Relaxed), "within {depth} others");
                });
            });
        });
        assert!(is_drained.load(Ordering::Relaxed));
    }
}
