//! What the words of a bucket hold: the last events of some pairs.
//!
//! ```text
//! ticks, a word an entry       bits 48..64  fingerprint    bits 0..48   four ticks of 12 bits
//! strict, two words an entry   word 0       fingerprint    bits 0..60   five ticks of 12 bits
//! count, a word an entry       bits 16..64  fingerprint    bits 0..16   a count
//!
//! tick   0 none, else 1 + the event's tick modulo 4095
//! ```
//!
//! A tick in a bucket is one of the 4095 up to the bucket's `end`, so the remainder tells which. It is read as its age, how many
//! ticks it lies before `end`. An entry without ticks, or with a count of 0, is empty.

use crate::bucket::{Bucket, Content};

/// Words of a bucket.
pub(super) const WORDS: usize = 7;
/// How many ticks a bucket can tell apart.
pub(super) const TICKS: u64 = 4_095;
/// Ticks of a horizon at most: a few are left for events to come.
#[cfg(not(loom))]
pub(super) const HORIZON_TICKS: u64 = 4_032;
pub(super) const TICK_BITS: u32 = 12;
pub(super) const TICK_MASK: u64 = (1 << TICK_BITS) - 1;
/// Below the fingerprint of an entry with ticks.
pub(super) const TICKS_BITS: u32 = 4 * TICK_BITS;
/// Below the fingerprint of an entry with a count.
const COUNT_BITS: u32 = 16;
/// The most that an entry counts.
pub(super) const MOST_COUNT: u64 = (1 << COUNT_BITS) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Ticks,
    Strict,
    Count,
}

/// An entry as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) fingerprint: u64,
    /// Ticks or a count, 0 in an empty entry.
    pub(super) value: u64,
}

impl Format {
    /// Ticks of an entry.
    #[inline(always)]
    pub(super) fn ticks(self) -> u32 {
        if self == Self::Strict { 5 } else { 4 }
    }

    /// Bits of a fingerprint.
    #[inline(always)]
    pub(super) const fn fingerprint_bits(self) -> u32 {
        match self {
            Self::Ticks => u64::BITS - TICKS_BITS,
            Self::Strict => u64::BITS,
            Self::Count => u64::BITS - COUNT_BITS,
        }
    }

    /// The part of a pair's hash that its entries carry.
    #[inline(always)]
    pub(super) fn fingerprint(self, hash: u64) -> u64 {
        hash & (u64::MAX >> (u64::BITS - self.fingerprint_bits()))
    }
}

impl Content<WORDS> for Format {
    type Entry = Entry;

    #[inline(always)]
    fn entries(self, is_linked: bool) -> usize {
        match self {
            Self::Ticks | Self::Count => WORDS - usize::from(is_linked),
            Self::Strict => WORDS / 2,
        }
    }

    #[inline(always)]
    fn get(self, bucket: &Bucket<WORDS>, at: usize) -> Entry {
        match self {
            Self::Ticks => split(bucket.word(at), TICKS_BITS),
            Self::Count => split(bucket.word(at), COUNT_BITS),
            Self::Strict => Entry { fingerprint: bucket.word(2 * at), value: bucket.word(2 * at + 1) },
        }
    }

    #[inline(always)]
    fn set(self, bucket: &Bucket<WORDS>, at: usize, entry: Entry) {
        let fingerprint = if entry.value == 0 { 0 } else { entry.fingerprint };
        match self {
            Self::Ticks => bucket.set_word(at, fingerprint << TICKS_BITS | entry.value),
            Self::Count => bucket.set_word(at, fingerprint << COUNT_BITS | entry.value),
            Self::Strict => {
                bucket.set_word(2 * at, fingerprint);
                bucket.set_word(2 * at + 1, entry.value);
            }
        }
    }

    #[inline(always)]
    fn low_bits(entry: &Entry) -> u64 {
        entry.fingerprint
    }
}

#[inline(always)]
fn split(word: u64, shift: u32) -> Entry {
    Entry { fingerprint: word >> shift, value: word & ((1 << shift) - 1) }
}

/// A tick as it is kept.
#[inline(always)]
pub(super) fn kept(tick: u64) -> u64 {
    tick % TICKS + 1
}

/// The ages of an entry's ticks, given `end` modulo [`TICKS`].
#[inline(always)]
pub(super) fn ages(mut value: u64, end_remainder: u64) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        while value != 0 {
            let tick = value & TICK_MASK;
            value >>= TICK_BITS;
            if tick != 0 {
                return Some(age(tick, end_remainder) as u16);
            }
        }
        None
    })
}

/// The value with one more tick, if there is room for it.
#[inline(always)]
pub(super) fn with(value: u64, ticks: u32, kept: u64) -> Option<u64> {
    let free = (0..ticks).find(|at| value >> (at * TICK_BITS) & TICK_MASK == 0)?;
    Some(value | kept << (free * TICK_BITS))
}

/// The value without one of its ticks, if that is there.
pub(super) fn without(value: u64, ticks: u32, kept: u64) -> Option<u64> {
    let at = (0..ticks).find(|at| value >> (at * TICK_BITS) & TICK_MASK == kept)?;
    Some(value & !(TICK_MASK << (at * TICK_BITS)))
}

/// The value without ticks older than an age.
#[inline(always)]
pub(super) fn without_older(value: u64, ticks: u32, end_remainder: u64, oldest: u64) -> u64 {
    let mut left = value;
    for at in 0..ticks {
        let tick = value >> (at * TICK_BITS) & TICK_MASK;
        if tick != 0 && age(tick, end_remainder) > oldest {
            left &= !(TICK_MASK << (at * TICK_BITS));
        }
    }
    left
}

/// How many ticks before the end a kept tick lies.
#[inline(always)]
fn age(kept: u64, end_remainder: u64) -> u64 {
    end_remainder + 1 + if kept > end_remainder + 1 { TICKS } else { 0 } - kept
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::ages::Lanes;
    use super::*;

    #[test]
    fn a_kept_tick_has_the_age_it_was_kept_at() {
        for end in [0, 1, 4_093, 4_094, 4_095, 4_096, 6_000_123, (1 << 38) - 1] {
            for age in [0, 1, 2, 77, 4_000, 4_093, 4_094] {
                if age <= end {
                    let value = with(0, 4, kept(end - age)).unwrap();
                    assert_eq!(ages(value, end % TICKS).collect::<Vec<_>>(), [age as u16], "{age} before {end}");
                    let lanes = Lanes::of(value, end % TICKS);
                    assert_eq!(lanes.each().collect::<Vec<_>>(), [age], "{age} before {end}");
                    assert_eq!(
                        [lanes.within(age, age), lanes.within(0, 4_094), lanes.within(age + 1, 4_095)],
                        [1, 1, 0]
                    );
                    let full = [0, 1, 2]
                        .iter()
                        .fold(value, |value, more| with(value, 4, kept((end + 4_095 - more) % 4_095)).unwrap());
                    assert_eq!(Lanes::of(full, end % TICKS).each().count(), 4);
                    assert_eq!(Lanes::of(full, end % TICKS).within(0, 2), 3 + usize::from(age <= 2));
                }
            }
        }
    }

    #[test]
    fn an_entry_has_room_for_its_ticks_and_loses_the_old_ones() {
        let end = 10_000;
        let value = [10_000, 9_990, 9_000, 7_000].iter().fold(0, |value, tick| with(value, 4, kept(*tick)).unwrap());
        assert_eq!(with(value, 4, kept(1)), None);
        assert_eq!(ages(value, end % TICKS).collect::<Vec<_>>(), [0, 10, 1_000, 3_000]);
        let younger = without_older(value, 4, end % TICKS, 10);
        assert_eq!(ages(younger, end % TICKS).collect::<Vec<_>>(), [0, 10]);
        assert_eq!(without(younger, 4, kept(9_990)), Some(kept(10_000)));
        assert_eq!(without(younger, 4, kept(9_000)), None);
    }
}
