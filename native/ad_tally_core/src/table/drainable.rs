//! A table that is drained while others add to it: every add is in exactly one drain.
//!
//! ```text
//! Drainable ── current ──> Generation ── keyed ──> row, row, row
//!                                     └─ value ──> overflow
//! ```
//!
//! Whoever adds protects the current generation by a hazard pointer meanwhile. A drain swaps it for an empty one and waits until
//! no hazard pointer names it: what it holds is final then.

use std::sync::Arc;

use parking_lot::Mutex;

use super::generation::{Generation, Value};
use super::rows::Rows;
use super::stored::Stored;
use crate::codec::Taken;
use crate::error::Error;
use crate::journal::Part;
use crate::key::{HashedKey, Seed};
use crate::sync::hazard::{Current, Protected, REGISTRY};

/// The most keys a table can be asked to hold.
pub const MAX_KEYS: usize = 1_000_000_000;

/// A budget of keys that a table can be made for.
pub fn check_max_keys(max_keys: usize) -> Result<(), Error> {
    if max_keys == 0 || max_keys > MAX_KEYS { Err(Error::MaxKeys(max_keys)) } else { Ok(()) }
}

/// A keyed table of one value kind.
pub struct Drainable<V: Value> {
    current: Current<Generation<V>>,
    config: V::Config,
    seed: Seed,
    max_keys: usize,
    /// What overflowed in the generations that were drained.
    drained: Mutex<V::Overflowed>,
    taken: Taken,
    /// What it has with a journal.
    stored: Option<Box<Stored>>,
}

/// What a drain took out.
pub struct Drained<V: Value> {
    /// Every row, each once.
    pub rows: Rows<V>,
    /// What had no row.
    pub overflow: V::Snapshot,
    /// Whether its store knows of it, if it has one. Otherwise the table has ended, and the next one still has the rows.
    pub is_recorded: bool,
}

/// A table's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info<O> {
    /// Keys that have a row.
    pub keys: usize,
    /// The budget of keys.
    pub max_keys: usize,
    /// Rows that have grown: counters on which threads collided to lanes, sketches of many users to registers.
    pub grown_rows: usize,
    /// Memory of the current generation.
    pub memory_bytes: usize,
    /// What had no row since the table was made.
    pub overflow: O,
}

impl<V: Value> Drainable<V> {
    /// An empty table for at most `max_keys` keys between two drains.
    ///
    /// # Errors
    /// [`Error::MaxKeys`] unless that is 1 to [`MAX_KEYS`].
    pub(crate) fn with_config(
        config: V::Config,
        max_keys: usize,
        seed: Seed,
        journal: Option<Part>,
    ) -> Result<Self, Error> {
        check_max_keys(max_keys)?;
        let stored = journal.map(|part| Box::new(Stored::new(part)));
        let instance = stored.as_ref().map_or(0, |stored| stored.instance());
        let first = Generation::new(&config, max_keys, seed.clone()).with_instance(instance);
        Ok(Self {
            current: Current::new(Arc::new(first)),
            config,
            seed,
            max_keys,
            drained: Mutex::default(),
            taken: Taken::default(),
            stored,
        })
    }

    /// What it has with a journal.
    #[inline(always)]
    pub(crate) fn journal(&self) -> Option<&Stored> {
        self.stored.as_deref()
    }

    /// An empty generation under an instance.
    pub(super) fn fresh(&self, instance: u64) -> Generation<V> {
        Generation::new(&self.config, self.max_keys, self.seed.clone()).with_instance(instance)
    }

    /// Has another generation be the current one. The one before, as it is for good.
    pub(super) fn replace(&self, fresh: Arc<Generation<V>>) -> Arc<Generation<V>> {
        self.current.replace(fresh, &REGISTRY)
    }

    /// What its generations are made from.
    #[inline(always)]
    pub(crate) fn config(&self) -> &V::Config {
        &self.config
    }

    /// The budget of keys.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.max_keys
    }

    /// Which frames were imported.
    #[must_use]
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// The seed its keys are hashed under.
    #[inline(always)]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The current generation, which a drain waits for meanwhile.
    #[inline(always)]
    pub(crate) fn protect(&self) -> Protected<'_, Generation<V>> {
        self.current.protect()
    }

    /// The value of a key, if it has a row.
    #[must_use]
    pub fn get(&self, key: HashedKey<'_>) -> Option<V::Snapshot> {
        let table = self.protect();
        table.keyed.find(key).map(|row| V::read(&table, row))
    }

    /// The rows there are now. Adds go on meanwhile: a row shows its value at the time it is reached, and a key that is new since
    /// the call may be missing. A drain takes nothing out of them.
    #[must_use]
    pub fn rows(&self) -> Rows<V> {
        Rows::new(self.protect().to_arc())
    }

    /// Takes every row out and begins again with an empty table. Each add is in exactly one drain.
    #[must_use]
    pub fn drain(&self) -> Drained<V> {
        let instance = self.journal().map_or(0, Stored::instance);
        let fresh = Arc::new(self.fresh(instance));
        // Held across the exchange, so that nobody sees the old generation's overflow missing from both places.
        let mut drained = self.drained.lock();
        let old = self.replace(fresh);
        old.value.add_overflowed(&mut drained);
        // Nobody writes to it any more, so that no interval after this one has anything of it. What was restored into it goes with it,
        // and not with a later generation that another thread drains meanwhile.
        let is_recorded = self.journal().is_none_or(|stored| stored.drained(old.instance));
        drop(drained);
        let overflow = old.value.overflow();
        Drained { rows: Rows::new(old), overflow, is_recorded }
    }

    /// The table's numbers now.
    #[must_use]
    pub fn info(&self) -> Info<V::Overflowed> {
        let drained = self.drained.lock();
        let table = self.protect();
        let mut overflow = drained.clone();
        table.value.add_overflowed(&mut overflow);
        Info {
            keys: table.keyed.keys(),
            max_keys: self.max_keys,
            grown_rows: table.value.grown_rows(),
            memory_bytes: size_of::<Self>() + table.bytes(),
            overflow,
        }
    }

    /// Does something while the current generation is protected. A drain waits until it is done: it is there to try what a panic
    /// in the middle of an add leaves behind.
    #[doc(hidden)]
    pub fn while_protected<R>(&self, act: impl FnOnce() -> R) -> R {
        let _table = self.protect();
        act()
    }
}
