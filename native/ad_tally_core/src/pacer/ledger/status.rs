//! Where a campaign stands.

use super::Ledger;
use super::account::Account;
use super::campaign::Campaign;
use crate::key::HashedKey;
use crate::pacer::message::NodeRef;
use crate::pacer::plan::{Pace, PeriodOf, Plan};

/// What a campaign has, in micros, by what nodes have reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Money {
    /// What the period is to spend.
    pub budget: u64,
    /// What it should have spent by now.
    pub target: u64,
    /// What the period has spent, with `overspent`.
    pub spent: u64,
    /// What was spent that no grant was there for, in all periods.
    pub overspent: u64,
    /// What reservations of the period hold.
    pub reserved: u64,
    /// What the period's nodes have beside that, or may have lost.
    pub leased: u64,
    /// What of `leased` counts as spent, because a crash may have lost that it was.
    pub presumed: u64,
}

/// Where a campaign stands. Amounts are in micros.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The version of its plan.
    pub version: u32,
    /// The plan.
    pub plan: Plan,
    /// The period that time is in: none outside of a flight.
    pub period: Option<PeriodOf>,
    /// What it has.
    pub money: Money,
    /// What the period may spend.
    pub wall: u64,
    /// What all periods have spent.
    pub spent_in_all: u64,
    /// The part of requests that take part.
    pub pass: f64,
    /// What of `target` is spent. None while nothing should be.
    pub delivery: Option<f64>,
    /// Whether it is paced evenly only because too little is known of its traffic.
    pub awaits_history: bool,
    /// What each node has that is neither spent nor returned, of the period.
    pub leases: Vec<NodeLease>,
}

/// What a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLease {
    /// Which node.
    pub node: NodeRef,
    /// What it was granted and has neither spent nor returned.
    pub leased: u64,
    /// When it last said something, by the ledger's clock.
    pub seen: u64,
}

impl Money {
    pub(super) const PARTS: usize = 7;

    pub(super) fn parts(&self) -> [u64; Self::PARTS] {
        let Self { budget, target, spent, overspent, reserved, leased, presumed } = *self;
        [budget, target, spent, overspent, reserved, leased, presumed]
    }

    pub(super) fn of_parts(parts: [u64; Self::PARTS]) -> Self {
        let [budget, target, spent, overspent, reserved, leased, presumed] = parts;
        Self { budget, target, spent, overspent, reserved, leased, presumed }
    }
}

impl Ledger {
    /// Where a campaign stands, if there is one.
    #[must_use]
    pub fn status(&self, key: HashedKey<'_>, now: u64) -> Option<Status> {
        let mut state = self.state.lock();
        let campaign = state.campaigns.get_mut(&key.hash).filter(|campaign| *campaign.key == *key.words)?;
        campaign.roll(now);
        campaign.status(now)
    }

    /// How many campaigns there are, with those that were deleted lately.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().campaigns.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Campaign {
    /// What it has, in the period that it is in.
    pub(super) fn money(&self, now: u64) -> Money {
        let current = self.current.as_ref();
        let sum = |of: fn(&Account) -> u64| self.current_accounts().map(of).fold(0, u64::saturating_add);
        let reserved = sum(|account| account.reserved);
        let budget = current.map_or(0, |current| current.budget.target);
        let target = match current {
            Some(_) if self.plan.as_ref().is_some_and(|plan| plan.pace == Pace::Asap) => budget,
            Some(current) => (budget as f64 * current.curve.share(current.of.begin, now)) as u64,
            None => 0,
        };
        Money {
            budget,
            target,
            spent: sum(|account| account.totals.spent),
            overspent: self.totals().overspent,
            reserved,
            leased: sum(|account| account.leased()).saturating_sub(reserved),
            presumed: sum(|account| account.presumed),
        }
    }

    /// What nodes have of the current period.
    fn current_accounts(&self) -> impl Iterator<Item = &Account> {
        let period = self.current.as_ref().map(|current| current.of.number);
        self.accounts.iter().filter(move |account| period == Some(account.period))
    }

    fn status(&self, now: u64) -> Option<Status> {
        let plan = self.plan.clone()?;
        let current = self.current.as_ref();
        let money = self.money(now);
        Some(Status {
            version: self.version,
            period: current.map(|current| current.of),
            money,
            wall: current.map_or(0, |current| current.budget.wall),
            spent_in_all: self.totals().spent,
            pass: self.rate.pass as f64 / u64::MAX as f64,
            delivery: (money.target > 0).then(|| money.spent as f64 / money.target as f64),
            awaits_history: current.is_some_and(|current| current.curve.awaits_history()),
            leases: self
                .current_accounts()
                .map(|account| NodeLease { node: account.node, leased: account.leased(), seen: account.seen })
                .collect(),
            plan,
        })
    }
}
