//! What a ledger does each tick: walls, rates, and accounts that are closed.

use std::ops::Bound::{Excluded, Unbounded};

use parking_lot::MutexGuard;

use super::campaign::{Campaign, KEPT_FOR};
use super::config::Config;
use super::journal::Writing;
use super::rate::{Last, Now};
use super::{Ledger, State};

/// Campaigns that have their tick before somebody else may use the ledger.
const AT_ONCE: usize = 8;
/// A node that has said nothing for so long may be dead: what it has is as good as spent.
const SILENT_AFTER: u64 = 30_000;

impl Ledger {
    /// Gives each campaign its tick, for as long as `go_on` says so, which is asked every few of them: whether all have had it. If not,
    /// the next call goes on with the others.
    pub fn tick(&self, now: u64, mut go_on: impl FnMut() -> bool) -> bool {
        let mut state = self.state.lock();
        loop {
            let is_done = state.tick(self, now);
            if is_done || !go_on() {
                return is_done;
            }
            MutexGuard::bump(&mut state);
        }
    }
}

impl State {
    /// Ticks of some campaigns: whether they were the last ones.
    fn tick(&mut self, ledger: &Ledger, now: u64) -> bool {
        let next = self.by_version.range((Excluded(self.ticked), Unbounded));
        let some: Vec<(u32, u64)> = next.take(AT_ONCE).map(|(version, campaign)| (*version, *campaign)).collect();
        // What is written is not needed, but for less to be granted after a restart: if there is no room for it the next tick has.
        let writing = Writing::begin(ledger.journal.as_ref()).ok();
        for (version, hash) in &some {
            self.ticked = *version;
            let Some(campaign) = self.campaigns.get_mut(hash) else { continue };
            campaign.tick(&ledger.config, *hash, now, writing.as_ref());
            self.sums.count(campaign, now);
            let is_over = campaign.plan.is_none() && campaign.deleted_at.saturating_add(KEPT_FOR) <= now;
            if let Some(writing) = writing.as_ref().filter(|_| is_over) {
                writing.campaign_gone(*hash, campaign);
                if let Some(gone) = self.campaigns.remove(hash) {
                    self.sums.forget(&gone);
                }
                self.by_version.remove(version);
            }
        }
        let is_done = some.len() < AT_ONCE;
        if is_done {
            self.ticked = 0;
        }
        is_done
    }
}

impl Campaign {
    fn tick(&mut self, config: &Config, hash: u64, now: u64, writing: Option<&Writing<'_>>) {
        self.roll(now);
        if let Some(writing) = writing {
            let gone = self.close_accounts(now);
            if !gone.is_empty() {
                gone.iter().for_each(|(node, period)| writing.account_gone(hash, *node, *period));
                writing.campaign(hash, self);
            }
        }
        self.settle();
        let has_learned = self.call(config, now);
        if has_learned {
            self.forget_curves();
            self.settle();
        }
        if let Some(writing) = writing {
            writing.accounts(hash, &mut self.accounts);
            writing.rate(hash, &self.rate);
            if has_learned {
                writing.learned(hash, &self.rate);
            }
        }
    }

    /// Has the controller decide the rate.
    fn call(&mut self, config: &Config, now: u64) -> bool {
        self.begin(now);
        let Some((plan, current)) = self.plan.as_ref().zip(self.current.as_ref()) else { return false };
        let totals = self.totals();
        let reserved = self.accounts.iter().map(|account| account.reserved);
        let moved = reserved.fold(totals.spent, u64::saturating_add);
        let of_period = self.accounts.iter().filter(|account| account.period == current.of.number);
        let gone = of_period.fold(0_u64, |gone, account| {
            let is_silent = account.seen.saturating_add(SILENT_AFTER) < now;
            let in_flight =
                if is_silent { account.leased() } else { account.reserved.saturating_add(account.presumed) };
            gone.saturating_add(account.totals.spent).saturating_add(in_flight)
        });
        let now = Now {
            last: Last { at: now, moved, passed: totals.passed, period: current.of.number },
            left: current.budget.target.saturating_sub(gone),
            price: self.price(),
            next: config.tick,
        };
        self.rate.tick(plan, &current.curve, &now)
    }
}
