//! What is done under the lock of a shard: new rows, larger indices, rows that move.

use std::sync::atomic::Ordering::{self, Acquire, Relaxed};

use parking_lot::MutexGuard;

use super::index::{Entries, Index, Indices, Memory};
use super::keyed::Keyed;
use super::row_ref::RowRef;
use super::shards::{Stage, Writer, shard};
use crate::key::HashedKey;

/// Keys of a table that begins with one shard when it is divided into all: that looks at each of them and makes the shards, some
/// 50 us where a million keys are the most, 0.3 ms for ten million and 1.5 ms for a hundred million.
const KEYS_UNDIVIDED: usize = 512;

impl Keyed {
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
        entries.place(key.hash, words);
        self.placed.fetch_add(1, Ordering::Release);
        entries.find(key.hash, |row| row.row() == words)
    }

    /// The lock of the shard where a hash belongs.
    fn lock(&self, hash: u64) -> MutexGuard<'_, Writer> {
        loop {
            let count = self.shard_count();
            let writer = self.stage(count).writers[shard(hash, count)].lock();
            // It may have been divided meanwhile.
            if self.shard_count() == count {
                return writer;
            }
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
            for row in (0..old.len()).filter_map(|at| old.row(at)) {
                memory.entries().place(self.hash_of(row), row.row());
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
        for row in entries.iter().flat_map(|entries| (0..entries.len()).filter_map(|at| entries.row(at))) {
            let hash = self.hash_of(row);
            let shard = shard(hash, self.count);
            let mut writer = all.writers[shard].lock();
            let entries = self.entries_with_room(Indices::index(&all.indices, shard), shard, &mut writer);
            entries.place(hash, row.row());
            writer.keys += 1;
        }
        self.directory.publish(&all.indices, self.count);
    }
}
