//! The table of counters.

use super::amounts::{are_wide, count_words, push_amounts};
use super::cells::{Add, Cells, Config};
use super::stripes::MAX_METRICS;
use crate::error::Error;
use crate::journal::{Busy, Part};
use crate::key::{HashedKey, Seed};
use crate::sync::hazard::Protected;
use crate::table::{Added, Batch, Drainable, Generation, Spilled, Stored, Writer};

/// Keyed counters.
pub type Counters = Drainable<Cells>;

impl Counters {
    /// Counters of `metrics` metrics a key, for at most `max_keys` keys between two drains.
    ///
    /// # Errors
    /// [`Error::Metrics`] unless there are 1 to 16, [`Error::MaxKeys`] unless it is 1 to [`crate::table::MAX_KEYS`].
    pub fn new(metrics: usize, max_keys: usize) -> Result<Self, Error> {
        Self::with_seed(metrics, max_keys, Seed::random())
    }

    /// The same with a seed of the caller's.
    ///
    /// # Errors
    /// As [`Counters::new`].
    pub fn with_seed(metrics: usize, max_keys: usize, seed: Seed) -> Result<Self, Error> {
        Self::with_journal(metrics, max_keys, seed, None)
    }

    /// The same with a journal.
    ///
    /// # Errors
    /// As [`Counters::new`].
    pub fn stored(metrics: usize, max_keys: usize, seed: Seed, part: Part) -> Result<Self, Error> {
        Self::with_journal(metrics, max_keys, seed, Some(part))
    }

    fn with_journal(metrics: usize, max_keys: usize, seed: Seed, journal: Option<Part>) -> Result<Self, Error> {
        if metrics == 0 || metrics > MAX_METRICS {
            return Err(Error::Metrics(metrics));
        }
        Self::with_config(Config { metrics, linked: false }, max_keys, seed, journal)
    }

    /// How many metrics a key has.
    #[inline]
    pub fn metrics(&self) -> usize {
        self.config().metrics
    }

    /// Adds `amount` to a metric of a key.
    ///
    /// # Panics
    /// If `metric` is not below [`Counters::metrics`].
    #[inline(always)]
    pub fn add(&self, key: HashedKey<'_>, metric: usize, amount: i64) -> Added {
        let table = self.protect();
        let add = Add { metric: metric as u32, amount };
        match self.journal() {
            // SAFETY: the row is of this table, and the slot the one that this thread protects it in.
            None => unsafe { table.add(table.keyed.find(key), key, &[add], table.slot().id()) }.into(),
            Some(stored) => add_stored(stored, &table, key, add),
        }
    }

    /// Applies the adds of the batch in turn, for as long as `go_on` says so, which is asked every 64 adds. How many were applied,
    /// and how many of those went into the overflow.
    ///
    /// # Panics
    /// If a metric is not below [`Counters::metrics`].
    ///
    /// # Errors
    /// [`Busy`] where the journal has no room: then none were.
    pub fn add_batch(&self, batch: &Batch<Add>, go_on: impl FnMut() -> bool) -> Result<(usize, usize), Busy> {
        let table = self.protect();
        let scribe = self.journal().map(|stored| Ok((stored, stored.begin()?))).transpose()?;
        let writer = scribe.as_ref().map(|(stored, scribe)| stored.writer(scribe));
        let slot = table.slot().id();
        let mut overflowed = 0;
        let applied = table.keyed.for_each(batch, go_on, |row, key, add| {
            // SAFETY: as in `add`.
            let spilled = unsafe { table.add(row, key, &[add], slot) };
            overflowed += usize::from(spilled != Spilled::NOTHING);
            if let Some(writer) = writer {
                write(writer, table.instance, key, add, spilled);
            }
            false
        });
        Ok((applied, overflowed))
    }

    /// The total of one metric of a key, 0 for a key that was never seen.
    ///
    /// # Panics
    /// If `metric` is not below [`Counters::metrics`].
    #[must_use]
    pub fn get_metric(&self, key: HashedKey<'_>, metric: usize) -> i128 {
        assert!(metric < self.metrics());
        let table = self.protect();
        table.keyed.find(key).map_or(0, |row| table.row(row).total(metric))
    }
}

/// Adds an amount to a key of a table with a journal.
#[inline(never)]
fn add_stored(stored: &Stored, table: &Protected<'_, Generation<Cells>>, key: HashedKey<'_>, add: Add) -> Added {
    let Ok(scribe) = stored.begin() else { return Added::Busy };
    // SAFETY: the row is of this table, and the slot the one that this thread protects it in.
    let spilled = unsafe { table.add(table.keyed.find(key), key, &[add], table.slot().id()) };
    write(stored.writer(&scribe), table.instance, key, add, spilled);
    spilled.into()
}

/// Writes down that an amount was added.
#[inline(always)]
fn write(writer: Writer<'_>, instance: u64, key: HashedKey<'_>, add: Add, spilled: Spilled) {
    let adds = [add];
    let are_wide = are_wide(&adds);
    let count = count_words(&adds, are_wide);
    writer.added(instance, key, (spilled, are_wide.into()), count, |words| push_amounts(words, &adds, are_wide));
}
