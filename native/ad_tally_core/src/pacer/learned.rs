//! The traffic that a campaign saw, by the hour of the week, for a pace that follows it.
//!
//! Requests are not counted: only those that pass the rate are, and there are `passed / p` of all. An hour of the week is the
//! mean over eight weeks, in which what is three weeks older counts half. An hour that was seen for less than half of its
//! length is missing, which is not the same as one without requests.

use super::local_hours::local_hours;
use super::plan::HOURS_OF_WEEK;
use crate::error::TIMES;
use crate::time::{DAY, HOUR, Zone};

const WEEKS: usize = 8;
/// 2^(-1/3): what a week loses until the next.
const WEEKLY: f64 = 0.793_700_525_984_099_7;
const HOURS: usize = WEEKS * HOURS_OF_WEEK;
/// Hours that are known before the profile is used: two weeks.
const ENOUGH: usize = 2 * HOURS_OF_WEEK;
/// An hour that is not known.
const MISSING: f32 = -1.0;
/// The least rate that anything is learned by: a hundredth of the least there is.
const LEAST: f64 = 1e-6;
/// Words of [`Learned::to_words`]: two hours each, and those of the hour that goes on.
pub const WORDS: usize = HOURS / 2 + 3;

/// Requests an hour, of the hours of eight weeks.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// Requests of each hour, were it seen whole; by its number, modulo eight weeks.
    hours: Box<[f32; HOURS]>,
    /// The hour that goes on, and what was seen of it. Hours are local ones and counted from a Monday on.
    hour: u64,
    requests: f64,
    seen: u64,
}

impl Default for Learned {
    fn default() -> Self {
        Self { hours: Box::new([MISSING; HOURS]), hour: 0, requests: 0.0, seen: 0 }
    }
}

impl Learned {
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.hours)
    }

    /// Notes how many requests passed the rate `p` in a range of time that was watched: a tick. Answers whether an hour has
    /// ended with it, so that what [`to_words`](Self::to_words) returns is worth keeping.
    ///
    /// A range of more than a day tells nothing of its hours and is left out, and so is one that is before those known.
    pub fn tick(&mut self, zone: &Zone, from: u64, to: u64, passed: u64, p: f64) -> bool {
        if from >= to || to - from > DAY || !(LEAST..=1.0).contains(&p) {
            return false;
        }
        let a_millisecond = passed as f64 / p / (to - from) as f64;
        let mut has_ended = false;
        local_hours(zone, from, to, |hour, begin, end| {
            // Clocks are set back by an hour at most: that hour is seen twice as long, or once more.
            if hour + 1 < self.hour {
                return;
            }
            if hour != self.hour {
                has_ended |= self.end_hour();
                self.begin_hour(hour);
            }
            self.requests += a_millisecond * (end - begin) as f64;
            self.seen += end - begin;
        });
        has_ended
    }

    /// How many hours are known.
    #[must_use]
    pub fn known_hours(&self) -> usize {
        self.hours.iter().filter(|requests| **requests >= 0.0).count()
    }

    /// Requests an hour, by the hour of the week; `None` until two weeks of hours are known, and where none had a request.
    #[must_use]
    pub fn profile(&self) -> Option<[f64; HOURS_OF_WEEK]> {
        if self.known_hours() < ENOUGH {
            return None;
        }
        let means: [Option<f64>; HOURS_OF_WEEK] = std::array::from_fn(|hour| self.mean(hour as u64));
        let (sum, known) = means.iter().flatten().fold((0.0, 0.0), |(sum, known), mean| (sum + mean, known + 1.0));
        // An hour of the week that was never seen is as most.
        (sum > 0.0).then(|| means.map(|mean| mean.unwrap_or(sum / known)))
    }

    /// Of an hour of the week, over the weeks in which it is known.
    fn mean(&self, hour_of_week: u64) -> Option<f64> {
        let week = HOURS_OF_WEEK as u64;
        let ago = (self.hour + week - hour_of_week) % week;
        let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
        for hour in (0..WEEKS as u64).map_while(|weeks| self.hour.checked_sub(ago + weeks * week)) {
            let requests = self.hours[hour as usize % HOURS];
            if requests >= 0.0 {
                sum += weight * f64::from(requests);
                weights += weight;
            }
            weight *= WEEKLY;
        }
        (weights > 0.0).then(|| sum / weights)
    }

    /// Whether the hour that goes on is known now.
    fn end_hour(&mut self) -> bool {
        if self.seen < HOUR / 2 {
            return false;
        }
        let requests = self.requests * HOUR as f64 / self.seen as f64;
        self.hours[self.hour as usize % HOURS] = requests.min(f32::MAX.into()) as f32;
        true
    }

    fn begin_hour(&mut self, hour: u64) {
        // What is in their places is of eight weeks ago.
        for later in (self.hour + 1..=hour).rev().take(HOURS) {
            self.hours[later as usize % HOURS] = MISSING;
        }
        (self.hour, self.requests, self.seen) = (hour, 0.0, 0);
    }

    /// All of it as words, for the journal.
    #[must_use]
    pub fn to_words(&self) -> Vec<u64> {
        let (pairs, _) = self.hours.as_chunks::<2>();
        let words = pairs.iter().map(|[low, high]| u64::from(high.to_bits()) << 32 | u64::from(low.to_bits()));
        words.chain([self.hour, self.requests.to_bits(), self.seen]).collect()
    }

    /// What was written as words, or `None` where these were not.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let words: &[u64; WORDS] = words.try_into().ok()?;
        let mut learned = Self::default();
        let is_amount = |amount: f64| amount.is_finite() && amount >= 0.0;
        for (at, place) in learned.hours.iter_mut().enumerate() {
            *place = f32::from_bits((words[at / 2] >> (32 * (at % 2))) as u32);
            if *place != MISSING && !is_amount((*place).into()) {
                return None;
            }
        }
        learned.hour = words[WORDS - 3];
        learned.requests = f64::from_bits(words[WORDS - 2]);
        learned.seen = words[WORDS - 1];
        (learned.hour <= TIMES / HOUR && is_amount(learned.requests) && learned.seen <= TIMES).then_some(learned)
    }
}
