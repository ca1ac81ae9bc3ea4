//! Many threads write while another one cuts: every event is in exactly one interval, wholly, and none before what it has seen.
#![cfg(not(loom))]

#[path = "support/at_end.rs"]
mod at_end;

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::thread;

use ad_tally_core::journal::{Config, Interval, Journal};
use ad_tally_core::sync::hazard::{Current, REGISTRY};
use at_end::AtEnd;

const THREADS: usize = 8;
const EVENTS: usize = 40_000;
/// Of a thread that ends then, for another one to go on with a slot that was used before.
const EVENTS_OF_A_THREAD: usize = 5_000;

/// How many events of a thread are written, for others to see.
#[derive(Default)]
struct Written([AtomicU64; THREADS]);

/// An event of two records: its number, what it has seen of another thread, and words that follow from those.
fn write(journal: &Journal, written: &Written, thread: usize, event: usize) {
    let other = (thread + 1 + event % (THREADS - 1)) % THREADS;
    let seen = written.0[other].load(Acquire);
    let outer = journal.begin().expect("room");
    let words = [thread as u64, event as u64, other as u64, seen];
    let given_up = || outer.draft(1, 1, 4, |room| room.extend(&[u64::MAX; 4]));
    drop(given_up());
    let given_up_later = (event % 5 == 1).then(given_up);
    let mut draft = outer.draft(1, 1, 4, |room| room.extend(&[words[0], words[1], words[2], 0]));
    if event.is_multiple_of(64) {
        thread::yield_now();
    }
    let inner = journal.begin().expect("room");
    if event.is_multiple_of(7) {
        drop(inner.draft(2, 2, 1, |room| room.push(u64::MAX)));
    }
    draft.set(3, seen);
    draft.finish();
    drop(given_up_later);
    let more = event % 50;
    inner.record(2, 2, 2 + more, |room| {
        room.extend(&words[..2]);
        (0..more).for_each(|word| room.push((event * word) as u64));
    });
    // In either order.
    if event.is_multiple_of(2) {
        drop((inner, outer))
    } else {
        drop((outer, inner))
    }
    written.0[thread].store(event as u64 + 1, Release);
}

/// In which interval each event is, and what it has seen.
struct Found {
    interval_of: Vec<Vec<Option<usize>>>,
    seen: Vec<(usize, usize, usize)>,
    intervals: usize,
}

impl Found {
    fn add(&mut self, interval: &Interval) {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for record in interval.records() {
            let id = (record.words[0] as usize, record.words[1] as usize);
            if record.part == 1 {
                let [_, _, other, seen] = record.words else { panic!("four words") };
                first.push(id);
                self.seen.push((self.intervals, *other as usize, *seen as usize));
                assert_eq!(self.interval_of[id.0][id.1].replace(self.intervals), None, "in one interval only");
            } else {
                assert_eq!((record.part, record.kind, record.words.len()), (2, 2, 2 + id.1 % 50));
                assert!(record.words[2..].iter().enumerate().all(|(at, word)| *word == (id.1 * at) as u64));
                second.push(id);
            }
        }
        assert_eq!(interval.len(), first.len() + second.len());
        first.sort_unstable();
        second.sort_unstable();
        assert!(first == second, "no event is split");
        self.intervals += 1;
    }

    fn check(&self) {
        for (thread, intervals) in self.interval_of.iter().enumerate() {
            let intervals: Vec<usize> = intervals.iter().map(|interval| interval.expect("nothing is lost")).collect();
            assert!(intervals.is_sorted(), "what thread {thread} did later is in no earlier interval");
        }
        for (interval, other, seen) in &self.seen {
            let cause = seen.checked_sub(1).and_then(|last| self.interval_of[*other][last]);
            assert!(cause <= Some(*interval), "an effect in {interval}, its cause in {cause:?}");
        }
    }
}

fn writers_beside_cuts(buffers: Option<usize>) {
    let config = Config { buffer_bytes: 1 << 30, wake_bytes: 1 << 20 };
    let journal = Journal::with_slots(config, 1, buffers.unwrap_or(1));
    let (written, done) = (Written::default(), AtomicBool::new(false));
    let protected = Current::new(Arc::new(0));
    let found = thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let (journal, written, done, protected) = (&journal, &written, &done, &protected);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    for first in (0..EVENTS).step_by(EVENTS_OF_A_THREAD) {
                        let some = move || {
                            for event in first..first + EVENTS_OF_A_THREAD {
                                let _structure = event.is_multiple_of(3).then(|| protected.protect());
                                write(journal, written, thread, event);
                            }
                        };
                        scope.spawn(some).join().expect("writers do not panic");
                    }
                })
            })
            .collect();
        let cutter = scope.spawn(move || {
            let interval_of = vec![vec![None; EVENTS]; THREADS];
            let mut found = Found { interval_of, seen: Vec::new(), intervals: 0 };
            while !done.load(Acquire) {
                let interval = match buffers {
                    Some(buffers) => journal.cut_in(&REGISTRY, buffers),
                    None => journal.cut(),
                };
                found.add(&interval);
            }
            found.add(&journal.cut());
            found
        });
        threads.into_iter().for_each(|thread| thread.join().expect("writers do not panic"));
        drop(at_end);
        cutter.join().expect("nothing is wrong")
    });
    found.check();
    assert!(found.intervals > 2);
    let stats = journal.stats();
    assert_eq!((stats.waiting_bytes, stats.cut_records), (0, 2 * (THREADS * EVENTS) as u64));
}

#[test]
fn every_event_beside_cuts_is_in_one_interval_and_none_before_its_cause() {
    writers_beside_cuts(None);
}

#[test]
fn threads_without_buffers_of_their_own_lose_nothing() {
    writers_beside_cuts(Some(2));
}

/// Writers that are faster than whoever cuts are refused, and what they were let in for is there.
#[test]
fn the_bound_holds_beside_many_writers_and_loses_nothing() {
    let journal = Journal::new(Config { buffer_bytes: 1 << 20, wake_bytes: 1 << 18 }, 1);
    let (done, wakes) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
    let counter = wakes.clone();
    journal.set_waker(Box::new(move || {
        counter.fetch_add(1, Relaxed);
    }));
    let (let_in, records, most) = thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let (journal, done) = (&journal, &done);
        let writers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(move || {
                    let mut let_in = 0;
                    for _ in 0..EVENTS {
                        if let Ok(scribe) = journal.begin() {
                            scribe.record(1, 1, 12, |words| words.extend(&[7; 12]));
                            let_in += 1;
                        }
                    }
                    let_in
                })
            })
            .collect();
        let cutter = scope.spawn(move || {
            let (mut records, mut most) = (0, 0);
            while !done.load(Acquire) {
                let interval = journal.cut();
                records += interval.records().count();
                most = most.max(journal.stats().waiting_bytes);
                thread::sleep(std::time::Duration::from_millis(1));
            }
            (records + journal.cut().records().count(), most)
        });
        let let_in: usize = writers.into_iter().map(|writer| writer.join().expect("no panic")).sum();
        drop(at_end);
        let (records, most) = cutter.join().expect("no panic");
        (let_in, records, most)
    });
    assert_eq!(let_in, records);
    let stats = journal.stats();
    assert_eq!(stats.refusals as usize, THREADS * EVENTS - let_in);
    // Each thread may take one more chunk after the bound was reached.
    assert!(stats.refusals > 0 && most <= (1 << 20) + THREADS * (16 << 10), "{stats:?}, {most}");
    assert!(wakes.load(Relaxed) > 0);
    assert_eq!(stats.waiting_bytes, 0);
}
