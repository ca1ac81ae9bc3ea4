//! Growth by splitting one bucket after the other: linear hashing (Litwin, "Linear hashing: a new tool for file and table
//! addressing", 1980), with a level in every bucket as in its distributed form (LH*: Litwin, Neimat, Schneider 1993) instead of
//! one split pointer.
//!
//! The memory for as many buckets as there may ever be is reserved at once and not used until it is touched. To grow is to
//! allow one more level: bucket `i` of `first * 2^k` gives those of its entries whose hash has bit `k` to bucket
//! `i + first * 2^k`, when it is next locked for one of them. So no call ever moves more than a bucket or two, and an insert
//! never waits for growth. The entries of a bucket that has not come into being yet (of level 0, and not among the first) are
//! still in that which it will be split from. Whoever has locked a bucket makes sure that it is still the one: it may have been
//! split meanwhile.

use std::sync::atomic::Ordering::Relaxed;

use super::buckets::{Buckets, Content};
use super::chain::Chain;
use super::line::{Bucket, Header};
use crate::sync::wait;

impl<C: Content<WORDS>, const WORDS: usize> Buckets<C, WORDS> {
    /// Allows one level more than `level`, unless that was done already or there is none.
    pub(crate) fn grow(&self, level: u32) {
        if level < self.most_level {
            let (now, next) = (u64::from(level), u64::from(level + 1));
            let _ = self.level.compare_exchange(now, next, Relaxed, Relaxed);
        }
    }

    /// Allows so many levels that there are `buckets` of them, or as many as there can be.
    #[cfg(not(loom))]
    pub(crate) fn grow_to(&self, buckets: u64) {
        while self.first << self.level() < buckets && self.level() < self.most_level {
            self.grow(self.level());
        }
    }

    /// Where a hash belongs among buckets of that level.
    #[inline(always)]
    pub(crate) fn place(&self, hash: u64, level: u32) -> usize {
        let among_first = (u128::from(hash) * u128::from(self.first)) >> 64;
        if level == 0 {
            return among_first as usize;
        }
        // The lowest bits: the highest ones choose among the first.
        let split = hash & ((1 << level) - 1);
        among_first as usize + (self.first * split) as usize
    }

    /// The number of a hash's bucket, at this moment.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> usize {
        let level = self.level();
        let at = self.place(hash, level);
        if level > 0 { self.find_born(at) } else { at }
    }

    fn find_born(&self, mut at: usize) -> usize {
        while at as u64 >= self.first && self.bucket(at).peek().level() == 0 {
            // The one it will be split from.
            let power = at as u64 / self.first;
            at -= (self.first << power.ilog2()) as usize;
        }
        at
    }

    /// Whether a bucket is that of a hash, by what its header says.
    #[inline(always)]
    pub(crate) fn is_place_of(&self, at: usize, header: Header, hash: u64) -> bool {
        header.level() == 0 || self.place(hash, header.level()) == at
    }

    /// Locks the bucket of a hash, and splits it before if it is its turn.
    #[inline(always)]
    pub(crate) fn lock(&self, hash: u64) -> Chain<'_, C, WORDS> {
        loop {
            self.split_for(hash);
            if let Some(chain) = self.lock_at(self.find(hash), hash) {
                return chain;
            }
        }
    }

    /// Locks a bucket if it is that of a hash.
    #[inline(always)]
    pub(crate) fn lock_at(&self, at: usize, hash: u64) -> Option<Chain<'_, C, WORDS>> {
        let chain = self.lock_bucket(at);
        self.is_place_of(at, chain.header, hash).then_some(chain)
    }

    /// Reads the bucket of a hash without a lock: `read` may see words of different moments, and what it makes of them is
    /// dropped then and it is asked again. `None` if that went on for too long.
    #[inline(always)]
    pub(crate) fn read<'t, R>(&'t self, hash: u64, mut read: impl FnMut(&'t Bucket<WORDS>, Header) -> R) -> Option<R> {
        const MOST_READS: u32 = 1_000;
        let mut reads = 0;
        while reads < MOST_READS {
            let at = self.find(hash);
            let bucket = self.bucket(at);
            if let Some(header) = bucket.begin_read().filter(|header| self.is_place_of(at, *header, hash)) {
                let seen = read(bucket, header);
                if bucket.end_read(header) {
                    return Some(seen);
                }
            }
            wait(&mut reads);
        }
        None
    }

    /// Brings the bucket of a hash into being, and splits it as often as is allowed.
    #[inline(always)]
    pub(crate) fn split_for(&self, hash: u64) {
        let allowed = self.level();
        if allowed > 0 && self.bucket(self.place(hash, allowed)).peek().level() < allowed {
            self.split_each(self.place(hash, allowed), allowed);
        }
    }

    /// Locks the buckets of one place among those of a level, one after the other: its own one, and those that this was split
    /// into since. The same entries belong there at any time, whatever is split meanwhile, and each is visited exactly once:
    /// the first lock is held until the last bucket was visited.
    pub(crate) fn visit_place(&self, at: usize, level: u32, mut visit: impl FnMut(&mut Chain<'_, C, WORDS>)) {
        self.split_each(at, level);
        self.visit_family(at, level, &mut visit);
    }

    fn visit_family(&self, at: usize, level: u32, visit: &mut impl FnMut(&mut Chain<'_, C, WORDS>)) {
        let mut chain = self.lock_bucket(at);
        visit(&mut chain);
        for split in level..chain.header.level() {
            self.visit_family(at + ((self.first as usize) << split), split + 1, visit);
        }
    }

    /// Locks the buckets from number `from` on, as many as `most`, one after the other, each with all splits done that are
    /// allowed: the number to go on with, if there are more. Buckets that are split meanwhile give entries only to buckets
    /// of higher numbers, so none is left out.
    pub(crate) fn sweep(&self, from: usize, most: usize, mut visit: impl FnMut(Chain<'_, C, WORDS>)) -> Option<usize> {
        let (level, buckets) = (self.level(), self.in_use());
        let end = from.saturating_add(most).min(buckets);
        for at in from..end {
            self.split_each(at, level);
            visit(self.lock_bucket(at));
        }
        (end < buckets).then_some(end)
    }

    /// Brings the bucket of a place of that level into being, and splits it as often.
    #[cold]
    fn split_each(&self, at: usize, allowed: u32) {
        for level in 0..allowed {
            let mut chain = self.lock_bucket(at % ((self.first as usize) << level));
            if chain.header.level() == level {
                chain.split();
            }
        }
    }
}
