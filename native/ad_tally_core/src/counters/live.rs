//! The live table: the current generation of rows, swapped for a fresh one by a drain.

use std::sync::Arc;

use parking_lot::Mutex;

use super::rows::Rows;
use super::table::Table;
use crate::counters::row::MAX_METRICS;
use crate::error::Error;
use crate::key::{HashedKey, Seed};
use crate::sync::hazard::{Current, REGISTRY};
use crate::table::{Batch, check_max_keys};

pub use crate::table::MAX_KEYS;

/// One add of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// The number of the metric.
    pub metric: u32,
    /// What to add to it.
    pub amount: i64,
}

/// Where something that was added went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Into the key's own row.
    Row,
    /// Into the overflow row (of the metric): the key is new and the budget is used up, or the key's total would have
    /// left the signed 64-bit range.
    Overflow,
}

impl Added {
    /// Into rows only if both were.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Row { other } else { self }
    }
}

/// A table's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Keys that have a row.
    pub keys: usize,
    /// The budget of keys.
    pub max_keys: usize,
    /// Rows that have a lane for every thread, because threads met on them.
    pub striped_rows: usize,
    /// Memory of the current table.
    pub memory_bytes: usize,
    /// What went into the overflow rows since the counters were made, by metric.
    pub overflow: Vec<i128>,
}

/// Keyed counters.
pub struct Counters {
    current: Current<Table>,
    seed: Seed,
    metrics: usize,
    max_keys: usize,
    /// The overflow of the tables that were drained.
    drained_overflow: Mutex<Vec<i128>>,
}

/// What a drain took out.
pub struct Drained {
    /// Every row, each once.
    pub rows: Rows,
    /// What had gone into the overflow rows instead, by metric.
    pub overflow: Vec<i128>,
}

impl Counters {
    /// Counters of `metrics` metrics a key, for at most `max_keys` keys between two drains.
    ///
    /// # Errors
    /// [`Error::Metrics`] unless there are 1 to 16, [`Error::MaxKeys`] unless it is 1 to [`MAX_KEYS`].
    pub fn new(metrics: usize, max_keys: usize) -> Result<Self, Error> {
        if metrics == 0 || metrics > MAX_METRICS {
            return Err(Error::Metrics(metrics));
        }
        check_max_keys(max_keys)?;
        let seed = Seed::random();
        Ok(Self {
            current: Current::new(Arc::new(Table::of_single_amounts(metrics, max_keys, seed.clone()))),
            seed,
            metrics,
            max_keys,
            drained_overflow: Mutex::new(vec![0; metrics]),
        })
    }

    /// The seed its keys are hashed under.
    #[inline]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// How many metrics a key has.
    #[inline]
    pub fn metrics(&self) -> usize {
        self.metrics
    }

    /// Adds `amount` to a metric of a key.
    ///
    /// # Panics
    /// If `metric` is not below [`Counters::metrics`].
    #[inline(always)]
    pub fn add(&self, key: HashedKey<'_>, metric: usize, amount: i64) -> Added {
        let table = self.current.protect();
        let found = table.keyed.find(key);
        // SAFETY: the table is of single amounts, as all that are put in its place, the row is of it, and it is the id of the
        // slot this thread has pinned it in.
        unsafe { table.add_to(found, key, metric, amount, table.slot().id()) }
    }

    /// Applies the adds of the batch in turn, for as long as `go_on` says so, which is asked every 64 adds. How many
    /// were applied, and how many of those went into the overflow rows.
    ///
    /// # Panics
    /// If a metric is not below [`Counters::metrics`].
    pub fn add_batch(&self, batch: &Batch<Add>, go_on: impl FnMut() -> bool) -> (usize, usize) {
        let table = self.current.protect();
        let slot = table.slot().id();
        let mut overflowed = 0;
        let applied = table.keyed.for_each(batch, go_on, |found, key, Add { metric, amount }| {
            // SAFETY: as in `add`.
            let added = unsafe { table.add_to(found, key, metric as usize, amount, slot) };
            overflowed += usize::from(added == Added::Overflow);
            false
        });
        (applied, overflowed)
    }

    /// The totals of a key, by metric; `None` for a key that was never seen.
    #[must_use]
    pub fn get(&self, key: HashedKey<'_>) -> Option<Vec<i128>> {
        let table = self.current.protect();
        let row = table.row(table.keyed.find(key)?);
        Some((0..self.metrics).map(|metric| row.total(metric)).collect())
    }

    /// The total of one metric of a key, 0 for a key that was never seen.
    ///
    /// # Panics
    /// If `metric` is not below [`Counters::metrics`].
    #[must_use]
    pub fn get_metric(&self, key: HashedKey<'_>, metric: usize) -> i128 {
        assert!(metric < self.metrics);
        let table = self.current.protect();
        table.keyed.find(key).map_or(0, |found| table.row(found).total(metric))
    }

    /// The rows there are now. Adds go on meanwhile: a row shows its totals at the time it is reached, and a key
    /// that is new since the call may be missing.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows::new(self.current.protect().to_arc())
    }

    /// Takes every row out and begins again with an empty table. Each add is in exactly one drain.
    #[must_use]
    pub fn drain(&self) -> Drained {
        let fresh = Arc::new(Table::of_single_amounts(self.metrics, self.max_keys, self.seed.clone()));
        // Held across the exchange, so that nobody sees the old table's overflow missing from both places.
        let mut drained = self.drained_overflow.lock();
        let old = self.current.replace(fresh, &REGISTRY);
        let overflow = old.overflow();
        for (sum, amount) in drained.iter_mut().zip(&overflow) {
            *sum += amount;
        }
        drop(drained);
        Drained { rows: Rows::new(old), overflow }
    }

    /// Does something while the current table is pinned. A drain waits until it is done: it is there to try what a
    /// panic in the middle of an add leaves behind.
    #[doc(hidden)]
    pub fn while_protected<R>(&self, act: impl FnOnce() -> R) -> R {
        let _table = self.current.protect();
        act()
    }

    /// The table's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        let drained = self.drained_overflow.lock();
        let table = self.current.protect();
        let overflow = table.overflow().iter().zip(drained.iter()).map(|(a, b)| a + b).collect();
        Info {
            keys: table.keyed.keys(),
            max_keys: self.max_keys,
            striped_rows: table.stripes.rows(),
            memory_bytes: size_of::<Self>() + table.bytes(),
            overflow,
        }
    }
}
