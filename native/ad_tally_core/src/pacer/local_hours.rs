//! The local hours of a range of time, each with its place in the week. A repeated hour comes twice, a skipped one never.

use crate::time::Zone;

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

/// Calls `each` with every piece of the range that lies in one local hour of one offset: the hour of the week, Monday's
/// first is 0, and the piece's begin and end.
pub(super) fn local_hours(zone: &Zone, from: u64, to: u64, mut each: impl FnMut(usize, u64, u64)) {
    let mut at = from;
    while at < to {
        let offset = zone.offset(at);
        let local = at as i64 + offset;
        let left = HOUR - local.rem_euclid(HOUR as i64) as u64;
        let end = change_before(zone, offset, at, to.min(at + left));
        each(hour_of_week(local), at, end);
        at = end;
    }
}

/// The hour of the week of a local time, in milliseconds since 1970 began there.
pub(super) fn hour_of_week(local: i64) -> usize {
    // 1970 began on a Thursday.
    let weekday = (local.div_euclid(DAY as i64) + 3).rem_euclid(7);
    let hour = local.rem_euclid(DAY as i64) / HOUR as i64;
    (weekday * 24 + hour) as usize
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
