//! What a campaign wants: its budget, the time it is for, and how it is spread over that.
//!
//! A budget is spent within *periods*. That of a day has one a local day. A flight has one a local day too, each with a
//! part of what is left, unless it has no daily walls: then it is one period, as a lifetime is.

use crate::error::{Error, TIMES, check_time};
use crate::time::Zone;

/// Budgets and prices are at most this many micros.
pub const MOST_MICROS: u64 = 1 << 62;
/// A flight takes at most this long: ten years.
pub const LONGEST_FLIGHT: u64 = 3_653 * 86_400_000;
/// Weights of a profile of traffic: the hours of a week.
pub const HOURS_OF_WEEK: usize = 168;
/// What fractions are counted in: 1 is a million.
pub const MILLION: u32 = 1_000_000;

/// What a campaign wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What may be spent in all periods together, or in each day of [`Period::Daily`], in micros.
    pub budget: u64,
    /// The time it is for.
    pub period: Period,
    /// Whose days and hours count.
    pub zone: Zone,
    /// How it is spread over that time.
    pub pace: Pace,
    /// How much more than planned a day of a flight may spend, in millionths; `None`: a flight has no daily walls. Other
    /// periods have no use for it.
    pub daily_max: Option<u32>,
    /// What an impression costs by guess, before it is known, in micros.
    pub price: u64,
}

/// The time that a budget is for. Times are Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// Each local day has the whole budget.
    Daily,
    /// From a time to before another one.
    Flight {
        /// When it begins.
        from: u64,
        /// When it has ended.
        to: u64,
    },
    /// Until it is spent.
    Lifetime,
}

/// How a budget is spread over its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pace {
    /// Whatever can be spent is.
    Asap,
    /// The same in each minute.
    Even,
    /// By a falling line: this much more than the mean at the begin, and less at the end, in millionths.
    FrontLoaded(u32),
    /// As traffic is, by weights of the local hours of a week, Monday at 0 h first.
    Traffic(Box<[u32; HOURS_OF_WEEK]>),
    /// As traffic is, by what was learned of it.
    Learned,
}

/// A period of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodOf {
    /// A local day's is its days since 1970, that of a plan with one period is 0.
    pub number: u32,
    /// When it begins.
    pub begin: u64,
    /// When it has ended.
    pub end: u64,
}

impl Plan {
    /// What it has on the heap, beside its zone.
    pub(super) fn heap_bytes(&self) -> usize {
        if let Pace::Traffic(weights) = &self.pace { size_of_val(&**weights) } else { 0 }
    }

    /// Whether there can be such a plan.
    ///
    /// # Errors
    /// What would have been right.
    pub fn check(&self) -> Result<(), Error> {
        if !(1..=MOST_MICROS).contains(&self.budget) {
            return Err(Error::Budget(self.budget));
        }
        if !(1..=MOST_MICROS).contains(&self.price) {
            return Err(Error::Price(self.price));
        }
        if let Some(daily_max) = self.daily_max.filter(|max| !(MILLION..=100 * MILLION).contains(max)) {
            return Err(Error::DailyMax(daily_max));
        }
        match self.period {
            Period::Daily => {}
            Period::Flight { from, to } => {
                check_time(from)?;
                check_time(to)?;
                if from >= to || to - from > LONGEST_FLIGHT {
                    return Err(Error::Flight { from, to });
                }
            }
            Period::Lifetime if self.pace == Pace::Asap => {}
            Period::Lifetime => return Err(Error::LifetimePace),
        }
        match &self.pace {
            Pace::FrontLoaded(more) if *more > MILLION => Err(Error::FrontLoaded(*more)),
            Pace::Traffic(weights) if weights.iter().all(|weight| *weight == 0) => Err(Error::Weights),
            _ => Ok(()),
        }
    }

    /// Whether each local day has a wall of its own.
    #[must_use]
    pub fn has_days(&self) -> bool {
        match self.period {
            Period::Daily => true,
            Period::Flight { .. } => self.daily_max.is_some(),
            Period::Lifetime => false,
        }
    }

    /// The period that a time is in, or `None` outside of a flight.
    #[must_use]
    pub fn period_at(&self, at: u64) -> Option<PeriodOf> {
        let (from, to) = match self.period {
            Period::Flight { from, to } => (from, to),
            Period::Daily | Period::Lifetime => (0, TIMES),
        };
        if !(from..to).contains(&at) {
            return None;
        }
        if !self.has_days() {
            return Some(PeriodOf { number: 0, begin: from, end: to });
        }
        let day = self.zone.day(at);
        // Where 1970 begins later than in Greenwich there are hours of a day before it.
        let number = u32::try_from(day.number).ok()?;
        Some(PeriodOf { number, begin: day.begin.max(from), end: day.end.min(to) })
    }
}
