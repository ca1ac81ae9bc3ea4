//! What the words of a line hold: the last events of some pairs.
//!
//! ```text
//! ticks, a word a slot      bits 48..64  fingerprint    bits 0..48   four ticks of 12 bits
//! strict, two words a slot  word 0       fingerprint    bits 0..60   five ticks of 12 bits
//! count, a word a slot      bits 16..64  fingerprint    bits 0..16   a count
//!
//! tick   0 none, else 1 + the event's tick modulo 4095
//! ```
//!
//! A tick of a line is one of the 4095 up to the line's `end`, so the remainder tells which. It is read as its age, how many
//! ticks it lies before `end`. A slot without ticks, or with a count of 0, is empty.

use super::line::{Line, WORDS};

/// How many ticks a line can tell apart.
pub(super) const TICKS: u64 = 4_095;
const TICK_BITS: u32 = 12;
const TICK_MASK: u64 = (1 << TICK_BITS) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Ticks,
    Strict,
    Count,
}

/// A slot as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) fingerprint: u64,
    /// Ticks or a count, 0 in an empty slot.
    pub(super) content: u64,
}

impl Format {
    /// Slots of a line.
    #[inline(always)]
    pub(super) fn slots(self, linked: bool) -> usize {
        match self {
            Self::Ticks | Self::Count => WORDS - usize::from(linked),
            Self::Strict => WORDS / 2,
        }
    }

    /// Ticks of a slot.
    #[inline(always)]
    pub(super) fn ticks(self) -> u32 {
        if self == Self::Strict { 5 } else { 4 }
    }

    /// The part of a pair's hash that its slots carry.
    #[inline(always)]
    pub(super) fn fingerprint(self, hash: u64) -> u64 {
        match self {
            Self::Ticks => hash & 0xffff,
            Self::Strict => hash,
            Self::Count => hash & 0xffff_ffff_ffff,
        }
    }

    #[inline(always)]
    pub(super) fn get(self, line: &Line, slot: usize) -> Slot {
        match self {
            Self::Ticks => split(line.word(slot), 48),
            Self::Count => split(line.word(slot), 16),
            Self::Strict => Slot { fingerprint: line.word(2 * slot), content: line.word(2 * slot + 1) },
        }
    }

    /// Sets a slot; without content it is empty.
    #[inline(always)]
    pub(super) fn set(self, line: &Line, slot: usize, value: Slot) {
        let fingerprint = if value.content == 0 { 0 } else { value.fingerprint };
        match self {
            Self::Ticks => line.set_word(slot, fingerprint << 48 | value.content),
            Self::Count => line.set_word(slot, fingerprint << 16 | value.content),
            Self::Strict => {
                line.set_word(2 * slot, fingerprint);
                line.set_word(2 * slot + 1, value.content);
            }
        }
    }
}

#[inline(always)]
fn split(word: u64, shift: u32) -> Slot {
    Slot { fingerprint: word >> shift, content: word & ((1 << shift) - 1) }
}

/// A tick as it is kept.
#[inline(always)]
pub(super) fn kept(tick: u64) -> u64 {
    tick % TICKS + 1
}

/// The ages of a slot's ticks, given `end` modulo [`TICKS`].
#[inline(always)]
pub(super) fn ages(mut content: u64, end_remainder: u64) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        while content != 0 {
            let tick = content & TICK_MASK;
            content >>= TICK_BITS;
            if tick != 0 {
                return Some(age(tick, end_remainder) as u16);
            }
        }
        None
    })
}

/// The content with one more tick, if there is room for it.
#[inline(always)]
pub(super) fn with(content: u64, ticks: u32, kept: u64) -> Option<u64> {
    let free = (0..ticks).find(|at| content >> (at * TICK_BITS) & TICK_MASK == 0)?;
    Some(content | kept << (free * TICK_BITS))
}

/// The content without one of its ticks, if that is there.
pub(super) fn without(content: u64, ticks: u32, kept: u64) -> Option<u64> {
    let at = (0..ticks).find(|at| content >> (at * TICK_BITS) & TICK_MASK == kept)?;
    Some(content & !(TICK_MASK << (at * TICK_BITS)))
}

/// The content without ticks older than an age.
#[inline(always)]
pub(super) fn without_older(content: u64, ticks: u32, end_remainder: u64, oldest: u64) -> u64 {
    let mut left = content;
    for at in 0..ticks {
        let tick = content >> (at * TICK_BITS) & TICK_MASK;
        if tick != 0 && age(tick, end_remainder) > oldest {
            left &= !(TICK_MASK << (at * TICK_BITS));
        }
    }
    left
}

/// The ages of a slot's ticks, all at once.
#[inline(always)]
pub(super) fn lanes(content: u64, end_remainder: u64) -> Lanes {
    let spread = |at: u32| content << (4 * at) & TICK_MASK << (16 * at);
    let ticks = spread(0) | spread(1) | spread(2) | spread(3);
    // The top bit of a lane stays where the difference is not negative.
    let differences = ((EACH * (end_remainder + 1)) | GUARDS) - ticks;
    let negative = !differences & GUARDS;
    // A negative one is 2^15 too large beside a whole round of ticks too little.
    let ages = (differences & !GUARDS) - (negative >> 15) * (0x8000 - TICKS);
    let empty = !((ticks | GUARDS) - EACH) & GUARDS;
    Lanes(ages | ((empty >> 15) * NONE))
}

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

/// How many ticks before the end a kept tick lies.
#[inline(always)]
fn age(kept: u64, end_remainder: u64) -> u64 {
    end_remainder + 1 + if kept > end_remainder + 1 { TICKS } else { 0 } - kept
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_kept_tick_has_the_age_it_was_kept_at() {
        for end in [0, 1, 4_093, 4_094, 4_095, 4_096, 6_000_123, (1 << 38) - 1] {
            for age in [0, 1, 2, 77, 4_000, 4_093, 4_094] {
                if age <= end {
                    let content = with(0, 4, kept(end - age)).unwrap();
                    assert_eq!(ages(content, end % TICKS).collect::<Vec<_>>(), [age as u16], "{age} before {end}");
                    let lanes = lanes(content, end % TICKS);
                    assert_eq!(lanes.each().collect::<Vec<_>>(), [age], "{age} before {end}");
                    assert_eq!(
                        [lanes.within(age, age), lanes.within(0, 4_094), lanes.within(age + 1, 4_095)],
                        [1, 1, 0]
                    );
                    let full = [0, 1, 2]
                        .iter()
                        .fold(content, |content, more| with(content, 4, kept((end + 4_095 - more) % 4_095)).unwrap());
                    assert_eq!(super::lanes(full, end % TICKS).each().count(), 4);
                    assert_eq!(super::lanes(full, end % TICKS).within(0, 2), 3 + usize::from(age <= 2));
                }
            }
        }
    }

    #[test]
    fn a_slot_has_room_for_its_ticks_and_loses_the_old_ones() {
        let end = 10_000;
        let content =
            [10_000, 9_990, 9_000, 7_000].iter().fold(0, |content, tick| with(content, 4, kept(*tick)).unwrap());
        assert_eq!(with(content, 4, kept(1)), None);
        assert_eq!(ages(content, end % TICKS).collect::<Vec<_>>(), [0, 10, 1_000, 3_000]);
        let younger = without_older(content, 4, end % TICKS, 10);
        assert_eq!(ages(younger, end % TICKS).collect::<Vec<_>>(), [0, 10]);
        assert_eq!(without(younger, 4, kept(9_990)), Some(kept(10_000)));
        assert_eq!(without(younger, 4, kept(9_000)), None);
    }
}
