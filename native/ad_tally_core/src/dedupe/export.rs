//! Ids that leave a table and come into another one, which may have other buckets.
//!
//! Of a narrow id a table knows its bucket and 28 bits that do not depend on that: its hash lies in the interval
//! [bucket / buckets, (bucket + 1) / buckets) of all hashes. A table of as many buckets puts it into the same one. Another one puts
//! it into each bucket whose interval meets that one: into one that is larger by a factor `f`, some `f` to `f + 1` times. Of `f`
//! times as many buckets, each then has as many entries as one of the smaller table, or up to twice as many where `f` is little
//! more than 1, a third of whose room is in overflow buckets. These are forgotten with the window as all others are, and the ids
//! that come meanwhile are put into one bucket each: a table that is laid out for more ids than come has room for both. If not,
//! the oldest ones are forgotten early, which is counted. That an id is told apart by 28 bits of as many entries as before holds
//! as well. Of a wide id all of the hash is known that its bucket depends on: it has one entry in any table.

use super::entry::{Format, NARROW_END};
use super::generations::{REMEMBERED, age, entry, newer};
use super::table::Table;
use crate::bucket::Content;

/// How many times as many buckets a table may have as one that narrow ids come from.
const MOST_GROWTH: u64 = 256;

/// An id that leaves a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportedId {
    /// The number of its bucket, below the table's buckets.
    pub bucket: u64,
    /// The bits that it is told apart by.
    pub fingerprint: u64,
    /// The generation in which it last came: times are divided by a quarter of the window, rounded up.
    pub generation: u64,
}

impl<const WIDE: bool> Table<WIDE> {
    pub(super) fn export(&self, from: u64, most: u64, mut take: impl FnMut(ExportedId)) -> Option<u64> {
        let mut entries = Vec::new();
        let (end, all) = (from.saturating_add(most), self.buckets.in_use() as u64);
        for bucket in from..end.min(all) {
            let generation = {
                let (chain, generation) = self.lock(bucket as usize);
                chain.visit(|_, entry| entries.push(entry));
                generation
            };
            entries.drain(..).filter(|entry| *entry != 0).for_each(|of| {
                let age = age(of, generation);
                take(ExportedId { bucket, fingerprint: of - entry(0, of), generation: generation.saturating_sub(age) });
            });
        }
        (end < all).then_some(end)
    }

    pub(super) fn accepts(&self, id: &ExportedId, buckets: u64) -> bool {
        let ExportedId { bucket, fingerprint, generation } = *id;
        let is_of_bucket = match Format::<WIDE>::hash(fingerprint) {
            Some(hash) => place(hash, buckets) == bucket,
            None => self.buckets.in_use() as u64 <= buckets.saturating_mul(MOST_GROWTH),
        };
        bucket < buckets
            && is_of_bucket
            && Format::<WIDE>::fingerprint(fingerprint) == fingerprint
            && self.generations.is_time(generation)
    }

    /// `note` is told of a hash that stands for the id in each bucket that it is put into, and its generation.
    pub(super) fn import(&self, id: &ExportedId, buckets: u64, now: &impl Fn() -> u64, mut note: impl FnMut(u64, u64)) {
        self.generations.reach(self.generations.begin(id.generation), now);
        let own = self.buckets.in_use() as u64;
        let (first, last) = match Format::<WIDE>::hash(id.fingerprint) {
            Some(hash) => (place(hash, own), place(hash, own)),
            None => meeting(id.bucket, buckets, own),
        };
        for bucket in first..=last {
            if let Some(generation) = self.put(bucket as usize, id.fingerprint, id.generation) {
                note(hash_of::<WIDE>(bucket, own, id.fingerprint), generation);
            }
        }
    }

    /// Remembers an id that was seen in a generation, or as far as that is ahead in the newest one: which. `None`, and it is not
    /// put there, if it is too old.
    pub(super) fn put(&self, bucket: usize, fingerprint: u64, generation: u64) -> Option<u64> {
        let (mut chain, newest) = self.lock(bucket);
        let generation = generation.min(newest);
        if newest - generation >= REMEMBERED {
            return None;
        }
        let own = entry(fingerprint, generation);
        match self.find(&chain, fingerprint) {
            Some((bucket, place)) => {
                let there = self.buckets.content.get(bucket, place);
                self.buckets.content.set(bucket, place, newer(there, own, newest));
            }
            None => self.append(&mut chain, own, newest),
        }
        Some(generation)
    }
}

/// A hash of one of so many buckets that has a fingerprint.
fn hash_of<const WIDE: bool>(bucket: u64, buckets: u64, fingerprint: u64) -> u64 {
    Format::<WIDE>::hash(fingerprint).unwrap_or_else(|| {
        // The bits of a fingerprint are below those that name a bucket, so the first hash from there on that has them is in it.
        let begin = (u128::from(bucket) << 64).div_ceil(u128::from(buckets)) as u64;
        let bits = fingerprint & ((1 << NARROW_END) - 1);
        (begin.div_ceil(1 << NARROW_END) << NARROW_END) | bits
    })
}

/// Which of so many buckets a hash belongs to.
fn place(hash: u64, buckets: u64) -> u64 {
    ((u128::from(hash) * u128::from(buckets)) >> 64) as u64
}

/// The first and the last one of `own` buckets that hashes of one of `buckets` may belong to.
fn meeting(bucket: u64, buckets: u64, own: u64) -> (u64, u64) {
    // The first hash of a bucket, which may be one past the last hash of all.
    let begin = |bucket: u64| (u128::from(bucket) << 64).div_ceil(u128::from(buckets));
    let place = |hash: u128| ((hash * u128::from(own)) >> 64) as u64;
    (place(begin(bucket)), place(begin(bucket + 1) - 1))
}
