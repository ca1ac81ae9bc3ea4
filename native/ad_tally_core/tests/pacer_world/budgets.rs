//! The campaigns of a world: their plans, what becomes of these, and what is free of their budgets.

use ad_tally_core::KeyWriter;
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::pacer::{Pace, Period, Plan};
use ad_tally_core::time::Zone;

use crate::clock::{BEGIN, DAY, HOUR, MIDNIGHT, MINUTE};
use crate::machine::{COORDINATOR, seed};
use crate::observer::Sums;
use crate::schedule::Event;
use crate::world::World;

pub const CAMPAIGNS: usize = 4;
/// What they may spend at first, where there is no pressure.
const BUDGETS: [u64; CAMPAIGNS] = [12_000_000, 10_000_000, 24_000_000, 14_000_000];

fn budget(campaign: usize, pressure: u64) -> u64 {
    BUDGETS[campaign] / pressure
}

/// The words of a campaign's key.
pub fn key(campaign: usize) -> Vec<u64> {
    let mut room = [std::mem::MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut writer = KeyWriter::bare(&mut room);
    writer.integer(40 + campaign as i64);
    writer.finish().to_vec()
}

pub fn plans(pressure: u64) -> Vec<Plan> {
    let plan = |campaign, period, pace, daily_max, hours: i64| Plan {
        budget: budget(campaign, pressure),
        period,
        zone: Zone::fixed(hours * HOUR as i64),
        pace,
        daily_max,
        price: 1_000,
    };
    let flight = Period::Flight { from: BEGIN - HOUR, to: MIDNIGHT + 2 * DAY };
    vec![
        plan(0, Period::Daily, Pace::Asap, None, 0),
        plan(1, Period::Daily, Pace::Even, None, -7),
        plan(2, flight, Pace::Even, Some(1_250_000), 0),
        plan(3, Period::Lifetime, Pace::Asap, None, 0),
    ]
}

/// In which period of its plan a time is.
pub fn period(campaign: usize, at: u64) -> u32 {
    let offset = if campaign == 1 { -7 * HOUR as i64 } else { 0 };
    match campaign {
        3 => 0,
        _ => (at.saturating_add_signed(offset) / DAY) as u32,
    }
}

impl World {
    /// Gives the coordinator a campaign's plan.
    pub fn put(&mut self, campaign: usize) -> bool {
        let (now, at) = (self.clock(COORDINATOR), self.schedule.at);
        let coordinator = &mut self.machines[COORDINATOR];
        if coordinator.disk.refuses(at) {
            return false;
        }
        let Some(process) = &coordinator.process else { return false };
        let key = seed().key(&self.keys[campaign]);
        process.pacer.ledger.put(key, self.plans[campaign].clone(), now).is_ok() && coordinator.sync(at)
    }

    pub fn edit(&mut self, campaign: usize) {
        let before = self.plans[campaign].clone();
        let plan = &mut self.plans[campaign];
        match self.random.below(4) {
            0 => {
                if let Period::Flight { to, .. } = &mut plan.period {
                    *to += self.random.between(0, DAY);
                }
            }
            1 if plan.period != Period::Lifetime => {
                plan.pace = if plan.pace == Pace::Asap { Pace::Even } else { Pace::Asap };
            }
            _ => plan.budget = budget(campaign, self.rules.pressure) * self.random.between(500, 1_500) / 1_000,
        }
        if self.put(campaign) {
            self.observed[campaign].edit(self.plans[campaign].budget);
            self.outcome.edits += 1;
        } else {
            self.plans[campaign] = before;
            self.schedule.later(MINUTE, Event::Edit(campaign));
        }
    }

    /// Cuts all budgets, so that nodes give back all that they can.
    pub fn recall(&mut self) {
        for campaign in 0..CAMPAIGNS {
            let periods = self.observed[campaign].periods().count() as u64;
            let times = if self.observed[campaign].is_daily { periods } else { 1 };
            self.outcome.budgets += self.plans[campaign].budget * times;
            self.plans[campaign].budget = 1;
            assert!(self.put(campaign), "a coordinator that is well");
            self.observed[campaign].edit(1);
        }
    }

    /// What a campaign may still spend, as the observer sees it.
    pub fn free_budget(&self, campaign: usize, now: u64) -> u64 {
        let period = period(campaign, now);
        let Plan { budget, period: of, daily_max, .. } = self.plans[campaign];
        let all = self.observed[campaign].in_all();
        let day = self.observed[campaign].period(period);
        let held = |sums: Sums| sums.covered + sums.over + sums.alive;
        match (of, daily_max) {
            (Period::Daily, _) => budget.saturating_sub(held(day)),
            (Period::Flight { from, to }, Some(daily_max)) => {
                let begin = (u64::from(period) * DAY).max(from);
                let end = (u64::from(period + 1) * DAY).min(to);
                let share = end.saturating_sub(begin) as f64 / (to - from) as f64;
                let most = (budget as f64 * share * f64::from(daily_max) / 1e6) as u64;
                let left = budget.saturating_sub(held(all) - held(day));
                most.min(left).saturating_sub(held(day))
            }
            _ => budget.saturating_sub(held(all)),
        }
    }
}
