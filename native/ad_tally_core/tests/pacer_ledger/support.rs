//! A ledger with a journal that can die, and campaigns for it.

use std::sync::Arc;

use ad_tally_core::Seed;
use ad_tally_core::journal::{self, Journal, Part, Restore};
use ad_tally_core::key::HashedKey;
use ad_tally_core::pacer::ledger::{Config, Lease, Ledger, Status};
use ad_tally_core::pacer::message::{Grant, NodeRef, Report};
use ad_tally_core::pacer::{Pace, Period, Plan};
use ad_tally_core::time::Zone;

use crate::in_memory::{each_entry, folded, merged};

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;
/// A midnight in Greenwich: Monday, 1 June 2026.
pub const BEGIN: u64 = 1_780_272_000_000;
/// The number of that day.
pub const TODAY: u32 = (BEGIN / DAY) as u32;
const PART: u16 = 2;
/// The words of the key 42.
pub const KEY: [u64; 2] = [0, 42];

pub fn seed() -> Seed {
    Seed::new(7)
}

pub fn key() -> HashedKey<'static> {
    seed().key(&KEY)
}

pub fn campaign() -> u64 {
    key().hash
}

pub fn config(lease: Lease) -> Config {
    Config { lease, max_campaigns: 10, tick: MINUTE }
}

pub fn node(name: u64) -> NodeRef {
    NodeRef { name, incarnation: 1 }
}

pub fn daily(budget: u64) -> Plan {
    Plan { budget, period: Period::Daily, zone: Zone::fixed(0), pace: Pace::Even, daily_max: None, price: 1_000 }
}

/// Ten days, each with at most 1.25 times its part.
pub fn flight(budget: u64) -> Plan {
    Plan { period: Period::Flight { from: BEGIN, to: BEGIN + 10 * DAY }, daily_max: Some(1_250_000), ..daily(budget) }
}

/// A report of what a node has done with what it knows to have been granted.
pub fn report(granted: u64, wanted: u64) -> Report {
    Report { campaign: campaign(), period: TODAY, granted, wanted, ..Report::default() }
}

pub fn ledger(lease: Lease, plan: Plan) -> Ledger {
    let ledger = Ledger::new(config(lease), seed(), None);
    ledger.put(key(), plan, BEGIN).expect("a plan");
    ledger
}

/// One report of one node, and what it is granted.
pub fn renew(ledger: &Ledger, from: NodeRef, report: Report, now: u64) -> Grant {
    let grants = ledger.renew(from, &[report], now).expect("no journal is full");
    assert_eq!(grants.len(), 1);
    grants[0]
}

pub fn status(ledger: &Ledger, now: u64) -> Status {
    ledger.status(key(), now).expect("a campaign")
}

/// A ledger, and what of it is on disk.
pub struct Durable {
    pub ledger: Ledger,
    journal: Arc<Journal>,
    opened: u32,
    lease: Lease,
    runs: Vec<Vec<u8>>,
}

impl Durable {
    pub fn new(lease: Lease) -> Self {
        Self::open(lease, Vec::new(), 1, BEGIN)
    }

    fn open(lease: Lease, runs: Vec<Vec<u8>>, opened: u32, now: u64) -> Self {
        let journal = Journal::new(journal::Config::default(), opened);
        let part = Part::new(journal.clone(), PART);
        let ledger = Ledger::new(config(lease), seed(), Some(part));
        let restoring = ledger.restoring();
        for run in &runs {
            each_entry(run, |part, entry| {
                assert_eq!(part, PART);
                restoring.restore(entry).expect("an entry of a ledger");
            });
        }
        restoring.finish(now);
        Self { ledger, journal, opened, lease, runs }
    }

    /// What was done is on disk.
    pub fn sync(&mut self) {
        let interval = self.journal.cut();
        self.runs.push(folded(interval.records(), &*self.ledger.fold()));
    }

    /// Dies, and comes back with what is on disk.
    pub fn die(self, now: u64) -> Self {
        Self::open(self.lease, self.runs, self.opened + 1, now)
    }

    /// Dies, and comes back with what was on disk some syncs ago.
    pub fn die_with_an_old_disk(mut self, syncs: usize, now: u64) -> Self {
        self.runs.truncate(self.runs.len().saturating_sub(syncs));
        self.die(now)
    }

    /// Merges what is on disk into a base.
    pub fn compact(&mut self) {
        let fold = self.ledger.fold();
        self.runs = vec![merged(&self.runs, Some(&*fold), true)];
    }

    /// Refuses whatever is to be written from now on.
    pub fn refuse(&self) {
        self.journal.close();
    }
}
