//! The shards of a table: what their indices, arenas and locks lie in, and what frees it.

use std::sync::OnceLock;

use parking_lot::Mutex;

use super::arena::Arena;
use super::index::{Indices, Memory, indices};
use crate::key::bits;

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

/// What a shard's new keys need.
pub(super) struct Writer {
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

/// Which of so many shards a hash belongs to.
#[inline(always)]
pub(super) fn shard(hash: u64, count: usize) -> usize {
    (hash >> bits::SHARD) as usize & (count - 1)
}
