//! Sums over campaigns, read some at a time.

use ad_tally_core::pacer::ledger::Money;

/// What campaigns have together whose coordinator this node is, read some campaigns at a time.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    campaigns: u64,
    budget: u64,
    spent: u64,
    reserved: u64,
    leased: u64,
    target: u64,
    overspent: u64,
    presumed: u64,
}

/// Sums that are being read: from which version of plans on, what was summed until there, and those of the last time that all were
/// read.
#[derive(Default)]
pub struct Summing {
    after: u32,
    so_far: Sums,
    last: Option<Sums>,
}

impl Summing {
    /// The version of plans that the campaigns to be read next come after.
    pub(super) fn after(&self) -> u32 {
        self.after
    }

    /// Adds a campaign.
    pub(super) fn add(&mut self, money: &Money) {
        self.so_far.add(money);
    }

    /// Campaigns are read up to that version, or all of them.
    pub(super) fn go_on_from(&mut self, next: Option<u32>) {
        *self = match next {
            Some(after) => Self { after, ..*self },
            None => Self { after: 0, so_far: Sums::default(), last: Some(self.so_far) },
        };
    }

    /// The sums of all, as they were read last.
    pub(super) fn last(&self) -> Option<Sums> {
        self.last
    }
}

impl Sums {
    /// Each with its name.
    pub(super) fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("campaigns", self.campaigns),
            ("budget_micros", self.budget),
            ("spent_micros", self.spent),
            ("reserved_micros", self.reserved),
            ("leased_micros", self.leased),
            ("target_micros", self.target),
            ("overspent_micros", self.overspent),
            ("presumed_micros", self.presumed),
        ]
    }

    fn add(&mut self, money: &Money) {
        self.campaigns += 1;
        let sums = [
            (&mut self.budget, money.budget),
            (&mut self.spent, money.spent),
            (&mut self.reserved, money.reserved),
            (&mut self.leased, money.leased),
            (&mut self.target, money.target),
            (&mut self.overspent, money.overspent),
            (&mut self.presumed, money.presumed),
        ];
        for (sum, amount) in sums {
            *sum = sum.saturating_add(amount);
        }
    }
}
