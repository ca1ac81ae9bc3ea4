//! The network: messages that are lost, late, or there twice, and what machines do when they arrive.

use ad_tally_core::key::{AtomFault, AtomNames};
use ad_tally_core::pacer::message::{
    Grant, Grants, Report, Reports, read_grants, read_plans, read_reports, write_grants, write_plans, write_reports,
};

use crate::clock::MINUTE;
use crate::machine::{COORDINATOR, seed};
use crate::schedule::Event;
use crate::world::World;

/// As whom the coordinator sends plans.
const FROM: u64 = 99;

#[derive(Clone)]
pub enum Message {
    Reports(Vec<u8>),
    Grants(Vec<u8>),
    Plans(Vec<u8>),
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

impl World {
    fn send(&mut self, from: usize, to: usize, message: Message) {
        if from == to {
            self.schedule.later(0, Event::Arrive(to, message));
            return;
        }
        let is_cut = [from, to].iter().any(|machine| self.schedule.at < self.machines[*machine].cut_until);
        if is_cut || self.random.chance(10) {
            return;
        }
        for _ in 0..1 + u64::from(self.random.chance(20)) {
            let slow = if self.random.chance(10) { 2 * MINUTE } else { 300 };
            let after = self.random.between(1, slow);
            self.schedule.later(after, Event::Arrive(to, message.clone()));
        }
    }

    /// Has a machine report.
    pub fn report(&mut self, machine: usize) {
        let now = self.clock(machine);
        let Some(process) = &self.machines[machine].process else { return };
        let mut reports = Vec::new();
        process.pacer.node.reports(0, usize::MAX, now, &mut reports);
        let (from, coordinator, has) = (process.me, process.coordinator, process.has);
        self.free(machine);
        for report in &reports {
            self.note_report(report);
            let campaign = self.campaign(report.campaign);
            self.observed[campaign].reported(from, report);
        }
        for frame in write_reports(seed(), &Reports { from, coordinator, has, reports }) {
            self.send(machine, COORDINATOR, Message::Reports(frame));
        }
    }

    pub fn arrive(&mut self, machine: usize, message: &Message) -> Result<(), String> {
        match message {
            Message::Reports(frame) => return self.renew(machine, frame),
            Message::Grants(frame) => self.apply(machine, frame),
            Message::Plans(frame) => self.install(machine, frame),
        }
        Ok(())
    }

    /// The coordinator answers reports.
    fn renew(&mut self, machine: usize, frame: &[u8]) -> Result<(), String> {
        let (now, at) = (self.clock(machine), self.schedule.at);
        if self.machines[machine].process.is_none() {
            return Ok(());
        }
        let Reports { from, coordinator, has, reports } = read_reports(seed(), frame).expect("a message");
        if self.random.chance(50) {
            self.look(machine);
        }
        let Some(process) = &self.machines[machine].process else { return Ok(()) };
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
        let to = from.name as usize - 1;
        let mut periods = Vec::new();
        for grant in &grants {
            self.note_grant(grant);
            let campaign = self.campaign(grant.campaign);
            self.observed[campaign].granted(from, grant, self.machines[to].has_store)?;
            periods.push((campaign, grant.period));
        }
        for frame in write_grants(seed(), &Grants { to: from, grants }) {
            self.send(machine, to, Message::Grants(frame));
        }
        if !plans.plans.is_empty() || plans.version > plans.after {
            for frame in write_plans(seed(), &plans, &NoAtoms).expect("no atoms") {
                self.send(machine, to, Message::Plans(frame));
            }
        }
        periods.into_iter().try_for_each(|(campaign, period)| self.check(campaign, period))
    }

    /// Somebody asks the coordinator where campaigns stand, which looks at what it has spent itself.
    fn look(&mut self, machine: usize) {
        let now = self.clock(machine);
        let Some(process) = &self.machines[machine].process else { return };
        let mut reports = Vec::new();
        for words in &self.keys {
            let Some(status) = process.pacer.node.status(seed().key(words)) else { continue };
            let Some(period) = status.period else { continue };
            let report = status.current.report(seed().key(words).hash, period);
            process.pacer.ledger.look(process.me, &Report { wanted: status.wanted, ..report }, now).unwrap_or_default();
            reports.push((process.me, report));
        }
        for (from, report) in reports {
            self.note_report(&report);
            let campaign = self.campaign(report.campaign);
            self.observed[campaign].reported(from, &report);
        }
    }

    fn apply(&mut self, machine: usize, frame: &[u8]) {
        let now = self.clock(machine);
        let Some(process) = &self.machines[machine].process else { return };
        let Grants { to, grants } = read_grants(seed(), frame).expect("a message");
        if to == process.me {
            process.pacer.node.apply(&grants, now);
            self.free(machine);
        }
    }

    fn install(&mut self, machine: usize, frame: &[u8]) {
        let now = self.clock(machine);
        let Some(process) = &mut self.machines[machine].process else { return };
        let (plans, _) = read_plans(seed(), frame, &mut NoAtoms).expect("a message");
        let has = if process.coordinator == plans.from { process.has } else { 0 };
        if plans.after > has {
            return;
        }
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

    fn note_report(&mut self, report: &Report) {
        let Report { granted, spent, returned, reserved, presumed, wanted, passed, .. } = *report;
        for word in [report.campaign, granted, spent, returned, reserved, presumed, wanted, passed] {
            self.schedule.note(word);
        }
    }

    fn note_grant(&mut self, grant: &Grant) {
        let Grant { granted, spent, returned, keep, pass, .. } = *grant;
        [grant.campaign, granted, spent, returned, keep, pass].into_iter().for_each(|word| self.schedule.note(word));
    }
}
