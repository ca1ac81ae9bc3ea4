//! The journal: writers beside whoever cuts.

use std::sync::Arc;

use ad_tally_core::journal::{Config, Interval, Journal, Part};
use ad_tally_core::sync::hazard::{Current, Registry};
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicBool, AtomicU64};
use loom::thread;

/// Words of a chunk.
const CHUNK: usize = 128;

/// A journal and the slots of its writers. Each epoch has one buffer of its own, so the second writer shares one.
#[derive(Clone)]
struct Model {
    journal: Arc<Journal>,
    registry: Arc<Registry>,
}

impl Model {
    fn new() -> Self {
        let config = Config { buffer_bytes: 1 << 16, wake_bytes: 1 << 15 };
        Self { journal: Journal::with_slots(config, 1, 1), registry: Arc::default() }
    }

    /// Writes an event of two records, the second one by what is begun within it. Whether it was let in.
    fn write(&self, number: u64) -> bool {
        let slot = self.registry.claim();
        // SAFETY: this thread claimed the slot, and writes to nothing else by it.
        let begin = || unsafe { self.journal.begin_by(slot) };
        let is_written = begin().is_ok_and(|outer| {
            outer.record(1, 0, 1, |words| words.push(number));
            let inner = begin().expect("within an event");
            drop(outer);
            inner.record(2, 0, 1, |words| words.push(number));
            true
        });
        // SAFETY: claimed above, all scribes are dropped, and it is not used again.
        unsafe { slot.release() };
        is_written
    }

    /// The same by drafts, beside some that are dropped: the first one at once, one after others were written, and one whose chunk is
    /// full by then.
    fn write_by_drafts(&self, number: u64) {
        let slot = self.registry.claim();
        // SAFETY: as in `write`.
        let begin = || unsafe { self.journal.begin_by(slot) }.expect("room");
        {
            let outer = begin();
            drop(outer.draft(1, 0, 1, |words| words.push(u64::MAX)));
            let dropped = outer.draft(1, 0, 1, |words| words.push(u64::MAX));
            let mut first = outer.draft(1, 0, 1, |words| words.push(0));
            let inner = begin();
            let second = inner.draft(2, 0, CHUNK - 1, |words| words.extend(&[number; CHUNK - 1]));
            first.set(0, number);
            first.finish();
            drop(dropped);
            second.finish();
        }
        // SAFETY: as in `write`.
        unsafe { slot.release() };
    }

    fn cut(&self) -> Interval {
        self.journal.cut_in(&self.registry, 1)
    }
}

/// The numbers of the events of an interval, each of which is there with both of its records.
fn events(interval: &Interval) -> Vec<u64> {
    let mut numbers = [vec![], vec![]];
    interval.records().for_each(|record| numbers[record.part as usize - 1].push(record.words[0]));
    numbers.iter_mut().for_each(|numbers| numbers.sort_unstable());
    let [outer, inner] = numbers;
    assert_eq!(outer, inner, "no event is split");
    assert_eq!(interval.len(), 2 * outer.len());
    outer
}

fn check(bound: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(model);
}

#[test]
fn an_event_beside_a_cut_is_in_exactly_one_interval() {
    check(2, || {
        let model = Model::new();
        let writers = [&[1, 2][..], &[3]].map(|numbers| {
            let model = model.clone();
            thread::spawn(move || numbers.iter().for_each(|number| assert!(model.write(*number))))
        });
        let first = model.cut();
        let mut all = events(&first);
        for writer in writers {
            writer.join().expect("no panic");
        }
        assert_eq!(events(&first), all, "what was cut is final");
        all.extend(events(&model.cut()));
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
    });
}

#[test]
fn drafts_beside_a_cut_are_in_the_interval_of_their_event_if_they_are_finished() {
    check(2, || {
        let model = Model::new();
        let by_drafts = {
            let model = model.clone();
            thread::spawn(move || (1..=2).for_each(|number| model.write_by_drafts(number)))
        };
        let other = {
            let model = model.clone();
            thread::spawn(move || assert!(model.write(3)))
        };
        let first = model.cut();
        let mut all = events(&first);
        by_drafts.join().expect("no panic");
        other.join().expect("no panic");
        assert_eq!(events(&first), all, "what was cut is final");
        all.extend(events(&model.cut()));
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
    });
}

#[test]
fn what_began_after_an_event_is_in_no_earlier_interval() {
    check(3, || {
        let model = Model::new();
        let is_written = Arc::new(AtomicBool::new(false));
        let first = {
            let (model, is_written) = (model.clone(), is_written.clone());
            thread::spawn(move || {
                assert!(model.write(1));
                is_written.store(true, Release);
            })
        };
        let second = {
            let model = model.clone();
            thread::spawn(move || is_written.load(Acquire) && model.write(2))
        };
        let earlier = events(&model.cut());
        assert!(earlier != [2], "an effect without its cause");
        first.join().expect("no panic");
        let is_second = second.join().expect("no panic");
        let later = events(&model.cut());
        assert_eq!(earlier.len() + later.len(), 1 + usize::from(is_second));
    });
}

#[test]
fn whoever_was_let_in_before_a_journal_was_closed_is_in_the_cut_after_that() {
    check(3, || {
        let model = Model::new();
        let writer = {
            let model = model.clone();
            thread::spawn(move || model.write(1))
        };
        model.journal.close();
        let last = events(&model.cut());
        assert_eq!(last.len(), usize::from(writer.join().expect("no panic")));
        assert!(model.cut().is_empty());
    });
}

#[test]
fn nothing_of_a_part_is_written_behind_the_cut_that_follows_its_end() {
    check(3, || {
        let model = Model::new();
        let part = Part::new(model.journal.clone(), 1);
        let writer = {
            let (part, registry) = (part.clone(), model.registry.clone());
            thread::spawn(move || {
                let slot = registry.claim();
                // SAFETY: this thread claimed the slot, and writes to nothing else by it.
                let begun = unsafe { part.begin_by(slot) };
                let is_written = begun.is_ok_and(|scribe| {
                    scribe.record(1, 0, 1, |words| words.push(1));
                    true
                });
                // SAFETY: claimed above, the scribe is dropped, and it is not used again.
                unsafe { slot.release() };
                is_written
            })
        };
        part.end();
        let last = model.cut().len();
        assert_eq!(last, usize::from(writer.join().expect("no panic")));
        assert!(model.cut().is_empty());
    });
}

#[test]
fn an_event_is_in_one_interval_and_in_one_structure_whichever_ends_first() {
    check(3, || {
        let model = Model::new();
        let current = Arc::new(Current::new(Arc::new(AtomicU64::new(0))));
        let writer = {
            let (model, current) = (model.clone(), current.clone());
            thread::spawn(move || {
                let slot = model.registry.claim();
                // SAFETY: this thread claimed the slot, and neither writes nor protects anything by it.
                let (scribe, counter) = unsafe { model.journal.begin_and_protect_by(&current, slot) };
                counter.fetch_add(1, Relaxed);
                scribe.expect("room").record(1, 0, 1, |words| words.push(1));
                drop(counter);
                // SAFETY: claimed above, both guards are dropped, and it is not used again.
                unsafe { slot.release() };
            })
        };
        let closed = current.replace(Arc::new(AtomicU64::new(0)), &model.registry).load(Relaxed);
        let first = model.cut().len();
        assert!(first == 1 || closed == 0, "what is closed is in the interval that ends after that");
        writer.join().expect("no panic");
        assert_eq!(first + model.cut().len(), 1);
        assert_eq!(closed + current.replace(Arc::new(AtomicU64::new(0)), &model.registry).load(Relaxed), 1);
    });
}
