//! Many items at once: decoded first, then looked up by groups.
//!
//! A lookup waits for two cache lines, one after the other, and an add is a locked instruction that no later load
//! passes. So the lines of the index are asked for a group ahead, and a group's rows before the first of them is
//! compared and added to: 25 ns an add became 17 (10,000 keys, in Rust).

use std::mem::MaybeUninit;

use super::index::Line;
use super::keyed::Keyed;
use super::row_ref::RowRef;
use crate::key::{HashedKey, SHORT_KEY_WORDS};

/// Items whose cache lines are asked for together.
const GROUP: usize = 16;
/// Items between two questions whether to go on. A clock takes as long as an add.
const TURN: usize = 4 * GROUP;
/// Words that memory is kept for.
const KEPT: usize = 1 << 16;

struct Entry<T> {
    hash: u64,
    start: u32,
    length: u32,
    item: T,
}

/// Items by key that wait to be applied. Its memory is kept for the next batch.
pub struct Batch<T> {
    entries: Vec<Entry<T>>,
    /// Those of all keys, one behind the other.
    words: Vec<u64>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), words: Vec::new() }
    }
}

impl<T: Copy> Batch<T> {
    /// Items in it.
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
        self.entries.clear();
        self.words.clear();
        if self.words.capacity() > KEPT {
            self.words.shrink_to(KEPT);
        }
    }

    /// Room for the next key, of `words` words at least, and for any key without long binaries.
    #[inline]
    pub fn room(&mut self, words: usize) -> &mut [MaybeUninit<u64>] {
        self.words.reserve(words.max(SHORT_KEY_WORDS));
        self.words.spare_capacity_mut()
    }

    /// Appends an item for the key that was written into [`Batch::room`].
    ///
    /// # Safety
    /// A key of that hash and of `length` words was finished at the start of the room since it was last asked for.
    #[inline]
    pub unsafe fn push(&mut self, hash: u64, length: usize, item: T) {
        let start = self.words.len();
        // SAFETY: `length` words after the end are written, by this function's contract, so there is room for them.
        unsafe { self.words.set_len(start + length) };
        self.entries.push(Entry { hash, start: start as u32, length: length as u32, item });
    }

    /// An item and its key.
    ///
    /// # Panics
    /// If there are not so many.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> (HashedKey<'_>, &T) {
        let entry = &self.entries[index];
        (self.key(entry), &entry.item)
    }

    #[inline]
    fn key(&self, entry: &Entry<T>) -> HashedKey<'_> {
        let start = entry.start as usize;
        HashedKey { hash: entry.hash, words: &self.words[start..start + entry.length as usize] }
    }
}

impl Keyed {
    /// Does something with every item of a batch in turn, for as long as `go_on` says so, which is asked every 64 items, and
    /// after an item that says it took as long as many: with its key's row, if it has one at that moment. How many were done.
    #[inline(always)]
    pub(crate) fn for_each<'k, T: Copy>(
        &'k self,
        batch: &Batch<T>,
        mut go_on: impl FnMut() -> bool,
        mut act: impl FnMut(Option<RowRef<'k>>, HashedKey<'_>, T) -> bool,
    ) -> usize {
        let mut done = 0;
        let mut groups = batch.entries.chunks(GROUP);
        let (mut lines, mut rows) = ([None; GROUP], [None; GROUP]);
        let mut next = groups.next().unwrap_or_default();
        self.fetch_lines(next, &mut lines);
        while !next.is_empty() {
            let group = next;
            for ((row, line), entry) in rows.iter_mut().zip(&lines).zip(group) {
                *row = line.and_then(|line| self.fetch_row(line, entry.hash, entry.length as usize));
            }
            next = groups.next().unwrap_or_default();
            self.fetch_lines(next, &mut lines);
            for (row, entry) in rows.iter().zip(group) {
                let key = batch.key(entry);
                let found = self.find_at(*row, key);
                done += 1;
                if act(found, key, entry.item) && !go_on() {
                    return done;
                }
            }
            if done.is_multiple_of(TURN) && !go_on() {
                break;
            }
        }
        done
    }

    #[inline(always)]
    fn fetch_lines<'t, T>(&'t self, group: &[Entry<T>], lines: &mut [Option<&'t Line>; GROUP]) {
        for (line, entry) in lines.iter_mut().zip(group) {
            *line = self.fetch_line(entry.hash);
        }
    }
}
