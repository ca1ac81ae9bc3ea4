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
                let age = end_remainder + 1 + if tick > end_remainder + 1 { TICKS } else { 0 } - tick;
                return Some(age as u16);
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
pub(super) fn without_older(content: u64, ticks: u32, end_remainder: u64, oldest: u64) -> u64 {
    (0..ticks).fold(content, |left, at| {
        let tick = content & TICK_MASK << (at * TICK_BITS);
        let is_old = ages(tick >> (at * TICK_BITS), end_remainder).any(|age| u64::from(age) > oldest);
        if is_old { left & !tick } else { left }
    })
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
