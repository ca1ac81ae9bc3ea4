//! Many adds at once: decoded first, then looked up and added by groups.
//!
//! A lookup waits for two cache lines, one after the other, and an add is a locked instruction that no later load
//! passes. So the lines of the index are asked for a group ahead, and a group's rows before the first of them is
//! compared and added to: 25 ns an add became 17 (10,000 keys, in Rust).

use std::mem::MaybeUninit;

use super::index::Line;
use super::table::Table;
use super::{Added, Counters};
use crate::key::{HashedKey, SHORT_KEY_WORDS};

/// Adds whose cache lines are asked for together.
const GROUP: usize = 16;
/// Adds between two questions whether to go on. A clock takes as long as an add.
const TURN: usize = 4 * GROUP;

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
    /// Applies the adds of the batch in turn, for as long as `go_on` says so, which is asked every 64 adds. How many
    /// were applied, and how many of those went into the overflow rows.
    ///
    /// # Panics
    /// If a metric is not below [`Counters::metrics`].
    pub fn add_batch(&self, batch: &Batch, mut go_on: impl FnMut() -> bool) -> (usize, usize) {
        let table = self.current.pin();
        let slot = table.slot().id();
        let (mut applied, mut overflowed) = (0, 0);
        let mut groups = batch.entries.chunks(GROUP);
        let (mut lines, mut rows) = ([None; GROUP], [None; GROUP]);
        let mut next = groups.next().unwrap_or_default();
        fetch_lines(&table, next, &mut lines);
        while !next.is_empty() {
            let group = next;
            for ((row, line), entry) in rows.iter_mut().zip(&lines).zip(group) {
                *row = line.and_then(|line| table.fetch_row(line, entry.hash));
            }
            next = groups.next().unwrap_or_default();
            fetch_lines(&table, next, &mut lines);
            for (row, entry) in rows.iter().zip(group) {
                let (key, metric) = (batch.key(entry), entry.metric as usize);
                let found = row.filter(|row| table.has_key(*row, key.words)).or_else(|| table.find(key));
                // SAFETY: the rows are of the pinned table, the slot is the one it is pinned in.
                let added = unsafe { table.add_to(found, key, metric, entry.amount, slot) };
                overflowed += usize::from(added == Added::Overflow);
            }
            applied += group.len();
            if applied.is_multiple_of(TURN) && !go_on() {
                break;
            }
        }
        (applied, overflowed)
    }
}

#[inline(always)]
fn fetch_lines<'t>(table: &'t Table, group: &[Entry], lines: &mut [Option<&'t Line>; GROUP]) {
    for (line, entry) in lines.iter_mut().zip(group) {
        *line = table.fetch_line(entry.hash);
    }
}

impl Batch {
    #[inline]
    fn key(&self, entry: &Entry) -> HashedKey<'_> {
        let start = entry.start as usize;
        HashedKey { hash: entry.hash, words: &self.words[start..start + entry.length as usize] }
    }
}
