//! Four ages of a pair's events at once, in the lanes of a word.

use super::entry::{TICK_MASK, TICKS};

/// Four ages of 15 bits, the top bit of each lane free: they are compared in a few instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes(u64);

const EACH: u64 = 0x0001_0001_0001_0001;
const GUARDS: u64 = EACH << 15;
/// Stands for no age, and is older than all.
const NONE: u64 = 0x7fff;

impl Lanes {
    /// No ages.
    pub(super) const EMPTY: Self = Self(EACH * NONE);

    /// The ages of the four ticks of an entry's value, given `end` modulo [`TICKS`].
    #[inline(always)]
    pub(super) fn of(value: u64, end_remainder: u64) -> Self {
        let spread = |at: u32| value << (4 * at) & TICK_MASK << (16 * at);
        let ticks = spread(0) | spread(1) | spread(2) | spread(3);
        // The top bit of a lane stays where the difference is not negative.
        let differences = ((EACH * (end_remainder + 1)) | GUARDS) - ticks;
        let negative = !differences & GUARDS;
        // A negative one is 2^15 too large beside a whole round of ticks too little.
        let ages = (differences & !GUARDS) - (negative >> 15) * (0x8000 - TICKS);
        let empty = !((ticks | GUARDS) - EACH) & GUARDS;
        Self(ages | ((empty >> 15) * NONE))
    }

    /// How many ages there are from `first` to `last`, which are below 2^15 - 1.
    #[inline(always)]
    pub(super) fn within(self, first: u64, last: u64) -> usize {
        let not_before = (self.0 | GUARDS) - EACH * first;
        let not_after = ((EACH * last) | GUARDS) - self.0;
        let both = (not_before & not_after & GUARDS) >> 15;
        (both.wrapping_mul(EACH) >> 48) as usize
    }

    /// The ages one by one.
    pub(super) fn each(self) -> impl Iterator<Item = u64> {
        (0..4).map(move |at| self.0 >> (16 * at) & NONE).filter(|age| *age != NONE)
    }

    /// The same with an age at a place.
    pub(super) fn with(self, at: usize, age: u64) -> Self {
        let shift = 16 * at;
        Self(self.0 & !(0xffff << shift) | age << shift)
    }

    /// The same, counted from a later end. What is too old then is no more.
    pub(super) fn later(self, by: u64) -> Self {
        let older = self.each().filter_map(|age| age.checked_add(by)).filter(|age| *age < TICKS);
        older.enumerate().fold(Self::EMPTY, |lanes, (at, age)| lanes.with(at, age))
    }
}

/// How many ages there are from `first` to `last`.
#[inline(always)]
pub(super) fn within(ages: &[Lanes], first: u64, last: u64) -> usize {
    let (first, last) = (first.min(TICKS), last.min(TICKS));
    let mut count = 0;
    for lanes in ages {
        count += lanes.within(first, last);
    }
    count
}

/// All ages one by one.
pub(super) fn each(ages: &[Lanes]) -> impl Iterator<Item = u64> {
    ages.iter().flat_map(|lanes| lanes.each())
}
