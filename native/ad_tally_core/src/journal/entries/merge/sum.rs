//! What entries of one key come to.

use crate::journal::entries::values::users::UserUnion;
use crate::journal::entries::values::window::OwnWindow;
use crate::journal::entries::values::{ticks, touches};
use crate::journal::{Entry, EntryKind, TickChange, TouchEntry};

/// A key, and the value that entries of it come to. Its room is used again for the next key.
#[derive(Debug)]
pub(super) struct Sum {
    kind: EntryKind,
    /// The run whose value it is, or was changed last by.
    run: usize,
    /// The tier or table, and the first number of the key.
    table: u8,
    lead: u64,
    /// What else the key has.
    words: Vec<u64>,
    bytes: Vec<u8>,
    value: Value,
}

/// Of a value what its kind has.
#[derive(Debug)]
struct Value {
    number: u64,
    change: i64,
    text: String,
    window: OwnWindow,
    sums: Vec<i128>,
    users: UserUnion,
    changes: Vec<TickChange>,
    touches: Vec<TouchEntry>,
    words: Vec<u64>,
    bytes: Vec<u8>,
}

impl Default for Sum {
    fn default() -> Self {
        let value = Value {
            number: 0,
            change: 0,
            text: String::new(),
            window: OwnWindow::default(),
            sums: Vec::new(),
            users: UserUnion::of_nobody(crate::sketch::MIN_PRECISION),
            changes: Vec::new(),
            touches: Vec::new(),
            words: Vec::new(),
            bytes: Vec::new(),
        };
        Self { kind: EntryKind::Meta, run: 0, table: 0, lead: 0, words: Vec::new(), bytes: Vec::new(), value }
    }
}

impl Sum {
    /// The run whose value it is, or was changed last by.
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Begins with an entry of a run.
    pub(super) fn begin(&mut self, entry: &Entry<'_>, run: usize) {
        (self.kind, self.run, self.table) = (entry.kind(), run, 0);
        self.words.clear();
        self.bytes.clear();
        let value = &mut self.value;
        match *entry {
            Entry::Meta { name, value: number } => (self.lead, value.number) = (u64::from(name), number),
            Entry::Atom { hash, text } => {
                self.lead = hash;
                text.clone_into(&mut value.text);
            }
            Entry::Forgotten { owner } => self.lead = owner,
            Entry::Window { instance, number, config, state } => {
                self.lead = instance;
                value.window = OwnWindow::new(instance, number, config, state);
            }
            Entry::Row { instance, key, sums } => {
                self.lead = instance;
                self.words.extend_from_slice(key);
                sums.clone_into(&mut value.sums);
            }
            Entry::Sketch { instance, key, sketch } => {
                self.lead = instance;
                self.words.extend_from_slice(key);
                value.users.clear(sketch.precision);
                value.users.add(sketch);
            }
            Entry::Id { hash, generation } => (self.lead, value.number) = (hash, generation),
            Entry::Ticks { tier, pair, changes } => {
                (self.table, self.lead) = (tier, pair);
                changes.clone_into(&mut value.changes);
            }
            Entry::Count { tier, pair, change } => (self.table, self.lead, value.change) = (tier, pair, change),
            Entry::Touches { user, touches, evicted } => {
                (self.lead, value.number) = (user, evicted);
                touches.clone_into(&mut value.touches);
            }
            Entry::Latest { table, hash, version, words } => {
                (self.table, self.lead, value.number) = (table, hash, version);
                words.clone_into(&mut value.words);
            }
            Entry::Item { table, owner, key, bytes } => {
                (self.table, self.lead) = (table, owner);
                self.bytes.extend_from_slice(key);
                bytes.clone_into(&mut value.bytes);
            }
            Entry::Number { number, key } => {
                self.lead = u64::from(number);
                key.clone_into(&mut value.words);
            }
        }
    }

    /// Adds another entry of that key, of a newer run.
    pub(super) fn add(&mut self, entry: &Entry<'_>, run: usize) {
        let value = &mut self.value;
        match *entry {
            Entry::Meta { value: number, .. } | Entry::Id { generation: number, .. } => {
                value.number = number.max(value.number);
            }
            Entry::Atom { text, .. } => {
                if *value.text < *text {
                    text.clone_into(&mut value.text);
                }
            }
            Entry::Forgotten { .. } => {}
            Entry::Window { instance, number, config, state } => {
                let other = OwnWindow::new(instance, number, config, state);
                if value.window < other {
                    value.window = other;
                }
            }
            Entry::Row { sums, .. } => {
                value.sums.resize(sums.len().max(value.sums.len()), 0);
                value.sums.iter_mut().zip(sums).for_each(|(own, sum)| *own = own.wrapping_add(*sum));
            }
            Entry::Sketch { sketch, .. } => value.users.add(sketch),
            Entry::Ticks { changes, .. } => ticks::append(&mut value.changes, changes),
            Entry::Count { change, .. } => value.change = value.change.wrapping_add(change),
            Entry::Touches { touches, evicted, .. } => {
                value.touches.extend_from_slice(touches);
                value.number = evicted.max(value.number);
            }
            Entry::Latest { version, words, .. } => {
                if (value.number, &*value.words) > (version, words) {
                    return;
                }
                value.number = version;
                words.clone_into(&mut value.words);
            }
            Entry::Item { bytes, .. } => {
                if *value.bytes < *bytes {
                    bytes.clone_into(&mut value.bytes);
                }
            }
            Entry::Number { key, .. } => {
                if *value.words < *key {
                    key.clone_into(&mut value.words);
                }
            }
        }
        self.run = run;
    }

    /// Has the value be one of an entry, once all are added.
    pub(super) fn settle(&mut self, most_touches: usize, is_base: bool) {
        let value = &mut self.value;
        match self.kind {
            EntryKind::Touches => touches::settle(&mut value.touches, &mut value.number, most_touches),
            EntryKind::Sketch => value.users.settle(),
            EntryKind::Ticks if is_base => ticks::resolve(&mut value.changes),
            _ => {}
        }
    }

    /// The entry.
    pub(super) fn entry(&self) -> Entry<'_> {
        let Self { table, lead, words: key, value, .. } = self;
        let (table, lead) = (*table, *lead);
        match self.kind {
            EntryKind::Meta => Entry::Meta { name: lead as u8, value: value.number },
            EntryKind::Atom => Entry::Atom { hash: lead, text: &value.text },
            EntryKind::Forgotten => Entry::Forgotten { owner: lead },
            EntryKind::Window => {
                let OwnWindow { instance, number, config, .. } = value.window;
                Entry::Window { instance, number, config, state: value.window.state.state() }
            }
            EntryKind::Row => Entry::Row { instance: lead, key, sums: &value.sums },
            EntryKind::Sketch => Entry::Sketch { instance: lead, key, sketch: value.users.users() },
            EntryKind::Id => Entry::Id { hash: lead, generation: value.number },
            EntryKind::Ticks => Entry::Ticks { tier: table, pair: lead, changes: &value.changes },
            EntryKind::Count => Entry::Count { tier: table, pair: lead, change: value.change },
            EntryKind::Touches => Entry::Touches { user: lead, touches: &value.touches, evicted: value.number },
            EntryKind::Latest => Entry::Latest { table, hash: lead, version: value.number, words: &value.words },
            EntryKind::Item => Entry::Item { table, owner: lead, key: &self.bytes, bytes: &value.bytes },
            EntryKind::Number => Entry::Number { number: lead as u32, key: &value.words },
        }
    }
}
