//! Interleavings in a bucket of two words with its chain, by loom.

use std::sync::Arc;

use loom::thread;

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
struct Model(Buckets<Words, 2>);

impl Model {
    /// One with these entries.
    fn new(entries: &[u64]) -> Self {
        let model = Self(Buckets::new(Words, 1, 1, 3).expect("memory"));
        entries.iter().for_each(|entry| model.insert(*entry));
        model
    }

    /// Inserts an entry, into one more overflow bucket if there is no room.
    fn insert(&self, entry: u64) {
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
    fn remove(&self, entry: u64) {
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
    fn grow(&self) {
        self.0.grow(0);
    }

    /// The entries beside one, read without a lock. `None` if they change all the time.
    fn read(&self, entry: u64) -> Option<Vec<u64>> {
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
    fn overflow(&self) -> usize {
        self.0.overflow.taken()
    }
}

fn check_bucket(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A full bucket's last entry moves to the overflow bucket: a reader sees it once all the same.
#[test]
fn a_reader_beside_an_insert_that_links_an_overflow_bucket_sees_every_entry_once() {
    check_bucket(|| {
        let bucket = Arc::new(Model::new(&[2, 4]));
        let other = bucket.clone();
        let other = thread::spawn(move || other.insert(6));
        let seen = bucket.read(2);
        assert!(seen.as_ref().is_none_or(|seen| seen == &[2, 4] || seen == &[2, 4, 6]), "{seen:?}");
        other.join().expect("no panic");
        assert_eq!(bucket.read(2), Some(vec![2, 4, 6]));
    });
}

#[test]
fn inserts_that_each_link_an_overflow_bucket_lose_nothing() {
    check_bucket(|| {
        let bucket = Arc::new(Model::new(&[2, 4, 6]));
        let others = [8, 10].map(|entry| {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.insert(entry))
        });
        others.into_iter().for_each(|other| other.join().expect("no panic"));
        assert_eq!((bucket.read(2), bucket.overflow()), (Some(vec![2, 4, 6, 8, 10]), 3));
    });
}

/// What is given back is used again at once, while a reader may still be on its way there.
#[test]
fn a_reader_beside_a_removal_that_gives_an_overflow_bucket_back_sees_one_moment() {
    check_bucket(|| {
        let bucket = Arc::new(Model::new(&[2, 4, 6]));
        let other = bucket.clone();
        let other = thread::spawn(move || {
            other.remove(4);
            other.insert(8);
        });
        let seen = bucket.read(2);
        let moments = [vec![2, 4, 6], vec![2, 6], vec![2, 6, 8]];
        assert!(seen.as_ref().is_none_or(|seen| moments.contains(seen)), "{seen:?}");
        other.join().expect("no panic");
        assert_eq!((bucket.read(2), bucket.overflow()), (Some(vec![2, 6, 8]), 1));
    });
}

#[test]
fn a_reader_beside_a_split_finds_every_entry_in_its_bucket() {
    check_bucket(|| {
        let bucket = Arc::new(Model::new(&[2, 3, 4]));
        let other = bucket.clone();
        let other = thread::spawn(move || {
            other.grow();
            other.insert(5);
        });
        for (entry, before, after) in [(3, vec![2, 3, 4], vec![3]), (2, vec![2, 3, 4], vec![2, 4])] {
            let seen = bucket.read(entry);
            let moments = [before, after, vec![3, 5]];
            assert!(seen.as_ref().is_none_or(|seen| moments.contains(seen) && seen.contains(&entry)), "{seen:?}");
        }
        other.join().expect("no panic");
        assert_eq!([bucket.read(2), bucket.read(3)], [Some(vec![2, 4]), Some(vec![3, 5])]);
    });
}
