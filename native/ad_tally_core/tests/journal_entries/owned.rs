//! Entries with values of their own, in a map's order.

use ad_tally_core::Coupon;
use ad_tally_core::journal::{
    Chain, Entry, RunFrame, RunWriter, SketchRef, TickChange, TouchEntry, Users, WindowState, run_frame_bytes,
};

/// The key of an entry, in the order of files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Meta(u8),
    Atom(u64),
    Forgotten(u64),
    Window(u64),
    Row(u64, Vec<u64>),
    Sketch(u64, Vec<u64>),
    Id(u64),
    Ticks(u8, u64),
    Count(u8, u64),
    Touches(u64),
    Latest(u8, u64),
    Item(u8, u64, Vec<u8>),
    Number(u32),
}

/// The value of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Nothing,
    Text(String),
    Window { number: u64, config: u32, state: State },
    Sums(Vec<i128>),
    Coupons(u8, Vec<Coupon>),
    Registers(u8, Vec<u8>),
    Changes(Vec<TickChange>),
    Change(i64),
    Touches(Vec<TouchEntry>, u64),
    Version(u64, Vec<u64>),
    Bytes(Vec<u8>),
    Words(Vec<u64>),
}

/// A window's state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Open,
    Closed(u64, bool, String, u64),
    Gone,
}

/// A key and a value of their own.
pub fn owned(entry: &Entry<'_>) -> (Key, Value) {
    match *entry {
        Entry::Meta { name, value } => (Key::Meta(name), Value::Number(value)),
        Entry::Atom { hash, text } => (Key::Atom(hash), Value::Text(text.to_owned())),
        Entry::Forgotten { owner } => (Key::Forgotten(owner), Value::Nothing),
        Entry::Window { instance, number, config, state } => {
            let state = match state {
                WindowState::Open => State::Open,
                WindowState::Closed { sequence, partial, node, closed_at } => {
                    State::Closed(sequence, partial, node.to_owned(), closed_at)
                }
                WindowState::Gone => State::Gone,
            };
            (Key::Window(instance), Value::Window { number, config, state })
        }
        Entry::Row { instance, key, sums } => (Key::Row(instance, key.to_vec()), Value::Sums(sums.to_vec())),
        Entry::Sketch { instance, key, sketch } => {
            let value = match sketch.users {
                Users::Coupons(coupons) => Value::Coupons(sketch.precision, coupons.to_vec()),
                Users::Registers(registers) => Value::Registers(sketch.precision, registers.to_vec()),
            };
            (Key::Sketch(instance, key.to_vec()), value)
        }
        Entry::Id { hash, generation } => (Key::Id(hash), Value::Number(generation)),
        Entry::Ticks { tier, pair, changes } => (Key::Ticks(tier, pair), Value::Changes(changes.to_vec())),
        Entry::Count { tier, pair, change } => (Key::Count(tier, pair), Value::Change(change)),
        Entry::Touches { user, touches, evicted } => (Key::Touches(user), Value::Touches(touches.to_vec(), evicted)),
        Entry::Latest { table, hash, version, words } => {
            (Key::Latest(table, hash), Value::Version(version, words.to_vec()))
        }
        Entry::Item { table, owner, key, bytes } => {
            (Key::Item(table, owner, key.to_vec()), Value::Bytes(bytes.to_vec()))
        }
        Entry::Number { number, key } => (Key::Number(number), Value::Words(key.to_vec())),
    }
}

/// Shows an entry of a key and a value.
pub fn show<T>(key: &Key, value: &Value, show: impl FnOnce(Entry<'_>) -> T) -> T {
    show(match (key, value) {
        (Key::Meta(name), Value::Number(value)) => Entry::Meta { name: *name, value: *value },
        (Key::Atom(hash), Value::Text(text)) => Entry::Atom { hash: *hash, text },
        (Key::Forgotten(owner), Value::Nothing) => Entry::Forgotten { owner: *owner },
        (Key::Window(instance), Value::Window { number, config, state }) => {
            let state = match state {
                State::Open => WindowState::Open,
                State::Closed(sequence, partial, node, closed_at) => {
                    WindowState::Closed { sequence: *sequence, partial: *partial, node, closed_at: *closed_at }
                }
                State::Gone => WindowState::Gone,
            };
            Entry::Window { instance: *instance, number: *number, config: *config, state }
        }
        (Key::Row(instance, key), Value::Sums(sums)) => Entry::Row { instance: *instance, key, sums },
        (Key::Sketch(instance, key), Value::Coupons(precision, coupons)) => {
            let sketch = SketchRef { precision: *precision, users: Users::Coupons(coupons) };
            Entry::Sketch { instance: *instance, key, sketch }
        }
        (Key::Sketch(instance, key), Value::Registers(precision, registers)) => {
            let sketch = SketchRef { precision: *precision, users: Users::Registers(registers) };
            Entry::Sketch { instance: *instance, key, sketch }
        }
        (Key::Id(hash), Value::Number(generation)) => Entry::Id { hash: *hash, generation: *generation },
        (Key::Ticks(tier, pair), Value::Changes(changes)) => Entry::Ticks { tier: *tier, pair: *pair, changes },
        (Key::Count(tier, pair), Value::Change(change)) => Entry::Count { tier: *tier, pair: *pair, change: *change },
        (Key::Touches(user), Value::Touches(touches, evicted)) => {
            Entry::Touches { user: *user, touches, evicted: *evicted }
        }
        (Key::Latest(table, hash), Value::Version(version, words)) => {
            Entry::Latest { table: *table, hash: *hash, version: *version, words }
        }
        (Key::Item(table, owner, key), Value::Bytes(bytes)) => Entry::Item { table: *table, owner: *owner, key, bytes },
        (Key::Number(number), Value::Words(key)) => Entry::Number { number: *number, key },
        _ => panic!("{key:?} has no such value: {value:?}"),
    })
}

/// An entry of its own: part, key and value.
pub type Owned = (u16, Key, Value);

/// The frames of a run.
pub fn written(entries: &[Owned]) -> Vec<u8> {
    let mut run = RunWriter::new(Chain::default());
    entries.iter().for_each(|(part, key, value)| show(key, value, |entry| run.push(*part, &entry)));
    assert_eq!(run.entries(), entries.len() as u64);
    run.finish().0
}

/// The entries of a run, or why it is none.
pub fn read(mut bytes: &[u8]) -> Result<Vec<Owned>, String> {
    let (mut chain, mut entries) = (Chain::default(), Vec::new());
    loop {
        let length = run_frame_bytes(bytes).map_err(|error| error.to_string())?;
        let (frame, rest) = bytes.split_at_checked(length).ok_or("cut off")?;
        let frame = RunFrame::read(frame, &mut chain).map_err(|error| error.to_string())?;
        let mut of_frame = frame.read_entries();
        while let Some((part, entry)) = of_frame.next().map_err(|error| error.to_string())? {
            let (key, value) = owned(&entry);
            entries.push((part, key, value));
        }
        bytes = rest;
        match (frame.header.is_last, bytes.is_empty()) {
            (true, true) => return Ok(entries),
            (true, false) => return Err("more after the last frame".to_owned()),
            _ => {}
        }
    }
}
