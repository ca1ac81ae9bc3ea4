//! A bucket of two words with its chain, for the model checker.

use super::buckets::{Buckets, Content};
use super::line::Bucket;

/// An entry a word, which is its own hash.
#[derive(Clone, Copy)]
struct Words;

impl Content<2> for Words {
    type Entry = u64;

    fn entries(self, is_linked: bool) -> usize {
        2 - usize::from(is_linked)
    }

    fn get(self, bucket: &Bucket<2>, at: usize) -> u64 {
        bucket.word(at)
    }

    fn set(self, bucket: &Bucket<2>, at: usize, entry: u64) {
        bucket.set_word(at, entry);
    }

    fn low_bits(entry: &u64) -> u64 {
        *entry
    }
}

/// A table of one bucket, which may be split once.
pub struct Model(Buckets<Words, 2>);

impl Model {
    /// One with these entries.
    pub fn new(entries: &[u64]) -> Self {
        let model = Self(Buckets::new(Words, 1, 1, 3).expect("memory"));
        entries.iter().for_each(|entry| model.insert(*entry));
        model
    }

    /// Inserts an entry, into one more overflow bucket if there is no room.
    pub fn insert(&self, entry: u64) {
        let mut chain = self.0.lock(entry);
        let mut empty = None;
        chain.visit(|place, entry| {
            if entry == 0 {
                empty = empty.or(Some(place));
            }
        });
        match empty {
            Some(place) => chain.set(place, entry),
            None => chain.push_overflow(entry).expect("an overflow bucket"),
        }
    }

    /// Removes an entry, and gives back the overflow buckets that are no longer needed.
    pub fn remove(&self, entry: u64) {
        let mut chain = self.0.lock(entry);
        let mut place = None;
        chain.visit(|at, found| {
            if found == entry {
                place = Some(at);
            }
        });
        chain.set(place.expect("it is there"), 0);
        chain.compact();
    }

    /// Allows the bucket to be split, which whoever locks it next does.
    pub fn grow(&self) {
        self.0.grow(0);
    }

    /// The entries beside one, read without a lock. `None` if they change all the time.
    pub fn read(&self, entry: u64) -> Option<Vec<u64>> {
        let mut entries = self.0.read(entry, |bucket, header| {
            let mut entries = Vec::new();
            self.0.visit(bucket, header, |_, entry| {
                entries.extend((entry != 0).then_some(entry));
            });
            entries
        })?;
        entries.sort_unstable();
        Some(entries)
    }

    /// Overflow buckets in use.
    pub fn overflow(&self) -> usize {
        self.0.overflow.taken()
    }
}
