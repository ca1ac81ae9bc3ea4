//! One cache line of ids: a header of 32 bits, which is its lock, and fifteen entries of 32 bits, or seven of 64. What homes of
//! narrow ids have instead of entries is in `home`.
//!
//! ```text
//! word 0, low half    bit 0        locked
//!                     bit 1        linked: what does not fit goes on in an overflow line
//!                     bits 2..5    the generation in which it was last looked through for old entries
//!                     bits 5..32   the number of the overflow line
//! word 0, high half   narrow: an entry             wide: nothing
//! words 1..8          narrow: two entries each     wide: an entry each
//!
//! entry   bits 0..3   generation       above   fingerprint, never 0       zero: empty
//! ```

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::bucket::simd;
use crate::memory::ZeroIsEmpty;
use crate::sync::{AtomicU64, wait};

const WORDS: usize = 8;
const LOCKED: u64 = 1;
const LINKED: u64 = 1 << 1;
const SWEPT_SHIFT: u32 = 2;
const SWEPT_MASK: u64 = ((1 << GENERATION_BITS) - 1) << SWEPT_SHIFT;
const NUMBER_SHIFT: u32 = SWEPT_SHIFT + GENERATION_BITS;
/// The most overflow lines that there are numbers for.
pub(super) const MOST_NUMBERS: usize = 1 << (32 - NUMBER_SHIFT);
const HEADER_MASK: u64 = 0xffff_ffff;
pub(super) const GENERATION_BITS: u32 = 3;

/// A line as it lies in memory. Zeros are an empty one.
#[repr(C, align(64))]
pub(super) struct Line([AtomicU64; WORDS]);

// SAFETY: atomics that are zero are an unlocked line without entries.
unsafe impl ZeroIsEmpty for Line {
    #[cfg(any(loom, not(unix)))]
    fn empty() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// A line whose lock is held until this is dropped. Overflow lines belong to who has the line they begin at.
pub(super) struct Held<'t>(&'t Line);

impl Line {
    /// Waits for the lock.
    #[inline(always)]
    pub(super) fn lock(&self) -> Held<'_> {
        self.lock_with_header().0
    }

    /// Waits for the lock: what the header is then.
    #[inline(always)]
    pub(super) fn lock_with_header(&self) -> (Held<'_>, u64) {
        let free = self.0[0].load(Relaxed) & !LOCKED;
        let header = match self.0[0].compare_exchange(free, free | LOCKED, Acquire, Relaxed) {
            // Not what the instruction returns, which is the same: so others need not wait for it.
            Ok(_) => free,
            Err(_) => self.lock_contended(),
        };
        (Held(self), header | LOCKED)
    }

    #[cold]
    fn lock_contended(&self) -> u64 {
        let mut looks = 0;
        loop {
            let now = self.0[0].load(Relaxed);
            if now & LOCKED == 0 && self.0[0].compare_exchange(now, now | LOCKED, Acquire, Relaxed).is_ok() {
                return now;
            }
            wait(&mut looks);
        }
    }

    /// A word of it. Of a line that the caller has.
    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        &self.0[at]
    }

    /// Its bytes, the lowest one of word 0 first where numbers lie so. Of a line that the caller has, and not those of word 0:
    /// only that is looked at by others.
    #[inline(always)]
    pub(super) fn bytes<const COUNT: usize>(&self, from: usize) -> [u8; COUNT] {
        assert!(from >= size_of::<u64>() && from + COUNT <= size_of::<Self>());
        #[cfg(not(loom))]
        // SAFETY: it is within the line. Whoever writes there has the line, as the caller has.
        unsafe {
            self.0.as_ptr().cast::<[u8; COUNT]>().byte_add(from).read()
        }
        #[cfg(loom)]
        std::array::from_fn(|at| self.0[(from + at) / 8].load(Relaxed).to_ne_bytes()[(from + at) % 8])
    }

    /// Sets one of them. Of a line that the caller has.
    #[inline(always)]
    pub(super) fn set_byte(&self, at: usize, to: u8) {
        assert!(at >= size_of::<u64>() && at < size_of::<Self>());
        #[cfg(not(loom))]
        // SAFETY: as in `bytes`. It lies within an atomic, which may be written to by who shares it.
        unsafe {
            self.0.as_ptr().cast::<u8>().cast_mut().add(at).write(to);
        }
        #[cfg(loom)]
        {
            let mut bytes = self.0[at / 8].load(Relaxed).to_ne_bytes();
            bytes[at % 8] = to;
            self.0[at / 8].store(u64::from_ne_bytes(bytes), Relaxed);
        }
    }

    /// The overflow line it goes on in. Of a line that the caller has.
    #[inline(always)]
    pub(super) fn link(&self) -> Option<u32> {
        link_in(self.0[0].load(Relaxed))
    }

    /// Has it go on in another one, or in none. Of a line that the caller has.
    pub(super) fn set_link(&self, number: Option<u32>) {
        let word = self.0[0].load(Relaxed);
        let link = number.map_or(0, |number| LINKED | u64::from(number) << NUMBER_SHIFT);
        self.0[0].store(word & (!HEADER_MASK | LOCKED | SWEPT_MASK) | link, Relaxed);
    }

    /// The generation in which it was last looked through. Of a line that the caller has.
    #[inline(always)]
    pub(super) fn swept(&self) -> u64 {
        swept_in(self.0[0].load(Relaxed))
    }

    /// Notes that it was looked through in a generation. Of a line that the caller has.
    pub(super) fn set_swept(&self, generation: u64) {
        self.0[0].store(with_swept(self.0[0].load(Relaxed), generation), Relaxed);
    }
}

/// The overflow line that a header names.
#[inline(always)]
pub(super) fn link_in(header: u64) -> Option<u32> {
    (header & LINKED != 0).then_some((header & HEADER_MASK) as u32 >> NUMBER_SHIFT)
}

/// The generation in a header.
#[inline(always)]
pub(super) fn swept_in(header: u64) -> u64 {
    (header & SWEPT_MASK) >> SWEPT_SHIFT
}

/// A header with another generation.
#[inline(always)]
pub(super) fn with_swept(header: u64, generation: u64) -> u64 {
    header & !SWEPT_MASK | generation << SWEPT_SHIFT
}

impl<'t> Held<'t> {
    #[inline(always)]
    pub(super) fn line(&self) -> &'t Line {
        self.0
    }

    /// Lets go of a line, with another header.
    #[inline(always)]
    pub(super) fn release(self, header: u64) {
        self.0.0[0].store(header & !LOCKED, Release);
        std::mem::forget(self);
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let word = self.0.0[0].load(Relaxed);
        self.0.0[0].store(word & !LOCKED, Release);
    }
}

#[cfg(all(test, not(loom)))]
impl Line {
    /// One of those words.
    pub(super) fn of(words: Words) -> Self {
        Self(words.map(AtomicU64::new))
    }
}

impl Line {
    /// A copy of all that is in it.
    #[inline(always)]
    pub(super) fn words(&self) -> Words {
        std::array::from_fn(|at| self.0[at].load(Relaxed))
    }
}

/// What is in a line.
pub(super) type Words = [u64; WORDS];

/// How entries lie in a line that the caller has. Their places are counted from 1: where 0 would be is the header.
pub(super) trait Format {
    /// Entries of a line.
    const ENTRIES: usize;

    /// The part of an id's hash that its entry carries, where it lies there.
    fn fingerprint(hash: u64) -> u64;

    /// The entry at a place.
    fn get(line: &Line, at: usize) -> u64;

    /// Sets the entry at a place.
    fn set(line: &Line, at: usize, entry: u64);

    /// Whether any entry has a fingerprint.
    fn has(words: &Words, fingerprint: u64) -> bool;

    /// The first place without an entry.
    fn free(words: &Words) -> Option<usize>;
}

/// Which generations are remembered: how many from an oldest one on, modulo 8.
#[derive(Clone, Copy)]
pub(super) struct Live {
    oldest: u32,
    count: u32,
}

impl Live {
    /// `count` generations from `oldest` on.
    #[inline(always)]
    pub(super) fn new(oldest: u64, count: u64) -> Self {
        Self { oldest: oldest as u32, count: count as u32 }
    }

    /// Whether an entry of that generation is one.
    #[inline(always)]
    fn has_generation(self, generation: u32) -> bool {
        generation.wrapping_sub(self.oldest) & GENERATION_MASK < self.count
    }

    /// Whether it is an entry that is remembered.
    #[inline(always)]
    pub(super) fn has(self, entry: u64) -> bool {
        entry != 0 && self.has_generation(entry as u32)
    }
}

const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;
const ENTRY_MASK: u64 = !(GENERATION_MASK as u64);

/// The places of a line's entries.
pub(super) fn places<F: Format>() -> impl Iterator<Item = usize> {
    1..=F::ENTRIES
}

/// Entries of 32 bits: 28 of a fingerprint, of which four are never all 0. All that a home tells ids apart by, and nothing
/// else: two that look alike there do so in overflow lines, too. Only those have these entries: a home is a ring.
pub(super) struct Narrow;

const NARROW_MASK: u64 = ((1 << 28) - 1) << GENERATION_BITS;
/// The bits that a home keeps as marks (`home`).
const NEVER_ZERO: u64 = 0xf << MARK_SHIFT;
const ONE: u64 = 1 << MARK_SHIFT;
pub(super) const MARK_SHIFT: u32 = GENERATION_BITS + 16;

impl Format for Narrow {
    const ENTRIES: usize = 2 * WORDS - 1;

    #[inline(always)]
    fn fingerprint(hash: u64) -> u64 {
        let bits = hash & NARROW_MASK;
        if bits & NEVER_ZERO == 0 { bits | ONE } else { bits }
    }

    #[inline(always)]
    fn get(line: &Line, at: usize) -> u64 {
        line.0[at / 2].load(Relaxed) >> half(at) & HEADER_MASK
    }

    #[inline(always)]
    fn set(line: &Line, at: usize, entry: u64) {
        let word = &line.0[at / 2];
        word.store(word.load(Relaxed) & !(HEADER_MASK << half(at)) | entry << half(at), Relaxed);
    }

    #[inline(always)]
    fn has(words: &Words, fingerprint: u64) -> bool {
        simd::match_u32(words, ENTRY_MASK as u32, fingerprint as u32) & ENTRIES != 0
    }

    #[inline(always)]
    fn free(words: &Words) -> Option<usize> {
        let empty = simd::match_u32(words, u32::MAX, 0) & ENTRIES;
        (empty != 0).then(|| empty.trailing_zeros() as usize)
    }
}

/// The places of narrow entries, as bits.
const ENTRIES: u32 = ((1 << (2 * WORDS)) - 1) & !1;

/// By how much the entry at a place is shifted in its word.
#[inline(always)]
fn half(at: usize) -> u32 {
    32 * (at as u32 % 2)
}

/// Entries of 64 bits: 61 of a fingerprint.
pub(super) struct Wide;

impl Format for Wide {
    const ENTRIES: usize = WORDS - 1;

    #[inline(always)]
    fn fingerprint(hash: u64) -> u64 {
        let bits = hash & ENTRY_MASK;
        if bits == 0 { 1 << GENERATION_BITS } else { bits }
    }

    #[inline(always)]
    fn get(line: &Line, at: usize) -> u64 {
        line.0[at].load(Relaxed)
    }

    #[inline(always)]
    fn set(line: &Line, at: usize, entry: u64) {
        line.0[at].store(entry, Relaxed);
    }

    #[inline(always)]
    fn has(words: &Words, fingerprint: u64) -> bool {
        words[1..].iter().fold(false, |found, entry| found | (entry & ENTRY_MASK == fingerprint))
    }

    #[inline(always)]
    fn free(words: &Words) -> Option<usize> {
        let empty = (1..WORDS).fold(0_u32, |empty, at| empty | u32::from(words[at] == 0) << at);
        (empty != 0).then(|| empty.trailing_zeros() as usize)
    }
}

impl Wide {
    /// Entries of a line that a table is laid out for, in tenths.
    pub(super) const MEANT: usize = 45;
    /// Overflow lines beside a hundred lines.
    pub(super) const OVERFLOW: usize = 18;

    /// Removes the entries that are too old.
    #[inline(always)]
    pub(super) fn sweep(line: &Line, live: Live) {
        for (word, entry) in line.0.iter().zip(line.words()).skip(1) {
            word.store(if live.has_generation(entry as u32) { entry } else { 0 }, Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::of([0; WORDS])
    }

    /// An entry is found where it was put, whatever lies beside it, the header too.
    fn finds_what_is_there<F: Format>(fingerprints: &[u64]) {
        for filled in 0..=F::ENTRIES {
            for fingerprint in fingerprints {
                for at in places::<F>() {
                    let line = line();
                    line.set_link(Some(u32::MAX >> NUMBER_SHIFT));
                    line.set_swept(7);
                    let other = |at: usize| F::fingerprint((at as u64) << 20) | 7;
                    places::<F>().take(filled).for_each(|place| F::set(&line, place, other(place)));
                    assert_eq!(F::free(&line.words()), (filled < F::ENTRIES).then_some(filled + 1));
                    assert!(!F::has(&line.words(), *fingerprint), "{fingerprint:x} is not there");
                    F::set(&line, at, fingerprint | 5);
                    assert!(F::has(&line.words(), *fingerprint), "{fingerprint:x} is at {at}");
                    assert_eq!(F::get(&line, at), fingerprint | 5);
                    let free = places::<F>().find(|place| F::get(&line, *place) == 0);
                    assert_eq!(F::free(&line.words()), free);
                    assert_eq!((line.link(), line.swept()), (Some(u32::MAX >> NUMBER_SHIFT), 7));
                }
            }
        }
    }

    #[test]
    fn an_entry_is_found_where_it_was_put() {
        let narrow = [8, 16, 0x7fff_fff8, 0x8000_0000, 0x8000_0008, 0xffff_fff8, 0xfff0_0000];
        finds_what_is_there::<Narrow>(&narrow.map(Narrow::fingerprint));
        let wide = [8, 1 << 31, 1 << 32, 1 << 63, u64::MAX, 0xffff_fff8];
        finds_what_is_there::<Wide>(&wide.map(Wide::fingerprint));
        assert_eq!([Narrow::fingerprint(7), Wide::fingerprint(0)], [ONE, 8]);
    }

    #[test]
    fn entries_that_are_too_old_are_swept_and_no_others() {
        let line = line();
        line.set_link(Some(u32::MAX >> NUMBER_SHIFT));
        line.set_swept(7);
        let entries: Vec<u64> = (1..=Wide::ENTRIES as u64).map(|at| (at << 40) | (at % 8)).collect();
        let put = || places::<Wide>().zip(&entries).for_each(|(at, entry)| Wide::set(&line, at, *entry));
        for (live, kept) in [(Live::new(3, 5), 3..8), (Live::new(1, 1), 1..2), (Live::new(0, 1), 8..8)] {
            put();
            Wide::sweep(&line, live);
            let expected = entries.iter().map(|entry| if kept.contains(&(entry % 8)) { *entry } else { 0 });
            assert!(places::<Wide>().map(|at| Wide::get(&line, at)).eq(expected), "{kept:?}");
            assert_eq!((line.link(), line.swept()), (Some(u32::MAX >> NUMBER_SHIFT), 7));
        }
    }
}
