//! The observer: what callers were told, and what was said on the wire. It asks the code nothing.

use std::collections::BTreeMap;

use ad_tally_core::pacer::message::{Grant, NodeRef, Report};

/// What is true of a campaign's period.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// Confirmed in time, up to the price that was reserved.
    pub covered: u64,
    /// Confirmed later, or above that.
    pub over: u64,
    /// What living reservations hold.
    pub alive: u64,
    /// What nodes may have by what was said on the wire.
    pub out: u64,
}

impl Sums {
    fn held(&self) -> u64 {
        self.covered + self.alive
    }
}

/// What is true of a campaign.
#[derive(Debug, Default)]
pub struct Campaign {
    pub budget: u64,
    pub is_daily: bool,
    periods: BTreeMap<u32, Sums>,
    /// The same of one machine, by its node's name.
    machines: BTreeMap<(u32, u64), Sums>,
    /// What may be out of a period, because it was when the budget became smaller.
    allowed: BTreeMap<u32, u64>,
    allowed_in_all: u64,
    accounts: BTreeMap<(u32, NodeRef), (u64, u64)>,
}

impl Campaign {
    pub fn new(budget: u64, is_daily: bool) -> Self {
        Self { budget, is_daily, ..Self::default() }
    }

    pub fn period(&self, period: u32) -> Sums {
        self.periods.get(&period).copied().unwrap_or_default()
    }

    /// Something has become of a machine's money.
    pub fn change(&mut self, period: u32, machine: u64, change: impl Fn(&mut Sums)) {
        change(self.periods.entry(period).or_default());
        change(self.machines.entry((period, machine)).or_default());
    }

    pub fn in_all(&self) -> Sums {
        self.periods.values().fold(Sums::default(), |all, sums| Sums {
            covered: all.covered + sums.covered,
            over: all.over + sums.over,
            alive: all.alive + sums.alive,
            out: all.out + sums.out,
        })
    }

    pub fn periods(&self) -> impl Iterator<Item = (&u32, &Sums)> {
        self.periods.iter()
    }

    /// Another budget holds, once those who have the plans were told so.
    pub fn edit(&mut self, budget: u64) {
        if budget < self.budget {
            for (period, sums) in &self.periods {
                let allowed = self.allowed.entry(*period).or_default();
                *allowed = sums.out.max(*allowed);
            }
            self.allowed_in_all = self.in_all().out.max(self.allowed_in_all);
        }
        self.budget = budget;
    }

    fn account(&mut self, period: u32, node: NodeRef, change: impl FnOnce(&mut (u64, u64))) {
        let account = self.accounts.entry((period, node)).or_default();
        let before = account.0 - account.1.min(account.0);
        change(account);
        let after = account.0 - account.1.min(account.0);
        self.change(period, node.name, |sums| sums.out = sums.out + after - before);
    }

    /// A grant was sent. What was granted once is granted for ever, whatever has become of the coordinator since.
    pub fn granted(&mut self, node: NodeRef, grant: &Grant, has_store: bool) -> Result<(), String> {
        let before = self.accounts.get(&(grant.period, node)).map_or(0, |account| account.0);
        // Of a node without a store so many incarnations may come and go that the coordinator has put them together.
        if has_store && grant.granted < before {
            return Err(format!("{} was granted in all, and {before} before that", grant.granted));
        }
        self.account(grant.period, node, |account| account.0 = account.0.max(grant.granted));
        Ok(())
    }

    /// A report was sent.
    pub fn reported(&mut self, node: NodeRef, report: &Report) {
        self.account(report.period, node, |account| account.1 = account.1.max(report.returned));
    }

    /// Whether no more is spent and reserved than may be. What was out when the budget became smaller may be so until it is less.
    pub fn check(&mut self, period: u32) -> Result<(), String> {
        let sums = self.periods.get(&period).copied().unwrap_or_default();
        if sums.held() > sums.out {
            return Err(format!(
                "{} are spent and reserved of period {period}, and {} were granted",
                sums.held(),
                sums.out
            ));
        }
        for ((_, machine), sums) in self.machines.range((period, 0)..=(period, u64::MAX)) {
            if sums.held() > sums.out {
                return Err(format!(
                    "{} are spent and reserved of period {period} on node {machine}, which was granted {}",
                    sums.held(),
                    sums.out
                ));
            }
        }
        if self.is_daily {
            let allowed = self.allowed.entry(period).or_default();
            if sums.out > self.budget.max(*allowed) {
                return Err(format!("{} are out of period {period}, of {} and {allowed}", sums.out, self.budget));
            }
            *allowed = sums.out.min(*allowed);
        } else {
            let (out, allowed) = (self.in_all().out, self.allowed_in_all);
            if out > self.budget.max(allowed) {
                return Err(format!("{out} are out in all, of {} and {allowed}", self.budget));
            }
            self.allowed_in_all = out.min(allowed);
        }
        Ok(())
    }
}
