//! Whether a rule lets one more event through, given the ticks of those there were, and what becomes of it.
//!
//! A tick stands for any moment of its granule, so a rule holds for all of them: an event counts as within a window if any
//! moment of its tick is. That keeps a window closed for up to one granule longer than the event's true time would, and
//! never opens it earlier. A window that ends with a later event has both ends in ticks: there it is up to two granules.

use super::ages::{Lanes, each, within};
use super::entry::TICKS;
use crate::time::{Day, Zone};

/// What a rule became for a table's tiers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compiled {
    pub(super) tier: usize,
    pub(super) max: u32,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Any `window` milliseconds: whole ticks and the rest of a tick. Two ticks that are at most `span` apart may share
    /// such a window.
    Rolling { window: u64, ticks: u64, rest: u64, span: u64 },
    /// The calendar day of a time zone.
    Day { zone: Zone },
    /// All there ever were.
    Lifetime,
}

/// The moment of an event, as one tier sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: u64,
    pub(super) granularity: u64,
    pub(super) tick: u64,
    /// Milliseconds since the tick began.
    pub(super) rest: u64,
}

impl Moment {
    #[inline(always)]
    pub(super) fn new(at: u64, granularity: u64) -> Self {
        let tick = at / granularity;
        Self { at, granularity, tick, rest: at - tick * granularity }
    }
}

/// Why a rule blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// There were as many events, or it cannot be known that there were fewer.
    Rule,
    /// There may have been fewer: an event of the oldest tick that counts may lie before the window.
    Rounding,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is admitted (and counted, where that was asked for).
    Admitted,
    /// The rule of that number blocks (of the scope of that number); nothing is counted.
    Capped {
        /// Which scope, 0 where there is one.
        scope: usize,
        /// Which of its rules.
        rule: usize,
    },
    /// It cannot be decided, or not be kept; nothing is counted.
    Refused(Reason),
}

/// Why an event cannot be decided. As numbers they follow those of why a rule blocks: all are counted side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Further ahead of the system's time than events are believed.
    Future = 2,
    /// Further back from the newest time seen than the shortest horizon.
    TooOld,
    /// There is no room for another pair.
    Full,
    /// The store has no room for what it would have to keep of the event: see [`crate::journal`].
    Busy,
}

impl Compiled {
    /// The ages that it counts at a moment: from the first to the last.
    #[inline(always)]
    fn ages(&self, moment: &Moment, end: u64) -> (u64, u64) {
        match self.kind {
            Kind::Rolling { ticks, rest, .. } => {
                let now = end - moment.tick;
                (now, now + ticks + u64::from(moment.rest < rest))
            }
            Kind::Day { zone } => day(moment, end, zone.day(moment.at)),
            Kind::Lifetime => unreachable!("a lifetime is no matter of ticks"),
        }
    }

    /// Whether it blocks an event at a moment, given the ages of those there were before `end`, which is not before the
    /// moment. Of a `full` pair some may be missing that are no newer than its oldest one.
    #[inline(always)]
    pub(super) fn blocks(&self, moment: &Moment, end: u64, ages: &[Lanes], full: bool) -> Option<Block> {
        let (first, last) = self.ages(moment, end);
        let max = self.max as usize;
        let count = within(ages, first, last);
        if count >= max {
            let is_rolling = matches!(self.kind, Kind::Rolling { .. });
            let for_sure = if is_rolling && last > first { within(ages, first, last - 1) } else { count };
            return Some(if for_sure >= max { Block::Rule } else { Block::Rounding });
        }
        // What a full pair has lost is no newer than its oldest tick: it lies before the window only if that does.
        if last >= TICKS || full && within(ages, last + 1, TICKS) == 0 {
            return Some(Block::Rule);
        }
        if let Kind::Rolling { window, span, .. } = self.kind
            && first > 0
            && within(ages, 0, first - 1) > 0
        {
            return is_passed_later(moment, end, ages, window, span, max).then_some(Block::Rule);
        }
        None
    }

    /// The first moment after this one at which it may no longer block.
    pub(super) fn next(&self, moment: &Moment, end: u64, ages: &[Lanes]) -> Option<u64> {
        match self.kind {
            Kind::Rolling { window, ticks, rest, .. } => {
                let begin = |age| (end - age) * moment.granularity;
                // A window after the last moment that a tick stands for.
                let leaves = |age| begin(age) + moment.granularity + window;
                // Or an event is no longer later, or the line reaches back far enough again, whatever is far ahead in it.
                let reaches = (end + ticks + 1).checked_sub(TICKS).map(|tick| tick * moment.granularity + rest);
                let some = each(ages).flat_map(|age| [begin(age), leaves(age)]).chain(reaches);
                some.filter(|at| *at > moment.at).min()
            }
            Kind::Day { zone } => Some(zone.day(moment.at).end),
            Kind::Lifetime => None,
        }
    }

    /// How many events it would count.
    pub(super) fn count(&self, moment: &Moment, end: u64, ages: &[Lanes]) -> usize {
        let (first, last) = self.ages(moment, end);
        within(ages, first, last)
    }
}

/// The ages of the last and the first tick of a day. The last may lie after `end`.
///
/// A day begins with a tick, but for those of some zones before 1980: there all of a tick counts that has a moment of the day.
#[inline(always)]
fn day(moment: &Moment, end: u64, day: Day) -> (u64, u64) {
    let (first, last) = (day.begin / moment.granularity, (day.end - 1) / moment.granularity);
    (end.saturating_sub(last), end.saturating_sub(first))
}

/// Whether one more event would be too many for a window that ends with an event after it: late events count at their time.
#[cold]
fn is_passed_later(moment: &Moment, end: u64, ages: &[Lanes], window: u64, span: u64, max: usize) -> bool {
    let now = end - moment.tick;
    let later = each(ages).filter(|age| *age < now);
    later
        .filter(|age| (now - age) * moment.granularity - moment.rest < window)
        .any(|age| within(ages, age, age + span) >= max)
}
