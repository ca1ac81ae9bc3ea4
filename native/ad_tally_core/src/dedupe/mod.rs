//! Dedupe: whether an id is seen for the first time, for at least a window of time.
//!
//! An id belongs to the bucket that the high bits of its hash name. There it has an entry: a fingerprint, 28 other bits of the
//! hash or, where it is wide, 61, and the *generation* in which it last came, a quarter of the window. Whoever looks for an id
//! holds its bucket's lock and puts the id there before letting go: of several that come at once, one is first.
//!
//! ```text
//! narrow   bucket of 30 entries (`table`, `entry`) ──> overflow bucket of 30 entries ──> ...
//! wide     bucket of 15 entries                    ──> overflow bucket of 15 entries ──> ...
//! ```
//!
//! A bucket that is full goes on in an overflow bucket, under the same lock. Entries that are too old are removed when their
//! bucket is next locked in a later generation (`generations`). When there is no room, the oldest entry of the bucket is
//! forgotten early, which is counted: then a copy of it may pass.

/// Does the same with a table of either format.
macro_rules! with_table {
    ($dedupe:expr, $table:ident => $do:expr) => {
        match &$dedupe.table {
            Tables::Narrow($table) => $do,
            Tables::Wide($table) => $do,
        }
    };
}

mod durable;
mod entry;
mod export;
mod export_frames;
mod generations;
mod restore;
mod table;

use std::sync::Arc;

pub(crate) use self::durable::Folding;
use self::entry::NARROW_END;
pub use self::export::ExportedId;
pub use self::export_frames::Export;
pub use self::table::Config;
pub(crate) use self::table::{Id, Seen};
use self::table::{Kind, Table, bucket_count};
use crate::codec::Taken;
use crate::error::{Error, TIMES, check_time};
use crate::journal::{Busy, Fold, Part};
use crate::key::{Seed, bits};

/// The most ids.
const MOST_CAPACITY: usize = 1_000_000_000;

// An id's bucket says nothing of its fingerprint, so both together tell ids apart: see `key::hash`.
const _: () = assert!(NARROW_END <= bits::below_bucket(bucket_count::<false>(MOST_CAPACITY)));

/// A table's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Ids that are remembered.
    pub ids: usize,
    /// Ids that all buckets have room for.
    pub entries: usize,
    /// Overflow buckets in use.
    pub overflow_buckets: usize,
    /// Ids that were not the first.
    pub duplicates: u64,
    /// Ids that were forgotten before their window had passed.
    pub forgotten: u64,
    /// Times too far ahead to believe.
    pub future: u64,
    /// All memory.
    pub memory_bytes: usize,
    /// Memory in huge pages, where the system tells.
    pub huge_bytes: Option<usize>,
}

/// Ids that were seen.
pub struct Dedupe {
    seed: Seed,
    config: Config,
    table: Tables,
    taken: Taken,
    /// Its journal, if it has one. Not where it is a part of something that has.
    journal: Option<Part>,
}

enum Tables {
    Narrow(Table<false>),
    Wide(Table<true>),
}

impl Dedupe {
    /// An empty table.
    ///
    /// # Errors
    /// [`Error::DedupeCapacity`], [`Error::DedupeWindow`], or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_seed(config, Seed::random())
    }

    /// The same with a seed of the caller's.
    ///
    /// # Errors
    /// As [`Dedupe::new`].
    pub fn with_seed(config: &Config, seed: Seed) -> Result<Self, Error> {
        let Config { window, capacity, wide } = *config;
        if capacity == 0 || capacity > MOST_CAPACITY {
            return Err(Error::DedupeCapacity(capacity));
        }
        if window == 0 || window >= TIMES {
            return Err(Error::DedupeWindow(window));
        }
        let table = if wide { Table::new(config).map(Tables::Wide) } else { Table::new(config).map(Tables::Narrow) };
        Ok(Self { seed, config: *config, table: table.map_err(Error::Memory)?, taken: Taken::default(), journal: None })
    }

    /// The same with a journal.
    ///
    /// # Errors
    /// As [`Dedupe::new`].
    pub fn stored(config: &Config, seed: Seed, part: Part) -> Result<Self, Error> {
        Ok(Self { journal: Some(part), ..Self::with_seed(config, seed)? })
    }

    /// How its records become entries.
    #[must_use]
    pub fn fold(&self) -> Arc<dyn Fold> {
        Arc::new(Folding::new(&self.config))
    }

    /// The seed that ids are hashed under.
    #[inline]
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Whether an id of that hash, under [`Dedupe::seed`], is seen for the first time, at a time. The system's time is asked
    /// for where it matters.
    ///
    /// # Errors
    /// [`Error::Time`], or [`Error::Busy`], and nothing has changed.
    #[inline(always)]
    pub fn first(&self, hash: u64, at: u64, now: impl Fn() -> u64) -> Result<bool, Error> {
        check_time(at)?;
        let id = self.fetch_id(hash);
        match &self.journal {
            None => Ok(self.see(id, at, &now).is_first()),
            Some(part) => self.first_stored(part, id, at, &now),
        }
    }

    /// The same of a table with a journal.
    #[inline(never)]
    fn first_stored(&self, part: &Part, id: Id, at: u64, now: &impl Fn() -> u64) -> Result<bool, Error> {
        let scribe = part.begin().map_err(|Busy| Error::Busy)?;
        let seen = self.see(id, at, now);
        if let Some(generation) = seen.generation() {
            durable::record(part, &scribe, id.hash(), generation);
        }
        Ok(seen.is_first())
    }

    /// The same of an id of this table, at a time that was checked.
    #[inline(always)]
    pub(crate) fn see(&self, id: Id, at: u64, now: &impl Fn() -> u64) -> Seen {
        with_table!(self, table => {
            if !table.generations.reach(at, now) {
                table.tally.add(Kind::Future as usize);
            }
            table.insert(id)
        })
    }

    /// What becomes of an id of this table if it is remembered: it is from now on, as if it were seen for the first time. If not it
    /// is not put there. Time does not move.
    #[cold]
    pub(crate) fn see_again(&self, id: Id) -> Option<Seen> {
        with_table!(self, table => table.renew(id))
    }

    /// An id of that hash, as it is looked for. Its bucket is asked for.
    #[inline(always)]
    pub(crate) fn fetch_id(&self, hash: u64) -> Id {
        with_table!(self, table => {
            // The lowest bits are in no fingerprint.
            let at = table.buckets.place(entry::known(hash), 0);
            table.buckets.bucket(at).fetch();
            Id { hash, at }
        })
    }

    /// Its memory: that of all buckets but the overflow buckets that were never needed.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + with_table!(self, table => table.buckets.bytes() + table.tally.bytes())
    }

    /// The table's numbers now. It reads all buckets, one after the other.
    #[must_use]
    pub fn info(&self) -> Info {
        with_table!(self, table => Info {
            ids: table.remembered(),
            entries: table.places(),
            overflow_buckets: table.buckets.overflow.taken(),
            duplicates: table.tally.get(Kind::Duplicate as usize),
            forgotten: table.tally.get(Kind::Forgotten as usize),
            future: table.tally.get(Kind::Future as usize),
            memory_bytes: self.memory_bytes(),
            huge_bytes: table.buckets.huge_bytes(),
        })
    }

    /// How many ids were duplicates, were forgotten before their time, and came from too far ahead: what [`Dedupe::info`] has of it,
    /// without a look at the buckets.
    #[must_use]
    pub fn counts(&self) -> [u64; 3] {
        let kinds = [Kind::Duplicate, Kind::Forgotten, Kind::Future];
        with_table!(self, table => kinds.map(|kind| table.tally.get(kind as usize)))
    }

    /// How many buckets it has, without overflow buckets. Always the same for the same capacity.
    #[must_use]
    pub fn buckets(&self) -> u64 {
        with_table!(self, table => table.buckets.in_use() as u64)
    }

    /// The begin of the newest generation, in Unix milliseconds.
    #[must_use]
    pub fn newest(&self) -> u64 {
        with_table!(self, table => table.generations.begin(table.generations.newest()))
    }

    /// Moves on to a time, unless that is too far ahead to believe.
    pub(crate) fn reach(&self, at: u64, now: impl Fn() -> u64) {
        with_table!(self, table => table.generations.reach(at, &now));
    }

    /// Ids that were forgotten before their window had passed.
    pub(crate) fn forgotten(&self) -> u64 {
        with_table!(self, table => table.tally.get(Kind::Forgotten as usize))
    }

    /// Which frames were imported.
    #[must_use]
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// Gives all ids that are remembered in `most` buckets from number `from` on, each bucket's as of one moment. The number to
    /// go on with, unless that was all. Of ids that come meanwhile each is given or not; one that was there before is given once.
    pub fn export(&self, from: u64, most: u64, take: impl FnMut(ExportedId)) -> Option<u64> {
        with_table!(self, table => table.export(from, most, take))
    }

    /// Whether a table of so many buckets may have had that id, and this one can take it: of narrow ones not from a table with
    /// less than a 256th of its buckets.
    #[must_use]
    pub fn accepts(&self, id: &ExportedId, buckets: u64) -> bool {
        with_table!(self, table => table.accepts(id, buckets))
    }

    /// Remembers an id that a table of so many buckets and the same window has given, as if it had come here as well, which moves
    /// time as well: an id that is there already stays in the newer generation of both, and one that is too old is not
    /// put there. Ids may be imported in any order, and more than once. Of a generation too far ahead to believe it is taken to
    /// have come now. Whether it was accepted: otherwise nothing has changed.
    pub fn import(&self, id: &ExportedId, buckets: u64, now: impl Fn() -> u64) -> bool {
        let is_accepted = self.accepts(id, buckets);
        if is_accepted {
            let scribe = self.journal.as_ref().map(|part| (part, part.begin_anyway()));
            with_table!(self, table => table.import(id, buckets, &now, |hash, generation| {
                if let Some((part, scribe)) = &scribe {
                    durable::record(part, scribe, hash, generation);
                }
            }));
        }
        is_accepted
    }
}
