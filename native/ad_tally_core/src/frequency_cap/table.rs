//! The events of pairs in one tier: buckets by hash, in which a pair has as many entries as its events need.

use super::entry::{self, Format, TICKS, WORDS};
use super::seen::Seen;
use crate::bucket::population::Population;
use crate::bucket::{Bucket, Buckets, Header};

/// Entries that a bucket is meant to hold at capacity, in 64ths: 4.5 of 7, so that a bucket in eleven has overflowed, with one
/// pair in eight of all; 1.9 of the 3 of a strict one.
const ENTRIES_AT_CAPACITY: usize = 288;
const STRICT_ENTRIES_AT_CAPACITY: usize = 120;
/// Overflow buckets beside the buckets, of 64.
const OVERFLOW: usize = 16;
const LEAST_OVERFLOW: usize = 64;

/// Tiers of ticks at most.
pub(super) const MOST_TIERS: usize = 3;

/// The pairs of one tier.
pub(super) struct Table {
    pub(super) buckets: Buckets<Format>,
    pub(super) population: Population,
    /// Milliseconds of a tick.
    pub(super) granularity: u64,
    /// How many ticks more than a rule counts a bucket can tell apart.
    pub(super) spare: u64,
    /// What `end` is set ahead of the newest event, in ticks: as long a bucket need not be looked through for old ones.
    pub(super) ahead: u64,
}

/// Buckets of a table before any split.
pub(super) const fn first_buckets(format: Format, capacity: usize) -> usize {
    let at_capacity = if matches!(format, Format::Strict) { STRICT_ENTRIES_AT_CAPACITY } else { ENTRIES_AT_CAPACITY };
    (capacity * 64).div_ceil(at_capacity)
}

impl Table {
    /// A table for so many pairs, and as many more as splits allow up to the most. `[granularity, spare, ahead]` as in the
    /// fields; `Err` is how many bytes the system did not give.
    pub(super) fn new(
        format: Format,
        (capacity, max_capacity): (usize, usize),
        [granularity, spare, ahead]: [u64; 3],
    ) -> Result<Self, usize> {
        let first = first_buckets(format, capacity);
        let most_level = max_capacity.div_ceil(capacity).next_power_of_two().trailing_zeros();
        let overflow = ((first << most_level) * OVERFLOW / 64).max(LEAST_OVERFLOW);
        let buckets = Buckets::new(format, first, most_level, overflow)?;
        Ok(Self { buckets, population: Population::new(capacity, max_capacity), granularity, spare, ahead })
    }

    #[inline(always)]
    pub(super) fn format(&self) -> Format {
        self.buckets.content
    }

    #[inline(always)]
    pub(super) fn seen(&self, bucket: &Bucket<WORDS>, header: Header, hash: u64) -> Seen {
        let mut seen = Seen::new(end(header));
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
        });
        seen
    }
}

/// A bucket's end: the last tick that a tick in it can be.
#[inline(always)]
pub(super) fn end(header: Header) -> u64 {
    header.policy()
}
