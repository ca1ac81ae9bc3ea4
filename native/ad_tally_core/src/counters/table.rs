//! One generation of counters: shards of rows, from the first add after a drain to the next drain.
//!
//! A key belongs to a shard by the high bits of its hash. A shard is small enough (a few thousand keys) that growing
//! its index takes tens of microseconds, on whichever thread adds the key that makes it grow, and only new keys of
//! the same shard wait meanwhile.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::Added;
use super::arena::Arena;
use super::index::{self, Entries, Index, Line, Memory};
use crate::key::{self, HashedKey, Seed};
use crate::pin::REGISTRY;
use crate::row::{Row, Stripes};
use crate::sync::{AtomicU64, AtomicUsize};

/// Keys that a shard is meant to hold when the budget is used up. The last growth on the way there copies 2,048 to
/// 4,096 entries: 0.25 ms at worst, when neither the rows nor the new array are in a cache.
const KEYS_A_SHARD: usize = 4_096;
/// Shards at most: above that a shard simply holds more keys.
const MAX_SHARDS: usize = 1 << 16;
/// Rows that may be striped. Contention is for the few hottest keys; 1,024 of them at 64 schedulers take 8 MiB.
const MAX_STRIPED: usize = 1_024;

pub(super) struct Table {
    /// The shards' indices. Apart from the writers, so that what every add reads is eight bytes a shard.
    indices: Box<[Index]>,
    writers: Box<[Mutex<Writer>]>,
    metrics: usize,
    max_keys: usize,
    seed: Seed,
    pub(super) stripes: Stripes,
    /// Keys that have a row, or are about to get one.
    pub(super) keys: AtomicUsize,
    /// Memory of indices and arenas.
    allocated: AtomicUsize,
    overflow: Overflow,
}

/// What a shard's new keys need.
struct Writer {
    keys: usize,
    arena: Arena,
    /// Every array the index ever was, the current one last.
    memories: Vec<Memory>,
}

/// What has no row of its own, by metric.
struct Overflow {
    head: AtomicU64,
    cells: Box<[AtomicU64]>,
    /// What the cells had no room for.
    carry: Mutex<Vec<i128>>,
}

impl Overflow {
    fn row(&self) -> Row<'_> {
        Row { head: &self.head, cells: &self.cells }
    }
}

/// Where a row of a table lies (head, a cell a metric, the key): a complete one, in an arena that neither moves nor frees
/// it during `'a`. One word, so that it stays in a register between lookup and add.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    words: NonNull<AtomicU64>,
    table: PhantomData<&'a Table>,
}

impl Table {
    pub(super) fn new(metrics: usize, max_keys: usize, seed: Seed) -> Self {
        let shards = max_keys.div_ceil(KEYS_A_SHARD).next_power_of_two().min(MAX_SHARDS);
        Self {
            indices: (0..shards).map(|_| Index::new()).collect(),
            writers: (0..shards).map(|_| Mutex::new(Writer::new())).collect(),
            metrics,
            max_keys,
            seed,
            stripes: Stripes::new(MAX_STRIPED, threads),
            keys: AtomicUsize::new(0),
            allocated: AtomicUsize::new(0),
            overflow: Overflow {
                head: AtomicU64::new(0),
                cells: (0..metrics).map(|_| AtomicU64::new(0)).collect(),
                carry: Mutex::new(vec![0; metrics]),
            },
        }
    }

    pub(super) fn metrics(&self) -> usize {
        self.metrics
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val::<[Index]>(&self.indices)
            + size_of_val::<[Mutex<Writer>]>(&self.writers)
            + self.allocated.load(Relaxed)
            + self.stripes.bytes()
    }

    #[inline]
    fn shard(&self, hash: u64) -> usize {
        (hash >> 48) as usize & (self.indices.len() - 1)
    }

    /// The array of a shard, as it is now.
    #[inline]
    fn entries(&self, shard: usize) -> Option<Entries<'_>> {
        // SAFETY: a writer keeps all its shard's arrays until the table is dropped.
        unsafe { self.indices[shard].entries() }
    }

    /// The row of a key, if it has one.
    #[inline]
    pub(super) fn find(&self, key: HashedKey<'_>) -> Option<Found<'_>> {
        self.find_in(self.entries(self.shard(key.hash))?, key)
    }

    /// The line of the index where a hash belongs, asked for so that it is near when it is looked at.
    #[inline(always)]
    pub(super) fn fetch_line(&self, hash: u64) -> Option<&Line> {
        Some(self.entries(self.shard(hash))?.fetch(hash))
    }

    /// The row that most likely is the hash's, asked for so that it is near when its key is compared.
    #[inline(always)]
    pub(super) fn fetch_row(&self, line: &Line, hash: u64) -> Option<Found<'_>> {
        let words = line.candidate(hash)?;
        index::fetch(words.as_ptr());
        Some(Found { words, table: PhantomData })
    }

    #[inline]
    fn find_in<'a>(&'a self, entries: Entries<'a>, key: HashedKey<'_>) -> Option<Found<'a>> {
        let found = |words| Found { words, table: PhantomData };
        entries.find(key.hash, |words| self.has_key(found(words), key.words)).map(found)
    }

    /// The cells of a row.
    #[inline(always)]
    pub(super) fn row<'a>(&'a self, found: Found<'a>) -> Row<'a> {
        // SAFETY: this is how `insert` lays a row out.
        unsafe {
            let cells = found.words.add(1).as_ptr();
            Row { head: found.words.as_ref(), cells: std::slice::from_raw_parts(cells, self.metrics) }
        }
    }

    /// A word of a row's key.
    ///
    /// # Safety
    /// The key has that word: it is the header, or the header and the lengths before it announce it.
    #[inline(always)]
    unsafe fn key_word(&self, found: Found<'_>, at: usize) -> u64 {
        // SAFETY: the key follows the cells.
        unsafe { found.words.add(1 + self.metrics + at).as_ref() }.load(Relaxed)
    }

    #[inline(always)]
    pub(super) fn has_key(&self, found: Found<'_>, words: &[u64]) -> bool {
        // SAFETY: this stops at the first difference. As long as all words were equal, so are the header and the
        // lengths among them, so the next word is one that the row has too.
        words.iter().enumerate().all(|(at, word)| unsafe { self.key_word(found, at) } == *word)
    }

    fn key_length(&self, found: Found<'_>) -> usize {
        // SAFETY: the header and the lengths that it announces are all it asks for.
        key::length_in_words(|at| unsafe { self.key_word(found, at) })
    }

    /// Copies the words of a row's key.
    pub(super) fn copy_key(&self, found: Found<'_>, into: &mut Vec<u64>) {
        into.clear();
        // SAFETY: these are the words that the key has.
        into.extend((0..self.key_length(found)).map(|at| unsafe { self.key_word(found, at) }));
    }

    /// Adds to a key, new or not.
    ///
    /// # Safety
    /// `slot` is the id of a slot that the calling thread has claimed.
    #[inline]
    pub(super) unsafe fn add(&self, key: HashedKey<'_>, metric: usize, amount: i64, slot: usize) -> Added {
        let found = self.find(key);
        // SAFETY: as this function's.
        unsafe { self.add_to(found, key, metric, amount, slot) }
    }

    /// Adds to a key whose row was looked for just now.
    ///
    /// # Safety
    /// `found` is of this table, and `slot` is the id of a slot that the calling thread has claimed.
    #[inline]
    pub(super) unsafe fn add_to(
        &self,
        found: Option<Found<'_>>,
        key: HashedKey<'_>,
        metric: usize,
        amount: i64,
        slot: usize,
    ) -> Added {
        let Some(found) = found.or_else(|| self.insert(key)) else {
            self.add_to_overflow(metric, amount, slot);
            return Added::Overflow;
        };
        // SAFETY: this function's contract, and the stripes live as long as the rows.
        match unsafe { self.row(found).add(metric, amount, slot, &self.stripes) } {
            Ok(()) => Added::Row,
            Err(_) => {
                self.add_to_overflow(metric, amount, slot);
                Added::Overflow
            }
        }
    }

    #[cold]
    fn add_to_overflow(&self, metric: usize, amount: i64, slot: usize) {
        let row = self.overflow.row();
        // SAFETY: the slot is as in `add_to`, the stripes live as long as the row.
        if unsafe { row.add(metric, amount, slot, &self.stripes) }.is_err() {
            self.overflow.carry.lock()[metric] += i128::from(amount);
        }
    }

    /// What went into the overflow rows, by metric.
    pub(super) fn overflow(&self) -> Vec<i128> {
        let row = self.overflow.row();
        let carry = self.overflow.carry.lock();
        carry.iter().enumerate().map(|(metric, carry)| row.total(metric) + carry).collect()
    }

    /// Gives a key a row, unless it has one by now; `None` when the budget is used up.
    #[cold]
    fn insert(&self, key: HashedKey<'_>) -> Option<Found<'_>> {
        let shard = self.shard(key.hash);
        if self.keys.load(Relaxed) >= self.max_keys {
            // The budget is not given back, so without a lock: full it stays, and the key has a row by now or none.
            return self.find(key);
        }
        let mut writer = self.writers[shard].lock();
        if let Some(found) = self.entries(shard).and_then(|entries| self.find_in(entries, key)) {
            return Some(found);
        }
        if self.keys.fetch_add(1, Relaxed) >= self.max_keys {
            self.keys.fetch_sub(1, Relaxed);
            return None;
        }
        let entries = self.entries_with_room(shard, &mut writer);
        let (words, grown) = writer.arena.allocate(1 + self.metrics + key.words.len());
        for (at, word) in key.words.iter().enumerate() {
            // SAFETY: the row was allocated with this many words after its head and cells, and nobody else has it.
            unsafe { words.add(1 + self.metrics + at).as_ref() }.store(*word, Relaxed);
        }
        writer.keys += 1;
        self.allocated.fetch_add(grown, Relaxed);
        entries.place(key.hash, words);
        Some(Found { words, table: PhantomData })
    }

    /// The shard's array, with a place for one more key. At most 10 to 14 in 16 slots are taken: with eight to a line,
    /// nearly every key is still found in its own. How many depends on the shard, because keys spread evenly, and
    /// shards that grew at the same number of keys would all grow within the same moment.
    fn entries_with_room(&self, shard: usize, writer: &mut Writer) -> Entries<'_> {
        let old = self.entries(shard);
        if let Some(old) = old
            && (writer.keys + 1) * 16 <= old.len() * (10 + shard % 5)
        {
            return old;
        }
        let memory = Memory::new(old.map_or(1, |old| old.lines() * 2));
        if let Some(old) = old {
            for words in (0..old.len()).filter_map(|at| old.row(at)) {
                let found = Found { words, table: PhantomData };
                // SAFETY: the words up to the key's length are those it has.
                let word = |at| unsafe { self.key_word(found, at) };
                memory.entries().place(key::hash_words(&self.seed, self.key_length(found), word), words);
            }
        }
        self.allocated.fetch_add(memory.bytes(), Relaxed);
        self.indices[shard].publish(&memory);
        writer.memories.push(memory);
        self.entries(shard).unwrap_or_else(|| unreachable!("published just now"))
    }

    pub(super) fn shard_count(&self) -> usize {
        self.indices.len()
    }

    /// A shard's array: the one of that length, or the current one.
    pub(super) fn entries_of(&self, shard: usize, length: Option<usize>) -> Option<Entries<'_>> {
        let current = self.entries(shard)?;
        if length.is_none_or(|length| length == current.len()) {
            return Some(current);
        }
        // Every array is twice as long as the one before it, so a length names one.
        let writer = self.writers[shard].lock();
        let memory = writer.memories.iter().find(|memory| Some(memory.entries().len()) == length)?;
        // SAFETY: the shard keeps every array, at the same address, until it is dropped with the table.
        Some(unsafe { memory.entries_unbound() })
    }

    pub(super) fn row_at<'a>(&'a self, entries: Entries<'a>, at: usize) -> Option<Found<'a>> {
        entries.row(at).map(|words| Found { words, table: PhantomData })
    }
}

/// A table of less memory is freed where it is dropped, in well under a millisecond.
const FREED_IN_PLACE: usize = 4 << 20;

impl Drop for Table {
    /// Freeing takes 10 ms for a million rows, and whoever drops the last reference (a garbage collection, say) has not
    /// asked for that. So a large table's rows are freed by a thread of their own.
    fn drop(&mut self) {
        if self.bytes() > FREED_IN_PLACE {
            let writers = std::mem::take(&mut self.writers);
            // Without a thread to be had, the closure and the rows in it are dropped here.
            let _ = std::thread::Builder::new().name("ad_tally free".into()).spawn(move || drop(writers));
        }
    }
}

impl Writer {
    const fn new() -> Self {
        Self { keys: 0, arena: Arena::new(), memories: Vec::new() }
    }
}

/// Lanes for every thread that has added so far, and for as many as the machine runs at once.
fn threads() -> usize {
    let parallel = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    REGISTRY.count().max(parallel)
}
