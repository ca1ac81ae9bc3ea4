//! Entries of every kind, at random.

use std::collections::BTreeMap;

use ad_tally_core::journal::{TickChange, TouchEntry};
use ad_tally_core::key::{SHORT_KEY_WORDS, atom_hash};
use ad_tally_core::{Coupon, KeyWriter, sketch};
use proptest::prelude::*;

use crate::owned::{Key, Owned, State, Value};

/// An element of a key.
#[derive(Debug, Clone)]
pub enum Element {
    Integer(i64),
    Bytes(Vec<u8>),
    Atom(String),
}

/// The words of a key.
pub fn words(elements: &[Element]) -> Vec<u64> {
    let mut room = vec![std::mem::MaybeUninit::uninit(); SHORT_KEY_WORDS + 8 * 8_200];
    let mut writer = match elements {
        [_] => KeyWriter::bare(&mut room),
        more => KeyWriter::tuple(&mut room, more.len()).expect("one to eight"),
    };
    for element in elements {
        match element {
            Element::Integer(value) => writer.integer(*value),
            Element::Bytes(bytes) => writer.bytes(bytes).expect("not too long"),
            Element::Atom(text) => writer.atom(atom_hash(text)),
        }
    }
    writer.finish().to_vec()
}

fn element() -> impl Strategy<Value = Element> {
    prop_oneof![
        prop_oneof![-3..3_i64, any::<i64>()].prop_map(Element::Integer),
        prop::collection::vec(0..3_u8, 0..40).prop_map(Element::Bytes),
        "[ab]{1,2}".prop_map(Element::Atom),
    ]
}

/// A key that others may begin like.
pub fn key() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        1 => Just(Vec::new()),
        4 => prop::collection::vec(element(), 1..4).prop_map(|elements| words(&elements)),
    ]
}

/// Small ones mostly, so that some are equal, and extreme ones.
pub fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..5_u64, 1 => any::<u64>(), 1 => prop_oneof![Just(u64::MAX), Just(u64::MAX - 1), Just(1 << 32)]]
}

fn sum() -> impl Strategy<Value = i128> {
    prop_oneof![-2..3_i128, any::<i128>(), Just(i128::MAX), Just(i128::MIN), any::<i64>().prop_map(i128::from)]
}

pub fn coupons(most: usize) -> impl Strategy<Value = Vec<Coupon>> {
    prop::collection::btree_set(0..10_000_u64, 1..=most).prop_map(|users| {
        let mut coupons: Vec<Coupon> = users.iter().map(|user| Coupon::of_integer(*user, None)).collect();
        coupons.sort_unstable();
        coupons.dedup();
        coupons
    })
}

pub fn touch() -> impl Strategy<Value = TouchEntry> {
    (number(), any::<i8>(), any::<u8>(), any::<u32>(), any::<u16>())
        .prop_map(|(at, id, kind, dimensions, repeats)| TouchEntry { at, id: i64::from(id), kind, dimensions, repeats })
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Open),
        (number(), any::<bool>(), "[a-z@]{0,9}", number())
            .prop_map(|(sequence, partial, node, at)| State::Closed(sequence, partial, node, at)),
        Just(State::Gone),
    ]
}

fn change() -> impl Strategy<Value = TickChange> {
    let tick = || number().prop_map(|tick| tick >> 1);
    prop_oneof![tick().prop_map(TickChange::Added), tick().prop_map(TickChange::Released)]
}

/// A key and a value of it.
pub fn entry() -> impl Strategy<Value = (Key, Value)> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..20);
    let registers = (4..=8_u8)
        .prop_flat_map(|precision| (Just(precision), prop::collection::vec(0..64_u8, 1 << precision)))
        .prop_map(|(precision, registers)| Value::Registers(precision, registers));
    let few = (4..=18_u8)
        .prop_flat_map(|precision| (Just(precision), coupons(sketch::most_coupons(precision).min(40))))
        .prop_map(|(precision, coupons)| Value::Coupons(precision, coupons));
    prop_oneof![
        (any::<u8>(), number()).prop_map(|(name, value)| (Key::Meta(name), Value::Number(value))),
        (number(), ".{0,9}").prop_map(|(hash, text)| (Key::Atom(hash), Value::Text(text))),
        number().prop_map(|owner| (Key::Forgotten(owner), Value::Nothing)),
        (number(), number(), any::<u32>(), state()).prop_map(|(instance, number, config, state)| (
            Key::Window(instance),
            Value::Window { number, config, state }
        )),
        (number(), key(), prop::collection::vec(sum(), 0..4))
            .prop_map(|(instance, key, sums)| (Key::Row(instance, key), Value::Sums(sums))),
        (number(), key(), prop_oneof![few, registers])
            .prop_map(|(instance, key, users)| (Key::Sketch(instance, key), users)),
        (any::<u64>(), number()).prop_map(|(hash, generation)| (Key::Id(hash), Value::Number(generation))),
        (any::<u8>(), number(), prop::collection::vec(change(), 1..9))
            .prop_map(|(tier, pair, changes)| (Key::Ticks(tier, pair), Value::Changes(changes))),
        (any::<u8>(), number(), any::<i64>())
            .prop_map(|(tier, pair, change)| (Key::Count(tier, pair), Value::Change(change))),
        (number(), prop::collection::vec(touch(), 0..6), number()).prop_map(|(user, mut touches, evicted)| {
            touches.sort_unstable();
            touches.dedup_by_key(|touch| (touch.at, touch.id));
            (Key::Touches(user), Value::Touches(touches, evicted))
        }),
        (any::<u8>(), number(), number(), prop::collection::vec(any::<u64>(), 0..4))
            .prop_map(|(table, hash, version, words)| (Key::Latest(table, hash), Value::Version(version, words))),
        (any::<u8>(), number(), bytes(), bytes())
            .prop_map(|(table, owner, key, bytes)| (Key::Item(table, owner, key), Value::Bytes(bytes))),
        (any::<u32>(), key().prop_filter("a key", |key| !key.is_empty()))
            .prop_map(|(number, key)| (Key::Number(number), Value::Words(key))),
    ]
}

/// The entries of a run, in their order.
pub fn run(most: usize) -> impl Strategy<Value = Vec<Owned>> {
    prop::collection::vec((0..3_u16, entry()), 0..most).prop_map(|entries| {
        let entries: BTreeMap<(u16, Key), Value> =
            entries.into_iter().map(|(part, (key, value))| ((part, key), value)).collect();
        entries.into_iter().map(|((part, key), value)| (part, key, value)).collect()
    })
}
