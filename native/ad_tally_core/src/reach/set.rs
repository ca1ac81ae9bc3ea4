//! A set of coupons that one thread at a time adds to while others look coupons up without a lock.
//!
//! ```text
//! set   2^n cache lines, at most seven eighths of the slots taken
//! line  16 slots of 32 bits: coupons from the front, zeros behind
//! ```
//!
//! A coupon is in the line that its hash names, or where that was full in the next one with room. A line is compared at once,
//! so a look-up of a user who is new, which most are in a set that grows, waits for one line and mispredicts no branch.

use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;

use crate::bucket::simd::match_u32;
use crate::sketch::Coupon;
use crate::sync::AtomicU64;
use crate::sync::prefetch::fetch;

/// Not by the coupon's own bits, which choose registers, nor by any known function: coupons come from outside. And not by the
/// bits that [`crate::sketch::Coupons`] uses, or a set that is filled in the order of another one would be full in front first.
static HASH: LazyLock<ahash::RandomState> = LazyLock::new(ahash::RandomState::new);

/// Words of a line.
const WORDS: usize = 8;
/// Slots of a line that are taken on average at most.
const FILLED: usize = 14;

#[derive(Clone, Copy)]
pub(super) struct Set<'a>(&'a [[AtomicU64; WORDS]]);

/// What came of looking a coupon up.
pub(super) enum Lookup<'a> {
    Found,
    /// It is not there, and belongs there.
    Free(Slot<'a>),
    /// There is no place for it: the lines are part of something else by now.
    Full,
}

/// A place for a coupon: one half of a word.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    word: &'a AtomicU64,
    shift: u32,
}

impl<'a> Slot<'a> {
    pub(super) fn new(word: &'a AtomicU64, half: usize) -> Self {
        Self { word, shift: 32 * half as u32 }
    }

    /// Puts a coupon there. The caller has the lock.
    pub(super) fn fill(self, coupon: Coupon) {
        self.word.store(self.word.load(Relaxed) | u64::from(coupon.word()) << self.shift, Relaxed);
    }
}

impl<'a> Set<'a> {
    /// # Safety
    /// So many lines, a power of two, are at the address during `'a`, and changed by their atomics only.
    pub(super) unsafe fn at(address: usize, lines: usize) -> Self {
        // SAFETY: this function's contract.
        Self(unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), lines) })
    }

    /// Coupons that so many lines have room for.
    pub(super) fn room(lines: usize) -> usize {
        lines * FILLED
    }

    pub(super) fn lines(self) -> usize {
        self.0.len()
    }

    fn first_line(self, coupon: Coupon) -> usize {
        (HASH.hash_one(coupon.word()) >> 32) as usize & (self.0.len() - 1)
    }

    /// Asks for the line where a coupon belongs, to be looked up soon.
    #[inline(always)]
    pub(super) fn prefetch(self, coupon: Coupon) {
        fetch(&self.0[self.first_line(coupon)]);
    }

    pub(super) fn look_up(self, coupon: Coupon) -> Lookup<'a> {
        let (before, from) = self.0.split_at(self.first_line(coupon));
        for line in from.iter().chain(before) {
            let words = line.each_ref().map(|word| word.load(Relaxed));
            if match_u32(&words, u32::MAX, coupon.word()) != 0 {
                return Lookup::Found;
            }
            let free = match_u32(&words, u32::MAX, 0);
            if free != 0 {
                let slot = free.trailing_zeros() as usize;
                return Lookup::Free(Slot::new(&line[slot / 2], slot % 2));
            }
        }
        Lookup::Full
    }

    /// Puts a coupon into a set that nobody else knows yet, and that has room.
    pub(super) fn insert(self, coupon: Coupon) {
        if let Lookup::Free(slot) = self.look_up(coupon) {
            slot.fill(coupon);
        }
    }

    /// All of them, in no particular order.
    pub(super) fn coupons(self) -> impl Iterator<Item = Coupon> {
        let words = self.0.iter().flatten().map(|word| word.load(Relaxed));
        words.flat_map(|word| [word as u32, (word >> 32) as u32]).filter_map(Coupon::from_word)
    }
}
