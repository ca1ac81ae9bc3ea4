//! One generation of a keyed table, from empty to drained or closed: its rows and what had no row, of one value kind. It is what a
//! drain takes out, and what a window holds.

use super::keyed::Keyed;
use super::row_ref::RowRef;
use super::spilled::Spilled;
use crate::key::{HashedKey, Seed};
use crate::sync::hazard::Protected;

/// A value kind. One of these belongs to every generation of a table, with whatever its rows have in common: the words of a row
/// mean something to it alone.
pub trait Value: Send + Sync + Sized + 'static {
    /// What every generation is made from.
    type Config: Clone + Send + Sync;
    /// A value outside of its table, as rows are read and merged.
    type Snapshot;
    /// How much had no row, as [`super::Drainable::info`] has it.
    type Overflowed: Clone + Default + Send + Sync;

    /// The kind of an empty generation.
    fn new(config: &Self::Config) -> Self;

    /// Words that a row has. Zeros are an empty value.
    fn words(&self) -> usize;

    /// Memory beside `Self` and the rows.
    fn bytes(&self) -> usize;

    /// Rows that have grown into something larger than their words.
    fn grown_rows(&self) -> usize;

    /// The value of a row now.
    fn read(table: &Generation<Self>, row: RowRef<'_>) -> Self::Snapshot;

    /// Merges a value into that of a key, or into the overflow if the key can have no row.
    fn merge(table: &Protected<'_, Generation<Self>>, key: HashedKey<'_>, value: &Self::Snapshot) -> Spilled;

    /// What had no row.
    fn overflow(&self) -> Self::Snapshot;

    /// Adds how much had no row.
    fn add_overflowed(&self, to: &mut Self::Overflowed);

    /// Merges what had no row in another table, which counts as so much.
    fn merge_overflow(table: &Protected<'_, Generation<Self>>, value: &Self::Snapshot, overflowed: &Self::Overflowed);
}

/// Rows of one value kind, from empty to drained or closed.
pub struct Generation<V: Value> {
    /// What tells it from all others of a table with a journal. 0 without one.
    pub(crate) instance: u64,
    pub(crate) keyed: Keyed,
    pub(crate) value: V,
}

impl<V: Value> Generation<V> {
    /// An empty one.
    pub(crate) fn new(config: &V::Config, max_keys: usize, seed: Seed) -> Self {
        let value = V::new(config);
        Self { instance: 0, keyed: Keyed::new(value.words(), max_keys, seed), value }
    }

    /// The same under an instance.
    pub(crate) fn with_instance(self, instance: u64) -> Self {
        Self { instance, ..self }
    }

    /// The same for one that most likely gets few keys.
    pub(crate) fn undivided(config: &V::Config, max_keys: usize, seed: Seed) -> Self {
        let value = V::new(config);
        Self { instance: 0, keyed: Keyed::undivided(value.words(), max_keys, seed), value }
    }

    /// Memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.keyed.bytes() + self.value.bytes()
    }
}
