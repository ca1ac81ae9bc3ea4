//! Merging: what intervals come to does not depend on which neighbours are merged first, and is what a plain map says.

use std::collections::{BTreeMap, VecDeque};

use ad_tally_core::journal::{Chain, Entries, Entry, Fold, META_NEWEST, Merge, Record, RunFrame};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::any::{self, Element};
use crate::in_memory::{InMemory, merged, written};
use crate::naive::{Naive, Op, is_nothing};
use crate::owned::{Key, Owned, State, Value, owned, read};

/// A part that keeps ids of ten generations, and three touches of a user.
struct Part;

impl Fold for Part {
    fn fold(&self, _record: Record<'_>, _into: &mut Entries) {
        unreachable!("nothing is recorded")
    }

    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        !matches!(entry, Entry::Id { generation, .. } if *generation < newest.saturating_sub(10))
    }

    fn most_touches(&self) -> usize {
        MOST_TOUCHES
    }
}

const MOST_TOUCHES: usize = 3;

fn interval(ops: &[Op]) -> Vec<u8> {
    let mut entries = Entries::new();
    ops.iter().for_each(|op| op.add(3, &mut entries));
    written(&mut entries)
}

fn instance() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, Just(u64::MAX)]
}

fn key() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        Just(vec![]),
        (0..3_i64).prop_map(|value| any::words(&[Element::Integer(value)])),
        (0..2_i64, "[ab]?")
            .prop_map(|(value, text)| any::words(&[Element::Integer(value), Element::Bytes(text.into_bytes())])),
    ]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![-2..3_i64, Just(i64::MAX), Just(i64::MIN)]
}

fn sum() -> impl Strategy<Value = i128> {
    prop_oneof![-2..3_i128, Just(i128::MAX), Just(i128::MIN)]
}

fn touch() -> impl Strategy<Value = TouchOf> {
    (0..20_u64, 0..6_i64, 0..2_u8)
}

type TouchOf = (u64, i64, u8);

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Open),
        (0..3_u64, any::<bool>(), 0..3_u64).prop_map(|(sequence, partial, at)| State::Closed(
            sequence,
            partial,
            "a@b".to_owned(),
            at
        )),
    ]
}

/// What may happen in interval number `at`, whatever happened before.
fn op(at: u64) -> impl Strategy<Value = Op> {
    let users = || prop::collection::vec(0..60_u64, 1..40);
    let table = || prop_oneof![Just(0_u8), Just(127), Just(128), Just(255)];
    let tick = || (0..2_u8, 0..2_u64, 0..60_u64);
    prop_oneof![
        1 => (0..3_u8, 0..30_u64).prop_map(|(name, value)| Op::Meta(name, value)),
        1 => (instance(), 0..3_u64, 0..3_u32, state())
            .prop_map(|(instance, number, config, state)| Op::Window(instance, number, config, state)),
        2 => (instance(), key(), prop::collection::vec(amount(), 0..4))
            .prop_map(|(instance, key, amounts)| Op::Row(instance, key, amounts)),
        1 => (instance(), key(), prop::collection::vec(sum(), 0..4))
            .prop_map(|(instance, key, sums)| Op::Sums(instance, key, sums)),
        2 => (instance(), key(), 7..10_u8, 0..1_000_u64)
            .prop_map(|(instance, key, precision, user)| Op::Coupon(instance, key, precision, user)),
        1 => (instance(), key(), 7..10_u8, users(), any::<bool>())
            .prop_map(|(instance, key, precision, users, registers)| Op::Sketch(instance, key, precision, users, registers)),
        2 => (0..9_u64, 0..30_u64).prop_map(|(hash, generation)| Op::Id(hash, generation)),
        9 => (0..2_u8, 0..2_u64, prop::collection::vec(0..60_u64, 1..20)).prop_map(|(tier, pair, ticks)| Op::Ticks(tier, pair, ticks)),
        4 => tick().prop_map(|(tier, pair, tick)| Op::Release(tier, pair, tick)),
        1 => (0..2_u8, 0..3_u64, amount()).prop_map(|(tier, pair, change)| Op::Count(tier, pair, change)),
        4 => (0..3_u64, touch()).prop_map(|(user, (at, id, kind))| {
            Op::Touch(user, ad_tally_core::journal::TouchEntry { at, id, kind, ..Default::default() })
        }),
        1 => (0..3_u64, 0..9_u64).prop_map(|(user, at)| Op::Evicted(user, at)),
        // Of two versions the later one may be in the interval before.
        2 => (table(), 0..4_u64, 0..15_u64, prop::collection::vec(any::<u64>(), 0..2))
            .prop_map(move |(table, hash, version, words)| Op::Latest(table, hash, 10 * at + version, words)),
        2 => (table(), 0..4_u64, "[ab]{0,2}", "[ab]?")
            .prop_map(|(table, owner, key, bytes)| Op::Item(table, owner, key.into_bytes(), bytes.into_bytes())),
        1 => (0..4_u32, key().prop_filter("a key", |key| !key.is_empty())).prop_map(|(number, key)| Op::Number(number, key)),
        1 => (0..4_u64).prop_map(Op::Forgotten),
        1 => instance().prop_map(Op::Gone),
    ]
}

/// Intervals, in which nothing is done to a window once it is gone.
fn intervals() -> impl Strategy<Value = Vec<Vec<Op>>> {
    let intervals: Vec<_> = (0..8).map(|at| prop::collection::vec(op(at), 0..40)).collect();
    (intervals, 1..=8_usize).prop_map(|(mut intervals, count)| {
        intervals.truncate(count);
        let mut gone: Vec<u64> = Vec::new();
        for ops in &mut intervals {
            ops.retain(|op| {
                let instance = match op {
                    Op::Window(instance, ..)
                    | Op::Row(instance, ..)
                    | Op::Sums(instance, ..)
                    | Op::Coupon(instance, ..)
                    | Op::Sketch(instance, ..)
                    | Op::Gone(instance) => Some(instance),
                    Op::Item(table, instance, ..) => Some(instance).filter(|_| *table < 128),
                    _ => None,
                };
                instance.is_none_or(|instance| !gone.contains(instance))
            });
            gone.extend(ops.iter().filter_map(|op| if let Op::Gone(instance) = op { Some(*instance) } else { None }));
        }
        intervals
    })
}

fn as_map(run: &[u8]) -> BTreeMap<Key, Value> {
    read(run).expect("a run").into_iter().map(|(part, key, value)| (assert_eq!(part, 3), (key, value)).1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn intervals_come_to_what_a_plain_map_says_however_they_are_merged(
        intervals in intervals(),
        steps in prop::collection::vec((any::<Index>(), any::<Index>(), any::<bool>()), 0..8),
    ) {
        let mut naive = Naive::default();
        intervals.iter().for_each(|ops| naive.apply(ops, MOST_TOUCHES));
        let mut expected = naive.state();
        if let Some(Value::Number(newest)) = expected.get(&Key::Meta(META_NEWEST)).cloned() {
            expected.retain(|key, value| match (key, value) {
                (Key::Id(_), Value::Number(generation)) => *generation >= newest.saturating_sub(10),
                _ => true,
            });
        }

        let mut runs: Vec<Vec<u8>> = intervals.iter().map(|ops| interval(ops)).collect();
        for (one, other, is_base) in steps {
            let (one, other) = (one.index(runs.len()), other.index(runs.len()));
            let (from, to) = (one.min(other), one.max(other) + 1);
            let run = merged(&runs[from..to], Some(&Part), is_base && from == 0);
            runs.splice(from..to, [run]);
        }
        let mut base = as_map(&merged(&runs, Some(&Part), true));
        // What was removed last may have been so in the newest interval.
        base.retain(|_, value| !is_nothing(value));
        prop_assert_eq!(base, expected);
    }

    #[test]
    fn runs_come_to_the_same_in_any_grouping(intervals in intervals(), cut in any::<(Index, Index)>()) {
        let runs: Vec<Vec<u8>> = intervals.iter().map(|ops| interval(ops)).collect();
        let (one, other) = (cut.0.index(runs.len()), cut.1.index(runs.len()));
        let (from, to) = (one.min(other), one.max(other) + 1);
        let mut grouped = runs.clone();
        grouped.splice(from..to, [merged(&runs[from..to], Some(&Part), false)]);
        prop_assert_eq!(read(&merged(&grouped, Some(&Part), false)), read(&merged(&runs, Some(&Part), false)));
    }
}

/// A run of entries of one part.
fn run(entries: &[(Key, Value)]) -> Vec<u8> {
    let mut sorted: Vec<Owned> = entries.iter().map(|(key, value)| (3, key.clone(), value.clone())).collect();
    sorted.sort_by(|one, other| one.1.cmp(&other.1));
    crate::owned::written(&sorted)
}

#[test]
fn a_user_who_is_forgotten_loses_what_is_older_and_keeps_what_comes_after() {
    let touches = |at| {
        let touch = ad_tally_core::journal::TouchEntry { at, id: at as i64, ..Default::default() };
        Value::Touches(vec![touch], 0)
    };
    let words = |word| Value::Version(word, vec![word]);
    let own = |at| [(Key::Touches(7), touches(at)), (Key::Latest(128, 7), words(at)), (Key::Latest(127, 7), words(at))];
    let others = [(Key::Touches(8), touches(1)), (Key::Item(200, 7, vec![1]), Value::Bytes(vec![]))];
    let older = run(&[&own(1)[..], &others[..]].concat());
    let forgotten = run(&[&own(2)[..], &[(Key::Forgotten(7), Value::Nothing)]].concat());
    let newer = run(&own(3)[..1]);
    let both = |one: &Value, other: &Value| match (one, other) {
        (Value::Touches(one, _), Value::Touches(other, _)) => Value::Touches([&one[..], &other[..]].concat(), 0),
        _ => panic!("no touches"),
    };
    let kept = [
        (Key::Touches(7), both(&touches(2), &touches(3))),
        (Key::Latest(128, 7), words(2)),
        (Key::Latest(127, 7), words(2)),
    ];
    let mut expected: BTreeMap<Key, Value> = kept.into_iter().collect();
    expected.insert(Key::Touches(8), touches(1));
    let runs = [older, forgotten, newer];
    assert_eq!(as_map(&merged(&runs, None, true)), expected);
    // As long as there may be something older it is remembered.
    expected.insert(Key::Forgotten(7), Value::Nothing);
    assert_eq!(as_map(&merged(&runs, None, false)), expected);
}

#[test]
fn a_window_that_is_gone_takes_with_it_what_goes_with_it() {
    let state = |state| Value::Window { number: 1, config: 1, state };
    let older = run(&[
        (Key::Window(5), state(State::Open)),
        (Key::Row(5, vec![]), Value::Sums(vec![1])),
        (Key::Row(6, vec![]), Value::Sums(vec![1])),
        (Key::Item(0, 5, vec![]), Value::Bytes(vec![])),
        (Key::Item(128, 5, vec![]), Value::Bytes(vec![])),
    ]);
    let newer = run(&[(Key::Window(5), state(State::Gone))]);
    let stay = [(Key::Row(6, vec![]), Value::Sums(vec![1])), (Key::Item(128, 5, vec![]), Value::Bytes(vec![]))];
    let mut expected: BTreeMap<Key, Value> = stay.into_iter().collect();
    assert_eq!(as_map(&merged(&[older.clone(), newer.clone()], None, true)), expected);
    expected.insert(Key::Window(5), state(State::Gone));
    assert_eq!(as_map(&merged(&[older, newer], None, false)), expected);
}

#[test]
fn a_removal_stays_at_the_base_as_long_as_the_interval_after_it_may_not_know_it() {
    let version = |version, words: &[u64]| run(&[(Key::Latest(0, 1), Value::Version(version, words.to_vec()))]);
    let first = merged(&[version(1, &[10]), version(3, &[])], None, true);
    assert_eq!(as_map(&first).len(), 1);
    // The interval after it tells of a version that was there before the removal.
    let second = merged(&[first, version(2, &[20])], None, true);
    assert_eq!(as_map(&second), BTreeMap::new());
}

#[test]
fn runs_of_many_frames_and_many_runs_are_merged_in_order() {
    let numbers = 100_000_u64;
    let of = |run: u64| -> Vec<(Key, Value)> {
        (0..numbers)
            .filter(|id| id % 40 == run || id % 1_000 == 0)
            .map(|id| (Key::Id(id), Value::Number(run)))
            .collect()
    };
    let runs: Vec<Vec<u8>> = (0..40).map(|number| run(&of(number))).collect();
    let entries = read(&merged(&runs, None, true)).expect("a run");
    let expected: Vec<Owned> =
        (0..numbers).map(|id| (3, Key::Id(id), Value::Number(if id % 1_000 == 0 { 39 } else { id % 40 }))).collect();
    assert_eq!(entries, expected);
}

#[test]
fn what_comes_from_runs_that_are_wrong_is_refused() {
    let chain = || Chain::default();
    let mut frames = InMemory::new(&run(&[(Key::Id(5), Value::Number(1))])).0;
    frames.extend(InMemory::new(&run(&[(Key::Id(5), Value::Number(1))])).0);
    let mut merge = Merge::new(vec![InMemory(frames)], None, false).expect("a run");
    assert_eq!(merge.next().map(|entry| entry.is_some()), Ok(true));
    let error = merge.next().map(|entry| entry.map(|(_, entry)| owned(&entry))).expect_err("the same key again");
    let expected = "frame 1 of run 0: key: Id { hash: 5, generation: 1 }, expected more than the last one of the frame \
                    before (byte 0 of the frame)";
    assert_eq!(error.to_string(), expected);

    let mut cut = run(&[(Key::Id(5), Value::Number(1))]);
    cut.pop();
    assert!(RunFrame::read(&cut, &mut chain()).is_err());
    let error = Merge::new(vec![InMemory(VecDeque::from([cut]))], None, false).map(|_| ()).expect_err("cut off");
    assert!(error.to_string().starts_with("frame 0 of run 0: generation: cut off"), "{error}");
}
