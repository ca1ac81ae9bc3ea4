//! How much of a period's budget is for which part of it, and how much of its traffic is expected there.

use super::learned::Learned;
use super::local_hours::{hour_from_monday, hour_of_week, local_hours};
use super::plan::{HOURS_OF_WEEK, MILLION, Pace, Period, PeriodOf, Plan};
use crate::time::{DAY, HOUR, Zone};

/// A curve over a period: *shares* of the budget, which add up to 1, and *traffic*, in mean days of it.
///
/// They differ only where a budget is front-loaded, because traffic is not.
#[derive(Debug, Clone)]
pub struct Curve {
    period: PeriodOf,
    shape: Shape,
    /// What the shape has in all of the period: of shares, and of traffic.
    total: [f64; 2],
    awaits_history: bool,
}

/// What is ahead in a period, as a controller needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// The share of the budget until the next tick.
    pub share: f64,
    /// The share of the budget until the period's end.
    pub rest: f64,
    /// The traffic until the next tick, in mean days.
    pub traffic: f64,
    /// The traffic of the whole period, in mean days.
    pub days: f64,
}

#[derive(Debug, Clone)]
enum Shape {
    Even,
    Falling(Falling),
    Weekly(Weekly),
}

impl Curve {
    /// What it has on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.shape {
            Shape::Weekly(of) => size_of_val(&*of.weights) + of.days.capacity() * size_of::<(u64, f64)>(),
            Shape::Even | Shape::Falling(_) => 0,
        }
    }

    /// That of one of the plan's periods. A plan that is paced by what is learned is even until enough is.
    #[must_use]
    pub fn new(plan: &Plan, learned: Option<&Learned>, period: PeriodOf) -> Self {
        let (shape, awaits_history) = match &plan.pace {
            Pace::Asap | Pace::Even => (Shape::Even, false),
            Pace::FrontLoaded(more) => {
                let (begin, end) = match plan.period {
                    Period::Flight { from, to } => (from, to),
                    Period::Daily | Period::Lifetime => (period.begin, period.end),
                };
                (Shape::Falling(Falling { begin, end, more: f64::from(*more) / f64::from(MILLION) }), false)
            }
            Pace::Traffic(weights) => (Weekly::shape(&plan.zone, &weights.map(f64::from), period), false),
            Pace::Learned => match learned.and_then(Learned::profile) {
                Some(profile) => (Weekly::shape(&plan.zone, &profile, period), false),
                None => (Shape::Even, true),
            },
        };
        let total = [shape.share(period.begin, period.end), shape.traffic(period.begin, period.end)];
        Self { period, shape, total, awaits_history }
    }

    /// Whether it is even only because two weeks of traffic are not known yet.
    #[must_use]
    pub fn awaits_history(&self) -> bool {
        self.awaits_history
    }

    /// The share of the period's budget that is for a range of time.
    #[must_use]
    pub fn share(&self, from: u64, to: u64) -> f64 {
        let [from, to] = self.within(from, to);
        // Zero is nobody's total: a profile without traffic in the period is replaced by an even one.
        (self.shape.share(from, to) / self.total[0]).clamp(0.0, 1.0)
    }

    /// The traffic that is expected in a range of time, in mean days of it.
    #[must_use]
    pub fn traffic(&self, from: u64, to: u64) -> f64 {
        let [from, to] = self.within(from, to);
        self.shape.traffic(from, to)
    }

    /// What is ahead at a time, until the next tick and until the end.
    #[must_use]
    pub fn ahead(&self, at: u64, next: u64) -> Ahead {
        Ahead {
            share: self.share(at, next),
            rest: self.share(at, self.period.end),
            traffic: self.traffic(at, next),
            days: self.total[1],
        }
    }

    fn within(&self, from: u64, to: u64) -> [u64; 2] {
        let PeriodOf { begin, end, .. } = self.period;
        let from = from.clamp(begin, end);
        [from, to.clamp(from, end)]
    }
}

impl Shape {
    /// Of the budget, in any unit.
    fn share(&self, from: u64, to: u64) -> f64 {
        match self {
            Self::Even | Self::Weekly(_) => self.traffic(from, to),
            Self::Falling(falling) => falling.between(from, to),
        }
    }

    /// Of the traffic, in mean days.
    fn traffic(&self, from: u64, to: u64) -> f64 {
        match self {
            Self::Even | Self::Falling(_) => days(from, to),
            Self::Weekly(weekly) => weekly.between(from, to),
        }
    }
}

fn days(from: u64, to: u64) -> f64 {
    (to - from) as f64 / DAY as f64
}

/// `1 + more * (1 - 2 t)` for t from 0 at the begin to 1 at the end.
#[derive(Debug, Clone, Copy)]
struct Falling {
    begin: u64,
    end: u64,
    more: f64,
}

impl Falling {
    fn between(&self, from: u64, to: u64) -> f64 {
        let length = (self.end - self.begin) as f64;
        let place = |at: u64| (at - self.begin) as f64 / length;
        let (from, to) = (place(from), place(to));
        (to - from) * (1.0 + self.more * (1.0 - from - to))
    }
}

/// Weights of the local hours of a week, and where the days of a period are on them.
#[derive(Debug, Clone)]
struct Weekly {
    zone: Zone,
    /// In a week they are 1 in the mean.
    weights: Box<[f64; HOURS_OF_WEEK]>,
    /// Where each day of the period begins, and what is before.
    days: Vec<(u64, f64)>,
}

impl Weekly {
    /// Weights of which one at least is not 0. Where the period has none of their traffic, it is even.
    fn shape(zone: &Zone, weights: &[f64; HOURS_OF_WEEK], period: PeriodOf) -> Shape {
        let mean = weights.iter().sum::<f64>() / HOURS_OF_WEEK as f64;
        let weights = Box::new(weights.map(|weight| weight / mean));
        let mut weekly = Self { zone: *zone, weights, days: Vec::new() };
        let (mut at, mut before) = (period.begin, 0.0);
        while at < period.end {
            let day = zone.day(at);
            let end = day.end.min(period.end);
            weekly.days.push((at, before));
            before += weekly.day(at, end);
            at = end;
        }
        if before > 0.0 { Shape::Weekly(weekly) } else { Shape::Even }
    }

    fn between(&self, from: u64, to: u64) -> f64 {
        if from >= to {
            return 0.0;
        }
        let [(from_day, from_before), (to_day, to_before)] = [from, to].map(|at| {
            let day = self.days.partition_point(|(begin, _)| *begin <= at);
            self.days[day.saturating_sub(1)]
        });
        if from_day == to_day {
            return self.hours(from, to);
        }
        to_before - from_before - self.hours(from_day, from) + self.hours(to_day, to)
    }

    /// A day, or a part of one. Most are of 24 hours of one offset, and there are thousands in a long flight.
    fn day(&self, begin: u64, end: u64) -> f64 {
        let offset = self.zone.offset(begin);
        let local = begin as i64 + offset;
        let is_plain = end - begin == DAY && local.rem_euclid(DAY as i64) == 0 && self.zone.offset(end - 1) == offset;
        if !is_plain {
            return self.hours(begin, end);
        }
        let first = hour_of_week(hour_from_monday(local));
        self.weights[first..first + 24].iter().sum::<f64>() * (HOUR as f64 / DAY as f64)
    }

    fn hours(&self, from: u64, to: u64) -> f64 {
        let mut sum = 0.0;
        local_hours(&self.zone, from, to, |hour, begin, end| {
            sum += self.weights[hour_of_week(hour)] * days(begin, end)
        });
        sum
    }
}
