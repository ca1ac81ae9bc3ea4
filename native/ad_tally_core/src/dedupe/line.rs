//! One cache line of ids: a header of 32 bits, which is its lock, and fifteen entries of 32 bits, or seven of 64.
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
        let free = self.0[0].load(Relaxed) & !LOCKED;
        if self.0[0].compare_exchange(free, free | LOCKED, Acquire, Relaxed).is_err() {
            self.lock_contended();
        }
        Held(self)
    }

    #[cold]
    fn lock_contended(&self) {
        let mut looks = 0;
        loop {
            let now = self.0[0].load(Relaxed);
            if now & LOCKED == 0 && self.0[0].compare_exchange(now, now | LOCKED, Acquire, Relaxed).is_ok() {
                return;
            }
            wait(&mut looks);
        }
    }

    /// The overflow line it goes on in. Of a line that the caller has.
    #[inline(always)]
    pub(super) fn link(&self) -> Option<u32> {
        let header = self.0[0].load(Relaxed);
        (header & LINKED != 0).then_some((header & HEADER_MASK) as u32 >> NUMBER_SHIFT)
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
        (self.0[0].load(Relaxed) & SWEPT_MASK) >> SWEPT_SHIFT
    }

    /// Notes that it was looked through in a generation. Of a line that the caller has.
    pub(super) fn set_swept(&self, generation: u64) {
        let word = self.0[0].load(Relaxed);
        self.0[0].store(word & !SWEPT_MASK | generation << SWEPT_SHIFT, Relaxed);
    }
}

impl<'t> Held<'t> {
    pub(super) fn line(&self) -> &'t Line {
        self.0
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let word = self.0.0[0].load(Relaxed);
        self.0.0[0].store(word & !LOCKED, Release);
    }
}

/// How entries lie in a line that the caller has.
pub(super) trait Format {
    /// Entries of a line.
    const ENTRIES: usize;
    /// Entries of a line that a table is laid out for, in tenths.
    const MEANT: usize;
    /// Overflow lines beside a hundred lines.
    const OVERFLOW: usize;

    /// The part of an id's hash that its entry carries, where it lies there.
    fn fingerprint(hash: u64) -> u64;

    /// The entry at a place.
    fn get(line: &Line, at: usize) -> u64;

    /// Sets the entry at a place.
    fn set(line: &Line, at: usize, entry: u64);

    /// Whether any entry has a fingerprint.
    fn has(line: &Line, fingerprint: u64) -> bool;

    /// The first place without an entry.
    fn free(line: &Line) -> Option<usize>;
}

const ENTRY_MASK: u64 = !((1 << GENERATION_BITS) - 1);

/// Entries of 32 bits: 29 of a fingerprint.
pub(super) struct Narrow;

impl Format for Narrow {
    const ENTRIES: usize = 2 * WORDS - 1;
    const MEANT: usize = 105;
    const OVERFLOW: usize = 12;

    #[inline(always)]
    fn fingerprint(hash: u64) -> u64 {
        never_zero(hash & ENTRY_MASK & HEADER_MASK)
    }

    #[inline(always)]
    fn get(line: &Line, at: usize) -> u64 {
        line.0[at.div_ceil(2)].load(Relaxed) >> half(at) & HEADER_MASK
    }

    #[inline(always)]
    fn set(line: &Line, at: usize, entry: u64) {
        let word = &line.0[at.div_ceil(2)];
        word.store(word.load(Relaxed) & !(HEADER_MASK << half(at)) | entry << half(at), Relaxed);
    }

    #[inline(always)]
    fn has(line: &Line, fingerprint: u64) -> bool {
        // The header is compared as well, as if it had no fingerprint.
        let header = line.0[0].load(Relaxed) & !HEADER_MASK;
        let others = (1..WORDS).map(|at| line.0[at].load(Relaxed));
        // Of a half that is equal only the generation is left, and taking a bit above that from it borrows into its top.
        let found = [header].into_iter().chain(others).fold(0, |found, word| {
            let differences = (word ^ (fingerprint * EACH)) & ((ENTRY_MASK & HEADER_MASK) * EACH);
            found | differences.wrapping_sub(EACH << GENERATION_BITS) & !differences
        });
        found & EACH << 31 != 0
    }

    #[inline(always)]
    fn free(line: &Line) -> Option<usize> {
        if line.0[0].load(Relaxed) >> 32 == 0 {
            return Some(0);
        }
        (1..WORDS).find_map(|at| {
            let word = line.0[at].load(Relaxed);
            // Only of a half that is zero the top bit is borrowed: an entry is 8 at least.
            let free = word.wrapping_sub(EACH) & !word & EACH << 31;
            (free != 0).then(|| 2 * at - 1 + (free.trailing_zeros() / 32) as usize)
        })
    }
}

/// A one in both halves of a word.
const EACH: u64 = 1 << 32 | 1;

/// By how much the entry at a place is shifted in its word.
#[inline(always)]
fn half(at: usize) -> u32 {
    32 * ((at as u32 + 1) % 2)
}

/// Entries of 64 bits: 61 of a fingerprint.
pub(super) struct Wide;

impl Format for Wide {
    const ENTRIES: usize = WORDS - 1;
    const MEANT: usize = 45;
    const OVERFLOW: usize = 18;

    #[inline(always)]
    fn fingerprint(hash: u64) -> u64 {
        never_zero(hash & ENTRY_MASK)
    }

    #[inline(always)]
    fn get(line: &Line, at: usize) -> u64 {
        line.0[at + 1].load(Relaxed)
    }

    #[inline(always)]
    fn set(line: &Line, at: usize, entry: u64) {
        line.0[at + 1].store(entry, Relaxed);
    }

    #[inline(always)]
    fn has(line: &Line, fingerprint: u64) -> bool {
        (1..WORDS).any(|at| line.0[at].load(Relaxed) & ENTRY_MASK == fingerprint)
    }

    #[inline(always)]
    fn free(line: &Line) -> Option<usize> {
        (1..WORDS).find(|at| line.0[*at].load(Relaxed) == 0).map(|at| at - 1)
    }
}

#[inline(always)]
fn never_zero(fingerprint: u64) -> u64 {
    if fingerprint == 0 { 1 << GENERATION_BITS } else { fingerprint }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn line() -> Line {
        Line(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// An entry is found where it was put, whatever lies beside it, the header too.
    fn finds_what_is_there<F: Format>(fingerprints: &[u64]) {
        for filled in 0..=F::ENTRIES {
            for fingerprint in fingerprints {
                for at in 0..F::ENTRIES {
                    let line = line();
                    line.set_link(Some(u32::MAX >> NUMBER_SHIFT));
                    line.set_swept(7);
                    let other = |at: usize| F::fingerprint((at as u64 + 1) << 20) | 7;
                    (0..filled).for_each(|place| F::set(&line, place, other(place)));
                    assert_eq!(F::free(&line), (filled < F::ENTRIES).then_some(filled));
                    assert!(!F::has(&line, *fingerprint), "{fingerprint:x} is not there");
                    F::set(&line, at, fingerprint | 5);
                    assert!(F::has(&line, *fingerprint), "{fingerprint:x} is at {at}");
                    assert_eq!(F::get(&line, at), fingerprint | 5);
                    let free = (0..F::ENTRIES).find(|place| F::get(&line, *place) == 0);
                    assert_eq!(F::free(&line), free);
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
        assert_eq!([Narrow::fingerprint(7), Wide::fingerprint(0)], [8, 8]);
    }
}
