//! Value kinds whose tables survive a restart: what they write into a journal, what entries become of that, and entries taken back.

use super::generation::{Generation, Value};
use super::spilled::Spilled;
use crate::journal::{Entries, Entry};
use crate::key::HashedKey;
use crate::sync::hazard::Protected;

/// Where something was added, and what of it was spilled.
#[derive(Clone, Copy)]
pub struct Of {
    /// The number of the table.
    pub part: u16,
    /// The generation's.
    pub instance: u64,
    /// What had no row.
    pub spilled: Spilled,
}

/// A value kind whose tables may have a journal.
pub trait Durable: Value {
    /// A value as words of a record.
    fn to_words(value: &Self::Snapshot) -> Vec<u64>;

    /// What had no row in another table, which counts as so much, as words of a record.
    fn overflow_to_words(value: &Self::Snapshot, overflowed: &Self::Overflowed) -> Vec<u64>;

    /// The entries of what was added to a key, by the number and the words that were written of it.
    fn fold_added(config: &Self::Config, of: Of, key: HashedKey<'_>, number: u32, words: &[u64], into: &mut Entries);

    /// The entries of a value that was merged into that of a key, by its words.
    fn fold_merged(config: &Self::Config, of: Of, key: HashedKey<'_>, words: &[u64], into: &mut Entries);

    /// The entries of what had no row in another table, by its words.
    fn fold_overflow(config: &Self::Config, of: Of, words: &[u64], into: &mut Entries);

    /// Takes an entry of a row, a sketch, or what had none, back.
    ///
    /// # Errors
    /// Why it cannot be one of such a table.
    fn restore(table: &Protected<'_, Generation<Self>>, entry: &Entry<'_>) -> Result<(), String>;
}
