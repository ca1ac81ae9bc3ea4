//! Records that are written before it is known whether there is one: those that are finished are there, and the others leave nothing.
#![cfg(not(loom))]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ad_tally_core::journal::{Config, Draft, Interval, Journal, Scribe};
use proptest::prelude::*;

/// Of a journal of this bound a chunk has as many words.
const BOUND: usize = 64 << 10;
const CHUNK_WORDS: usize = 128;

fn config() -> Config {
    Config { buffer_bytes: BOUND, wake_bytes: BOUND }
}

fn draft<'s>(scribe: &'s Scribe<'_>, words: &[u64]) -> Draft<'s> {
    scribe.draft(1, 2, words.len(), |room| room.extend(words))
}

fn words(interval: &Interval) -> Vec<Vec<u64>> {
    interval.records().map(|record| record.words.to_vec()).collect()
}

#[derive(Debug, Clone)]
enum Step {
    /// A draft of so many words.
    Draft(usize),
    Record(usize),
    /// Of one of the drafts of the innermost scribe, and a place of it.
    Set(prop::sample::Index, prop::sample::Index),
    Finish(prop::sample::Index),
    Drop(prop::sample::Index),
    /// A scribe within the one that there is.
    Begin,
    End,
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (0..50_usize).prop_map(Step::Draft),
        1 => (0..2 * CHUNK_WORDS).prop_map(Step::Draft),
        3 => (0..50_usize).prop_map(Step::Record),
        2 => (index(), index()).prop_map(|(of, at)| Step::Set(of, at)),
        3 => index().prop_map(Step::Finish),
        3 => index().prop_map(Step::Drop),
        1 => Just(Step::Begin),
        1 => Just(Step::End),
        1 => Just(Step::Cut),
    ]
}

/// Everything that room was taken for, in that order, and whether it is a record.
#[derive(Default)]
struct Twin {
    all: Vec<(Vec<u64>, bool)>,
    next: u64,
}

impl Twin {
    fn begin(&mut self, count: usize, is_record: bool) -> Vec<u64> {
        let words: Vec<u64> = (self.next..).take(count).collect();
        self.next += count as u64;
        self.all.push((words.clone(), is_record));
        words
    }

    fn take_records(&mut self) -> Vec<Vec<u64>> {
        std::mem::take(&mut self.all).into_iter().filter(|(_, is_record)| *is_record).map(|(words, _)| words).collect()
    }
}

struct Model {
    journal: std::sync::Arc<Journal>,
    twin: RefCell<Twin>,
}

impl Model {
    /// Takes steps until the end of a scribe that is begun first, whose drafts are dropped where they were not finished. Whether a cut
    /// is to follow.
    fn write(&self, steps: &mut impl Iterator<Item = Step>) -> bool {
        let scribe = self.journal.begin_anyway();
        let mut drafts: Vec<(usize, Draft<'_>)> = Vec::new();
        while let Some(step) = steps.next() {
            let mut twin = self.twin.borrow_mut();
            match step {
                Step::Draft(count) => {
                    drafts.push((twin.all.len(), draft(&scribe, &twin.begin(count, false))));
                }
                Step::Record(count) => {
                    let words = twin.begin(count, true);
                    scribe.record(1, 2, count, |room| room.extend(&words));
                }
                Step::Set(of, at) if !drafts.is_empty() => {
                    let (number, draft) = of.get_mut(&mut drafts);
                    let words = &mut twin.all[*number].0;
                    if !words.is_empty() {
                        let at = at.index(words.len());
                        words[at] ^= u64::MAX;
                        draft.set(at, words[at]);
                    }
                }
                Step::Finish(of) if !drafts.is_empty() => {
                    let (number, draft) = drafts.remove(of.index(drafts.len()));
                    twin.all[number].1 = true;
                    draft.finish();
                }
                Step::Drop(of) if !drafts.is_empty() => drop(drafts.remove(of.index(drafts.len()))),
                Step::Begin => {
                    drop(twin);
                    if self.write(steps) {
                        return true;
                    }
                }
                Step::End => return false,
                Step::Cut => return true,
                Step::Set(..) | Step::Finish(_) | Step::Drop(_) => {}
            }
        }
        false
    }

    fn cut(&self) {
        let interval = self.journal.cut();
        let expected = self.twin.borrow_mut().take_records();
        assert_eq!((interval.len(), interval.is_empty()), (expected.len(), expected.is_empty()));
        assert_eq!(words(&interval), expected);
        drop(interval);
        assert_eq!(self.journal.stats().waiting_bytes, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1_000 }))]

    #[test]
    fn drafts_that_are_finished_are_records_in_the_order_in_which_they_began(
        steps in prop::collection::vec(step(), 0..200),
        has_own_buffer: bool,
    ) {
        let slots = if has_own_buffer { 1 << 10 } else { 0 };
        let model = Model { journal: Journal::with_slots(config(), 1, slots), twin: RefCell::default() };
        let mut steps = steps.into_iter().peekable();
        while steps.peek().is_some() {
            if model.write(&mut steps) {
                model.cut();
            }
        }
        model.cut();
    }
}

#[test]
fn a_draft_that_is_dropped_gives_its_room_back() {
    let journal = Journal::new(config(), 1);
    let scribe = journal.begin().expect("room");
    draft(&scribe, &[1, 2]).finish();
    let waiting = journal.stats().waiting_bytes;
    (0..10_000).for_each(|_| drop(draft(&scribe, &[7; CHUNK_WORDS / 2])));
    assert_eq!(journal.stats().waiting_bytes, waiting);
    let (outer, inner) = (draft(&scribe, &[8; 3]), draft(&scribe, &[9; 4]));
    drop((inner, outer));
    draft(&scribe, &[3]).finish();
    drop(scribe);
    let interval = journal.cut();
    assert_eq!(words(&interval), [vec![1, 2], vec![3]]);
    assert_eq!(interval.bytes(), 8 * (3 + 2));
}

#[test]
fn a_draft_is_passed_over_where_others_were_written_before_it_was_dropped() {
    let journal = Journal::new(config(), 1);
    let scribe = journal.begin().expect("room");
    let dropped = draft(&scribe, &[7; 5]);
    let within = journal.begin().expect("room");
    within.record(1, 2, 1, |words| words.push(1));
    drop(dropped);
    drop((scribe, within));
    let interval = journal.cut();
    assert_eq!(words(&interval), [[1]]);
    assert_eq!((interval.len(), interval.bytes()), (1, 8 * (6 + 2)));
}

#[test]
fn a_draft_whose_chunk_is_full_by_then_is_finished_or_dropped_where_it_is() {
    for is_finished in [false, true] {
        let journal = Journal::new(config(), 1);
        let scribe = journal.begin().expect("room");
        let mut first = draft(&scribe, &[1, 1, 1]);
        draft(&scribe, &[2; CHUNK_WORDS - 1]).finish();
        assert_eq!(journal.stats().waiting_bytes, 2 * 8 * CHUNK_WORDS, "in another chunk");
        first.set(1, 5);
        if is_finished {
            first.finish()
        } else {
            drop(first)
        }
        drop(scribe);
        let first = is_finished.then(|| vec![1, 5, 1]);
        assert_eq!(words(&journal.cut()), Vec::from_iter(first.into_iter().chain([vec![2; CHUNK_WORDS - 1]])));
        assert_eq!(journal.stats().waiting_bytes, 0);
    }
}

#[test]
fn an_interval_of_drafts_that_were_dropped_is_empty_and_gives_its_memory_back() {
    let journal = Journal::new(config(), 1);
    drop(draft(&journal.begin().expect("room"), &[1]));
    assert_eq!(journal.stats().waiting_bytes, 8 * CHUNK_WORDS);
    let interval = journal.cut();
    assert!(interval.is_empty() && interval.records().next().is_none());
    drop(interval);
    assert_eq!(journal.stats().waiting_bytes, 0);
}

#[test]
fn an_event_that_panics_leaves_no_draft() {
    let journal = Journal::new(config(), 1);
    let event = || {
        let scribe = journal.begin().expect("room");
        let _draft = draft(&scribe, &[1]);
        panic!("in the middle of an event");
    };
    assert!(catch_unwind(AssertUnwindSafe(event)).is_err());
    assert!(journal.cut().is_empty());
    assert_eq!(journal.stats().waiting_bytes, 0);
}

#[test]
fn drafts_of_a_closed_journal_are_nothing_whatever_becomes_of_them() {
    let journal = Journal::new(config(), 1);
    journal.close();
    drop(journal.cut());
    let scribe = journal.begin_anyway();
    let mut finished = draft(&scribe, &[1]);
    finished.set(0, 2);
    finished.finish();
    drop(draft(&scribe, &[1]));
    drop(scribe);
    assert!(journal.cut().is_empty());
    assert_eq!(journal.stats().waiting_bytes, 0);
}

#[test]
#[should_panic(expected = "a record of 2 words has none at 2")]
fn a_word_that_a_draft_has_not_cannot_be_set() {
    let journal = Journal::new(config(), 1);
    let scribe = journal.begin().expect("room");
    draft(&scribe, &[1, 2]).set(2, 3);
}
