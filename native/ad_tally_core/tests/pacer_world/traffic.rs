//! Requests: who asks for money, and what becomes of their reservations, as the callers were told.

use ad_tally_core::HashedKey;
use ad_tally_core::pacer::Token;
use ad_tally_core::pacer::node::{Confirmed, Released, Reserved};

use crate::budgets::{CAMPAIGNS, period};
use crate::clock::{MINUTE, SECOND};
use crate::machine::{NODES, seed};
use crate::schedule::Event;
use crate::world::{STEP, World};

/// How long after a request found no money a machine reports.
const WAKE: u64 = 50;
const TTL: u64 = MINUTE;
/// How much faster than time a clock goes at most, in that of a reservation.
const MOST_DRIFT: u64 = 10;
/// What requests a machine has in a step of a campaign, in the mean, in tenths.
const REQUESTS: [u64; NODES] = [12, 6, 4, 3];
/// An amount that is reserved is at most this.
const MOST_AMOUNT: u64 = 1_500;
/// What is free of a budget and less than this part of it is on its way to somebody.
const IN_MOTION: u64 = 200;

/// A reservation, as its caller knows it.
pub struct Reservation {
    machine: usize,
    campaign: usize,
    period: u32,
    token: Token,
    amount: u64,
    expires: u64,
    is_alive: bool,
}

impl World {
    /// The requests of one step.
    pub fn requests(&mut self, machine: usize) {
        for campaign in 0..if self.is_calm { 0 } else { CAMPAIGNS } {
            let tenths = self.random.below(2 * REQUESTS[machine] * self.rules.pressure);
            let count = tenths / 10 + u64::from(self.random.below(10) < tenths % 10);
            for _ in 0..count {
                let after = self.random.below(STEP);
                self.schedule.later(after, Event::Request(machine, campaign));
            }
        }
    }

    pub fn request(&mut self, machine: usize, campaign: usize) -> Result<(), String> {
        let (now, request) = (self.clock(machine), self.random.next());
        let amount = self.random.between(500, MOST_AMOUNT);
        let Some(process) = &self.machines[machine].process else { return Ok(()) };
        let node = &process.pacer.node;
        let reserved = node.reserve(seed().key(&self.keys[campaign]), request, amount, now, TTL, || now);
        let period = period(campaign, now);
        match reserved {
            Reserved::Reserved(token) => {
                if self.random.chance(20) {
                    let Some(process) = &self.machines[machine].process else { return Ok(()) };
                    let key: HashedKey<'_> = seed().key(&self.keys[campaign]);
                    let again = process.pacer.node.reserve(key, request, amount, now, TTL, || now);
                    if again != Reserved::Again(token) {
                        return Err(format!("the same request has another answer: {again:?}"));
                    }
                }
                self.schedule.note(token.expires());
                self.outcome.reserved += 1;
                self.observed[campaign].change(period, machine as u64 + 1, |sums| sums.alive += amount);
                let expires = now + TTL;
                let number = self.reservations.len();
                self.reservations.push(Reservation {
                    machine,
                    campaign,
                    period,
                    token,
                    amount,
                    expires,
                    is_alive: true,
                });
                self.schedule.later(TTL - MOST_DRIFT, Event::Expire(number));
                let after = match self.random.below(100) {
                    0..88 => self.random.between(1, TTL / 2),
                    88..94 => self.random.between(TTL / 2, TTL + 2 * SECOND),
                    94..96 => self.random.between(TTL, 5 * TTL),
                    _ => u64::MAX,
                };
                if after < u64::MAX {
                    self.schedule.later(after, Event::Settle(number, 0));
                }
                self.check(campaign, period)
            }
            Reserved::NoBudget => {
                let free = self.free_budget(campaign, now);
                let budget = self.observed[campaign].budget;
                if free >= amount.max(budget / IN_MOTION) {
                    self.outcome.refused += 1;
                }
                if !std::mem::replace(&mut self.machines[machine].is_woken, true) {
                    self.schedule.later(WAKE, Event::Woken(machine));
                }
                self.schedule.note(1);
                Ok(())
            }
            other => {
                self.schedule.note(if other == Reserved::Paced { 2 } else { 3 });
                Ok(())
            }
        }
    }

    pub fn settle(&mut self, number: usize, tries: u8) -> Result<(), String> {
        let Reservation { machine, campaign, period, token, amount, expires, .. } = self.reservations[number];
        let now = self.clock(machine);
        self.expire(number);
        if self.machines[machine].process.is_none() {
            if tries < 4 {
                self.schedule.later(15 * SECOND, Event::Settle(number, tries + 1));
            }
            return Ok(());
        }
        let is_release = self.random.chance(80);
        let is_over_price = self.random.chance(10);
        let price =
            if is_over_price { amount + self.random.between(1, 500) } else { self.random.between(amount / 3, amount) };
        let Some(process) = &self.machines[machine].process else { return Ok(()) };
        let node = &process.pacer.node;
        if is_release {
            let released = node.release(&token);
            if released == Released::Released {
                self.bury(number);
            }
            self.schedule.note(5 + u64::from(released == Released::Released));
            return Ok(());
        }
        let confirmed = node.confirm(&token, price, now);
        self.schedule.note(match confirmed {
            Confirmed::Confirmed => 10,
            Confirmed::Expired => 11,
            Confirmed::OverPrice => 12,
            Confirmed::Duplicate => 13,
            Confirmed::Unknown => 14,
            Confirmed::Elsewhere(_) => 15,
            Confirmed::Busy => 16,
        });
        match confirmed {
            Confirmed::Confirmed | Confirmed::Expired | Confirmed::OverPrice => {
                let is_in_time = self.reservations[number].is_alive && now < expires;
                self.bury(number);
                let covered = if is_in_time { price.min(amount) } else { 0 };
                self.observed[campaign].change(period, machine as u64 + 1, |sums| {
                    sums.covered += covered;
                    sums.over += price - covered;
                });
                self.outcome.confirmed += 1;
                self.outcome.overspent += price - covered;
            }
            Confirmed::Elsewhere(_) => return Err("a reservation of another machine".to_owned()),
            Confirmed::Busy if tries < 4 => self.schedule.later(15 * SECOND, Event::Settle(number, tries + 1)),
            Confirmed::Duplicate | Confirmed::Unknown | Confirmed::Busy => {}
        }
        self.check(campaign, period)
    }

    /// A reservation that its machine's clock has passed holds nothing any more.
    pub fn expire(&mut self, number: usize) {
        let Reservation { machine, expires, is_alive, .. } = self.reservations[number];
        self.clock(machine);
        if !is_alive {
            return;
        }
        match expires.saturating_sub(self.machines[machine].clock.newest()) {
            0 => self.bury(number),
            left => self.schedule.later(left.min(SECOND), Event::Expire(number)),
        }
    }

    /// The same of all that a machine has, whose clock was set: what is left of their time has changed.
    pub fn expire_all(&mut self, machine: usize) {
        self.clock(machine);
        let newest = self.machines[machine].clock.newest();
        for number in 0..self.reservations.len() {
            let Reservation { machine: of, expires, is_alive, .. } = self.reservations[number];
            if of != machine || !is_alive {
                continue;
            }
            match expires.saturating_sub(newest) {
                0 => self.bury(number),
                left => self.schedule.later(left.saturating_sub(MOST_DRIFT), Event::Expire(number)),
            }
        }
    }

    fn bury(&mut self, number: usize) {
        let Reservation { machine, campaign, period, amount, is_alive, .. } = &mut self.reservations[number];
        if std::mem::take(is_alive) {
            self.observed[*campaign].change(*period, *machine as u64 + 1, |sums| sums.alive -= *amount);
        }
    }
}
