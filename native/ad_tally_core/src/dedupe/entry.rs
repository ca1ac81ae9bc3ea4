//! What a bucket keeps of an id: a fingerprint, and the generation in which the id last came, modulo 8.
//!
//! ```text
//! narrow   32 bits   bits 0..3   generation      bits 3..31   fingerprint      bit 31   1
//! wide     64 bits   bits 0..3   generation      bits 3..64   fingerprint, never 0
//! ```
//!
//! The highest bits of a hash name its bucket. A narrow fingerprint is of the lowest ones. A wide one is of all but three,
//! so an id's place in a table of any size can be told by it.

use crate::bucket::{self, Content, simd};

/// Words of a bucket beside its header, so that it takes two cache lines: of twice as many entries fewer are full by chance.
pub(super) const WORDS: usize = 15;
/// The most entries of a bucket.
pub(super) const MOST: usize = 2 * WORDS;
pub(super) type Bucket = bucket::Bucket<WORDS>;

/// Below an entry's fingerprint.
pub(super) const GENERATION_BITS: u32 = 3;
const FINGERPRINT_MASK: u64 = !0 << GENERATION_BITS;

/// What an id's bucket depends on: the bits of its hash that a wide fingerprint has.
#[inline(always)]
pub(super) fn known(hash: u64) -> u64 {
    hash & FINGERPRINT_MASK
}

/// How entries lie in a bucket, which are looked for by their fingerprints.
pub(super) trait Format: Content<WORDS, Entry = u64> {
    /// Itself, which has no fields.
    const NEW: Self;
    /// Entries of a bucket that a table is laid out for, in tenths.
    const LOAD: usize;
    /// Overflow buckets beside a hundred buckets.
    const OVERFLOW: usize;

    /// The part of an id's hash that its entry has, where it lies there.
    fn fingerprint(hash: u64) -> u64;

    /// The places of the entries that have a fingerprint, as bits, and of those that are empty for a fingerprint of 0.
    fn find(words: &[u64; WORDS], fingerprint: u64) -> u32;

    /// Sets all entries of a bucket that is not linked, of which these are the first.
    fn fill(bucket: &Bucket, entries: &[u64; MOST]);

    /// The hash of a fingerprint, where that has all of it that its bucket depends on.
    fn hash(fingerprint: u64) -> Option<u64>;
}

/// Entries of 28 bits of an id.
#[derive(Clone, Copy)]
pub(super) struct Narrow;

/// Entries of 61 bits of an id.
#[derive(Clone, Copy)]
pub(super) struct Wide;

/// Where the bits of a narrow fingerprint end.
pub(super) const NARROW_END: u32 = 31;
const TAKEN: u64 = 1 << NARROW_END;

impl Content<WORDS> for Narrow {
    type Entry = u64;

    #[inline(always)]
    fn entries(self, is_linked: bool) -> usize {
        2 * (WORDS - usize::from(is_linked))
    }

    #[inline(always)]
    fn get(self, bucket: &Bucket, at: usize) -> u64 {
        bucket.word(at / 2) >> (at % 2 * 32) & 0xffff_ffff
    }

    #[inline(always)]
    fn set(self, bucket: &Bucket, at: usize, entry: u64) {
        let shift = at % 2 * 32;
        let other = bucket.word(at / 2) & !(0xffff_ffff << shift);
        bucket.set_word(at / 2, other | entry << shift);
    }
}

impl Format for Narrow {
    const NEW: Self = Self;
    const LOAD: usize = 250;
    const OVERFLOW: usize = 30;

    #[inline(always)]
    fn fingerprint(hash: u64) -> u64 {
        hash & FINGERPRINT_MASK & (TAKEN - 1) | TAKEN
    }

    #[inline(always)]
    fn find(words: &[u64; WORDS], fingerprint: u64) -> u32 {
        simd::match_u32(words, FINGERPRINT_MASK as u32, fingerprint as u32)
    }

    fn fill(bucket: &Bucket, entries: &[u64; MOST]) {
        (0..WORDS).for_each(|at| bucket.set_word(at, entries[2 * at] | entries[2 * at + 1] << 32));
    }

    fn hash(_: u64) -> Option<u64> {
        None
    }
}

impl Content<WORDS> for Wide {
    type Entry = u64;

    #[inline(always)]
    fn entries(self, is_linked: bool) -> usize {
        WORDS - usize::from(is_linked)
    }

    #[inline(always)]
    fn get(self, bucket: &Bucket, at: usize) -> u64 {
        bucket.word(at)
    }

    #[inline(always)]
    fn set(self, bucket: &Bucket, at: usize, entry: u64) {
        bucket.set_word(at, entry);
    }
}

impl Format for Wide {
    const NEW: Self = Self;
    const LOAD: usize = 110;
    const OVERFLOW: usize = 25;

    #[inline(always)]
    fn fingerprint(hash: u64) -> u64 {
        let bits = hash & FINGERPRINT_MASK;
        if bits == 0 { 1 << GENERATION_BITS } else { bits }
    }

    #[inline(always)]
    fn find(words: &[u64; WORDS], fingerprint: u64) -> u32 {
        let is_equal = |at: usize| words[at] & FINGERPRINT_MASK == fingerprint;
        (0..WORDS).fold(0, |places, at| places | u32::from(is_equal(at)) << at)
    }

    fn fill(bucket: &Bucket, entries: &[u64; MOST]) {
        (0..WORDS).for_each(|at| bucket.set_word(at, entries[at]));
    }

    fn hash(fingerprint: u64) -> Option<u64> {
        Some(fingerprint)
    }
}
