//! The shards of a table: what their indices, arenas and locks lie in, and what frees it.

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::arena::Arena;
use super::index::{Indices, Memory, indices};
use crate::key::bits;
use crate::sync::AtomicU64;

/// Keys that a shard is meant to hold when the budget is used up. The last growth on the way there copies 2,048 to
/// 4,096 entries: 0.25 ms at worst, when neither the rows nor the new array are in a cache.
pub(super) const KEYS_A_SHARD: usize = 4_096;
/// Shards at most: above that a shard simply holds more keys.
pub(super) const MAX_SHARDS: usize = 1 << bits::SHARD_BITS;
/// What the shards own. It can be freed without the rest.
pub(super) struct Shards {
    /// The one shard of a table that is not divided.
    pub(super) one: Stage,
    pub(super) all: OnceLock<Stage>,
    pub(super) width: usize,
    pub(super) release: Option<Release>,
}

/// Shards that a table has or had.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) indices: Box<[Indices]>,
    pub(super) writers: Box<[Mutex<Writer>]>,
}

impl Stage {
    pub(super) fn new(count: usize) -> Self {
        Self { indices: indices(count), writers: (0..count).map(|_| Mutex::new(Writer::new())).collect() }
    }

    pub(super) fn bytes(&self) -> usize {
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
    pub(super) keys: usize,
    pub(super) arena: Arena,
    /// Every array the index ever was, the current one last.
    pub(super) memories: Vec<Memory>,
}

impl Writer {
    const fn new() -> Self {
        Self { keys: 0, arena: Arena::new(), memories: Vec::new() }
    }
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

/// Which of so many shards a hash belongs to.
#[inline(always)]
pub(super) fn shard(hash: u64, count: usize) -> usize {
    (hash >> bits::SHARD) as usize & (count - 1)
}
