//! From a key's hash to its row: an array of cache lines that is only ever added to.
//!
//! ```text
//! line, 64 bytes
//!   tags  8 x 16 bits   0: empty, else 0x8000 | 15 bits of the hash
//!   low   8 x 32 bits   the rows' addresses in words, 48 bits each
//!   high  8 x 16 bits
//! ```
//!
//! A key belongs to the line that the low bits of its hash name, or when that is full to the next one with room. All
//! tags of a line are compared in a dozen instructions without a branch: where in its line a key lies is as good as
//! random, and with one entry after the other a branch was mispredicted in two lookups of three (cachegrind, 10,000
//! keys).
//!
//! Readers take no lock. A writer (one at a time: it holds the shard's lock) publishes a row by storing its tag. An
//! array that has become too full is copied into one of twice the size; the old array stays until the table is
//! dropped, because readers may still be walking it. All old arrays together are smaller than the current one.

use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize};

/// Rows in a line.
const SLOTS: usize = 8;
/// The bits of the hash that make the tag. The line takes bits from 0 up, the shard bits from 63 down.
const TAG_SHIFT: u32 = 28;
/// Set in every tag, so that it differs from an empty one, and by more than one.
const TAKEN: u64 = 0x8000;
const TAG_BITS: usize = 16;
const TAGS_A_WORD: usize = 4;
/// One in each of a word's four tags.
const EACH: u64 = 0x0001_0001_0001_0001;

#[repr(align(64))]
pub(super) struct Line {
    tags: [AtomicU64; 2],
    low: [AtomicU32; SLOTS],
    high: [AtomicU16; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

/// The bits of an address that a word's alignment leaves zero.
const ALIGNMENT_BITS: u32 = 3;
/// Whether a row at this address can be named in a line. All systems give programs addresses of 47 or 48 bits unless they
/// ask for more.
pub(super) fn is_nameable(address: usize) -> bool {
    address >> (48 + ALIGNMENT_BITS) == 0
}

/// A shard's current array, in one word: the address, whose low six bits are free, with the binary logarithm of the
/// number of lines. 0 before the first key. One load gives both, and they always belong together.
pub(super) struct Index(AtomicUsize);

/// An array as a reader sees it.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    lines: &'a [Line],
}

/// An array's memory.
pub(super) struct Memory(Box<[Line]>);

impl Memory {
    /// An empty array of `count` lines, a power of two.
    pub(super) fn new(count: usize) -> Self {
        debug_assert!(count.is_power_of_two());
        Self((0..count).map(|_| Line::new()).collect())
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Line]>(&self.0)
    }

    pub(super) fn entries(&self) -> Entries<'_> {
        Entries { lines: &self.0 }
    }

    /// The entries, not bound to this borrow.
    ///
    /// # Safety
    /// The memory outlives `'a`.
    pub(super) unsafe fn entries_unbound<'a>(&self) -> Entries<'a> {
        let lines = ptr::from_ref::<[Line]>(&self.0);
        // SAFETY: the slice is boxed, so it stays where it is when `self` moves, and lives for 'a by the contract.
        Entries { lines: unsafe { &*lines } }
    }

    fn packed(&self) -> usize {
        let address = self.0.as_ptr().expose_provenance();
        debug_assert_eq!(address % align_of::<Line>(), 0);
        address | self.0.len().trailing_zeros() as usize
    }
}

impl Index {
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// The current array, if there is one.
    ///
    /// # Safety
    /// Every `Memory` that was published here is still alive, and so for `'a`.
    #[inline(always)]
    pub(super) unsafe fn entries<'a>(&self) -> Option<Entries<'a>> {
        let packed = self.0.load(Acquire);
        if packed == 0 {
            return None;
        }
        let mask = align_of::<Line>() - 1;
        let lines = ptr::with_exposed_provenance::<Line>(packed & !mask);
        // SAFETY: `packed` describes the boxed slice of a `Memory` that is alive, by this function's contract.
        Some(Entries { lines: unsafe { std::slice::from_raw_parts(lines, 1 << (packed & mask)) } })
    }

    /// Makes `memory` the current array. Entries that were placed in it before are seen with it.
    pub(super) fn publish(&self, memory: &Memory) {
        self.0.store(memory.packed(), Release);
    }
}

impl Line {
    fn new() -> Self {
        Self {
            tags: std::array::from_fn(|_| AtomicU64::new(0)),
            low: std::array::from_fn(|_| AtomicU32::new(0)),
            high: std::array::from_fn(|_| AtomicU16::new(0)),
        }
    }

    /// The slots that may have the tag, and whether the line is full.
    #[inline(always)]
    fn look(&self, tag: u64) -> (Slots, bool) {
        let [low, high] = [self.tags[0].load(Acquire), self.tags[1].load(Acquire)];
        // A tag that is equal is zero after the exclusive or, and only then does taking one from it borrow into its top
        // bit. (A tag just above an equal one may be shown as well if it differs in the lowest bit alone: the keys tell.)
        let equal = |tags: u64| {
            let difference = tags ^ (tag * EACH);
            difference.wrapping_sub(EACH) & !difference & (EACH << (TAG_BITS - 1))
        };
        (Slots(equal(low) >> 1 | equal(high)), high >> ((TAGS_A_WORD - 1) * TAG_BITS) != 0)
    }

    /// The row of a slot whose tag was seen.
    #[inline(always)]
    fn row(&self, slot: usize) -> Option<NonNull<AtomicU64>> {
        let (low, high) = (self.low[slot].load(Relaxed), self.high[slot].load(Relaxed));
        let address = (usize::from(high) << 32 | low as usize) << ALIGNMENT_BITS;
        NonNull::new(ptr::with_exposed_provenance_mut(address))
    }

    /// The first row with the hash's tag.
    #[inline(always)]
    pub(super) fn candidate(&self, hash: u64) -> Option<NonNull<AtomicU64>> {
        let (mut slots, _) = self.look(tag(hash));
        slots.next().and_then(|slot| self.row(slot))
    }

    /// Puts a row into the first empty slot, if there is one.
    fn put(&self, tag: u64, row: NonNull<AtomicU64>) -> bool {
        let Some(slot) = (0..SLOTS).find(|slot| self.row(*slot).is_none()) else { return false };
        let words = row.as_ptr().expose_provenance() >> ALIGNMENT_BITS;
        self.low[slot].store(words as u32, Relaxed);
        self.high[slot].store((words >> 32) as u16, Relaxed);
        let tags = &self.tags[slot / TAGS_A_WORD];
        tags.store(tags.load(Relaxed) | tag << (slot % TAGS_A_WORD * TAG_BITS), Release);
        true
    }
}

/// A set of slots, a bit each: bit 14 + 16 n for slot n, bit 15 + 16 n for slot 4 + n.
struct Slots(u64);

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(bit / TAG_BITS + bit % 2 * TAGS_A_WORD)
    }
}

impl<'a> Entries<'a> {
    /// How many slots there are.
    pub(super) fn len(self) -> usize {
        self.lines.len() * SLOTS
    }

    pub(super) fn lines(self) -> usize {
        self.lines.len()
    }

    #[inline(always)]
    fn line(self, at: usize) -> &'a Line {
        let at = at & (self.lines.len() - 1);
        // SAFETY: the number of lines is a power of two, so the masked number is below it.
        unsafe { self.lines.get_unchecked(at) }
    }

    /// The hash's line, which is asked for and may not be near yet.
    #[inline(always)]
    pub(super) fn fetch(self, hash: u64) -> &'a Line {
        let line = self.line(hash as usize);
        fetch(line);
        line
    }

    /// The first row with the hash's tag that is wanted.
    #[inline(always)]
    pub(super) fn find(self, hash: u64, is_wanted: impl Fn(NonNull<AtomicU64>) -> bool) -> Option<NonNull<AtomicU64>> {
        let mut at = hash as usize;
        loop {
            let line = self.line(at);
            let (slots, full) = line.look(tag(hash));
            for slot in slots {
                if let Some(row) = line.row(slot)
                    && is_wanted(row)
                {
                    return Some(row);
                }
            }
            if !full {
                return None;
            }
            at = at.wrapping_add(1);
        }
    }

    /// Puts a row that is complete into its line or the next one with room, visible from then on. There is one: the
    /// shard grows before an array is full.
    pub(super) fn place(self, hash: u64, row: NonNull<AtomicU64>) {
        let mut at = hash as usize;
        while !self.line(at).put(tag(hash), row) {
            at = at.wrapping_add(1);
        }
    }

    /// The row of slot `at` of all, if it is not empty.
    pub(super) fn row(self, at: usize) -> Option<NonNull<AtomicU64>> {
        let (line, slot) = (&self.lines[at / SLOTS], at % SLOTS);
        let tags = line.tags[slot / TAGS_A_WORD].load(Acquire);
        let taken = tags >> (slot % TAGS_A_WORD * TAG_BITS) & TAKEN != 0;
        if taken { line.row(slot) } else { None }
    }
}

#[inline(always)]
fn tag(hash: u64) -> u64 {
    hash >> TAG_SHIFT & (TAKEN - 1) | TAKEN
}

/// Asks for the cache line at an address, and does not wait for it.
#[inline(always)]
pub(crate) fn fetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that a program could see, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
