//! Time in generations: quarters of the window. The present one and the four before it are remembered, so an id is remembered
//! for at least the window after it last came.

use std::sync::atomic::Ordering::Relaxed;

use super::entry::GENERATION_BITS;
use crate::error::TIMES;
use crate::sync::AtomicU64;

/// Generations of a window.
pub(super) const OF_A_WINDOW: u64 = 4;
/// Generations that are remembered: the present one has only begun.
pub(super) const REMEMBERED: u64 = OF_A_WINDOW + 1;
/// They are told apart in entries.
const GENERATIONS: u64 = 1 << GENERATION_BITS;
const _: () = assert!(REMEMBERED < GENERATIONS);

pub(super) struct Generations {
    window: u64,
    /// Milliseconds of a generation.
    length: u64,
    newest: AtomicU64,
}

impl Generations {
    pub(super) fn new(window: u64) -> Self {
        Self { window, length: Self::length_of(window), newest: AtomicU64::new(0) }
    }

    /// The newest one. To be read with a bucket's lock held: it is not older than that of any of its entries.
    #[inline(always)]
    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Relaxed)
    }

    /// Whether times can be of that generation.
    pub(super) fn is_time(&self, generation: u64) -> bool {
        generation <= (TIMES - 1) / self.length
    }

    /// Milliseconds of a generation.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The begin of a generation.
    pub(super) fn begin(&self, generation: u64) -> u64 {
        generation * self.length
    }

    /// The milliseconds of a generation in a window of so many.
    pub(super) const fn length_of(window: u64) -> u64 {
        window.div_ceil(OF_A_WINDOW)
    }

    /// Moves on to a generation that was believed before.
    pub(super) fn resume(&self, generation: u64) {
        self.newest.fetch_max(generation, Relaxed);
    }

    /// Moves on to the generation of a time, unless that is more than a window past the system's: one time that is wrong must
    /// not have all ids forgotten. Whether it was not.
    #[inline(always)]
    pub(super) fn reach(&self, at: u64, now: &impl Fn() -> u64) -> bool {
        // Without a division, for nearly all times.
        at < self.begin(self.newest() + 1) || self.advance(at, now)
    }

    #[cold]
    fn advance(&self, at: u64, now: &impl Fn() -> u64) -> bool {
        let is_believed = at <= now().saturating_add(self.window);
        if is_believed {
            self.newest.fetch_max(at / self.length, Relaxed);
        }
        is_believed
    }
}

/// How many generations before one an entry last came.
#[inline(always)]
pub(super) fn age(entry: u64, generation: u64) -> u64 {
    generation.wrapping_sub(entry) % GENERATIONS
}

/// Whether an entry is still remembered, of a bucket that was last swept that many generations ago and had none then that was
/// not. By then its age is known: counted from now, one of eight generations would look like none.
#[inline(always)]
pub(super) fn is_live(entry: u64, generation: u64, unswept: u64) -> bool {
    unswept < REMEMBERED && unswept + age(entry, generation.wrapping_sub(unswept)) < REMEMBERED
}

/// The one of two entries that came later, before or in a generation.
pub(super) fn newer(one: u64, other: u64, generation: u64) -> u64 {
    if age(one, generation) <= age(other, generation) { one } else { other }
}

/// An entry of a fingerprint.
#[inline(always)]
pub(super) fn entry(fingerprint: u64, generation: u64) -> u64 {
    fingerprint | (generation % GENERATIONS)
}
