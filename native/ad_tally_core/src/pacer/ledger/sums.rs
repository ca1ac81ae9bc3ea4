//! What a campaign has, and what all of them have together.
//!
//! Each campaign counts with what it had when it was last changed or reported, so the sums are as of the last round of reports. They are
//! kept up there, where its lines are in the cache: to read them all for each snapshot took as long as the round itself.

use super::account::Account;
use super::campaign::Campaign;
use super::money::Money;
use crate::pacer::plan::Pace;

/// What all campaigns with a plan have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many they are.
    pub campaigns: usize,
    /// Sums of what each has, as of the last round. `u64::MAX` where one is more than that.
    pub money: Money,
}

/// What a ledger has in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// What all campaigns with a plan have together.
    pub sums: Sums,
    /// How many campaigns there are, with those that were deleted lately.
    pub campaigns: usize,
    /// Its memory.
    pub bytes: usize,
}

/// The sums as they are kept.
#[derive(Clone, Copy, Default)]
pub(super) struct Summed {
    campaigns: usize,
    /// The memory of all of them, with those that were deleted.
    pub(super) bytes: usize,
    parts: [u128; Money::PARTS],
}

impl Summed {
    /// Has a campaign count with what it has now, and no more with what it had before.
    pub(super) fn count(&mut self, campaign: &mut Campaign, now: u64) {
        let money = campaign.plan.is_some().then(|| campaign.money(now));
        if let Some(before) = std::mem::replace(&mut campaign.counted, money) {
            self.campaigns -= 1;
            self.parts.iter_mut().zip(before.parts()).for_each(|(sum, part)| *sum -= u128::from(part));
        }
        if let Some(money) = money {
            self.campaigns += 1;
            self.parts.iter_mut().zip(money.parts()).for_each(|(sum, part)| *sum += u128::from(part));
        }
        let bytes = campaign.bytes();
        self.bytes = self.bytes - std::mem::replace(&mut campaign.counted_bytes, bytes) + bytes;
    }

    /// Has a campaign that was deleted count no more.
    pub(super) fn forget(&mut self, campaign: &Campaign) {
        self.bytes -= campaign.counted_bytes;
    }

    pub(super) fn all(&self) -> Sums {
        let parts = self.parts.map(|part| u64::try_from(part).unwrap_or(u64::MAX));
        Sums { campaigns: self.campaigns, money: Money::of_parts(parts) }
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
    pub(super) fn current_accounts(&self) -> impl Iterator<Item = &Account> {
        let period = self.current.as_ref().map(|current| current.of.number);
        self.accounts.iter().filter(move |account| period == Some(account.period))
    }
}
