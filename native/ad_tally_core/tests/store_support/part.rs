//! A part that is as simple as can be: counts by number, which add up; ids, which are a set; items of users, which are forgotten with
//! them; and rows of windows, which go with those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use ad_tally_core::journal::{self, Entries, Entry, Fold, Record, Restore, WindowState};

pub const COUNT: u8 = 1;
pub const ID: u8 = 2;
pub const ITEM: u8 = 3;
pub const FORGET: u8 = 4;
pub const ROW: u8 = 5;
pub const GONE: u8 = 6;
/// A table of items whose owners are users.
const OF_USERS: u8 = 200;

pub struct Folding(pub u16);

impl Fold for Folding {
    fn fold(&self, record: Record<'_>, into: &mut Entries) {
        let words = record.words;
        match record.kind {
            COUNT => into.count(self.0, 0, words[0], words[1] as i64),
            ID => into.id(self.0, words[0], words[1]),
            ITEM => into.item(self.0, OF_USERS, words[0], &words[1].to_be_bytes(), b"what the user did"),
            FORGET => into.forgotten(self.0, words[0]),
            ROW => {
                into.window(self.0, words[0], words[0], 0, WindowState::Open);
                into.overflow(self.0, words[0], &[i128::from(words[1])]);
            }
            GONE => into.gone(self.0, words[0]),
            other => panic!("no record of kind {other}"),
        }
    }
}

/// What a part holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    pub counts: BTreeMap<u64, i64>,
    pub ids: BTreeMap<u64, u64>,
    pub items: BTreeSet<(u64, u64)>,
    pub rows: BTreeMap<u64, i128>,
    pub gone: BTreeSet<u64>,
}

impl Held {
    pub fn apply(&mut self, kind: u8, words: &[u64]) {
        match kind {
            COUNT => *self.counts.entry(words[0]).or_default() += words[1] as i64,
            ID => {
                let own = self.ids.entry(words[0]).or_default();
                *own = words[1].max(*own);
            }
            ITEM => drop(self.items.insert((words[0], words[1]))),
            FORGET => self.items.retain(|(user, _)| *user != words[0]),
            ROW => *self.rows.entry(words[0]).or_default() += i128::from(words[1]),
            GONE => {
                self.rows.remove(&words[0]);
                self.gone.insert(words[0]);
            }
            other => panic!("no record of kind {other}"),
        }
    }

    /// Without what says nothing, so that two may be compared.
    pub fn normal(mut self) -> Self {
        self.counts.retain(|_, count| *count != 0);
        self.gone.clear();
        self
    }
}

#[derive(Default)]
pub struct Restored(pub Mutex<Held>);

impl Restore for Restored {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        let mut held = self.0.lock().unwrap();
        match entry {
            Entry::Count { pair, change, .. } => held.apply(COUNT, &[pair, change as u64]),
            Entry::Id { hash, generation } => held.apply(ID, &[hash, generation]),
            Entry::Item { owner, key, .. } => {
                let key = key.try_into().map_err(|_| "a key of 8 bytes".to_owned())?;
                held.apply(ITEM, &[owner, u64::from_be_bytes(key)]);
            }
            Entry::Forgotten { owner } => held.apply(FORGET, &[owner]),
            Entry::Row { instance, sums, .. } => *held.rows.entry(instance).or_default() += sums[0],
            Entry::Window { instance, state: WindowState::Gone, .. } => held.apply(GONE, &[instance]),
            Entry::Window { .. } | Entry::Meta { .. } => {}
            other => return Err(format!("no part of this kind writes {other:?}")),
        }
        Ok(())
    }
}

/// Writes one event of some records to a part.
pub fn record(part: &journal::Part, records: &[(u8, Vec<u64>)]) {
    let scribe = part.journal.begin_anyway();
    for (kind, words) in records {
        scribe.record(part.number, *kind, words.len(), |to| to.extend(words));
    }
}
