//! Keyed sketches of users, that any number of threads add to.
//!
//! ```text
//! Reach ── current ──> Generation ── keyed ──> row: a list of coupons, or where a set or registers lie
//!                                 └─ value ──> lines: sets and registers; overflow: users of keys that had no row
//! ```
//!
//! A user of a key costs a lookup, as in `counters`, and a look at one line of a set or at one register: neither takes a lock,
//! unless the user is new to a set. `drain` puts a fresh table in place as in `counters`, so every user is in the sketches of the
//! drain that its add belongs to.

mod durable;
mod export;
mod lines;
mod list;
mod overflow;
mod registers;
mod row;
mod set;
mod value;

use std::sync::Arc;

pub use registers::{Registers, View};
pub(crate) use row::SketchRef;
pub use value::{Config, Sketches};

use self::durable::words_of_coupons;
use crate::error::Error;
use crate::journal::{Busy, Part};
use crate::key::{HashedKey, Seed};
use crate::sketch::{Coupon, MergeError, Secret, Sketch};
use crate::sync::hazard::Protected;
use crate::table::{Added, Batch, Drainable, Generation, Spilled, Stored, Value, Writer};

/// Keyed sketches.
pub type Reach = Drainable<Sketches>;

impl Reach {
    /// Sketches of that precision for at most `max_keys` keys between two drains, of users hidden under a secret if
    /// there is one.
    ///
    /// # Errors
    /// [`Error::Precision`] unless it is 4 to 18, [`Error::MaxKeys`] unless it is 1 to [`crate::table::MAX_KEYS`].
    pub fn new(precision: u8, max_keys: usize, secret: Option<Secret>) -> Result<Self, Error> {
        Self::with_seed(precision, max_keys, secret, Seed::random())
    }

    /// The same with a seed of the caller's.
    ///
    /// # Errors
    /// As [`Reach::new`].
    pub fn with_seed(precision: u8, max_keys: usize, secret: Option<Secret>, seed: Seed) -> Result<Self, Error> {
        Self::with_journal(precision, max_keys, secret, seed, None)
    }

    /// The same with a journal.
    ///
    /// # Errors
    /// As [`Reach::new`].
    pub fn stored(
        precision: u8,
        max_keys: usize,
        secret: Option<Secret>,
        seed: Seed,
        part: Part,
    ) -> Result<Self, Error> {
        Self::with_journal(precision, max_keys, secret, seed, Some(part))
    }

    fn with_journal(
        precision: u8,
        max_keys: usize,
        secret: Option<Secret>,
        seed: Seed,
        journal: Option<Part>,
    ) -> Result<Self, Error> {
        let config = Config { precision, secret };
        config.empty_sketch()?;
        Self::with_config(config, max_keys, seed, journal)
    }

    /// The secret its users are to be hidden under.
    #[inline]
    pub fn secret(&self) -> Option<&Secret> {
        self.config().secret.as_ref()
    }

    /// The precision of its sketches.
    #[inline]
    pub fn precision(&self) -> u8 {
        self.config().precision
    }

    /// Adds a user to a key.
    #[inline(always)]
    pub fn add(&self, key: HashedKey<'_>, user: Coupon) -> Added {
        let table = self.protect();
        match self.journal() {
            None => Added::of(table.add(table.keyed.find(key), key, &[user])),
            Some(stored) => add_stored(stored, &table, key, &[user]),
        }
    }

    /// Adds users to a key. A key gets no row by no users.
    #[inline]
    pub fn add_users(&self, key: HashedKey<'_>, users: &[Coupon]) -> Added {
        let table = self.protect();
        match self.journal() {
            _ if users.is_empty() => Added::Row,
            None => Added::of(table.add(table.keyed.find(key), key, users)),
            Some(stored) => add_stored(stored, &table, key, users),
        }
    }

    /// Adds the users of a batch to their keys in turn, for as long as `go_on` says so, which is asked every 64 users and
    /// whenever registers were made. How many were added, and how many of those had no row.
    ///
    /// # Errors
    /// [`Busy`] where the journal has no room: then none were.
    pub fn add_batch(&self, batch: &Batch<Coupon>, go_on: impl FnMut() -> bool) -> Result<(usize, usize), Busy> {
        let table = self.protect();
        let scribe = self.journal().map(|stored| Ok((stored, stored.begin()?))).transpose()?;
        let writer = scribe.as_ref().map(|(stored, scribe)| stored.writer(scribe));
        let mut overflowed = 0;
        let applied = table.keyed.for_each(batch, go_on, |row, key, user| {
            let dense = table.value.grown_rows();
            let row = table.add(row, key, &[user]);
            overflowed += usize::from(row.is_none());
            if let Some(writer) = writer {
                write(writer, table.instance, key, &[user], row.is_none());
            }
            table.value.grown_rows() != dense
        });
        Ok((applied, overflowed))
    }

    /// The number of different users a key has seen, 0 for a key that was never seen.
    #[must_use]
    pub fn estimate(&self, key: HashedKey<'_>) -> f64 {
        let table = self.protect();
        table.keyed.find(key).map_or(0.0, |row| table.sketch(row).estimate())
    }

    /// What it holds now, to look at several keys: a drain after this takes nothing out of it.
    #[must_use]
    pub fn look(&self) -> Look {
        Look(self.protect().to_arc())
    }

    /// Adds all users of a sketch to a key. The table keeps its precision.
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
        if sketch.registers().is_some() && sketch.precision() < self.precision() {
            return Err(MergeError::Coarser { sketch: sketch.precision(), table: self.precision() });
        }
        let mut folded;
        let sketch = if sketch.precision() > self.precision() {
            folded = sketch.clone();
            folded.fold(self.precision());
            &folded
        } else {
            sketch
        };
        Ok(self.merge_row(key, sketch))
    }

    fn secret_check(&self) -> Option<u64> {
        self.secret().map(Secret::check)
    }
}

/// Adds users to a key of a table with a journal.
#[inline(never)]
fn add_stored(
    stored: &Stored,
    table: &Protected<'_, Generation<Sketches>>,
    key: HashedKey<'_>,
    users: &[Coupon],
) -> Added {
    let Ok(scribe) = stored.begin() else { return Added::Busy };
    let row = table.add(table.keyed.find(key), key, users);
    write(stored.writer(&scribe), table.instance, key, users, row.is_none());
    Added::of(row)
}

/// Writes down that users were added to a key, or to the overflow.
#[inline(always)]
fn write(writer: Writer<'_>, instance: u64, key: HashedKey<'_>, users: &[Coupon], are_spilled: bool) {
    let spilled = if are_spilled { Spilled::ALL } else { Spilled::NOTHING };
    writer.added(instance, key, (spilled, 0), users.len().div_ceil(2), |words| {
        words_of_coupons(users).for_each(|word| words.push(word));
    });
}

/// One generation of a table, to read from.
pub struct Look(Arc<Generation<Sketches>>);

impl Look {
    /// The seed its keys are hashed under.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        self.0.keyed.seed()
    }

    /// A sketch of no users, to merge into.
    #[must_use]
    pub fn empty_sketch(&self) -> Sketch {
        self.0.value.empty.clone()
    }

    /// Merges a key's users into such a sketch. Whether the key was ever seen.
    pub fn merge_into(&self, key: HashedKey<'_>, into: &mut Sketch) -> bool {
        let row = self.0.keyed.find(key);
        if let Some(row) = row {
            self.0.sketch(row).merge_into(into);
        }
        row.is_some()
    }
}
