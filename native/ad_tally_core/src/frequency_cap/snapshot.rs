//! What a pair with one entry or none has, which is nearly every pair: read without a lock, and found without a branch for each
//! entry.
//!
//! Without it a denial takes 2.7 times as long, and `admissible` 6.1 times.

use super::ages::Lanes;
use super::entry::{Format, TICKS, TICKS_BITS, WORDS};
use super::table::{self, Table};
use crate::bucket::{Bucket, Header};

/// The ticks of a pair that has one entry or none, and the end of its bucket. Two words, so that they stay in registers.
#[derive(Clone, Copy)]
pub(super) struct PairSnapshot {
    value: u64,
    end: u64,
}

impl PairSnapshot {
    /// Whether it has no events, and none has been given up that a rule counts: buckets of the tier keep so many ticks more
    /// than a rule can count.
    #[inline(always)]
    pub(super) fn is_empty(self, tick: u64, spare: u64) -> bool {
        self.value == 0 && self.end <= tick + spare
    }

    /// The ages of its events as of a tick or the end, whichever is later: that one too.
    #[inline(always)]
    pub(super) fn ages(self, tick: u64) -> (Lanes, u64) {
        let lanes = Lanes::of(self.value, self.end % TICKS);
        if tick <= self.end { (lanes, self.end) } else { (lanes.later(tick - self.end), tick) }
    }
}

/// Stands for more entries or overflow buckets than a snapshot shows.
const NOT_ALL: u64 = u64::MAX;
/// A fingerprint that empty entries have too.
const LIKE_EMPTY: u64 = 0;

impl Table {
    /// What a pair has in its bucket, of a table of short fingerprints beside ticks. `None` if somebody changes the bucket, or
    /// if the pair may have more than one entry.
    #[inline(always)]
    pub(super) fn snapshot(&self, pair: u64, at: usize, bucket: &Bucket<WORDS>) -> Option<PairSnapshot> {
        let header = bucket.begin_read()?;
        let value = self.only_value(bucket, header, pair);
        let is_whole = value != NOT_ALL && bucket.end_read(header) && self.buckets.is_place_of(at, header, pair);
        is_whole.then_some(PairSnapshot { value, end: table::end(header) })
    }

    /// The value of a pair's only entry, 0 if it has none.
    #[inline(always)]
    fn only_value(&self, bucket: &Bucket<WORDS>, header: Header, pair: u64) -> u64 {
        let fingerprint = Format::Ticks.fingerprint(pair);
        let value = value_in(bucket, fingerprint);
        if fingerprint == LIKE_EMPTY || header.is_linked() {
            return self.only_value_further(bucket, value, fingerprint);
        }
        value
    }

    #[inline(never)]
    fn only_value_further(&self, bucket: &Bucket<WORDS>, value: u64, fingerprint: u64) -> u64 {
        let more = self.buckets.overflow_of(bucket).next().filter(|(_, is_linked)| !is_linked);
        match (value, more.map(|(more, _)| value_in(more, fingerprint))) {
            _ if fingerprint == LIKE_EMPTY => NOT_ALL,
            (0, Some(value)) | (value, Some(0)) => value,
            _ => NOT_ALL,
        }
    }
}

/// The value of the only entry of a bucket that has a fingerprint which no empty entry has: 0 if there is none. Neither has
/// the number of an overflow bucket.
#[inline(always)]
fn value_in(bucket: &Bucket<WORDS>, fingerprint: u64) -> u64 {
    let wanted = fingerprint << TICKS_BITS;
    let (mut value, mut entries) = (0, 0);
    for word in bucket.words() {
        // Without a branch: where in its bucket a pair has its entry is as good as random.
        let of_own = word ^ wanted;
        let is_own = of_own < 1 << TICKS_BITS;
        value |= if is_own { of_own } else { 0 };
        entries += u64::from(is_own);
    }
    if entries > 1 { NOT_ALL } else { value }
}
