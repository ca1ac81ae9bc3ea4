//! Where a campaign stands.

use super::campaign::Campaign;
use super::money::Money;
use super::sums::{Seen, Sums};
use super::{Ledger, State};
use crate::key::HashedKey;
use crate::pacer::message::NodeRef;
use crate::pacer::plan::{PeriodOf, Plan};

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

impl Ledger {
    /// Where a campaign stands, if there is one.
    #[must_use]
    pub fn status(&self, key: HashedKey<'_>, now: u64) -> Option<Status> {
        let mut state = self.state.lock();
        let campaign = state.campaigns.get_mut(&key.hash).filter(|campaign| *campaign.key == *key.words)?;
        campaign.roll(now);
        campaign.status(now)
    }

    /// What all campaigns with a plan have together.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.state.lock().sums.all()
    }

    /// How many campaigns there are, with those that were deleted lately.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().campaigns.len()
    }

    /// What it has in all. The last value that is known where the ledger is locked for longer than 100 us.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.read(&self.state, State::seen)
    }

    /// Its memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.state.lock().seen().bytes
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
