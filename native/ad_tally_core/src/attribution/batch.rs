//! Touches of a list, whose cache misses overlap, and conversions of one.

use super::Attribution;
use super::stats::Kind;
use super::types::{Conversion, Outcome, Touch};

/// How many touches or conversions had each [`Outcome`], in the order of those.
pub type Outcomes = [u64; OUTCOMES];

const OUTCOMES: usize = Outcome::Busy as usize + 1;

/// How many touches are between the stages of one.
const AHEAD: usize = 8;
/// Touches between two questions whether to go on. A clock takes a tenth of a touch.
const TURN: usize = 32;
/// The same of conversions, one of which takes as long as some readings of the clock.
const CONVERSION_TURN: usize = 8;

impl Attribution {
    /// Takes touches in turn, for as long as `go_on` says so, which is asked now and then: how many were taken. What became of
    /// those is added to `outcomes`. The system's time is asked for where it matters.
    ///
    /// Where the journal has no room for a touch, all those after it are busy as well, also in the calls that follow with the same
    /// outcomes: it is the end of a list that is to be sent again.
    ///
    /// Lookups are software-pipelined: a touch waits for four cache lines, each of which says where the next one is, and others are
    /// taken meanwhile.
    ///
    /// ```text
    /// a touch   16 ahead   the user's bucket, the line of the window's index
    ///            8 ahead   the bucket that it goes on in, the row
    ///                0     is taken
    /// ```
    ///
    /// # Panics
    /// If there is no such kind or time.
    pub fn touch_all<'t>(
        &self,
        count: usize,
        touch: impl Fn(usize) -> Touch<'t>,
        outcomes: &mut Outcomes,
        now: impl Fn() -> u64,
        mut go_on: impl FnMut() -> bool,
    ) -> usize {
        if outcomes[Outcome::Busy as usize] > 0 {
            return self.leave_busy(Kind::TouchBusy, count, 0, outcomes);
        }
        let first = |at: usize| self.fetch_first(&touch(at));
        let second = |at: usize| self.fetch_second(&touch(at));
        (0..count.min(2 * AHEAD)).for_each(first);
        (0..count.min(AHEAD)).for_each(second);
        for done in 0..count {
            if done + 2 * AHEAD < count {
                first(done + 2 * AHEAD);
            }
            if done + AHEAD < count {
                second(done + AHEAD);
            }
            match self.touch(&touch(done), &now) {
                Ok(Outcome::Busy) => {
                    outcomes[Outcome::Busy as usize] += 1;
                    return self.leave_busy(Kind::TouchBusy, count, done + 1, outcomes);
                }
                Ok(outcome) => outcomes[outcome as usize] += 1,
                Err(error) => panic!("{error}"),
            }
            if (done + 1).is_multiple_of(TURN) && !go_on() {
                return done + 1;
            }
        }
        count
    }

    /// Takes conversions in turn, as [`Self::touch_all`] takes touches.
    ///
    /// # Panics
    /// If there is no such action or time.
    pub fn convert_all<'t>(
        &self,
        count: usize,
        conversion: impl Fn(usize) -> Conversion<'t>,
        outcomes: &mut Outcomes,
        now: impl Fn() -> u64,
        mut go_on: impl FnMut() -> bool,
    ) -> usize {
        if outcomes[Outcome::Busy as usize] > 0 {
            return self.leave_busy(Kind::ConversionBusy, count, 0, outcomes);
        }
        for done in 0..count {
            match self.convert(&conversion(done), &now) {
                Ok(Outcome::Busy) => {
                    outcomes[Outcome::Busy as usize] += 1;
                    return self.leave_busy(Kind::ConversionBusy, count, done + 1, outcomes);
                }
                Ok(outcome) => outcomes[outcome as usize] += 1,
                Err(error) => panic!("{error}"),
            }
            if (done + 1).is_multiple_of(CONVERSION_TURN) && !go_on() {
                return done + 1;
            }
        }
        count
    }

    /// Leaves what comes from a place of a list on as busy: the count of all.
    #[cold]
    fn leave_busy(&self, kind: Kind, count: usize, from: usize, outcomes: &mut Outcomes) -> usize {
        let left = (count - from) as u64;
        self.stats.refuse(kind, left);
        outcomes[Outcome::Busy as usize] += left;
        count
    }

    #[inline(always)]
    fn fetch_first(&self, touch: &Touch<'_>) {
        self.ring.fetch(touch.user);
        if let Some(window) = self.windows.protect().find_at(touch.at) {
            window.fetch_line(touch.dimensions);
        }
    }

    #[inline(always)]
    fn fetch_second(&self, touch: &Touch<'_>) {
        self.ring.fetch_overflow(touch.user);
        if let Some(window) = self.windows.protect().find_at(touch.at) {
            window.fetch_row(window.fetch_line(touch.dimensions), touch.dimensions);
        }
    }
}
