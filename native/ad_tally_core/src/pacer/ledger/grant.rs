//! How much a node gets of what is free, and how much it may keep.

use super::account::{Account, Taken};
use super::campaign::Campaign;
use super::config::Lease;

/// A node gets so many mean prices at least, where so much is free: of two prices 1.5 to 12 % of requests were refused though budget
/// was free, of ten only 0.1 to 0.4 %, and more is lost with each node that dies.
const LEAST_PRICES: u64 = 5;
/// A node wants what it uses in five seconds: what it uses in one it gets whatever is free.
const SECONDS_WANTED: u64 = 5;

impl Campaign {
    /// Grants what an account of the current period is to have beside what it has: how much that was. The end of a budget comes near
    /// in ever smaller grants, so that no node is left with much that others could use.
    pub fn grant(&mut self, at: usize, lease: Lease) -> u64 {
        let free = self.free();
        let account = &self.accounts[at];
        let granted = match lease {
            Lease::Whole => free,
            Lease::Shared { nodes } => {
                let least = LEAST_PRICES.saturating_mul(self.price()).max(account.wanted / SECONDS_WANTED);
                let part = free / (2 * u64::from(nodes.max(1)));
                account.wanted.saturating_sub(account.has()).min(part.max(least)).min(free)
            }
        };
        let account = &mut self.accounts[at];
        let granted = granted.min(account.room());
        account.totals.granted += granted;
        granted
    }

    /// How much an account may keep available. `taken` is what its last report has changed.
    pub fn keep(&self, at: usize, lease: Lease, taken: Taken) -> u64 {
        let account = &self.accounts[at];
        let is_current = self.is_in(account.period);
        let hoard = match lease {
            Lease::Whole if is_current => u64::MAX,
            // What it wants now is not known.
            _ if taken.is_old => u64::MAX,
            // The clock of a node may still be in a period that is over here: then it still wants something of it.
            _ => account.wanted.saturating_mul(2),
        };
        if self.plan.is_none() {
            return 0;
        }
        let excess = if is_current { self.excess() } else { 0 };
        if excess == 0 {
            return hoard;
        }
        // Each node gives back the same part of what it has.
        let of_period = self.accounts.iter().filter(|other| other.period == account.period);
        let all = of_period.map(Account::has).fold(0, u64::saturating_add);
        let left = u128::from(all.saturating_sub(excess));
        let kept = u128::from(account.has()) * left / u128::from(all.max(1));
        hoard.min(kept as u64)
    }
}
