//! A campaign: its plan, the period that it is in with its wall, and the accounts of the nodes.

use super::super::curve::Curve;
use super::super::flight::{DayBudget, day_budget};
use super::super::message::{NodeRef, Report};
use super::super::plan::{Period, PeriodOf, Plan};
use super::account::{Account, Totals};
use super::money::Money;
use super::rate::Rate;

/// For how long accounts of a period that is over are kept, and campaigns that were deleted. Reservations live for hours at most.
pub(super) const KEPT_FOR: u64 = 2 * 86_400_000;
/// Accounts of incarnations of a node in a period: if there are more, those that were silent for the longest time are put together.
const MOST_INCARNATIONS: usize = 4;
/// The incarnation of an account that others were put together in.
pub(super) const EARLIER: u64 = 0;

pub(super) struct Campaign {
    /// The words of its key.
    pub key: Box<[u64]>,
    /// None: it was deleted.
    pub plan: Option<Plan>,
    /// The version of the ledger's plans that it came with.
    pub version: u32,
    pub deleted_at: u64,
    pub accounts: Vec<Account>,
    /// Of accounts that were closed: what they had not returned is spent.
    pub past: Totals,
    /// The last period of which accounts were closed.
    pub closed: Option<u32>,
    /// The period that time is in. None outside of a flight, or where the period was closed.
    pub current: Option<Current>,
    /// The curve of a flight with days as one period.
    whole: Option<Curve>,
    pub rate: Rate,
    /// What it counts with in the sums of all.
    pub counted: Option<Money>,
    pub counted_bytes: usize,
}

/// A period that money is granted of.
pub(super) struct Current {
    pub of: PeriodOf,
    pub budget: DayBudget,
    pub curve: Curve,
}

impl Campaign {
    /// One that has spent nothing.
    pub fn new(key: Box<[u64]>, version: u32) -> Self {
        Self {
            key,
            plan: None,
            version,
            deleted_at: 0,
            accounts: Vec::new(),
            past: Totals::default(),
            closed: None,
            current: None,
            whole: None,
            rate: Rate::default(),
            counted: None,
            counted_bytes: 0,
        }
    }

    /// Gives it a plan, or none. It is in no period until [`Self::roll`].
    pub fn set_plan(&mut self, plan: Option<Plan>, version: u32) {
        (self.plan, self.version) = (plan, version);
        (self.current, self.whole) = (None, None);
    }

    /// Its memory.
    pub fn bytes(&self) -> usize {
        let curves = self.current.iter().map(|current| &current.curve).chain(&self.whole);
        size_of::<Self>()
            + size_of_val(&*self.key)
            + self.accounts.capacity() * size_of::<Account>()
            + self.plan.as_ref().map_or(0, Plan::heap_bytes)
            + curves.map(Curve::heap_bytes).sum::<usize>()
            + self.rate.heap_bytes()
    }

    /// Whether each period has the whole budget, so that those before do not matter.
    fn is_daily(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.period == Period::Daily)
    }

    /// Whether time is in a period.
    pub fn is_in(&self, period: u32) -> bool {
        self.current.as_ref().is_some_and(|current| current.of.number == period)
    }

    /// What is out of a period.
    pub fn out_of(&self, period: u32) -> u64 {
        let of = self.accounts.iter().filter(|account| account.period == period);
        of.fold(0, |out, account| out.saturating_add(account.totals.out()))
    }

    /// What is out of all periods.
    pub fn out(&self) -> u64 {
        let accounts = self.accounts.iter().map(|account| account.totals.out());
        accounts.fold(self.past.out(), u64::saturating_add)
    }

    /// Totals of all accounts.
    pub fn totals(&self) -> Totals {
        self.accounts.iter().fold(self.past, |mut totals, account| {
            totals.add(&account.totals);
            totals
        })
    }

    /// What an impression costs in the mean.
    pub fn price(&self) -> u64 {
        let totals = self.totals();
        let mean = totals.spent.checked_div(totals.confirms).filter(|mean| *mean > 0);
        mean.or_else(|| self.plan.as_ref().map(|plan| plan.price)).unwrap_or(1)
    }

    /// Has the controller begin, in the first period that money can be spent of.
    pub fn begin(&mut self, now: u64) {
        if let Some(current) = self.current.as_ref().filter(|_| !self.rate.has_begun()) {
            let days = current.curve.ahead(now, now).days;
            self.rate.begin(now, current.of.number, current.budget.target, days);
        }
    }

    /// Has it be in the period that time is in.
    pub fn roll(&mut self, now: u64) {
        let is_current = |current: &Current| (current.of.begin..current.of.end).contains(&now);
        if self.current.as_ref().is_some_and(is_current) {
            return;
        }
        let Some(plan) = &self.plan else { return };
        let is_open = |of: &PeriodOf| !plan.has_days() || self.closed.is_none_or(|closed| of.number > closed);
        let of = plan.period_at(now).filter(is_open);
        let curve = of.map(|of| self.rate.curve(plan, of));
        if let Some(before) = &self.current {
            self.rate.leave(&before.curve, now);
        }
        let nothing = DayBudget { target: 0, wall: 0 };
        self.current = of.zip(curve).map(|(of, curve)| Current { of, budget: nothing, curve });
        self.settle();
    }

    /// Computes the budget of the current period by what is out of all others now.
    pub fn settle(&mut self) {
        let Some((plan, current)) = self.plan.as_ref().zip(self.current.as_ref()) else { return };
        let others = if self.is_daily() { 0 } else { self.out().saturating_sub(self.out_of(current.of.number)) };
        let left = plan.budget.saturating_sub(others);
        let budget = match plan.period {
            Period::Flight { from, to } if plan.has_days() => {
                let of = PeriodOf { number: 0, begin: from, end: to };
                let whole = self.whole.get_or_insert_with(|| self.rate.curve(plan, of));
                day_budget(plan, whole, current.of, left)
            }
            _ => DayBudget { target: left, wall: left },
        };
        if let Some(current) = &mut self.current {
            current.budget = budget;
        }
    }

    /// Has its curves be made anew, by what was learned since.
    pub fn forget_curves(&mut self) {
        self.whole = None;
        if let Some((plan, current)) = self.plan.as_ref().zip(self.current.as_mut()) {
            current.curve = self.rate.curve(plan, current.of);
        }
    }

    /// By how much more is out than the period or the budget allows.
    pub fn excess(&self) -> u64 {
        let Some((plan, current)) = self.plan.as_ref().zip(self.current.as_ref()) else { return 0 };
        let of_period = self.out_of(current.of.number).saturating_sub(current.budget.wall);
        let of_all = if self.is_daily() { 0 } else { self.out().saturating_sub(plan.budget) };
        of_period.max(of_all)
    }

    /// What may still be granted in the current period.
    pub fn free(&self) -> u64 {
        let Some((plan, current)) = self.plan.as_ref().zip(self.current.as_ref()) else { return 0 };
        let of_period = current.budget.wall.saturating_sub(self.out_of(current.of.number));
        let of_all = if self.is_daily() { u64::MAX } else { plan.budget.saturating_sub(self.out()) };
        of_period.min(of_all)
    }

    /// The place of the account that a node has of a period, if it has one.
    pub fn known_account(&self, node: NodeRef, period: u32) -> Option<usize> {
        self.accounts.iter().position(|account| account.period == period && account.node == node)
    }

    /// The place of the account that a report is of. One is opened for a node that is new in the current period, or that knows of
    /// grants that this ledger has forgotten, because its store was replaced by an older one.
    pub fn account(&mut self, node: NodeRef, report: &Report) -> Option<usize> {
        if node.incarnation == EARLIER {
            return None;
        }
        if let Some(at) = self.known_account(node, report.period) {
            return Some(at);
        }
        let current = self.current.as_ref()?;
        let is_current = current.of.number == report.period;
        let was_granted = report.granted > 0 && report.period.abs_diff(current.of.number) <= 2;
        let is_closed = self.closed.is_some_and(|closed| report.period <= closed) && !is_current;
        if is_closed || !is_current && !was_granted {
            return None;
        }
        self.accounts.push(Account::new(node, PeriodOf { number: report.period, ..current.of }));
        Some(self.accounts.len() - 1)
    }

    /// Puts accounts of incarnations together that there are too many of, of the node and period of the account at a place: the nodes and periods
    /// of those that are gone.
    pub fn put_together(&mut self, at: usize) -> Vec<(NodeRef, u32)> {
        let (node, of) = (self.accounts[at].node, self.accounts[at].of());
        let period = of.number;
        let mut gone = Vec::new();
        loop {
            let of_node = self.accounts.iter().enumerate().filter(|(_, account)| {
                account.period == period && account.node.name == node.name && account.node.incarnation != EARLIER
            });
            let others = of_node.filter(|(_, account)| account.node != node);
            let oldest = others.clone().min_by_key(|(_, account)| account.seen);
            let Some((oldest, _)) = oldest.filter(|_| others.count() >= MOST_INCARNATIONS) else { return gone };
            let account = self.accounts.remove(oldest);
            gone.push((account.node, period));
            let earlier = NodeRef { name: node.name, incarnation: EARLIER };
            let place = self.known_account(earlier, period).unwrap_or_else(|| {
                self.accounts.push(Account::new(earlier, of));
                self.accounts.len() - 1
            });
            self.accounts[place].totals.add(&account.totals);
            self.accounts[place].is_unwritten = true;
        }
    }

    /// Closes accounts of periods that have been over for long: the nodes and periods of those that are gone.
    pub fn close_accounts(&mut self, now: u64) -> Vec<(NodeRef, u32)> {
        let has_days = self.plan.as_ref().is_none_or(Plan::has_days);
        let current = self.current.as_ref().map(|current| current.of.number);
        let mut gone = Vec::new();
        if !has_days {
            return gone;
        }
        let Self { accounts, past, closed, .. } = self;
        accounts.retain(|account| {
            let stays = account.end.saturating_add(KEPT_FOR) > now || current == Some(account.period);
            if !stays {
                past.add(&account.totals);
                *closed = (*closed).max(Some(account.period));
                gone.push((account.node, account.period));
            }
            stays
        });
        gone
    }
}
