//! Where a campaign stands.

use super::Ledger;
use super::campaign::Campaign;
use crate::key::HashedKey;
use crate::pacer::message::NodeRef;
use crate::pacer::plan::{Pace, PeriodOf, Plan};

/// Where a campaign stands, by what nodes have reported. Amounts are in micros.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// The version of its plan.
    pub version: u32,
    /// The plan.
    pub plan: Plan,
    /// The period that time is in: none outside of a flight.
    pub period: Option<PeriodOf>,
    /// What the period may spend.
    pub wall: u64,
    /// What the period is to spend.
    pub budget: u64,
    /// What it should have spent by now.
    pub target: u64,
    /// What the period has spent, with `overspent`.
    pub spent: u64,
    /// What all periods have.
    pub spent_in_all: u64,
    /// What was spent that no grant was there for, in all periods.
    pub overspent: u64,
    /// What reservations of the period hold.
    pub reserved: u64,
    /// What the period's nodes have beside that, or may have lost.
    pub leased: u64,
    /// What of `leased` counts as spent, because a crash may have lost that it was.
    pub presumed: u64,
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
    fn status(&self, now: u64) -> Option<Status> {
        let plan = self.plan.clone()?;
        let current = self.current.as_ref();
        let period = current.map(|current| current.of);
        let accounts = self.accounts.iter().filter(|account| period.is_some_and(|of| of.number == account.period));
        let sum = |of: fn(&super::account::Account) -> u64| accounts.clone().map(of).fold(0, u64::saturating_add);
        let (spent, reserved) = (sum(|account| account.totals.spent), sum(|account| account.reserved));
        let leased = sum(|account| account.leased()).saturating_sub(reserved);
        let budget = current.map_or(0, |current| current.budget.target);
        let target = match (current, &plan.pace) {
            (Some(current), Pace::Asap) => current.budget.target,
            (Some(current), _) => (budget as f64 * current.curve.share(current.of.begin, now)) as u64,
            (None, _) => 0,
        };
        let totals = self.totals();
        Some(Status {
            version: self.version,
            period,
            wall: current.map_or(0, |current| current.budget.wall),
            budget,
            target,
            spent,
            spent_in_all: totals.spent,
            overspent: totals.overspent,
            reserved,
            leased,
            presumed: sum(|account| account.presumed),
            pass: self.rate.pass as f64 / u64::MAX as f64,
            delivery: (target > 0).then(|| spent as f64 / target as f64),
            awaits_history: current.is_some_and(|current| current.curve.awaits_history()),
            leases: accounts
                .map(|account| NodeLease { node: account.node, leased: account.leased(), seen: account.seen })
                .collect(),
            plan,
        })
    }
}
