//! The events of pairs in one tier: buckets by hash, in which a pair has as many entries as its events need.

use super::entry::{self, Format, TICKS, WORDS};
use super::locked::LockedBucket;
use super::seen::Seen;
use crate::bucket::population::Population;
use crate::bucket::{Bucket, Buckets, Content, Header};

/// Entries that a bucket is meant to hold at capacity, in 64ths: 4.5 of 7, so that a bucket in eleven has overflowed, with one
/// pair in eight of all; 1.9 of the 3 of a strict one.
const ENTRIES_AT_CAPACITY: usize = 288;
const STRICT_ENTRIES_AT_CAPACITY: usize = 120;
/// Overflow buckets beside the buckets, of 64.
const OVERFLOW: usize = 16;
const LEAST_OVERFLOW: usize = 64;

pub(super) struct Table {
    pub(super) buckets: Buckets<Format>,
    pub(super) population: Population,
    /// What `end` is set ahead of the newest event, in ticks: as long a bucket need not be looked through for old ones.
    pub(super) ahead: u64,
}

/// A table's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub(super) pairs: usize,
    pub(super) entries: usize,
    pub(super) overflow_buckets: usize,
    /// Entries that there is room for beside overflow buckets.
    pub(super) places: usize,
    pub(super) level: u32,
    pub(super) bytes: usize,
    pub(super) huge_bytes: Option<usize>,
}

impl Table {
    /// A table for so many pairs, and as many more as splits allow up to the most. `ahead` as in the field; `Err` is how many
    /// bytes the system did not give.
    pub(super) fn new(format: Format, capacity: usize, max_capacity: usize, ahead: u64) -> Result<Self, usize> {
        let at_capacity = if format == Format::Strict { STRICT_ENTRIES_AT_CAPACITY } else { ENTRIES_AT_CAPACITY };
        let first = (capacity * 64).div_ceil(at_capacity).max(1);
        let most_level = max_capacity.div_ceil(capacity).next_power_of_two().trailing_zeros();
        let overflow = ((first << most_level) * OVERFLOW / 64).max(LEAST_OVERFLOW);
        let buckets = Buckets::new(format, first, most_level, overflow)?;
        Ok(Self { buckets, population: Population::new(capacity, max_capacity), ahead })
    }

    #[inline(always)]
    pub(super) fn format(&self) -> Format {
        self.buckets.content
    }

    /// Locks a pair's bucket.
    #[inline(always)]
    pub(super) fn lock(&self, hash: u64) -> LockedBucket<'_> {
        LockedBucket { table: self, chain: self.buckets.lock(hash) }
    }

    /// Locks a bucket if it is that of a pair.
    pub(super) fn lock_at(&self, at: usize, hash: u64) -> Option<LockedBucket<'_>> {
        Some(LockedBucket { table: self, chain: self.buckets.lock_at(at, hash)? })
    }

    /// Reads what a pair has without a lock, its ages as of `tick` or the bucket's end, whichever is later: that end too.
    /// `None` if the bucket changes all the time.
    #[inline(always)]
    pub(super) fn read(&self, hash: u64, tick: u64) -> Option<(Seen, u64)> {
        let seen = self.buckets.read(hash, |bucket, header| (self.seen(bucket, header, hash), end(header)));
        seen.map(|(mut seen, end)| {
            if tick > end {
                seen.later(tick - end);
            }
            (seen, end.max(tick))
        })
    }

    #[inline(always)]
    pub(super) fn seen(&self, bucket: &Bucket<WORDS>, header: Header, hash: u64) -> Seen {
        let mut seen = Seen::new();
        let format = self.format();
        let fingerprint = format.fingerprint(hash);
        let end = end(header) % TICKS;
        self.buckets.visit(bucket, header, |_, entry| {
            if entry.fingerprint == fingerprint && entry.value != 0 {
                if format == Format::Count {
                    seen.count += entry.value;
                } else {
                    entry::ages(entry.value, end).for_each(|age| seen.push(u64::from(age)));
                }
            }
            true
        });
        seen
    }

    /// Removes what is too old at a tick from buckets beginning at number `from`, as many as `most`: the number of the next
    /// one, if there is one, and how many entries became empty.
    pub(super) fn sweep(&self, from: usize, most: usize, tick: u64) -> (Option<usize>, usize) {
        let mut removed = 0;
        let next = self.buckets.sweep(from, most, |chain| {
            removed += LockedBucket { table: self, chain }.expire(tick);
        });
        (next, removed)
    }

    /// Its numbers now.
    pub(super) fn size(&self) -> Size {
        let (entries, pairs) = self.population.count();
        Size {
            pairs,
            entries,
            overflow_buckets: self.buckets.overflow_taken(),
            places: self.buckets.in_use() * self.format().entries(false),
            level: self.buckets.level(),
            bytes: self.buckets.bytes() + self.population.bytes(),
            huge_bytes: self.buckets.huge_bytes(),
        }
    }
}

/// A bucket's end: the last tick that a tick in it can be.
#[inline(always)]
pub(super) fn end(header: Header) -> u64 {
    header.policy()
}
