//! What happens in a day, in the order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use ad_tally_core::key::{AtomFault, AtomNames, SHORT_KEY_WORDS};
use ad_tally_core::pacer::message::{
    Grants, Reports, read_grants, read_plans, read_reports, write_grants, write_plans, write_reports,
};
use ad_tally_core::pacer::node::{Confirmed, Released, Reserved};
use ad_tally_core::pacer::{Pace, Period, Plan, Token};
use ad_tally_core::time::Zone;
use ad_tally_core::{HashedKey, KeyWriter};

use crate::machine::{Machine, NODES, seed};
use crate::random::Random;
use crate::truth::Campaign;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A midnight in Greenwich.
const MIDNIGHT: u64 = 1_780_272_000_000;
/// A run begins so long before midnight.
const BEFORE: u64 = 2 * HOUR;
const BEGIN: u64 = MIDNIGHT - BEFORE;
/// How often a machine reports.
const STEP: u64 = 4 * SECOND;
/// How long after a request found no money a machine reports.
const WAKE: u64 = 50;
const TTL: u64 = 60 * SECOND;
const CAMPAIGNS: usize = 4;
/// What they may spend at first.
const BUDGETS: [u64; CAMPAIGNS] = [12_000_000, 10_000_000, 24_000_000, 14_000_000];
/// The machine that coordinates all budgets, and as whom it sends plans.
const COORDINATOR: usize = 0;
const FROM: u64 = 99;
/// What requests a machine has in a step of a campaign, in the mean, in tenths.
const REQUESTS: [u64; NODES] = [12, 6, 4, 3];
/// An amount that is reserved is at most this.
const MOST_AMOUNT: u64 = 1_500;
/// What is free of a budget and less than this part of it is on its way to somebody.
const IN_MOTION: u64 = 200;

/// What is to happen, and what processes do wrong.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub hours: u64,
    /// Faults at most.
    pub faults: u64,
    /// Edits at most.
    pub edits: u64,
    pub answers_before_sync: bool,
    pub frees_before_sync: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { hours: 24, faults: 20, edits: 4, answers_before_sync: false, frees_before_sync: false }
    }
}

/// What came of runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    pub runs: u64,
    pub reserved: u64,
    pub confirmed: u64,
    /// Refused for want of money, though more than a little was free.
    pub refused: u64,
    pub budgets: u64,
    pub spent: u64,
    pub overspent: u64,
    pub stranded: u64,
    pub faults: u64,
    pub edits: u64,
    /// A hash of all answers.
    pub digest: u64,
}

impl Outcome {
    pub fn add(&mut self, other: &Self) {
        self.runs += 1;
        self.reserved += other.reserved;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.budgets += other.budgets;
        self.spent += other.spent;
        self.overspent += other.overspent;
        self.stranded += other.stranded;
        self.faults += other.faults;
        self.edits += other.edits;
    }

    pub fn refused_part(&self) -> f64 {
        self.refused as f64 / (self.refused + self.reserved) as f64
    }

    pub fn stranded_part(&self) -> f64 {
        self.stranded as f64 / self.budgets as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} days, {} faults, {} edits: {} reserved, {} confirmed, {:.3} % refused though budget was free, {:.3} % stranded, \
             {} of {} spent and {} over (late or above the price)",
            self.runs,
            self.faults,
            self.edits,
            self.reserved,
            self.confirmed,
            100.0 * self.refused_part(),
            100.0 * self.stranded_part(),
            self.spent,
            self.budgets,
            self.overspent
        )
    }
}

enum Event {
    /// A machine reports, sweeps and syncs.
    Step(usize),
    /// A machine reports, because a request found no money.
    Woken(usize),
    Request(usize, usize),
    /// The coordinator has its tick.
    Tick,
    /// A message arrives at a machine.
    Arrive(usize, Message),
    /// A caller settles a reservation.
    Settle(usize, u8),
    /// A reservation has expired, if its machine's clock says so.
    Expire(usize),
    Edit(usize),
    Fault,
    /// All is well again, and nobody asks for anything any more.
    Calm,
    /// Nodes are to give back all that they can: what is out then stays so.
    Recall,
}

#[derive(Clone)]
enum Message {
    Reports(Vec<u8>),
    Grants(Vec<u8>),
    Plans(Vec<u8>),
}

/// A reservation, as its caller knows it.
struct Reservation {
    machine: usize,
    campaign: usize,
    period: u32,
    token: Token,
    amount: u64,
    expires: u64,
    is_alive: bool,
}

/// Keys are integers: there are no atoms.
struct NoAtoms;

impl AtomNames for NoAtoms {
    fn text(&self, _: u64) -> Option<std::borrow::Cow<'_, str>> {
        None
    }

    fn atom(&mut self, _: &str) -> Result<u64, AtomFault> {
        Err(AtomFault::TooMany(0))
    }
}

pub struct World {
    rules: Rules,
    random: Random,
    at: u64,
    number: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    bodies: Vec<Option<Event>>,
    free_bodies: Vec<usize>,
    machines: Vec<Machine>,
    plans: Vec<Plan>,
    keys: Vec<Vec<u64>>,
    truth: Vec<Campaign>,
    reservations: Vec<Reservation>,
    is_calm: bool,
    outcome: Outcome,
}

fn key(number: i64) -> Vec<u64> {
    let mut room = [std::mem::MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut writer = KeyWriter::bare(&mut room);
    writer.integer(number);
    writer.finish().to_vec()
}

impl World {
    pub fn new(number: u64, rules: Rules) -> Self {
        let mut random = Random::new(number);
        let has_stores = random.chance(500);
        let machines: Vec<Machine> = (0..NODES)
            .map(|index| {
                let offset = random.between(0, 4_000) as i64 - 2_000;
                let drift = random.between(0, 100) as i64 - 50;
                Machine::new(index, has_stores || index < NODES - 1, offset, drift)
            })
            .collect();
        let plan = |budget, period, pace, daily_max, hours: i64| Plan {
            budget,
            period,
            zone: Zone::fixed(hours * HOUR as i64),
            pace,
            daily_max,
            price: 1_000,
        };
        let flight = Period::Flight { from: BEGIN - HOUR, to: MIDNIGHT + 2 * DAY };
        let plans = vec![
            plan(BUDGETS[0], Period::Daily, Pace::Asap, None, 0),
            plan(BUDGETS[1], Period::Daily, Pace::Even, None, -7),
            plan(BUDGETS[2], flight, Pace::Even, Some(1_250_000), 0),
            plan(BUDGETS[3], Period::Lifetime, Pace::Asap, None, 0),
        ];
        let truth = plans.iter().map(|plan| Campaign::new(plan.budget, plan.period == Period::Daily));
        let mut world = Self {
            rules,
            at: BEGIN,
            number: 0,
            events: BinaryHeap::new(),
            bodies: Vec::new(),
            free_bodies: Vec::new(),
            machines,
            truth: truth.collect(),
            plans,
            keys: (0..CAMPAIGNS as i64).map(|campaign| key(40 + campaign)).collect(),
            reservations: Vec::new(),
            is_calm: false,
            outcome: Outcome::default(),
            random,
        };
        for machine in 0..NODES {
            let phase = world.random.below(STEP);
            world.later(phase, Event::Step(machine));
        }
        world.later(1, Event::Tick);
        let length = rules.hours * HOUR;
        for _ in 0..world.random.between(0, rules.edits) {
            let (after, campaign) = (world.random.below(length), world.random.below(CAMPAIGNS as u64) as usize);
            world.later(after, Event::Edit(campaign));
        }
        let faults = world.random.between(rules.faults / 4, rules.faults);
        for _ in 0..faults {
            let after = world.random.below(length);
            world.later(after, Event::Fault);
        }
        world
    }

    fn later(&mut self, after: u64, event: Event) {
        self.number += 1;
        let body = self.free_bodies.pop().unwrap_or_else(|| {
            self.bodies.push(None);
            self.bodies.len() - 1
        });
        self.bodies[body] = Some(event);
        self.events.push(Reverse((self.at + after, self.number, body)));
    }

    fn note(&mut self, answer: u64) {
        self.outcome.digest =
            (self.outcome.digest ^ answer ^ self.at).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    pub fn run(mut self) -> Result<Outcome, String> {
        for machine in 0..NODES {
            self.start(machine);
        }
        for campaign in 0..CAMPAIGNS {
            self.put(campaign);
        }
        let length = self.rules.hours * HOUR;
        self.later(length, Event::Calm);
        self.later(length + 15 * MINUTE, Event::Recall);
        let end = BEGIN + length + 20 * MINUTE;
        while let Some(Reverse((at, _, body))) = self.events.pop() {
            if at > end {
                break;
            }
            self.at = at;
            let event = self.bodies[body].take().expect("an event that was not had");
            self.free_bodies.push(body);
            self.happen(event).map_err(|fault| format!("{} s after the begin: {fault}", (at - BEGIN) / SECOND))?;
        }
        self.end();
        Ok(self.outcome)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Step(machine) => self.step(machine),
            Event::Woken(machine) => {
                self.machines[machine].is_woken = false;
                self.report(machine);
            }
            Event::Request(machine, campaign) => return self.request(machine, campaign),
            Event::Tick => self.tick(),
            Event::Arrive(machine, message) => return self.arrive(machine, &message),
            Event::Settle(reservation, tries) => return self.settle(reservation, tries),
            Event::Expire(reservation) => self.expire(reservation),
            Event::Edit(campaign) => self.edit(campaign),
            Event::Fault => self.fault(),
            Event::Calm => self.calm(),
            Event::Recall => self.recall(),
        }
        Ok(())
    }

    fn clock(&mut self, machine: usize) -> u64 {
        self.machines[machine].clock(self.at, BEGIN)
    }

    fn start(&mut self, machine: usize) {
        let (now, random) = (self.clock(machine), self.random.next());
        self.machines[machine].start(self.at, now, random);
    }

    /// What a machine's server does each few seconds, and the requests of that time.
    fn step(&mut self, machine: usize) {
        self.later(STEP, Event::Step(machine));
        if self.machines[machine].process.is_none() {
            if self.at >= self.machines[machine].starts_at {
                self.start(machine);
            }
            return;
        }
        let now = self.clock(machine);
        if let Some(process) = &self.machines[machine].process {
            process.pacer.node.sweep(now, || true);
        }
        self.report(machine);
        self.requests(machine);
    }

    fn report(&mut self, machine: usize) {
        let now = self.clock(machine);
        let Some(process) = &self.machines[machine].process else { return };
        let mut reports = Vec::new();
        process.pacer.node.reports(0, usize::MAX, now, &mut reports);
        let (from, coordinator, has) = (process.me, process.coordinator, process.has);
        self.free(machine);
        for report in &reports {
            let campaign = self.campaign(report.campaign);
            self.truth[campaign].reported(from, report);
        }
        for frame in write_reports(&seed(), &Reports { from, coordinator, has, reports }) {
            self.send(machine, COORDINATOR, Message::Reports(frame));
        }
    }

    /// What is pending is used again once it is on disk.
    fn free(&mut self, machine: usize) {
        let Some(process) = &self.machines[machine].process else { return };
        let noted = process.pacer.node.note_pending();
        let is_careless = self.rules.frees_before_sync;
        let syncs = !is_careless || self.random.chance(5);
        let is_synced = syncs && self.machines[machine].sync(self.at);
        if let Some(process) = self.machines[machine].process.as_ref().filter(|_| is_synced || is_careless) {
            process.pacer.node.free_pending(&noted);
        }
    }

    fn campaign(&self, hash: u64) -> usize {
        let is_it = |words: &Vec<u64>| seed().key(words).hash == hash;
        self.keys.iter().position(is_it).expect("a campaign of this world")
    }

    /// Sends a message, which may be lost, late, or there twice.
    fn send(&mut self, from: usize, to: usize, message: Message) {
        if from == to {
            self.later(0, Event::Arrive(to, message));
            return;
        }
        let is_cut = [from, to].iter().any(|machine| self.at < self.machines[*machine].cut_until);
        if is_cut || self.random.chance(10) {
            return;
        }
        for _ in 0..1 + u64::from(self.random.chance(20)) {
            let slow = if self.random.chance(10) { 2 * MINUTE } else { 300 };
            let after = self.random.between(1, slow);
            self.later(after, Event::Arrive(to, message.clone()));
        }
    }

    fn arrive(&mut self, machine: usize, message: &Message) -> Result<(), String> {
        let now = self.clock(machine);
        let at = self.at;
        let Some(process) = &mut self.machines[machine].process else { return Ok(()) };
        match message {
            Message::Reports(frame) => {
                let Reports { from, coordinator, has, reports } = read_reports(&seed(), frame).expect("a message");
                let ledger = &process.pacer.ledger;
                let Ok(grants) = ledger.renew(from, &reports, now) else { return Ok(()) };
                let plans = ledger.plans(FROM, if coordinator == FROM { has } else { 0 }, 100);
                let is_careless = self.rules.answers_before_sync;
                let syncs = !is_careless || self.random.chance(20);
                let dies = std::mem::take(&mut self.machines[machine].dies_at_grant) && !grants.is_empty();
                // Before it has synced, or after that.
                let syncs = syncs && !(dies && self.random.chance(500));
                let is_synced = syncs && self.machines[machine].sync(at);
                if dies {
                    self.machines[machine].kill();
                }
                if !is_synced && !is_careless || dies && self.random.chance(500) {
                    return Ok(());
                }
                let mut periods = Vec::new();
                for grant in &grants {
                    let campaign = self.campaign(grant.campaign);
                    let has_store = self.machines[from.name as usize - 1].has_store;
                    self.truth[campaign].granted(from, grant, has_store)?;
                    periods.push((campaign, grant.period));
                }
                let to = from.name as usize - 1;
                for frame in write_grants(&seed(), &Grants { to: from, grants }) {
                    self.send(machine, to, Message::Grants(frame));
                }
                if !plans.plans.is_empty() || plans.version > plans.after {
                    for frame in write_plans(&seed(), &plans, &NoAtoms).expect("no atoms") {
                        self.send(machine, to, Message::Plans(frame));
                    }
                }
                periods.into_iter().try_for_each(|(campaign, period)| self.check(campaign, period))
            }
            Message::Grants(frame) => {
                let Grants { to, grants } = read_grants(&seed(), frame).expect("a message");
                if to == process.me {
                    process.pacer.node.apply(&grants, now);
                    self.free(machine);
                }
                Ok(())
            }
            Message::Plans(frame) => {
                let plans = read_plans(&seed(), frame, &mut NoAtoms).expect("a message");
                let has = if process.coordinator == plans.from { process.has } else { 0 };
                if plans.after <= has {
                    for plan in &plans.plans {
                        let node = &process.pacer.node;
                        let key = seed().key(&plan.key);
                        match &plan.plan {
                            Some(of) => node.install(key, plan.version, of, now).expect("room"),
                            None => node.remove(key, plan.version, now),
                        }
                    }
                    (process.coordinator, process.has) = (plans.from, plans.version.max(has));
                }
                Ok(())
            }
        }
    }

    fn check(&mut self, campaign: usize, period: u32) -> Result<(), String> {
        self.truth[campaign].check(period).map_err(|fault| format!("campaign {campaign}: {fault}"))
    }

    fn tick(&mut self) {
        self.later(MINUTE, Event::Tick);
        let now = self.clock(COORDINATOR);
        if let Some(process) = &self.machines[COORDINATOR].process {
            process.pacer.ledger.tick(now, || true);
        }
    }

    /// The requests of one step.
    fn requests(&mut self, machine: usize) {
        for campaign in 0..if self.is_calm { 0 } else { CAMPAIGNS } {
            let tenths = self.random.below(2 * REQUESTS[machine]);
            let count = tenths / 10 + u64::from(self.random.below(10) < tenths % 10);
            for _ in 0..count {
                let after = self.random.below(STEP);
                self.later(after, Event::Request(machine, campaign));
            }
        }
    }

    fn request(&mut self, machine: usize, campaign: usize) -> Result<(), String> {
        let (now, request) = (self.clock(machine), self.random.next());
        let amount = self.random.between(500, MOST_AMOUNT);
        let Some(process) = &self.machines[machine].process else { return Ok(()) };
        let node = &process.pacer.node;
        let reserved = node.reserve(seed().key(&self.keys[campaign]), request, amount, now, TTL, || now);
        let period = self.period(campaign, now);
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
                self.note(token.expires());
                self.outcome.reserved += 1;
                self.truth[campaign].change(period, machine as u64 + 1, |sums| sums.alive += amount);
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
                self.later(TTL, Event::Expire(number));
                let after = match self.random.below(100) {
                    0..88 => self.random.between(1, TTL / 2),
                    88..94 => self.random.between(TTL / 2, TTL + 2 * SECOND),
                    94..96 => self.random.between(TTL, 5 * TTL),
                    _ => u64::MAX,
                };
                if after < u64::MAX {
                    self.later(after, Event::Settle(number, 0));
                }
                self.check(campaign, period)
            }
            Reserved::NoBudget => {
                let free = self.free_budget(campaign, now);
                let budget = self.truth[campaign].budget;
                if free >= amount.max(budget / IN_MOTION) {
                    self.outcome.refused += 1;
                }
                if !std::mem::replace(&mut self.machines[machine].is_woken, true) {
                    self.later(WAKE, Event::Woken(machine));
                }
                self.note(1);
                Ok(())
            }
            other => {
                self.note(if other == Reserved::Paced { 2 } else { 3 });
                Ok(())
            }
        }
    }

    /// In which period of its plan a time is.
    fn period(&self, campaign: usize, at: u64) -> u32 {
        let offset = if campaign == 1 { -7 * HOUR as i64 } else { 0 };
        match campaign {
            3 => 0,
            _ => (at.saturating_add_signed(offset) / DAY) as u32,
        }
    }

    /// What a campaign may still spend, as the observer sees it.
    fn free_budget(&mut self, campaign: usize, now: u64) -> u64 {
        let period = self.period(campaign, now);
        let Plan { budget, period: of, daily_max, .. } = self.plans[campaign];
        let all = self.truth[campaign].in_all();
        let day = self.truth[campaign].period(period);
        let held = |sums: crate::truth::Sums| sums.covered + sums.over + sums.alive;
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

    fn settle(&mut self, number: usize, tries: u8) -> Result<(), String> {
        let Reservation { machine, campaign, period, token, amount, expires, .. } = self.reservations[number];
        let now = self.clock(machine);
        self.expire(number);
        if self.machines[machine].process.is_none() {
            if tries < 4 {
                self.later(15 * SECOND, Event::Settle(number, tries + 1));
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
            self.note(5 + u64::from(released == Released::Released));
            return Ok(());
        }
        let confirmed = node.confirm(&token, price, now);
        self.note(match confirmed {
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
                self.truth[campaign].change(period, machine as u64 + 1, |sums| {
                    sums.covered += covered;
                    sums.over += price - covered;
                });
                self.outcome.confirmed += 1;
                self.outcome.overspent += price - covered;
            }
            Confirmed::Elsewhere(_) => return Err("a reservation of another machine".to_owned()),
            Confirmed::Busy if tries < 4 => self.later(15 * SECOND, Event::Settle(number, tries + 1)),
            Confirmed::Duplicate | Confirmed::Unknown | Confirmed::Busy => {}
        }
        self.check(campaign, period)
    }

    /// A reservation that its machine's clock has passed holds nothing any more.
    fn expire(&mut self, number: usize) {
        let Reservation { machine, expires, is_alive, .. } = self.reservations[number];
        self.clock(machine);
        if !is_alive {
            return;
        }
        if self.machines[machine].newest >= expires {
            self.bury(number);
        } else {
            self.later(SECOND, Event::Expire(number));
        }
    }

    fn bury(&mut self, number: usize) {
        let Reservation { machine, campaign, period, amount, is_alive, .. } = &mut self.reservations[number];
        if std::mem::take(is_alive) {
            self.truth[*campaign].change(*period, *machine as u64 + 1, |sums| sums.alive -= *amount);
        }
    }

    /// Gives the coordinator a campaign's plan.
    fn put(&mut self, campaign: usize) -> bool {
        let now = self.clock(COORDINATOR);
        if self.at < self.machines[COORDINATOR].refuses_until {
            return false;
        }
        let Some(process) = &self.machines[COORDINATOR].process else { return false };
        let key = seed().key(&self.keys[campaign]);
        process.pacer.ledger.put(key, self.plans[campaign].clone(), now).is_ok()
            && self.machines[COORDINATOR].sync(self.at)
    }

    fn edit(&mut self, campaign: usize) {
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
            _ => plan.budget = BUDGETS[campaign] * self.random.between(500, 1_500) / 1_000,
        }
        if self.put(campaign) {
            self.truth[campaign].edit(self.plans[campaign].budget);
            self.outcome.edits += 1;
        } else {
            self.plans[campaign] = before;
            self.later(MINUTE, Event::Edit(campaign));
        }
    }

    fn fault(&mut self) {
        let machine = self.random.below(NODES as u64) as usize;
        self.outcome.faults += 1;
        let at = self.at;
        let long = self.random.between(SECOND, 10 * MINUTE);
        match self.random.below(7) {
            0 | 1 => {
                self.machines[machine].kill();
                self.machines[machine].starts_at = at + long;
            }
            2 => {
                self.machines[machine].stop(at);
                self.machines[machine].starts_at = at + long / 10;
            }
            3 => self.machines[machine].cut_until = at + long,
            4 => {
                let jump = if self.random.chance(300) { 3 * HOUR } else { 2 * MINUTE };
                self.machines[machine].offset += self.random.between(0, 2 * jump) as i64 - jump as i64;
            }
            5 => self.machines[machine].refuses_until = at + long,
            _ => {
                self.machines[COORDINATOR].dies_at_grant = true;
                self.machines[COORDINATOR].starts_at = at + long / 10;
            }
        }
    }

    fn calm(&mut self) {
        self.is_calm = true;
        for machine in &mut self.machines {
            (machine.starts_at, machine.cut_until, machine.refuses_until) = (0, 0, 0);
        }
    }

    fn recall(&mut self) {
        for campaign in 0..CAMPAIGNS {
            let periods = self.truth[campaign].periods().count() as u64;
            self.outcome.budgets +=
                self.plans[campaign].budget * if self.truth[campaign].is_daily { periods } else { 1 };
            self.plans[campaign].budget = 1;
            assert!(self.put(campaign), "a coordinator that is well");
            self.truth[campaign].edit(1);
        }
    }

    /// Adds up what was spent, and what is out and was not.
    fn end(&mut self) {
        for (_, sums) in self.truth.iter().flat_map(Campaign::periods) {
            self.outcome.spent += sums.covered;
            self.outcome.stranded += sums.out.saturating_sub(sums.covered + sums.alive);
        }
    }
}
