//! One thread against a plain map: whatever is done, both show the same.
#![cfg(not(loom))]

mod support;

use std::collections::HashMap;
use std::ops::ControlFlow;

use ad_tally_core::counters::Cells;
use ad_tally_core::{Added, Counters, Error, Rows};
use proptest::prelude::*;
use support::{Key, Part};

const METRICS: usize = 3;

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        prop_oneof![Just(0), Just(-1), Just(i64::MIN), Just(i64::MAX), 0..4_i64, any::<i64>()].prop_map(Part::Integer),
        prop::collection::vec(prop_oneof![Just(0_u8), Just(b'a'), any::<u8>()], 0..70).prop_map(Part::Bytes),
        prop_oneof![Just(0), Just(1), any::<u64>()].prop_map(Part::Atom),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![part().prop_map(Key::Bare), prop::collection::vec(part(), 1..=8).prop_map(Key::Tuple)]
}

fn rows(mut rows: Rows<Cells>) -> HashMap<Key, Vec<i128>> {
    let mut all = HashMap::new();
    let more = rows.walk(|key, totals| {
        assert_eq!(all.insert(Key::read(key), totals.to_vec()), None, "a row was shown twice");
        ControlFlow::Continue(())
    });
    assert!(!more);
    all
}

/// What counters do, as plainly as it can be written.
#[derive(Default)]
struct Model {
    rows: HashMap<Key, Vec<i128>>,
    overflow: Vec<i128>,
}

impl Model {
    fn new() -> Self {
        Self { rows: HashMap::new(), overflow: vec![0; METRICS] }
    }

    fn add(&mut self, key: &Key, metric: usize, amount: i64, max_keys: usize) -> Added {
        let fits = self.rows.contains_key(key) || self.rows.len() < max_keys;
        if fits {
            let row = self.rows.entry(key.clone()).or_insert_with(|| vec![0; METRICS]);
            let total = row[metric] + i128::from(amount);
            if i64::try_from(total).is_ok() {
                row[metric] = total;
                return Added::Row;
            }
        }
        self.overflow[metric] += i128::from(amount);
        Added::Overflow
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(usize, usize, i64),
    Get(usize),
    List,
    Drain,
}

fn step(keys: usize) -> impl Strategy<Value = Step> {
    let amount = prop_oneof![Just(1), Just(i64::MAX), Just(i64::MIN), -5..5_i64, any::<i64>()];
    prop_oneof![
        8 => (0..keys, 0..METRICS, amount).prop_map(|(key, metric, amount)| Step::Add(key, metric, amount)),
        2 => (0..keys).prop_map(Step::Get),
        1 => Just(Step::List),
        1 => Just(Step::Drain),
    ]
}

proptest! {
    #[test]
    fn counters_show_what_a_plain_map_shows(
        keys in prop::collection::vec(key(), 40),
        steps in prop::collection::vec(step(40), 1..300),
        max_keys in prop_oneof![1..40_usize, Just(5_000)],
    ) {
        let counters = Counters::new(METRICS, max_keys).expect("three metrics");
        let mut model = Model::new();
        let mut lifetime_overflow = [0; METRICS];
        for step in steps {
            match step {
                Step::Add(key, metric, amount) => {
                    let added = keys[key].with(counters.seed(), |key| counters.add(key, metric, amount));
                    prop_assert_eq!(added, model.add(&keys[key], metric, amount, max_keys));
                }
                Step::Get(key) => {
                    let expected = model.rows.get(&keys[key]).cloned();
                    let metric = keys[key].with(counters.seed(), |key| counters.get_metric(key, 1));
                    prop_assert_eq!(metric, expected.as_ref().map_or(0, |row| row[1]));
                    prop_assert_eq!(keys[key].with(counters.seed(), |key| counters.get(key)), expected);
                }
                Step::List => prop_assert_eq!(&rows(counters.rows()), &model.rows),
                Step::Drain => {
                    let drained = counters.drain();
                    for (sum, amount) in lifetime_overflow.iter_mut().zip(&drained.overflow) {
                        *sum += amount;
                    }
                    prop_assert_eq!(&drained.overflow, &model.overflow);
                    prop_assert_eq!(rows(drained.rows), std::mem::replace(&mut model, Model::new()).rows);
                }
            }
            let info = counters.info();
            prop_assert_eq!(info.keys, model.rows.len());
            let overflow: Vec<i128> = lifetime_overflow.iter().zip(&model.overflow).map(|(a, b)| a + b).collect();
            prop_assert_eq!(info.overflow, overflow);
        }
    }

    #[test]
    fn a_key_comes_back_as_it_went_in(key in key()) {
        let counters = Counters::new(1, 1).expect("one metric");
        let read = key.with(counters.seed(), |key| Key::read(ad_tally_core::KeyRef::new(key.words)));
        prop_assert_eq!(read, key);
    }

    #[test]
    fn keys_that_differ_have_words_that_differ(a in key(), b in key()) {
        let counters = Counters::new(1, 1).expect("one metric");
        let words = |key: &Key| key.with(counters.seed(), |key| key.words.to_vec());
        prop_assert_eq!(a == b, words(&a) == words(&b));
    }
}

#[test]
fn a_hundred_thousand_keys_are_found_again_while_shards_grow() {
    let counters = Counters::new(1, 100_000).expect("one metric");
    let key = |at: i64| Key::Tuple(vec![Part::Integer(at), Part::Bytes(vec![b'x'; (at % 40) as usize])]);
    for at in 0..100_000 {
        assert_eq!(key(at).with(counters.seed(), |key| counters.add(key, 0, at)), Added::Row);
    }
    for at in 0..100_000 {
        assert_eq!(key(at).with(counters.seed(), |key| counters.get_metric(key, 0)), i128::from(at));
    }
    let overflowed = Key::Bare(Part::Integer(-1)).with(counters.seed(), |key| counters.add(key, 0, 1));
    assert_eq!(overflowed, Added::Overflow);
    assert_eq!(rows(counters.drain().rows).len(), 100_000);
    assert_eq!(counters.info().keys, 0);
}

#[test]
fn a_walk_that_is_interrupted_shows_the_rows_there_were_once_each_though_the_table_grows_meanwhile() {
    let counters = Counters::new(1, 100_000).expect("one metric");
    let key = |at: i64| Key::Bare(Part::Integer(at));
    let add = |at: i64| key(at).with(counters.seed(), |key| counters.add(key, 0, 1));
    (0..1_000).for_each(|at| assert_eq!(add(at), Added::Row));
    let mut walk = counters.rows();
    let mut seen = HashMap::new();
    let mut next = 1_000;
    while walk.walk(|key, totals| {
        assert_eq!(seen.insert(Key::read(key), totals.to_vec()), None, "a row was shown twice");
        ControlFlow::Break(())
    }) {
        for at in next..(next + 20).min(60_000) {
            assert_eq!(add(at), Added::Row);
        }
        next += 20;
    }
    assert!((0..1_000).all(|at| seen.contains_key(&key(at))));
}

#[test]
fn tables_that_make_no_sense_are_refused() {
    for metrics in [0, 17, usize::MAX] {
        assert_eq!(Counters::new(metrics, 1).err(), Some(Error::Metrics(metrics)));
    }
    for max_keys in [0, 1_000_000_001, usize::MAX] {
        assert_eq!(Counters::new(1, max_keys).err(), Some(Error::MaxKeys(max_keys)));
    }
}
