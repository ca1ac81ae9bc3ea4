//! What a table with a journal writes into it, and the entries that become of it.
//!
//! ```text
//! ADDED    instance of the generation | number of the value kind's, and above it what was spilled
//!          | hash of the key | its words | what was added, by the value kind
//! MERGED   the same, and a value that was merged
//! OVERFLOW instance | what had no row in another table, by the value kind
//! GONE     instances                                          generations that were drained
//! TAKEN    stream | number of a frame | whether it is the last
//! ```

use parking_lot::Mutex;

use super::durable::{Durable, Of};
use super::spilled::Spilled;
use crate::codec::{Frame, StreamId, Taken};
use crate::journal::{Busy, Entries, Fold, Part, Record, Scribe, Words};
use crate::key::{self, HashedKey};

const ADDED: u8 = 0;
const MERGED: u8 = 1;
const OVERFLOW: u8 = 2;
const GONE: u8 = 3;
pub(super) const TAKEN: u8 = 4;

/// The items that are frames which were taken.
const TAKEN_FRAMES: u8 = 0;

/// What a table with a journal has.
pub(crate) struct Stored {
    pub(super) part: Part,
    /// Instances of generations that were there before a restart and are part of the current one now.
    resumed: Mutex<Vec<u64>>,
}

/// What a table writes by: the right to, and its number.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'s> {
    scribe: &'s Scribe<'s>,
    part: u16,
}

impl Stored {
    pub(super) fn new(part: Part) -> Self {
        Self { part, resumed: Mutex::default() }
    }

    /// A number that no generation had before.
    pub(super) fn instance(&self) -> u64 {
        self.part.journal.instance()
    }

    /// Begins to write.
    #[inline(always)]
    pub(crate) fn begin(&self) -> Result<Scribe<'_>, Busy> {
        self.part.begin()
    }

    pub(super) fn begin_anyway(&self) -> Scribe<'_> {
        self.part.begin_anyway()
    }

    #[inline(always)]
    pub(crate) fn writer<'s>(&self, scribe: &'s Scribe<'s>) -> Writer<'s> {
        Writer { scribe, part: self.part.number }
    }

    /// Has instances be part of the current generation.
    pub(super) fn resume(&self, instances: impl IntoIterator<Item = u64>) {
        self.resumed.lock().extend(instances);
    }

    /// Notes that a generation was drained, with all that were part of it. Whether that is recorded: not where the part has ended for good.
    pub(super) fn drained(&self, instance: u64) -> bool {
        let mut gone = std::mem::take(&mut *self.resumed.lock());
        gone.push(instance);
        let scribe = self.begin_anyway();
        self.writer(&scribe).record(GONE, gone.len(), |words| words.extend(&gone));
        self.part.takes(&scribe)
    }
}

impl Writer<'_> {
    #[inline(always)]
    fn record(self, kind: u8, words: usize, write: impl FnOnce(&mut Words<'_>)) {
        self.scribe.record(self.part, kind, words, write);
    }

    /// Something was added to a key, as so many words and a number of the value kind's.
    #[inline(always)]
    pub(crate) fn added(
        self,
        instance: u64,
        key: HashedKey<'_>,
        (spilled, number): (Spilled, u32),
        words: usize,
        write: impl FnOnce(&mut Words<'_>),
    ) {
        self.of_key(ADDED, instance, key, (spilled, number), words, write);
    }

    /// A value was merged into that of a key.
    pub(super) fn merged<V: Durable>(self, instance: u64, key: HashedKey<'_>, spilled: Spilled, value: &V::Snapshot) {
        let value = V::to_words(value);
        self.of_key(MERGED, instance, key, (spilled, 0), value.len(), |words| words.extend(&value));
    }

    #[inline(always)]
    fn of_key(
        self,
        kind: u8,
        instance: u64,
        key: HashedKey<'_>,
        (spilled, number): (Spilled, u32),
        words: usize,
        write: impl FnOnce(&mut Words<'_>),
    ) {
        self.record(kind, 3 + key.words.len() + words, |words| {
            words.push(instance);
            words.push(u64::from(number) | u64::from(spilled.word()) << 32);
            words.push(key.hash);
            words.extend(key.words);
            write(words);
        });
    }

    /// What had no row in another table was merged, which counts as so much.
    pub(super) fn merged_overflow<V: Durable>(self, instance: u64, value: &V::Snapshot, overflowed: &V::Overflowed) {
        let value = V::overflow_to_words(value, overflowed);
        self.record(OVERFLOW, 1 + value.len(), |words| {
            words.push(instance);
            words.extend(&value);
        });
    }
}

/// What becomes of the records of a table.
pub(super) struct Folding<V: Durable>(pub(super) V::Config);

impl<V: Durable> Fold for Folding<V> {
    fn fold(&self, Record { part, kind, words }: Record<'_>, into: &mut Entries) {
        match (kind, words) {
            (ADDED | MERGED, [instance, flags, hash, rest @ ..]) => {
                let (key, words) = rest.split_at(key::length_in_words(|at| rest[at]));
                let key = HashedKey { hash: *hash, words: key };
                let (number, spilled) = (*flags as u32, Spilled::from_word((flags >> 32) as u32));
                let of = Of { part, instance: *instance, spilled };
                match kind {
                    ADDED => V::fold_added(&self.0, of, key, number, words, into),
                    _ => V::fold_merged(&self.0, of, key, words, into),
                }
            }
            (OVERFLOW, [instance, words @ ..]) => {
                let of = Of { part, instance: *instance, spilled: Spilled::ALL };
                V::fold_overflow(&self.0, of, words, into);
            }
            (GONE, instances) => instances.iter().for_each(|instance| into.gone(part, *instance)),
            (TAKEN, words) => fold_taken(part, words, into),
            _ => unreachable!("a table writes no record of kind {kind} with {} words", words.len()),
        }
    }
}

/// A frame was taken.
pub(crate) fn record_taken(part: u16, kind: u8, scribe: &Scribe<'_>, frame: &Frame<'_>) {
    let (low, high) = split(frame.stream);
    let number = u64::from(frame.number);
    scribe.record(part, kind, 4, |words| words.extend(&[low, high, number, frame.is_last.into()]));
}

/// The entry of a frame that was taken.
pub(crate) fn fold_taken(part: u16, words: &[u64], into: &mut Entries) {
    let [low, high, number, is_last] = *words else { unreachable!("as it was written") };
    let mut key = [0; 20];
    key[..8].copy_from_slice(&low.to_le_bytes());
    key[8..16].copy_from_slice(&high.to_le_bytes());
    key[16..].copy_from_slice(&(number as u32).to_be_bytes());
    into.item(part, TAKEN_FRAMES, 0, &key, &[is_last as u8]);
}

/// Takes that entry back.
pub(crate) fn restore_taken(taken: &Taken, key: &[u8], bytes: &[u8]) -> Result<(), String> {
    match (key.split_first_chunk(), bytes) {
        (Some((stream, number)), [is_last @ 0..=1]) if number.len() == 4 => {
            let number = number.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            taken.restore(StreamId(*stream), number, *is_last == 1);
            Ok(())
        }
        _ => Err("an item that is no frame which was taken".into()),
    }
}

fn split(StreamId(stream): StreamId) -> (u64, u64) {
    let id = u128::from_le_bytes(stream);
    (id as u64, (id >> 64) as u64)
}
