//! The world that campaigns are paced in: how many requests come in each minute, what each would cost, and what was
//! forecast of them.

use ad_tally_core::pacer::plan::HOURS_OF_WEEK;
use ad_tally_core::pacer::{Pace, Period, Plan};
use ad_tally_core::time::Zone;

use super::random::Random;

pub const MINUTE: u64 = 60_000;
pub const MINUTES: usize = 1_440;
/// 2026-11-30, when the simulation begins: midnight in UTC, whose days are all the same.
pub const BEGIN: u64 = 20_787 * MINUTES as u64 * MINUTE;
/// What an impression costs in the mean, in micros.
pub const PRICE: u64 = 1_000;

/// What is special in a world. None of it: that of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Special {
    /// What the budget is multiplied by at noon.
    pub at_noon: f64,
    /// Whether the forecast is even, though traffic is not.
    pub is_flat: bool,
    /// What a forecast of the day's spend, which is told to controllers that ask for one, is off by. `None`: there is none.
    pub level: Option<f64>,
}

pub const NOTHING: Special = Special { at_noon: 1.0, is_flat: false, level: None };

/// A campaign and its traffic.
pub struct World {
    /// How many requests are expected in each minute of all days.
    pub minutes: Vec<f64>,
    /// The plan: a budget for each day, paced by the forecast.
    pub plan: Plan,
    /// What a day would cost, were all requests taken part in, by forecast.
    pub expected: Option<f64>,
    /// Of the requests' hashes.
    pub seed: u64,
}

impl World {
    /// That of a campaign with so many requests a minute in the mean.
    pub fn new(number: u64, rate: f64, days: usize, special: Special) -> Self {
        let mut random = Random::new(number);
        let phase = random.uniform();
        // The budget is for one request in 1.25 to 20, each as likely as its double.
        let demand = rate * MINUTES as f64 * PRICE as f64;
        let budget = demand / (1.25 * 16_f64.powf(random.uniform()));
        let level = demand * (0.3 * random.normal()).exp();

        let wave = |minute: f64| 1.0 + 0.6 * (std::f64::consts::TAU * (minute / MINUTES as f64 - phase)).cos();
        let hours: [u32; 24] = std::array::from_fn(|hour| {
            let forecast = wave(hour as f64 * 60.0 + 30.0) * (0.15 * random.normal()).exp();
            if special.is_flat { 1 } else { (forecast * 1e6) as u32 }
        });
        let weights: [u32; HOURS_OF_WEEK] = std::array::from_fn(|hour| hours[hour % 24]);

        let mut minutes = Vec::with_capacity(days * MINUTES);
        // Noise of deviation 0.15 that an hour and more have in common.
        let (mut noise, common) = (0.15 * random.normal(), 0.99_f64);
        for _ in 0..days {
            let spike = (random.uniform() < 0.3).then(|| random.uniform() * (MINUTES - 15) as f64);
            let outage = (random.uniform() < 0.1).then(|| random.uniform() * (MINUTES - 30) as f64);
            let within = |begin: Option<f64>, length: f64, minute: f64| {
                begin.is_some_and(|begin| begin <= minute && minute < begin + length)
            };
            for minute in (0..MINUTES).map(|minute| minute as f64) {
                noise = common * noise + (1.0 - common * common).sqrt() * 0.15 * random.normal();
                let spiked = if within(spike, 15.0, minute) { 5.0 } else { 1.0 };
                let there = if within(outage, 30.0, minute) { 0.0 } else { 1.0 };
                minutes.push(rate * wave(minute) * noise.exp() * spiked * there);
            }
        }
        let plan = Plan {
            budget: budget.max(PRICE as f64) as u64,
            period: Period::Daily,
            zone: Zone::fixed(0),
            pace: Pace::Traffic(Box::new(weights)),
            daily_max: None,
            price: PRICE,
        };
        let expected = special.level.map(|off| level * off);
        Self { minutes, plan, expected, seed: random.word() }
    }
}
