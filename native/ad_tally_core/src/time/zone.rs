//! A time zone, and the local day of a moment in it.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::day::{DAY, Day, LAST, LATEST, gcd};
use super::named::Named;
use super::unknown::UnknownZone;

/// A time zone: one of the IANA database, or a fixed offset from UTC.
#[derive(Clone, Copy)]
pub struct Zone(Of);

#[derive(Clone, Copy)]
enum Of {
    Fixed(i64),
    Named(&'static Named),
}

impl Zone {
    /// The zone of a name, such as `Europe/Berlin`. The system's database is asked first, that of `TZDIR` if this is set, then
    /// the bundled one. A zone is read once in a process, so that a day does not change while it is counted.
    ///
    /// # Errors
    /// Where no zone has exactly this name.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        Named::get(name).map(|zone| Self(Of::Named(zone))).ok_or_else(|| UnknownZone::new(name))
    }

    /// The zone of a name as the bundled database has it, whatever the system has.
    ///
    /// # Errors
    /// As [`Zone::named`].
    pub fn bundled(name: &str) -> Result<Self, UnknownZone> {
        Named::bundled(name).map(|zone| Self(Of::Named(zone))).ok_or_else(|| UnknownZone::new(name))
    }

    /// The zone of a name, if it was read before: without a look at the disk.
    #[must_use]
    pub fn known(name: &str) -> Option<Self> {
        Named::known(name).map(|zone| Self(Of::Named(zone)))
    }

    /// Where clocks are always that many milliseconds ahead of UTC. Offsets of a day or more are for whoever takes a zone to
    /// refuse: here their days only begin at strange times.
    #[must_use]
    pub const fn fixed(offset_ms: i64) -> Self {
        Self(Of::Fixed(offset_ms))
    }

    /// Its name, empty where the offset is fixed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Of::Fixed(_) => "",
            Of::Named(zone) => zone.name(),
        }
    }

    /// The offset, if it is fixed.
    #[must_use]
    pub fn fixed_offset(&self) -> Option<i64> {
        match self.0 {
            Of::Fixed(offset) => Some(offset),
            Of::Named(_) => None,
        }
    }

    /// The day of a moment.
    ///
    /// For each event: it takes no lock, and a day that was asked for before is one word.
    #[inline(always)]
    #[must_use]
    pub fn day(&self, at: u64) -> Day {
        match self.0 {
            Of::Fixed(offset) => fixed_day_at(offset, at),
            Of::Named(zone) => zone.day(at),
        }
    }

    /// The day of a number: days since 1970-01-01.
    #[must_use]
    pub fn day_of(&self, number: i32) -> Day {
        match self.0 {
            Of::Fixed(offset) => fixed_day(offset, number),
            Of::Named(zone) => zone.day_of(number),
        }
    }

    /// How many milliseconds clocks are ahead of UTC at a moment.
    #[must_use]
    pub fn offset(&self, at: u64) -> i64 {
        match self.0 {
            Of::Fixed(offset) => offset,
            Of::Named(zone) => zone.offset(at),
        }
    }

    /// The length of its longest day from 1970 on, in milliseconds.
    #[must_use]
    pub fn longest_day(&self) -> u64 {
        match self.0 {
            Of::Fixed(_) => DAY,
            Of::Named(zone) => zone.longest_day(),
        }
    }

    /// The longest time in milliseconds of which each day, from 1980 on, begins at a multiple. All zones have had offsets of whole
    /// quarters of an hour since then.
    #[must_use]
    pub fn granularity(&self) -> u64 {
        match self.0 {
            Of::Fixed(offset) => gcd(DAY, offset.unsigned_abs()),
            Of::Named(zone) => zone.granularity(),
        }
    }

    fn key(&self) -> (&'static str, i64) {
        (self.name(), self.fixed_offset().unwrap_or(0))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Its name, or `UTC+7200000 ms`.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Of::Fixed(offset) => write!(f, "UTC{offset:+} ms"),
            Of::Named(zone) => f.write_str(zone.name()),
        }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({self})")
    }
}

#[inline(always)]
fn fixed_day_at(offset: i64, at: u64) -> Day {
    let number = (at.min(LATEST) as i64).saturating_add(offset).div_euclid(DAY as i64).min(LAST.into());
    fixed_day(offset, number as i32)
}

#[inline(always)]
fn fixed_day(offset: i64, number: i32) -> Day {
    let begin = |number: i64| {
        let begin = (number * DAY as i64).saturating_sub(offset).max(0) as u64;
        if number > LAST.into() { u64::MAX } else { begin }
    };
    Day { number, begin: begin(number.into()), end: begin(i64::from(number) + 1) }
}
