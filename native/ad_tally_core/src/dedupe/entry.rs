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

/// Where the bits of a narrow fingerprint end.
pub(super) const NARROW_END: u32 = 31;
const TAKEN: u64 = 1 << NARROW_END;

/// How entries lie in a bucket, which are looked for by their fingerprints.
#[derive(Clone, Copy)]
pub(super) struct Format<const WIDE: bool>;

impl<const WIDE: bool> Format<WIDE> {
    /// Entries of a bucket that a table is laid out for, in tenths.
    pub(super) const LOAD: usize = if WIDE { 110 } else { 250 };
    /// Overflow buckets beside a hundred buckets.
    pub(super) const OVERFLOW: usize = if WIDE { 25 } else { 30 };
    /// Entries of a word.
    const OF_A_WORD: usize = if WIDE { 1 } else { 2 };
    const ENTRY_BITS: usize = 64 / Self::OF_A_WORD;
    const ENTRY_MASK: u64 = u64::MAX >> (64 - Self::ENTRY_BITS);

    /// The part of an id's hash that its entry has, where it lies there.
    #[inline(always)]
    pub(super) fn fingerprint(hash: u64) -> u64 {
        let bits = hash & FINGERPRINT_MASK;
        if !WIDE {
            bits & (TAKEN - 1) | TAKEN
        } else if bits == 0 {
            1 << GENERATION_BITS
        } else {
            bits
        }
    }

    /// The places of the entries that have a fingerprint, as bits, and of those that are empty for a fingerprint of 0.
    #[inline(always)]
    pub(super) fn find(words: &[u64; WORDS], fingerprint: u64) -> u32 {
        if !WIDE {
            return simd::match_u32(words, FINGERPRINT_MASK as u32, fingerprint as u32);
        }
        let is_equal = |at: usize| words[at] & FINGERPRINT_MASK == fingerprint;
        (0..WORDS).fold(0, |places, at| places | u32::from(is_equal(at)) << at)
    }

    /// Sets all entries of a bucket that is not linked, of which these are the first.
    pub(super) fn fill(bucket: &Bucket, entries: &[u64; MOST]) {
        for (at, of_word) in entries.chunks_exact(Self::OF_A_WORD).take(WORDS).enumerate() {
            bucket.set_word(at, of_word.iter().rfold(0, |word, entry| word << 32 | entry));
        }
    }

    /// The hash of a fingerprint, where that has all of it that its bucket depends on.
    pub(super) fn hash(fingerprint: u64) -> Option<u64> {
        WIDE.then_some(fingerprint)
    }

    /// The word of an entry, and how many bits of it lie below.
    #[inline(always)]
    fn place(at: usize) -> (usize, usize) {
        (at / Self::OF_A_WORD, at % Self::OF_A_WORD * Self::ENTRY_BITS)
    }
}

impl<const WIDE: bool> Content<WORDS> for Format<WIDE> {
    type Entry = u64;

    #[inline(always)]
    fn entries(self, is_linked: bool) -> usize {
        Self::OF_A_WORD * (WORDS - usize::from(is_linked))
    }

    #[inline(always)]
    fn get(self, bucket: &Bucket, at: usize) -> u64 {
        let (word, shift) = Self::place(at);
        bucket.word(word) >> shift & Self::ENTRY_MASK
    }

    #[inline(always)]
    fn set(self, bucket: &Bucket, at: usize, entry: u64) {
        let (word, shift) = Self::place(at);
        let other = if WIDE { 0 } else { bucket.word(word) & !(Self::ENTRY_MASK << shift) };
        bucket.set_word(word, other | entry << shift);
    }
}
