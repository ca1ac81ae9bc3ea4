//! One campaign, by all controllers at once: the same requests, the same prices and delays, each its own money.

use ad_tally_core::pacer::controller::{LEAST, threshold};
use ad_tally_core::pacer::{Ahead, Curve, PeriodOf};

use super::controllers::{NAMES, Now, Pacing, all};
use super::money::{Impression, MINUTES_TO_CONFIRM, Money};
use super::random::{Random, mix};
use super::world::{BEGIN, MINUTE, MINUTES, PRICE, Special, World};

/// What came of a day.
#[derive(Debug, Clone, Default)]
pub struct Day {
    /// Spent of the budget, once all is confirmed.
    pub delivery: f64,
    /// The largest difference of what is spent and the traffic that was there, as shares of the budget and of the day.
    pub deviation: f64,
    /// The same from noon on, of what there was to spend and of the traffic from there on.
    pub deviation_of_rest: f64,
    /// By how much the rate changed in a minute, in the mean of logarithms.
    pub change: f64,
    /// Whether the budget was spent before nine tenths of the day's traffic.
    pub stops_early: bool,
    /// Spent or reserved above the budget, in micros.
    pub over: u64,
    /// What share of the budget was spent at the end of each minute, and what of the traffic was there.
    pub spent: Vec<f64>,
    pub traffic: Vec<f64>,
}

/// All days of a controller.
pub type Days = Vec<Day>;

struct One {
    pacing: Pacing,
    p: f64,
    /// Of today, and what it may have booked: the budget, or more where that was cut below it.
    money: Money,
    wall: u64,
    /// What was booked when the controller was told, as if today's money had always been there.
    told: i64,
    days: Days,
}

/// Paces a campaign through all days of its world.
pub fn run(world: &World, special: Special) -> [Days; NAMES.len()] {
    let mut all = all(world.plan.budget, world.expected).map(|pacing| One {
        p: pacing.start(),
        pacing,
        money: Money::new(world.plan.budget),
        wall: world.plan.budget,
        told: 0,
        days: Vec::new(),
    });
    let mut requests = Requests { counts: Random::new(world.seed), first: world.seed, hashes: Vec::new() };
    for (day, minutes) in world.minutes.chunks(MINUTES).enumerate() {
        let begin = BEGIN + (day * MINUTES) as u64 * MINUTE;
        let Some(period) = world.plan.period_at(begin) else { unreachable!("days have no end") };
        run_day(world, special, period, minutes, day == 0, &mut requests, &mut all);
    }
    all.map(|mut one| {
        one.settle();
        one.days
    })
}

fn run_day(
    world: &World,
    special: Special,
    period: PeriodOf,
    minutes: &[f64],
    is_first: bool,
    requests: &mut Requests,
    all: &mut [One; NAMES.len()],
) {
    let curve = Curve::new(&world.plan, None, period);
    let target_at_22 = curve.share(period.begin, period.begin + 22 * 60 * MINUTE);
    let total: f64 = minutes.iter().sum();
    let mut there = 0.0;
    if !is_first {
        all.iter_mut().for_each(|one| one.begin_day(world.plan.budget));
    }
    all.iter_mut().for_each(|one| one.days.push(Day::default()));
    let mut at_noon = (0.0, [0; NAMES.len()]);
    for (minute, expected) in minutes.iter().enumerate() {
        let now = period.begin + minute as u64 * MINUTE;
        if minute == MINUTES / 2 {
            at_noon = (there, all.each_ref().map(|one| one.money.spent));
            let budget = (world.plan.budget as f64 * special.at_noon) as u64;
            all.iter_mut().for_each(|one| one.set_budget(budget));
        }
        if !(is_first && minute == 0) {
            let ahead = curve.ahead(now, now + MINUTE);
            let target = curve.share(period.begin, now);
            // The last minute of yesterday was forecast as that of today will be.
            let before = if minute == 0 { period.end } else { now };
            let traffic = curve.traffic(before - MINUTE, before);
            all.iter_mut().for_each(|one| one.tick(minute, target, target_at_22, traffic, ahead));
        }
        let hashes = requests.of_minute(*expected);
        there += expected / total;
        for (at, one) in all.iter_mut().enumerate() {
            one.minute(minute, hashes);
            one.note(there);
            if minute >= MINUTES / 2 {
                one.note_rest(there, at_noon.0, at_noon.1[at]);
            }
        }
    }
}

/// Requests, by the hash of each.
struct Requests {
    counts: Random,
    first: u64,
    hashes: Vec<u64>,
}

impl Requests {
    fn of_minute(&mut self, expected: f64) -> &[u64] {
        let count = self.counts.poisson(expected);
        self.hashes.clear();
        self.hashes.extend((0..count).map(|request| mix(self.first.wrapping_add(request))));
        self.first = self.first.wrapping_add(count);
        &self.hashes
    }
}

impl One {
    fn begin_day(&mut self, budget: u64) {
        self.settle();
        self.told -= self.money.booked() as i64;
        self.money = Money::new(budget);
        self.wall = budget;
    }

    fn set_budget(&mut self, budget: u64) {
        self.money.budget = budget;
        self.wall = budget.max(self.money.booked());
    }

    /// Ends a day: what is in flight will be spent or not, whatever happens.
    fn settle(&mut self) {
        let Some(day) = self.days.last_mut() else { return };
        let mut money = self.money.clone();
        (0..MINUTES_TO_CONFIRM).for_each(|minute| money.end(minute));
        day.delivery = money.spent as f64 / money.budget as f64;
        day.change /= MINUTES as f64;
    }

    fn tick(&mut self, minute: usize, target: f64, target_at_22: f64, traffic: f64, ahead: Ahead) {
        let booked = self.money.booked() as i64;
        let change = booked - self.told;
        self.told = booked;
        let now = Now { minute, money: &self.money, change, target, target_at_22, traffic, ahead };
        let p = self.pacing.tick(&now);
        if let Some(day) = self.days.last_mut() {
            day.change += (p.max(LEAST) / self.p.max(LEAST)).ln().abs();
        }
        self.p = p;
    }

    fn minute(&mut self, minute: usize, requests: &[u64]) {
        let pass = threshold(self.p);
        for request in requests.iter().filter(|request| **request < pass) {
            self.money.reserve(minute, Impression::of(*request));
        }
        self.money.end(minute);
    }

    fn note(&mut self, there: f64) {
        let Money { budget, spent, .. } = self.money;
        let Some(day) = self.days.last_mut() else { return };
        let share = spent as f64 / budget as f64;
        day.deviation = day.deviation.max((share - there).abs());
        day.stops_early |= there < 0.9 && spent + PRICE > budget;
        day.over = day.over.max(self.money.booked().saturating_sub(self.wall));
        day.spent.push(share);
        day.traffic.push(there);
    }

    fn note_rest(&mut self, there: f64, at_noon: f64, spent_at_noon: u64) {
        let rest = self.money.budget.saturating_sub(spent_at_noon).max(1) as f64;
        let spent = (self.money.spent - spent_at_noon) as f64 / rest;
        let traffic = (there - at_noon) / (1.0 - at_noon);
        if let Some(day) = self.days.last_mut() {
            day.deviation_of_rest = day.deviation_of_rest.max((spent - traffic).abs());
        }
    }
}
