//! A local day.

/// The milliseconds of an hour.
pub const HOUR: u64 = 3_600_000;
/// The milliseconds of most days.
pub const DAY: u64 = 24 * HOUR;

/// The last day that there is, 9999-12-29: it has no end.
pub(super) const LAST: i32 = 2_932_894;
/// Moments from here on are in the last day in every zone.
pub(super) const LATEST: u64 = (LAST as u64 + 1) * DAY;

/// A calendar day of a zone, which begins with the first moment of its date there and ends where the next day begins.
///
/// So a day has 23, 24 or 25 hours, and in some zones others. Where clocks skip midnight the day begins with the first time
/// after it. A date that a zone skipped has no moment: it ends where it begins. Where clocks are set back over midnight the
/// next day has begun by then, and goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub number: i32,
    /// Its first moment in Unix milliseconds, 0 if that is before 1970.
    pub begin: u64,
    /// The first moment after it. [`u64::MAX`] of the last day there is, at the end of the year 9999.
    pub end: u64,
}

pub(super) fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}
