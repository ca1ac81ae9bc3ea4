//! Keyed sketches of users, that any number of threads add to.
//!
//! ```text
//! Reach ── current ──> Table ── keyed ──> row: a list of coupons, or the address of a set or of registers
//!                            └─ overflow registers
//! ```
//!
//! A user of a key with many users costs a lookup, as in `counters`, and a look at one register. `drain` puts a fresh table
//! in place as in `counters`, so every user is in the sketches of the drain that its add belongs to.

mod overflow;
mod registers;
mod rows;
mod table;

use std::sync::Arc;

use parking_lot::Mutex;
pub use registers::{Registers, View};
pub use rows::Rows;
pub(crate) use table::{Linked, Near, Table};

use crate::counters::Added;
use crate::error::Error;
use crate::key::{HashedKey, Seed};
use crate::sketch::{Coupon, MergeError, Secret, Sketch};
use crate::sync::hazard::{Current, REGISTRY};
use crate::table::{Batch, check_max_keys};

/// A table's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Keys that have a row.
    pub keys: usize,
    /// The budget of keys.
    pub max_keys: usize,
    /// Keys whose users are kept as coupons.
    pub sparse: usize,
    /// Keys that have registers.
    pub dense: usize,
    /// Memory of the current table.
    pub memory_bytes: usize,
    /// Adds and merges that had no row, since the table was made.
    pub overflow: u64,
}

/// Keyed sketches.
pub struct Reach {
    current: Current<Table>,
    seed: Seed,
    precision: u8,
    max_keys: usize,
    secret: Option<Secret>,
    /// Overflowed adds of the tables that were drained.
    drained_overflow: Mutex<u64>,
}

/// What a drain took out.
pub struct Drained {
    /// Every row, each once.
    pub rows: Rows,
    /// The users of keys that had no row.
    pub overflow: Sketch,
}

impl Reach {
    /// Sketches of that precision for at most `max_keys` keys between two drains, of users hidden under a secret if
    /// there is one.
    ///
    /// # Errors
    /// [`Error::Precision`] unless it is 4 to 18, [`Error::MaxKeys`] unless it is 1 to [`crate::table::MAX_KEYS`].
    pub fn new(precision: u8, max_keys: usize, secret: Option<Secret>) -> Result<Self, Error> {
        check_max_keys(max_keys)?;
        let seed = Seed::random();
        let empty = Sketch::new(precision, None)?;
        Ok(Self {
            current: Current::new(Arc::new(Table::new(empty, max_keys, seed.clone()))),
            seed,
            precision,
            max_keys,
            secret,
            drained_overflow: Mutex::new(0),
        })
    }

    /// The seed its keys are hashed under.
    #[inline]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The secret its users are to be hidden under.
    #[inline]
    pub fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The precision of its sketches.
    #[inline]
    pub fn precision(&self) -> u8 {
        self.precision
    }

    /// Shows a user to a key.
    #[inline(always)]
    pub fn add(&self, key: HashedKey<'_>, user: Coupon) -> Added {
        self.current.protect().add(key, user)
    }

    /// Shows users to a key. A key gets no row by no users.
    #[inline]
    pub fn add_users(&self, key: HashedKey<'_>, users: &[Coupon]) -> Added {
        let table = self.current.protect();
        table.add_to(table.keyed.find(key), key, users)
    }

    /// Shows the users of a batch to their keys in turn, for as long as `go_on` says so, which is asked every 64 users and
    /// whenever registers were made. How many were shown, and how many of those had no row.
    pub fn add_batch(&self, batch: &Batch<Coupon>, go_on: impl FnMut() -> bool) -> (usize, usize) {
        let table = self.current.protect();
        let mut overflowed = 0;
        let applied = table.keyed.for_each(batch, go_on, |found, key, user| {
            let dense = table.dense();
            let added = table.add_to(found, key, std::slice::from_ref(&user));
            overflowed += usize::from(added == Added::Overflow);
            table.dense() != dense
        });
        (applied, overflowed)
    }

    /// The number of different users a key was shown, 0 for a key that was never seen.
    #[must_use]
    pub fn estimate(&self, key: HashedKey<'_>) -> f64 {
        let table = self.current.protect();
        table.keyed.find(key).map_or(0.0, |found| table.estimate(found))
    }

    /// What it holds now, to look at several keys: a drain after this takes nothing out of it.
    #[must_use]
    pub fn look(&self) -> Look {
        Look { table: self.current.protect().to_arc(), seed: self.seed.clone(), empty: self.empty_sketch() }
    }

    /// Shows all users of a sketch to a key. The table keeps its precision.
    ///
    /// # Errors
    /// [`MergeError`] for a sketch of another secret, or with registers of a lower precision; nothing has changed.
    pub fn merge(&self, key: HashedKey<'_>, sketch: &Sketch) -> Result<Added, MergeError> {
        if sketch.secret_check() != self.secret_check() {
            return Err(MergeError::DifferentSecret);
        }
        if sketch.is_empty() {
            return Ok(Added::Row);
        }
        // Coupons have more bits of the hash than any precision uses.
        if sketch.registers().is_some() && sketch.precision() < self.precision {
            return Err(MergeError::Coarser { sketch: sketch.precision(), table: self.precision });
        }
        let mut folded;
        let sketch = if sketch.precision() > self.precision {
            folded = sketch.clone();
            folded.fold(self.precision);
            &folded
        } else {
            sketch
        };
        Ok(self.current.protect().merge(key, sketch))
    }

    /// The rows there are now. Adds go on meanwhile: a row shows its users at the time it is reached, and a key that is
    /// new since the call may be missing.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows::new(self.current.protect().to_arc(), self.empty_sketch())
    }

    /// Takes every row out and begins again with an empty table. Each add is in exactly one drain.
    #[must_use]
    pub fn drain(&self) -> Drained {
        let fresh = Table::new(self.empty_sketch(), self.max_keys, self.seed.clone());
        // Held across the exchange, so that nobody sees the old table's overflow missing from both places.
        let mut drained = self.drained_overflow.lock();
        let old = self.current.replace(Arc::new(fresh), &REGISTRY);
        *drained += old.overflow().adds();
        drop(drained);
        let mut overflow = self.empty_sketch();
        old.overflow().pour(&mut overflow);
        Drained { rows: Rows::new(old, self.empty_sketch()), overflow }
    }

    /// The table's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        let drained = self.drained_overflow.lock();
        let table = self.current.protect();
        let (keys, dense) = (table.keyed.keys(), table.dense());
        Info {
            keys,
            max_keys: self.max_keys,
            sparse: keys.saturating_sub(dense),
            dense,
            memory_bytes: size_of::<Self>() + table.bytes(),
            overflow: *drained + table.overflow().adds(),
        }
    }

    fn secret_check(&self) -> Option<u64> {
        self.secret.as_ref().map(Secret::check)
    }

    fn empty_sketch(&self) -> Sketch {
        Sketch::new(self.precision, self.secret_check()).unwrap_or_else(|_| unreachable!("checked when it was made"))
    }
}

/// One generation of a table, to read from.
pub struct Look {
    table: Arc<Table>,
    seed: Seed,
    empty: Sketch,
}

impl Look {
    /// The seed its keys are hashed under.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// A sketch of no users, to pour into.
    #[must_use]
    pub fn empty_sketch(&self) -> Sketch {
        self.empty.clone()
    }

    /// Shows a key's users to such a sketch. Whether the key was ever seen.
    pub fn pour(&self, key: HashedKey<'_>, into: &mut Sketch) -> bool {
        let found = self.table.keyed.find(key);
        if let Some(found) = found {
            self.table.pour(found, into);
        }
        found.is_some()
    }
}
