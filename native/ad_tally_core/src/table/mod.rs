//! Rows by key: what every keyed structure has in common. A row is some cells, zero at first, and its key's words.
//!
//! A key belongs to a shard by the high bits of its hash. A shard is small enough (a few thousand keys) that growing
//! its index takes tens of microseconds, on whichever thread adds the key that makes it grow, and only new keys of
//! the same shard wait meanwhile. A row neither moves nor goes away before the whole table does.
//!
//! A table may begin with one shard only, and be divided into all that its budget asks for once it has a few hundred keys: of
//! tens of thousands of windows most have few, and the shards of a budget of a million keys take 22 KB. Its rows stay where they are then,
//! and so does its index, for whoever is looking there.

mod arena;
mod batch;
mod cursor;
mod drainable;
mod export;
mod generation;
mod index;
mod rows;
mod words;

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{self, Acquire, Relaxed};

use parking_lot::{Mutex, MutexGuard};

use self::arena::Arena;
pub use self::batch::Batch;
pub(crate) use self::cursor::Cursor;
pub use self::drainable::{Drainable, Drained, Info};
pub use self::export::{Export, Portable};
pub use self::generation::{Generation, Value};
pub(crate) use self::index::Line;
use self::index::{Directory, Entries, Entry, Index, Indices, Memory, indices};
pub use self::rows::Rows;
pub(crate) use self::words::Words;
use crate::error::Error;
use crate::key::{self, HashedKey, Seed};
use crate::sync::prefetch::fetch;
use crate::sync::{AtomicU64, AtomicUsize};

/// The most keys a table can be asked to hold.
pub const MAX_KEYS: usize = 1_000_000_000;

/// Keys that a shard is meant to hold when the budget is used up. The last growth on the way there copies 2,048 to
/// 4,096 entries: 0.25 ms at worst, when neither the rows nor the new array are in a cache.
const KEYS_A_SHARD: usize = 4_096;
/// Shards at most: above that a shard simply holds more keys.
const MAX_SHARDS: usize = 1 << 16;
/// Keys of a table that begins with one shard when it is divided into all: that looks at each of them and makes the shards, some
/// 50 us where a million keys are the most, 0.3 ms for ten million and 1.5 ms for a hundred million.
const KEYS_UNDIVIDED: usize = 512;

/// Where something that was added went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Into the key's own row.
    Row,
    /// Into the overflow: the key is new and the budget is used up, or the row has no room for so large a total.
    Overflow,
}

impl Added {
    /// Into rows only if both were.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Row { other } else { self }
    }
}

/// A budget of keys that a table can be made for.
pub(crate) fn check_max_keys(max_keys: usize) -> Result<(), Error> {
    if max_keys == 0 || max_keys > MAX_KEYS { Err(Error::MaxKeys(max_keys)) } else { Ok(()) }
}

pub(crate) struct Keyed {
    /// The shards' indices. Apart from the writers, so that what every lookup reads is eight bytes a shard.
    directory: Directory,
    shards: Shards,
    /// How many shards there are to be.
    count: usize,
    width: usize,
    max_keys: usize,
    seed: Seed,
    /// Keys that have a row, or are about to get one.
    keys: AtomicUsize,
    /// Keys whose row the index names. Once the budget is used up, a key that is not found has none and gets none.
    placed: AtomicUsize,
    /// Memory of indices and arenas, and what the rows own besides.
    allocated: AtomicUsize,
}

/// What the shards own. It can be freed without the rest.
struct Shards {
    /// The one shard of a table that is not divided.
    one: Stage,
    all: OnceLock<Stage>,
    width: usize,
    release: Option<Release>,
}

/// Shards that a table has or had.
#[derive(Default)]
struct Stage {
    indices: Box<[Indices]>,
    writers: Box<[Mutex<Writer>]>,
}

impl Stage {
    fn new(count: usize) -> Self {
        Self { indices: indices(count), writers: (0..count).map(|_| Mutex::new(Writer::new())).collect() }
    }

    fn bytes(&self) -> usize {
        size_of_val::<[Indices]>(&self.indices) + size_of_val::<[Mutex<Writer>]>(&self.writers)
    }
}

/// Frees what a row's cells own, once nobody can reach the row any more.
///
/// # Safety
/// To be called with the cells of a row of the table it was given to, the last time they are looked at.
pub type Release = unsafe fn(&[AtomicU64]);

/// What a shard's new keys need.
pub(crate) struct Writer {
    keys: usize,
    arena: Arena,
    /// Every array the index ever was, the current one last.
    memories: Vec<Memory>,
}

/// Where a row of a table lies (its cells, then the key), with its note: a complete one, in an arena that neither changes
/// its key nor frees it during `'a`. One word, so that it stays in a register between lookup and add.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    entry: Entry,
    table: PhantomData<&'a Keyed>,
}

impl<'a> RowRef<'a> {
    fn new(entry: Entry) -> Self {
        Self { entry, table: PhantomData }
    }

    /// It as a word, which is not 0, for [`RowRef::from_word`].
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        self.entry.word()
    }

    /// What was found when it was a word, if it is one and not 0.
    ///
    /// # Safety
    /// It is 0, or it is the word of a row of a table that is there during `'a`, with whatever note, and whoever has stored the
    /// word has seen the row before.
    #[inline(always)]
    pub(crate) unsafe fn from_word(word: u64) -> Option<Self> {
        // SAFETY: this function's contract.
        unsafe { Entry::from_word(word) }.map(Self::new)
    }

    /// What the table has noted about the row, 0 at first. A row that was found a while ago may have another one by now.
    #[inline(always)]
    pub(crate) fn note(self) -> u8 {
        self.entry.note()
    }

    /// It with another note.
    #[inline(always)]
    pub(crate) fn with_note(self, note: u8) -> Self {
        Self::new(self.entry.with_note(note))
    }

    /// The address of the row's first cell.
    #[inline(always)]
    pub(crate) fn address(self) -> *const AtomicU64 {
        self.entry.row().as_ptr()
    }
}

impl Keyed {
    /// An empty table of rows of `width` cells, for at most `max_keys` keys.
    pub(crate) fn new(width: usize, max_keys: usize, seed: Seed, release: Option<Release>) -> Self {
        let table = Self::undivided(width, max_keys, seed, release);
        if table.count > 1 {
            let all = table.shards.all.get_or_init(|| Stage::new(table.count));
            table.directory.publish(&all.indices, table.count);
        }
        table
    }

    /// The same with one shard only, until it has some hundred keys.
    pub(crate) fn undivided(width: usize, max_keys: usize, seed: Seed, release: Option<Release>) -> Self {
        let one = Stage::new(1);
        Self {
            directory: Directory::new(&one.indices, 1),
            shards: Shards { one, all: OnceLock::new(), width, release },
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

    /// Notes that a row owns more memory than before.
    pub(crate) fn owns_more(&self, bytes: usize) {
        self.allocated.fetch_add(bytes, Relaxed);
    }

    /// Notes that a row owns less memory than before.
    pub(crate) fn owns_less(&self, bytes: usize) {
        self.allocated.fetch_sub(bytes, Relaxed);
    }

    /// The shards' indices, as they are now.
    #[inline(always)]
    fn indices(&self) -> &[Index] {
        // SAFETY: the shards keep all of them until the table is dropped.
        unsafe { self.directory.indices() }
    }

    /// The array of the shard where a hash belongs, as it is now.
    #[inline(always)]
    fn entries(&self, hash: u64) -> Option<Entries<'_>> {
        let indices = self.indices();
        // SAFETY: a writer keeps all its shard's arrays until the table is dropped.
        unsafe { indices[shard(hash, indices.len())].entries() }
    }

    /// The row of a key, if it has one.
    #[inline(always)]
    pub(crate) fn find(&self, key: HashedKey<'_>) -> Option<RowRef<'_>> {
        self.find_in(self.entries(key.hash)?, key)
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
    pub(crate) fn fetch_row(&self, line: &Line, hash: u64, words: usize) -> Option<RowRef<'_>> {
        let entry = line.candidate(hash)?;
        // The lines of its first and of its last word: most rows lie in one or two.
        let row = entry.row().as_ptr();
        fetch(row);
        fetch(row.wrapping_add(self.width + words - 1));
        Some(RowRef::new(entry))
    }

    #[inline(always)]
    fn find_in<'a>(&'a self, entries: Entries<'a>, key: HashedKey<'_>) -> Option<RowRef<'a>> {
        let width = self.width;
        entries.find(key.hash, |entry| has_key(entry.row(), width, key.words)).map(RowRef::new)
    }

    /// The cells of a row.
    #[inline(always)]
    pub(crate) fn cells<'a>(&'a self, found: RowRef<'a>) -> &'a [AtomicU64] {
        // SAFETY: this is how `insert` lays a row out.
        unsafe { std::slice::from_raw_parts(found.address(), self.width) }
    }

    #[inline(always)]
    fn has_key(&self, found: RowRef<'_>, words: &[u64]) -> bool {
        has_key(found.entry.row(), self.width, words)
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

    /// Gives a key a row, unless it has one by now; `None` when the budget is used up.
    #[cold]
    pub(crate) fn insert(&self, key: HashedKey<'_>) -> Option<RowRef<'_>> {
        if self.placed.load(Acquire) >= self.max_keys {
            // The budget is not given back, so without a lock: full it stays, and the key has a row by now or none. Not
            // asked of `keys`, which counts a row before it can be found.
            return self.find(key);
        }
        let mut writer = self.lock(key.hash);
        if writer.keys >= KEYS_UNDIVIDED && self.indices().len() < self.count {
            self.divide(&writer);
            drop(writer);
            writer = self.lock(key.hash);
        }
        if let Some(found) = self.find(key) {
            return Some(found);
        }
        if self.keys.fetch_add(1, Relaxed) >= self.max_keys {
            self.keys.fetch_sub(1, Relaxed);
            return None;
        }
        let indices = self.indices();
        let shard = shard(key.hash, indices.len());
        let entries = self.entries_with_room(&indices[shard], shard, &mut writer);
        let (words, grown) = writer.arena.allocate(self.width + key.words.len());
        for (at, word) in key.words.iter().enumerate() {
            // SAFETY: the row was allocated with this many words after its cells, and nobody else has it.
            unsafe { words.add(self.width + at).as_ref() }.store(*word, Relaxed);
        }
        writer.keys += 1;
        self.allocated.fetch_add(grown, Relaxed);
        entries.place(key.hash, words, 0);
        self.placed.fetch_add(1, Ordering::Release);
        entries.find(key.hash, |entry| entry.row() == words).map(RowRef::new)
    }

    /// Copies a row, whose lock the caller has, to a place of its own with `before` zeroed words right before it, a whole
    /// number of lines with the cells. Nobody finds it there until [`Keyed::rename`] has told the index.
    pub(crate) fn copy_row(&self, writer: &mut Writer, found: RowRef<'_>, before: usize) -> NonNull<AtomicU64> {
        let length = self.width + self.key_of(found).len();
        let (room, grown) = writer.arena.allocate_alone(before + length);
        self.allocated.fetch_add(grown, Relaxed);
        // SAFETY: the room is that long, and so is the row.
        unsafe {
            let copy = room.add(before);
            for at in 0..length {
                copy.add(at).as_ref().store(found.entry.row().add(at).as_ref().load(Relaxed), Relaxed);
            }
            copy
        }
    }

    /// The row of that hash that the index names at an address, if it does.
    pub(crate) fn find_at_address(&self, hash: u64, address: usize) -> Option<RowRef<'_>> {
        let entries = self.entries(hash)?;
        entries.find(hash, |entry| entry.row().addr().get() == address).map(RowRef::new)
    }

    /// Has the index note something larger about a row, whose lock the caller has, if it still is named where it was found.
    pub(crate) fn note(&self, writer: &mut Writer, found: RowRef<'_>, hash: u64, note: u8) {
        let noted = self.find_at_address(hash, found.address().addr());
        if noted.is_some_and(|noted| noted.note() < note) {
            self.rename(writer, found, hash, found.entry.row(), note);
        }
    }

    /// Has the index name another place and another note for a row, whose lock the caller has. What was written to that
    /// place before is seen by whoever finds it there. The row stays where it was as well, for whoever has found that.
    pub(crate) fn rename(&self, _writer: &mut Writer, found: RowRef<'_>, hash: u64, to: NonNull<AtomicU64>, note: u8) {
        if let Some(entries) = self.entries(hash) {
            entries.replace(hash, found.entry.row(), to, note);
        }
    }

    /// The shard's array, with a place for one more key. At most 10 to 14 in 16 slots are taken: with seven to a line,
    /// nearly every key is still found in its own. How many depends on the shard, because keys spread evenly, and
    /// shards that grew at the same number of keys would all grow within the same moment.
    fn entries_with_room<'t>(&'t self, index: &'t Index, shard: usize, writer: &mut Writer) -> Entries<'t> {
        // SAFETY: the writer is that of the shard, and keeps all its arrays until the table is dropped.
        let old = unsafe { index.entries() };
        if let Some(old) = old
            && (writer.keys + 1) * 16 <= old.len() * (10 + shard % 5)
        {
            return old;
        }
        let memory = Memory::new(old.map_or(1, |old: Entries<'_>| old.lines() * 2));
        if let Some(old) = old {
            for entry in (0..old.len()).filter_map(|at| old.entry(at)) {
                memory.entries().place(self.hash_of(RowRef::new(entry)), entry.row(), entry.note());
            }
        }
        self.allocated.fetch_add(memory.bytes(), Relaxed);
        index.publish(&memory);
        writer.memories.push(memory);
        // SAFETY: as above.
        unsafe { index.entries() }.unwrap_or_else(|| unreachable!("published just now"))
    }

    /// Divides a table that has one shard, whose lock the caller has, into all. Whoever waits for that lock looks for another one
    /// then. The rows stay in its arena, and what it names stays in its array, for whoever has found that or goes through it.
    #[cold]
    fn divide(&self, one: &Writer) {
        let all = self.shards.all.get_or_init(|| Stage::new(self.count));
        let entries = one.memories.last().map(Memory::entries);
        for entry in entries.iter().flat_map(|entries| (0..entries.len()).filter_map(|at| entries.entry(at))) {
            let hash = self.hash_of(RowRef::new(entry));
            let shard = shard(hash, self.count);
            let mut writer = all.writers[shard].lock();
            let entries = self.entries_with_room(Indices::index(&all.indices, shard), shard, &mut writer);
            entries.place(hash, entry.row(), entry.note());
            writer.keys += 1;
        }
        self.directory.publish(&all.indices, self.count);
    }

    /// The hash of a row's key.
    pub(crate) fn hash_of(&self, found: RowRef<'_>) -> u64 {
        self.seed.key(self.key_of(found)).hash
    }

    /// Keeps everybody else who asks for the lock of a row waiting. It is that of the shard where its key's hash belongs:
    /// rows are many, and what is done under it is short.
    pub(crate) fn lock(&self, hash: u64) -> MutexGuard<'_, Writer> {
        loop {
            let count = self.shard_count();
            let writer = self.stage(count).writers[shard(hash, count)].lock();
            // It may have been divided meanwhile.
            if self.shard_count() == count {
                return writer;
            }
        }
    }

    /// How many shards there are now.
    fn shard_count(&self) -> usize {
        self.indices().len()
    }

    /// The shards of a table that has, or had, so many.
    fn stage(&self, count: usize) -> &Stage {
        self.shards.all.get().filter(|_all| count > 1).unwrap_or(&self.shards.one)
    }

    /// The array of a shard of so many: the one of that length, or the current one.
    fn entries_of(&self, count: usize, shard: usize, length: Option<usize>) -> Option<Entries<'_>> {
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

    fn row_at<'a>(&'a self, entries: Entries<'a>, at: usize) -> Option<RowRef<'a>> {
        entries.entry(at).map(RowRef::new)
    }
}

/// Which of so many shards a hash belongs to.
#[inline(always)]
fn shard(hash: u64, count: usize) -> usize {
    (hash >> 48) as usize & (count - 1)
}

/// Whether a row of `width` cells has that key.
#[inline(always)]
fn has_key(row: NonNull<AtomicU64>, width: usize, words: &[u64]) -> bool {
    let Some((header, rest)) = words.split_first() else { return false };
    // SAFETY: the key follows the cells, and the callers below ask for words of it.
    let own = |at: usize| unsafe { row.add(width + at).as_ref() }.load(Relaxed);
    if own(0) != *header {
        return false;
    }
    // As long as all words were equal, so are the header and the lengths among them, so the next word is one that the row has too.
    for (at, word) in rest.iter().enumerate() {
        if own(1 + at) != *word {
            return false;
        }
    }
    true
}

impl Drop for Shards {
    fn drop(&mut self) {
        let Some(release) = self.release else { return };
        // Of one that was divided, those name all rows.
        let stage = self.all.get_mut().unwrap_or(&mut self.one);
        for writer in &mut stage.writers {
            let Some(memory) = writer.get_mut().memories.last() else { continue };
            let entries = memory.entries();
            for entry in (0..entries.len()).filter_map(|at| entries.entry(at)) {
                // SAFETY: the last array names every row of the shard, each of that many cells and alive until the arena
                // is dropped, after this. Nobody else has the shards any more.
                unsafe {
                    release(std::slice::from_raw_parts(entry.row().as_ptr(), self.width));
                }
            }
        }
    }
}

/// A table of less memory is freed where it is dropped, in well under a millisecond: 4 MiB of rows that own a set each took
/// up to 9 ms.
const FREED_IN_PLACE: usize = 256 << 10;

impl Drop for Keyed {
    /// Freeing takes 10 ms for a million rows, and whoever drops the last reference (a garbage collection, say) has not
    /// asked for that. So a large table's rows are freed by a thread of their own.
    fn drop(&mut self) {
        if self.bytes() > FREED_IN_PLACE {
            let nothing = Shards { one: Stage::default(), all: OnceLock::new(), width: self.width, release: None };
            crate::memory::free::later(std::mem::replace(&mut self.shards, nothing));
        }
    }
}

impl Writer {
    const fn new() -> Self {
        Self { keys: 0, arena: Arena::new(), memories: Vec::new() }
    }
}
