//! Looking rows up by key.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use super::index::{Directory, Entries, Index, Indices, Line};
use super::row_ref::RowRef;
use super::shards::{KEYS_A_SHARD, MAX_SHARDS, Shards, Stage, shard};
use crate::key::{self, HashedKey, Seed};
use crate::sync::prefetch::fetch;
use crate::sync::{AtomicU64, AtomicUsize};

/// Words of a cache line.
const LINE_WORDS: usize = 8;

/// Rows of one width by key.
pub(crate) struct Keyed {
    /// The shards' indices. Apart from the writers, so that what every lookup reads is eight bytes a shard.
    pub(super) directory: Directory,
    pub(super) shards: Shards,
    /// How many shards there are to be.
    pub(super) count: usize,
    pub(super) width: usize,
    pub(super) max_keys: usize,
    pub(super) seed: Seed,
    /// Keys that have a row, or are about to get one.
    pub(super) keys: AtomicUsize,
    /// Keys whose row the index names. Once the budget is used up, a key that is not found has none and gets none.
    pub(super) placed: AtomicUsize,
    /// Memory of indices and arenas.
    pub(super) allocated: AtomicUsize,
}

impl Keyed {
    /// An empty table of rows of `width` cells, for at most `max_keys` keys.
    pub(crate) fn new(width: usize, max_keys: usize, seed: Seed) -> Self {
        let table = Self::undivided(width, max_keys, seed);
        if table.count > 1 {
            let all = table.shards.all.get_or_init(|| Stage::new(table.count));
            table.directory.publish(&all.indices, table.count);
        }
        table
    }

    /// The same with one shard only, until it has some hundred keys.
    pub(crate) fn undivided(width: usize, max_keys: usize, seed: Seed) -> Self {
        let one = Stage::new(1);
        Self {
            directory: Directory::new(&one.indices, 1),
            shards: Shards { one, all: OnceLock::new() },
            count: max_keys.div_ceil(KEYS_A_SHARD).next_power_of_two().min(MAX_SHARDS),
            width,
            max_keys,
            seed,
            keys: AtomicUsize::new(0),
            placed: AtomicUsize::new(0),
            allocated: AtomicUsize::new(0),
        }
    }

    /// The seed that its keys are hashed under.
    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Keys that have a row.
    pub(crate) fn keys(&self) -> usize {
        self.keys.load(Relaxed).min(self.max_keys)
    }

    /// Its memory, without `Self`.
    pub(crate) fn bytes(&self) -> usize {
        self.shards.one.bytes() + self.shards.all.get().map_or(0, Stage::bytes) + self.allocated.load(Relaxed)
    }

    /// The shards' indices, as they are now.
    #[inline(always)]
    pub(super) fn indices(&self) -> &[Index] {
        // SAFETY: the shards keep all of them until the table is dropped.
        unsafe { self.directory.indices() }
    }

    /// The array of the shard where a hash belongs, as it is now.
    #[inline(always)]
    pub(super) fn entries(&self, hash: u64) -> Option<Entries<'_>> {
        let indices = self.indices();
        // SAFETY: a writer keeps all its shard's arrays until the table is dropped.
        unsafe { indices[shard(hash, indices.len())].entries() }
    }

    /// The row of a key, if it has one.
    #[inline(always)]
    pub(crate) fn find(&self, key: HashedKey<'_>) -> Option<RowRef<'_>> {
        self.entries(key.hash)?.find(key.hash, |row| self.has_key(row, key.words))
    }

    /// The same, looked at first where it most likely is.
    #[inline(always)]
    pub(crate) fn find_at<'a>(&'a self, likely: Option<RowRef<'a>>, key: HashedKey<'_>) -> Option<RowRef<'a>> {
        match likely {
            Some(row) if self.has_key(row, key.words) => likely,
            _ => self.find_elsewhere(key),
        }
    }

    /// Of a key that was not where it most likely is. Its code is not part of who has found it there.
    #[inline(never)]
    fn find_elsewhere(&self, key: HashedKey<'_>) -> Option<RowRef<'_>> {
        self.find(key)
    }

    /// The line of the index where a hash belongs, asked for so that it is near when it is looked at.
    #[inline(always)]
    pub(crate) fn fetch_line(&self, hash: u64) -> Option<&Line> {
        Some(self.entries(hash)?.fetch(hash))
    }

    /// The row that most likely is that of a key of that hash and so many words, whose line of the index is near, asked for so
    /// that it is near when it is looked for.
    #[inline(always)]
    pub(crate) fn fetch_row<'t>(&self, line: &'t Line, hash: u64, words: usize) -> Option<RowRef<'t>> {
        let row = line.candidate(hash)?;
        // The lines of its first and of its last word: most rows lie in one or two.
        fetch(row.address());
        fetch(row.address().wrapping_add(self.width + words - 1));
        Some(row)
    }

    /// Asks for a row, to be read soon: for its first two cache lines, in which most lie.
    #[inline(always)]
    pub(super) fn fetch(&self, row: RowRef<'_>) {
        let first = row.address();
        fetch(first);
        fetch(first.wrapping_add(LINE_WORDS));
    }

    /// The cells of a row.
    #[inline(always)]
    pub(crate) fn cells<'a>(&'a self, found: RowRef<'a>) -> &'a [AtomicU64] {
        // SAFETY: this is how `insert` lays a row out.
        unsafe { std::slice::from_raw_parts(found.address(), self.width) }
    }

    /// Whether a row has that key.
    #[inline(always)]
    fn has_key(&self, found: RowRef<'_>, words: &[u64]) -> bool {
        let Some((header, rest)) = words.split_first() else { return false };
        // SAFETY: the key follows the cells, and words of it are asked for below.
        let own = |at: usize| unsafe { found.row().add(self.width + at).as_ref() }.load(Relaxed);
        if own(0) != *header {
            return false;
        }
        // As long as all words were equal, so are the header and the lengths among them, so the next word is one that the row
        // has too.
        for (at, word) in rest.iter().enumerate() {
            if own(1 + at) != *word {
                return false;
            }
        }
        true
    }

    /// The words of a row's key.
    pub(crate) fn key_of<'a>(&'a self, found: RowRef<'a>) -> &'a [u64] {
        // SAFETY: the key follows the cells. It was written before the row could be found, and is never written again, so it may
        // be read as plain words; the header and the lengths that it announces are all that is read to learn its length.
        unsafe {
            let words = found.address().add(self.width).cast::<u64>();
            std::slice::from_raw_parts(words, key::length_in_words(|at| *words.add(at)))
        }
    }

    /// The hash of a row's key.
    pub(crate) fn hash_of(&self, found: RowRef<'_>) -> u64 {
        self.seed.key(self.key_of(found)).hash
    }

    /// How many shards there are now.
    pub(super) fn shard_count(&self) -> usize {
        self.indices().len()
    }

    /// The shards of a table that has, or had, so many.
    pub(super) fn stage(&self, count: usize) -> &Stage {
        self.shards.all.get().filter(|_all| count > 1).unwrap_or(&self.shards.one)
    }

    /// The array of a shard of so many: the one of that length, or the current one.
    pub(super) fn entries_of(&self, count: usize, shard: usize, length: Option<usize>) -> Option<Entries<'_>> {
        let stage = self.stage(count);
        // SAFETY: a writer keeps all its shard's arrays until the table is dropped.
        let current = unsafe { Indices::index(&stage.indices, shard).entries() }?;
        if length.is_none_or(|length| length == current.len()) {
            return Some(current);
        }
        // Every array is twice as long as the one before it, so a length names one.
        let writer = stage.writers[shard].lock();
        let memory = writer.memories.iter().find(|memory| Some(memory.entries().len()) == length)?;
        // SAFETY: the shard keeps every array, at the same address, until it is dropped with the table.
        Some(unsafe { memory.entries_unbound() })
    }
}

/// A table of less memory is freed where it is dropped, in well under a millisecond.
const FREED_IN_PLACE: usize = 256 << 10;

impl Drop for Keyed {
    /// Freeing takes 10 ms for a million rows, and whoever drops the last reference (a garbage collection, say) has not
    /// asked for that. So a large table's rows are freed by a thread of their own.
    fn drop(&mut self) {
        if self.bytes() > FREED_IN_PLACE {
            let nothing = Shards { one: Stage::default(), all: OnceLock::new() };
            crate::memory::free::later(std::mem::replace(&mut self.shards, nothing));
        }
    }
}
