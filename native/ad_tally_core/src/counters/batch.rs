//! Many adds at once: decoded first, looked up together, then added.
//!
//! Looking all rows up before the first add lets the processor wait for several of them at the same time; an add is
//! a locked instruction, and no later load starts before it.

use std::mem::MaybeUninit;

use super::{Added, Counters};
use crate::key::{HashedKey, SHORT_KEY_WORDS};

struct Entry {
    hash: u64,
    start: u32,
    length: u32,
    metric: u32,
    amount: i64,
}

/// Adds that wait to be applied. Its memory is kept for the next batch.
#[derive(Default)]
pub struct Batch {
    entries: Vec<Entry>,
    words: Vec<u64>,
}

impl Batch {
    /// Adds in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Words that its keys take together.
    #[inline]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Empties it, and gives memory back that only an unusual batch needed.
    #[inline]
    pub fn clear(&mut self) {
        const KEPT_WORDS: usize = 1 << 16;
        self.entries.clear();
        self.words.clear();
        if self.words.capacity() > KEPT_WORDS {
            self.words.shrink_to(KEPT_WORDS);
        }
    }

    /// Room for the next key, of `words` words at least.
    #[inline]
    pub fn room(&mut self, words: usize) -> &mut [MaybeUninit<u64>] {
        self.words.reserve(words.max(SHORT_KEY_WORDS));
        self.words.spare_capacity_mut()
    }

    /// Appends an add of the key that was written into [`Batch::room`].
    ///
    /// # Safety
    /// A key of that hash and of `length` words was finished at the start of the room since it was last asked for.
    #[inline]
    pub unsafe fn push(&mut self, hash: u64, length: usize, metric: usize, amount: i64) {
        let start = self.words.len();
        // SAFETY: `length` words after the end are written, by this function's contract.
        unsafe { self.words.set_len(start + length) };
        self.entries.push(Entry { hash, start: start as u32, length: length as u32, metric: metric as u32, amount });
    }
}

impl Counters {
    /// Applies the adds of the batch in turn, for as long as `go_on` says so, which is asked every 32 adds. How many
    /// were applied, and how many of those went into the overflow rows.
    ///
    /// # Panics
    /// If a metric is not below [`Counters::metrics`].
    pub fn add_batch(&self, batch: &Batch, mut go_on: impl FnMut() -> bool) -> (usize, usize) {
        const TOGETHER: usize = 32;
        let table = self.current.pin();
        let slot = table.slot().id();
        let (mut applied, mut overflowed) = (0, 0);
        for entries in batch.entries.chunks(TOGETHER) {
            let looked = entries.iter().map(|entry| table.touch(entry.hash)).fold(0, |all, tags| all | tags);
            std::hint::black_box(looked);
            let mut found = [const { None }; TOGETHER];
            for (found, entry) in found.iter_mut().zip(entries) {
                *found = table.find(batch.key(entry));
            }
            for (found, entry) in found.iter().zip(entries) {
                let (key, metric) = (batch.key(entry), entry.metric as usize);
                // SAFETY: the rows are of the pinned table, the slot is the one it is pinned in.
                let added = unsafe { table.add_to(*found, key, metric, entry.amount, slot) };
                overflowed += usize::from(added == Added::Overflow);
            }
            applied += entries.len();
            if !go_on() {
                break;
            }
        }
        (applied, overflowed)
    }
}

impl Batch {
    #[inline]
    fn key(&self, entry: &Entry) -> HashedKey<'_> {
        let start = entry.start as usize;
        HashedKey { hash: entry.hash, words: &self.words[start..start + entry.length as usize] }
    }
}
