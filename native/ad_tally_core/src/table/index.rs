//! From a key's hash to its row: an array of cache lines that is only ever added to.
//!
//! ```text
//! line, 64 bytes
//!   tags     8 x 8 bits    of slots 0 to 6: 0 empty, else 0x80 | 7 bits of the hash. The last is always 0
//!   rows     7 x 64 bits   references, which have 8 more bits of the hash
//! ```
//!
//! A key belongs to the line that the low bits of its hash name, or when that is full to the next one with room. All
//! tags of a line are compared in six instructions without a branch: where in its line a key lies is as good as
//! random, and with one entry after the other a branch was mispredicted in two lookups of three (cachegrind, 10,000
//! keys). One lookup in twenty-five meets another key's tag, and nearly always the bits beside the address tell before
//! that key's row is asked for.
//!
//! Readers take no lock. A writer (one at a time: it holds the shard's lock) publishes a row by storing its tag.
//! An array that has become too full is copied into one of twice the size; the old array stays until the table is dropped,
//! because readers may still be walking it. All old arrays together are smaller than the current one.

use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::row_ref::RowRef;
use crate::key::bits;
use crate::sync::prefetch::fetch;
use crate::sync::{AtomicU64, AtomicUsize};

/// Rows in a line.
const SLOTS: usize = 7;
const TAG_BITS: usize = 8;
/// Set in every tag, so that it differs from an empty one.
const TAKEN: u64 = 0x80;
/// One in each tag.
const EACH: u64 = 0x0101_0101_0101_0101;

#[repr(align(64))]
pub(crate) struct Line {
    tags: AtomicU64,
    rows: [AtomicU64; SLOTS],
}

const _: () = assert!(size_of::<Line>() == 64);

/// Arrays that are named by one word begin where a cache line does, so the low bits of their addresses are free.
const FREE_BITS: usize = 64 - 1;

/// An array in one word: its address, with the binary logarithm of its length.
fn pack<T>(first: *const T, length: usize) -> usize {
    debug_assert!(length.is_power_of_two() && first.addr() & FREE_BITS == 0);
    first.expose_provenance() | length.trailing_zeros() as usize
}

/// # Safety
/// It is what [`pack`] has made of an array that is still there, and so for `'a`.
#[inline(always)]
unsafe fn unpack<'a, T>(packed: usize) -> &'a [T] {
    let first = ptr::with_exposed_provenance(packed & !FREE_BITS);
    // SAFETY: this function's contract.
    unsafe { std::slice::from_raw_parts(first, 1 << (packed & FREE_BITS)) }
}

/// A shard's current array, in one word. 0 before the first key. One load gives all of it, and that always belongs together.
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
        // SAFETY: it is the boxed slice of a `Memory` that is alive, by this function's contract.
        (packed != 0).then(|| Entries { lines: unsafe { unpack(packed) } })
    }

    /// Makes `memory` the current array. Entries that were placed in it before are seen with it.
    pub(super) fn publish(&self, memory: &Memory) {
        self.0.store(pack(memory.0.as_ptr(), memory.0.len()), Release);
    }
}

/// The indices of a table's shards, in one word.
pub(super) struct Directory(AtomicUsize);

/// Eight of them, which begin where a cache line does.
#[repr(align(64))]
pub(super) struct Indices([Index; INDICES]);

const INDICES: usize = 8;
const _: () = assert!(size_of::<Indices>() == INDICES * size_of::<Index>());

/// The indices of `count` shards, a power of two.
pub(super) fn indices(count: usize) -> Box<[Indices]> {
    debug_assert!(count.is_power_of_two());
    (0..count.div_ceil(INDICES)).map(|_| Indices([const { Index::new() }; INDICES])).collect()
}

impl Indices {
    /// One of those that lie in a row.
    pub(super) fn index(all: &[Self], at: usize) -> &Index {
        &all[at / INDICES].0[at % INDICES]
    }
}

impl Directory {
    /// Of the first `count` of these.
    pub(super) fn new(indices: &[Indices], count: usize) -> Self {
        Self(AtomicUsize::new(Self::packed(indices, count)))
    }

    fn packed(indices: &[Indices], count: usize) -> usize {
        debug_assert!(count <= indices.len() * INDICES);
        pack(indices.as_ptr().cast::<Index>(), count)
    }

    /// The indices as they are now.
    ///
    /// # Safety
    /// All that were published here are still alive, and so for `'a`.
    #[inline(always)]
    pub(super) unsafe fn indices<'a>(&self) -> &'a [Index] {
        // SAFETY: it is so many indices, which are alive by this function's contract.
        unsafe { unpack(self.0.load(Acquire)) }
    }

    /// Makes the first `count` of these the indices. What was placed in them before is seen with them.
    pub(super) fn publish(&self, indices: &[Indices], count: usize) {
        self.0.store(Self::packed(indices, count), Release);
    }
}

impl Line {
    fn new() -> Self {
        Self { tags: AtomicU64::new(0), rows: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The slots that may have the hash's tag, and whether the line is full.
    #[inline(always)]
    fn look(&self, hash: u64) -> (Slots, bool) {
        let tags = self.tags.load(Acquire);
        // A tag that is equal is zero after the exclusive or, and only then does taking one from it borrow into its top
        // bit. (A tag just above an equal one may be shown as well if it differs in the lowest bit alone.)
        let difference = tags ^ (tag(hash) * EACH);
        let equal = difference.wrapping_sub(EACH) & !difference & (TAKEN * EACH);
        (Slots(equal), tags >> ((SLOTS - 1) * TAG_BITS) != 0)
    }

    #[inline(always)]
    fn row(&self, slot: usize) -> Option<RowRef<'_>> {
        // SAFETY: a row is there as long as the index, and complete before its word is stored. Relaxed: that was before its
        // tag was.
        unsafe { RowRef::from_word(self.rows[slot].load(Relaxed)) }
    }

    /// The first row with the hash's tag and bits.
    #[inline(always)]
    pub(super) fn candidate(&self, hash: u64) -> Option<RowRef<'_>> {
        let (mut slots, _) = self.look(hash);
        slots.find_map(|slot| self.row(slot).filter(|row| row.may_have(hash)))
    }

    /// Puts a row into the first empty slot, if there is one.
    fn put(&self, hash: u64, row: NonNull<AtomicU64>) -> bool {
        let Some(slot) = (0..SLOTS).find(|slot| self.row(*slot).is_none()) else { return false };
        self.rows[slot].store(RowRef::new_word(hash, row), Relaxed);
        self.tags.store(self.tags.load(Relaxed) | tag(hash) << (slot * TAG_BITS), Release);
        true
    }
}

/// A set of slots: the top bit of each one's tag.
struct Slots(u64);

impl Iterator for Slots {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize / TAG_BITS;
        self.0 &= self.0 - 1;
        Some(slot)
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

    /// The first row with the hash's tag and bits that is wanted.
    #[inline(always)]
    pub(super) fn find(self, hash: u64, is_wanted: impl Fn(RowRef<'a>) -> bool) -> Option<RowRef<'a>> {
        let mut at = hash as usize;
        loop {
            let line = self.line(at);
            let (slots, full) = line.look(hash);
            for slot in slots {
                if let Some(row) = line.row(slot)
                    && row.may_have(hash)
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
        while !self.line(at).put(hash, row) {
            at = at.wrapping_add(1);
        }
    }

    /// The row in slot `at` of all, if it is not empty.
    pub(super) fn row(self, at: usize) -> Option<RowRef<'a>> {
        let (line, slot) = (&self.lines[at / SLOTS], at % SLOTS);
        let taken = line.tags.load(Acquire) >> (slot * TAG_BITS) & TAKEN != 0;
        if taken { line.row(slot) } else { None }
    }
}

#[inline(always)]
fn tag(hash: u64) -> u64 {
    hash >> bits::TAG & (TAKEN - 1) | TAKEN
}
