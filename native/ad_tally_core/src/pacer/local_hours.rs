//! The local hours of a range of time, each with its place in the week. A repeated hour comes twice, a skipped one never.

use crate::pacer::plan::HOURS_OF_WEEK;
use crate::time::{DAY, HOUR, Zone};

/// Calls `each` with every piece of the range that lies in one local hour of one offset: the hour's number, and the piece's begin
/// and end.
pub(super) fn local_hours(zone: &Zone, from: u64, to: u64, mut each: impl FnMut(u64, u64, u64)) {
    let mut at = from;
    while at < to {
        let offset = zone.offset(at);
        let local = at as i64 + offset;
        let left = HOUR - local.rem_euclid(HOUR as i64) as u64;
        let end = change_before(zone, offset, at, to.min(at + left));
        each(hour_from_monday(local), at, end);
        at = end;
    }
}

/// The number of the hour of a local time, in milliseconds since 1970 began there. 1970 began on a Thursday; from that week's Monday
/// on all weeks are whole.
pub(super) fn hour_from_monday(local: i64) -> u64 {
    (local + 3 * DAY as i64) as u64 / HOUR
}

/// The hour of the week of an hour: Monday's first is 0.
pub(super) fn hour_of_week(hour: u64) -> usize {
    (hour % HOURS_OF_WEEK as u64) as usize
}

/// Where the offset changes within a piece, or the piece's end. No zone has changed it twice within an hour.
fn change_before(zone: &Zone, offset: i64, begin: u64, end: u64) -> u64 {
    if zone.offset(end - 1) == offset {
        return end;
    }
    let (mut old, mut new) = (begin, end - 1);
    while new - old > 1 {
        let middle = old + (new - old) / 2;
        if zone.offset(middle) == offset {
            old = middle;
        } else {
            new = middle;
        }
    }
    new
}
