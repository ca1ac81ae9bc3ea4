//! The world: its machines and campaigns, what happens in the order of time, and what a machine does on its own.

use ad_tally_core::pacer::{Period, Plan};

use crate::budgets::{CAMPAIGNS, key, plans};
use crate::clock::{BEGIN, Clock, HOUR, MINUTE, SECOND};
use crate::machine::{COORDINATOR, Machine, NODES, seed};
use crate::observer::Campaign;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::rules::Rules;
use crate::schedule::{Event, Schedule};
use crate::traffic::Reservation;

/// How often a machine reports.
pub const STEP: u64 = 4 * SECOND;

pub struct World {
    pub rules: Rules,
    pub random: Random,
    pub schedule: Schedule,
    pub machines: Vec<Machine>,
    pub plans: Vec<Plan>,
    pub keys: Vec<Vec<u64>>,
    /// What the observer knows of each campaign.
    pub observed: Vec<Campaign>,
    pub reservations: Vec<Reservation>,
    pub is_calm: bool,
    pub outcome: Outcome,
}

impl World {
    pub fn new(seed: u64, rules: Rules) -> Self {
        let mut random = Random::new(seed);
        let has_stores = random.chance(500);
        let machines = (0..NODES).map(|index| {
            let offset = random.between(0, 4_000) as i64 - 2_000;
            let drift = random.between(0, 100) as i64 - 50;
            Machine::new(index, has_stores || index < NODES - 1, Clock::new(offset, drift))
        });
        let machines = machines.collect();
        let plans = plans(rules.pressure);
        let observed = plans.iter().map(|plan| Campaign::new(plan.budget, plan.period == Period::Daily));
        let mut world = Self {
            rules,
            schedule: Schedule::new(),
            machines,
            observed: observed.collect(),
            plans,
            keys: (0..CAMPAIGNS).map(key).collect(),
            reservations: Vec::new(),
            is_calm: false,
            outcome: Outcome { runs: 1, ..Outcome::default() },
            random,
        };
        world.plan();
        world
    }

    /// Decides when what goes wrong or is edited, and has all begin.
    fn plan(&mut self) {
        for machine in 0..NODES {
            let phase = self.random.below(STEP);
            self.schedule.later(phase, Event::Step(machine));
        }
        self.schedule.later(1, Event::Tick);
        let length = self.rules.hours * HOUR;
        for _ in 0..self.random.between(0, self.rules.edits) {
            let (after, campaign) = (self.random.below(length), self.random.below(CAMPAIGNS as u64) as usize);
            self.schedule.later(after, Event::Edit(campaign));
        }
        let faults = self.random.between(self.rules.faults / 4, self.rules.faults);
        for _ in 0..faults {
            let after = self.random.below(length);
            self.schedule.later(after, Event::Fault);
        }
        self.schedule.later(length, Event::Calm);
        self.schedule.later(length + 15 * MINUTE, Event::Recall);
    }

    pub fn run(mut self) -> Result<Outcome, String> {
        for machine in 0..NODES {
            self.start(machine);
        }
        for campaign in 0..CAMPAIGNS {
            self.put(campaign);
        }
        let end = BEGIN + self.rules.hours * HOUR + 20 * MINUTE;
        while let Some(event) = self.schedule.next() {
            let at = self.schedule.at;
            if at > end {
                break;
            }
            self.happen(event).map_err(|fault| format!("{} s after the begin: {fault}", (at - BEGIN) / SECOND))?;
        }
        self.end()?;
        self.outcome.log = self.schedule.into_log();
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

    /// What a machine's clock shows.
    pub fn clock(&mut self, machine: usize) -> u64 {
        self.machines[machine].clock.show(self.schedule.at)
    }

    fn start(&mut self, machine: usize) {
        let random = self.random.next();
        self.machines[machine].start(self.schedule.at, random, self.rules.gives_back_after_crash);
    }

    /// What a machine's server does each few seconds, and the requests of that time.
    fn step(&mut self, machine: usize) {
        self.schedule.later(STEP, Event::Step(machine));
        if self.machines[machine].process.is_none() {
            if self.schedule.at >= self.machines[machine].starts_at {
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

    /// What is pending is used again once it is on disk.
    pub fn free(&mut self, machine: usize) {
        let Some(process) = &self.machines[machine].process else { return };
        let noted = process.pacer.node.note_pending();
        let is_careless = self.rules.frees_before_sync;
        let syncs = self.random.chance(if is_careless { 5 } else { self.rules.syncs });
        let is_synced = syncs && self.machines[machine].sync(self.schedule.at);
        if let Some(process) = self.machines[machine].process.as_ref().filter(|_| is_synced || is_careless) {
            process.pacer.node.free_pending(&noted);
        }
    }

    /// The number of a campaign, by the hash of its key.
    pub fn campaign(&self, hash: u64) -> usize {
        let is_it = |words: &Vec<u64>| seed().key(words).hash == hash;
        self.keys.iter().position(is_it).expect("a campaign of this world")
    }

    /// Whether no more is spent and reserved than may be.
    pub fn check(&mut self, campaign: usize, period: u32) -> Result<(), String> {
        self.observed[campaign].check(period).map_err(|fault| format!("campaign {campaign}: {fault}"))
    }

    fn tick(&mut self) {
        self.schedule.later(MINUTE, Event::Tick);
        let now = self.clock(COORDINATOR);
        if let Some(process) = &self.machines[COORDINATOR].process {
            process.pacer.ledger.tick(now, || true);
        }
    }

    /// Adds up what was spent, and what is out and was not.
    fn end(&mut self) -> Result<(), String> {
        for (_, sums) in self.observed.iter().flat_map(Campaign::periods) {
            self.outcome.spent += sums.covered;
            self.outcome.stranded += sums.out.saturating_sub(sums.covered + sums.alive);
        }
        for campaign in 0..CAMPAIGNS {
            if self.plans[campaign].period == Period::Lifetime {
                self.check_end(campaign)?;
            }
        }
        Ok(())
    }

    /// Whether all that callers were told to be booked in time is spent, as the coordinator knows it in the end, or presumed, because
    /// a crash has lost it. Of a node without a store that is all that it had.
    fn check_end(&mut self, campaign: usize) -> Result<(), String> {
        let now = self.clock(COORDINATOR);
        let covered = self.observed[campaign].in_all().covered;
        let process = self.machines[COORDINATOR].process.as_ref().expect("a coordinator that is well");
        let status = process.pacer.ledger.status(seed().key(&self.keys[campaign]), now).expect("a plan");
        let has_stores = self.machines.iter().all(|machine| machine.has_store);
        let lost = if has_stores { status.money.presumed } else { status.money.leased };
        if covered > status.spent_in_all - status.money.overspent + lost {
            return Err(format!("campaign {campaign}: {covered} were booked, and in the end there is {status:?}"));
        }
        Ok(())
    }
}
