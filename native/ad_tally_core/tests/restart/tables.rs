//! Tables of counters, of sketches and of ids against themselves: what they were when an interval ended is what comes back of the
//! intervals up to it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::sync::Arc;

use ad_tally_core::codec::{Frame, Imported, Settings};
use ad_tally_core::journal::{Busy, Fold, Part};
use ad_tally_core::key::{AtomFault, AtomNames, SHORT_KEY_WORDS};
use ad_tally_core::table::{Added, Durable, Portable};
use ad_tally_core::{
    Add, Batch, Counters, Coupon, Dedupe, Error, HashedKey, KeyWriter, Reach, Seed, Sketch, dedupe, table::Drainable,
};
use proptest::prelude::*;

use crate::journal::{compacted, cut, part, part_within, take_back};

/// No key of these tests has one.
struct NoAtoms;

impl AtomNames for NoAtoms {
    fn text(&self, _hash: u64) -> Option<Cow<'_, str>> {
        None
    }

    fn atom(&mut self, _text: &str) -> Result<u64, AtomFault> {
        Err(AtomFault::Length)
    }
}

fn with_key<R>(seed: &Seed, number: i64, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut writer = KeyWriter::bare(&mut room);
    writer.integer(number);
    act(seed.key(writer.finish()))
}

/// What a step does that both kinds of tables have.
#[derive(Debug, Clone)]
enum Step {
    /// Several amounts or users, one by one or as a list.
    Add(Vec<(i64, i64)>, bool),
    /// What another table has of a key, or had no row for.
    Merge(i64, Vec<i64>),
    MergeOverflow(Vec<i64>),
    /// A frame of another table, perhaps once more.
    Import(Vec<(i64, i64)>),
    ImportAgain(usize),
    Drain,
    Cut,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let amount = prop_oneof![4 => -9..50_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let adds = prop::collection::vec((0..6_i64, amount.clone()), 0..12);
    let amounts = prop::collection::vec(amount, 0..12);
    prop_oneof![
        6 => (adds.clone(), any::<bool>()).prop_map(|(adds, many)| Step::Add(adds, many)),
        2 => (0..6_i64, amounts.clone()).prop_map(|(key, amounts)| Step::Merge(key, amounts)),
        1 => amounts.prop_map(Step::MergeOverflow),
        1 => adds.prop_map(Step::Import),
        1 => (0..4_usize).prop_map(Step::ImportAgain),
        1 => Just(Step::Drain),
        3 => Just(Step::Cut),
        1 => Just(Step::Crash),
    ]
}

/// What tests do with a table of either kind.
trait Kind: Portable<Snapshot: Clone, Overflowed: Debug + PartialEq> + Durable {
    fn table(part: Option<Part>) -> Drainable<Self>;
    fn settings(table: &Drainable<Self>) -> Settings;
    fn add(table: &Drainable<Self>, key: i64, amount: i64) -> Added;
    fn add_many(table: &Drainable<Self>, adds: &[(i64, i64)]) -> Result<(usize, usize), Busy>;
    fn value(amounts: &[i64]) -> (Self::Snapshot, Self::Overflowed);
    fn shown(value: &Self::Snapshot) -> Vec<u8>;
}

impl Kind for ad_tally_core::counters::Cells {
    fn table(part: Option<Part>) -> Counters {
        let table = match part {
            Some(part) => Counters::stored(2, 4, Seed::new(7), part),
            None => Counters::with_seed(2, 4, Seed::new(7)),
        };
        table.expect("in range")
    }

    fn settings(table: &Counters) -> Settings {
        table.settings(vec!["one".to_owned(), "two".to_owned()])
    }

    fn add(table: &Counters, key: i64, amount: i64) -> Added {
        with_key(table.seed(), key, |key| table.add(key, (amount & 1) as usize, amount))
    }

    fn add_many(table: &Counters, adds: &[(i64, i64)]) -> Result<(usize, usize), Busy> {
        let mut batch = Batch::default();
        for (key, amount) in adds {
            push(&mut batch, table.seed(), *key, Add { metric: (amount & 1) as u32, amount: *amount });
        }
        table.add_batch(&batch, || true)
    }

    fn value(amounts: &[i64]) -> (Vec<i128>, Vec<i128>) {
        (vec![amounts.iter().copied().map(i128::from).sum(), amounts.len() as i128], Vec::new())
    }

    fn shown(value: &Vec<i128>) -> Vec<u8> {
        value.iter().flat_map(|total| total.to_be_bytes()).collect()
    }
}

impl Kind for ad_tally_core::reach::Sketches {
    fn table(part: Option<Part>) -> Reach {
        let table = match part {
            Some(part) => Reach::stored(4, 4, None, Seed::new(7), part),
            None => Reach::with_seed(4, 4, None, Seed::new(7)),
        };
        table.expect("in range")
    }

    fn settings(table: &Reach) -> Settings {
        table.settings()
    }

    fn add(table: &Reach, key: i64, user: i64) -> Added {
        let user = Coupon::of_integer(user as u64, None);
        with_key(table.seed(), key, |key| {
            if key.hash & 1 == 0 { table.add(key, user) } else { table.add_users(key, &[user]) }
        })
    }

    fn add_many(table: &Reach, adds: &[(i64, i64)]) -> Result<(usize, usize), Busy> {
        let mut batch = Batch::default();
        for (key, user) in adds {
            push(&mut batch, table.seed(), *key, Coupon::of_integer(*user as u64, None));
        }
        table.add_batch(&batch, || true)
    }

    fn value(users: &[i64]) -> (Sketch, u64) {
        let mut sketch = Sketch::new(4, None).expect("a precision");
        users.iter().for_each(|user| sketch.insert(Coupon::of_integer(*user as u64, None)));
        (sketch, users.len() as u64)
    }

    fn shown(value: &Sketch) -> Vec<u8> {
        value.to_bytes()
    }
}

fn push<T: Copy>(batch: &mut Batch<T>, seed: &Seed, key: i64, item: T) {
    let mut writer = KeyWriter::bare(batch.room(0));
    writer.integer(key);
    let key = seed.key(writer.finish());
    let (hash, words) = (key.hash, key.words.len());
    // SAFETY: the key was written into the room just now.
    unsafe { batch.push(hash, words, item) };
}

/// What a table has: rows, what had none, and how much that was, and which frames it has taken.
type Contents = (BTreeMap<Vec<u8>, Vec<u8>>, Vec<u8>, String, u64);

/// Without changing it.
fn contents<V: Kind>(table: &Drainable<V>) -> Contents {
    let copy = V::table(None);
    let mut export = table.export(&V::settings(table));
    while let Some(frame) = export.next_frame(&NoAtoms) {
        copy.import(&V::settings(&copy), &Frame::read(&frame).expect("a frame"), &mut NoAtoms).expect("a table's");
    }
    let overflowed = format!("{:?}", copy.info().overflow);
    let mut drained = copy.drain();
    let mut rows = BTreeMap::new();
    drained.rows.walk(|key, value| {
        if !V::is_nothing(value) {
            rows.insert(format!("{:?}", key.elements().collect::<Vec<_>>()).into_bytes(), V::shown(value));
        }
        ControlFlow::Continue(())
    });
    (rows, V::shown(&drained.overflow), overflowed, table.taken().info().frames)
}

/// A table with a journal, what its intervals were, and what it had when they ended.
struct Service<V: Kind> {
    part: Part,
    fold: Arc<dyn Fold>,
    table: Drainable<V>,
    opened: u32,
    intervals: Vec<(Vec<u8>, Contents)>,
    frames: Vec<Vec<u8>>,
}

fn restored<'r, V: Kind>(part: &Part, runs: impl Iterator<Item = &'r [u8]>) -> Drainable<V> {
    let table = V::table(Some(part.clone()));
    let restoring = table.restoring();
    runs.for_each(|run| take_back(run, &restoring));
    restoring.finish();
    table
}

impl<V: Kind> Service<V> {
    fn new() -> Self {
        let part = part(1);
        let table = V::table(Some(part.clone()));
        Self { fold: table.fold(), part, table, opened: 1, intervals: Vec::new(), frames: Vec::new() }
    }

    fn step(&mut self, step: &Step) {
        let table = &self.table;
        match step {
            Step::Add(adds, false) => adds.iter().for_each(|(key, amount)| {
                assert_ne!(V::add(table, *key, *amount), Added::Busy);
            }),
            Step::Add(adds, true) => assert_eq!(V::add_many(table, adds).expect("room").0, adds.len()),
            Step::Merge(key, amounts) => {
                let (value, _) = V::value(amounts);
                assert_ne!(with_key(table.seed(), *key, |key| table.merge_row(key, &value)), Added::Busy);
            }
            Step::MergeOverflow(amounts) => {
                let (value, overflowed) = V::value(amounts);
                table.merge_overflow(&value, &overflowed).expect("room");
            }
            Step::Import(adds) => {
                let other = V::table(None);
                V::add_many(&other, adds).expect("no journal");
                let mut export = other.export(&V::settings(&other));
                while let Some(frame) = export.next_frame(&NoAtoms) {
                    let imported = self.import(&frame);
                    assert!(matches!(imported, Imported::Rows { .. }), "{imported:?}");
                    self.frames.push(frame);
                }
            }
            Step::ImportAgain(which) => {
                if let Some(frame) = self.frames.get(*which).cloned() {
                    assert_eq!(self.import(&frame), Imported::AlreadyTaken);
                }
            }
            Step::Drain => drop(table.drain()),
            Step::Cut => self.cut(),
            Step::Crash => self.crash(),
        }
    }

    fn import(&self, frame: &[u8]) -> Imported {
        let frame = Frame::read(frame).expect("a frame");
        self.table.import(&V::settings(&self.table), &frame, &mut NoAtoms).expect("a table's")
    }

    fn cut(&mut self) {
        self.intervals.push((cut(&self.part, &self.fold), contents(&self.table)));
    }

    fn crash(&mut self) {
        // Frames of after the last cut are lost as well, and would be taken.
        self.cut();
        self.opened += 1;
        self.part = part(self.opened);
        self.table = restored(&self.part, self.intervals.iter().map(|(run, _)| &run[..]));
        self.fold = self.table.fold();
    }
}

fn check<V: Kind>(steps: &[Step]) {
    let mut service = Service::<V>::new();
    let nothing = contents(&service.table);
    steps.iter().for_each(|step| service.step(step));
    service.cut();
    for prefix in 0..=service.intervals.len() {
        let runs: Vec<&[u8]> = service.intervals[..prefix].iter().map(|(run, _)| &run[..]).collect();
        let expected = prefix.checked_sub(1).map_or(&nothing, |last| &service.intervals[last].1);
        let compacted = compacted(&runs, &service.fold);
        assert_eq!(contents(&restored::<V>(&part(100), runs.into_iter())), *expected, "of {prefix} intervals");
        let compacted = compacted.iter().map(|run| &run[..]);
        assert_eq!(contents(&restored::<V>(&part(100), compacted)), *expected, "of {prefix} intervals, compacted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_prefix_of_the_intervals_is_the_counters_as_they_were(steps in prop::collection::vec(step(), 1..60)) {
        check::<ad_tally_core::counters::Cells>(&steps);
    }

    #[test]
    fn any_prefix_of_the_intervals_is_the_sketches_as_they_were(steps in prop::collection::vec(step(), 1..60)) {
        check::<ad_tally_core::reach::Sketches>(&steps);
    }

    #[test]
    fn any_prefix_of_the_intervals_is_the_ids_as_they_were(
        steps in prop::collection::vec((0..400_u64, 0..20_u64, 0..30_u8), 1..400),
        wide in any::<bool>(),
        capacity in prop_oneof![Just(1_000_usize), Just(5_000)],
    ) {
        let new = |part: &Part, capacity| {
            let config = dedupe::Config { window: 1_000, capacity, wide };
            Dedupe::stored(&config, Seed::new(7), part.clone()).expect("in range")
        };
        let first = part(1);
        let table = new(&first, 1_000);
        let (fold, mut now, mut intervals) = (table.fold(), 10_000, Vec::new());
        for (id, passed, what) in steps {
            now += passed;
            let hash = table.seed().hash(ad_tally_core::key::Domain::Id, &[id]);
            table.first(hash, now - id % 50, || now).expect("a time");
            match what {
                0 => intervals.push((cut(&first, &fold), ids(&table))),
                1 => {
                    let other = Dedupe::with_seed(&dedupe::Config { window: 1_000, capacity, wide }, Seed::new(7));
                    let other = other.expect("in range");
                    for more in 0..20 {
                        let hash = other.seed().hash(ad_tally_core::key::Domain::Id, &[id * 1_000 + more]);
                        other.first(hash, now, || now).expect("a time");
                    }
                    let mut export = other.frames();
                    while let Some(frame) = export.next_frame(&other) {
                        let frame = Frame::read(&frame).expect("a frame");
                        table.import_frame(&frame, || now).expect("a table's");
                    }
                }
                _ => {}
            }
        }
        intervals.push((cut(&first, &fold), ids(&table)));
        for prefix in 1..=intervals.len() {
            let runs: Vec<&[u8]> = intervals[..prefix].iter().map(|(run, _)| &run[..]).collect();
            let restored = new(&part(2), 1_000);
            runs.iter().for_each(|run| take_back(run, &restored));
            prop_assert_eq!(ids(&restored), intervals[prefix - 1].1.clone(), "of {} intervals", prefix);
            let restored = new(&part(2), 1_000);
            compacted(&runs, &fold).iter().for_each(|run| take_back(run, &restored));
            prop_assert_eq!(ids(&restored), intervals[prefix - 1].1.clone(), "of {} intervals, compacted", prefix);
        }
    }
}

/// What a table remembers, and which frames it has taken.
fn ids(table: &Dedupe) -> (BTreeSet<dedupe::ExportedId>, u64) {
    let mut ids = BTreeSet::new();
    assert_eq!(table.export(0, u64::MAX, |id| _ = ids.insert(id)), None);
    (ids, table.taken().info().frames)
}

#[test]
fn a_busy_journal_adds_nothing_and_what_must_not_fail_goes_on() {
    let part = part_within(1, 64 << 10);
    let (counters, reach) = (
        <ad_tally_core::counters::Cells as Kind>::table(Some(part.clone())),
        <ad_tally_core::reach::Sketches as Kind>::table(Some(part.clone())),
    );
    let config = dedupe::Config { window: 1_000, capacity: 1_000, wide: true };
    let dedupe = Dedupe::stored(&config, Seed::new(7), part.clone()).expect("in range");
    let mut added = 0;
    while with_key(counters.seed(), 1, |key| counters.add(key, 0, 1)) != Added::Busy {
        added += 1;
    }
    assert!(added > 100, "{added}");
    let user = Coupon::of_integer(1, None);
    assert_eq!(with_key(reach.seed(), 1, |key| reach.add(key, user)), Added::Busy);
    assert_eq!(with_key(reach.seed(), 1, |key| reach.add_users(key, &[user])), Added::Busy);
    assert_eq!(with_key(reach.seed(), 1, |key| reach.estimate(key)), 0.0);
    assert_eq!(dedupe.first(7, 1_000, || 1_000), Err(Error::Busy));
    let mut batch = Batch::default();
    push(&mut batch, counters.seed(), 1, Add { metric: 0, amount: 1 });
    assert_eq!(counters.add_batch(&batch, || true), Err(Busy));
    assert_eq!(with_key(counters.seed(), 1, |key| counters.merge_row(key, &vec![1, 1])), Added::Busy);
    assert_eq!(counters.merge_overflow(&vec![1, 1], &Vec::new()), Err(Busy));
    assert_eq!(with_key(counters.seed(), 1, |key| counters.get(key)), Some(vec![added, 0]));
    // A drain is not refused, and is in the journal.
    let fold = counters.fold();
    drop(counters.drain());
    let run = cut(&part, &fold);
    let restored = restored::<ad_tally_core::counters::Cells>(&crate::journal::part(2), [&run[..]].into_iter());
    assert_eq!(with_key(restored.seed(), 1, |key| restored.get(key)), None);
    // Once it is on disk there is room.
    assert_eq!(dedupe.first(7, 1_000, || 1_000), Ok(true));
}
