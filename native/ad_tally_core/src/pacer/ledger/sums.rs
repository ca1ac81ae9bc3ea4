//! What all campaigns have together.
//!
//! Each campaign counts with what it had when it was last changed or reported, so the sums are as of the last round of reports. They are
//! kept up there, where its lines are in the cache: to read them all for each snapshot took as long as the round itself.

use super::Ledger;
use super::campaign::Campaign;
use super::status::Money;

/// What all campaigns with a plan have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many they are.
    pub campaigns: usize,
    /// Sums of what each has, as of the last round. `u64::MAX` where one is more than that.
    pub money: Money,
}

/// The sums as they are kept.
#[derive(Clone, Copy, Default)]
pub(super) struct Summed {
    campaigns: usize,
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
    }
}

impl Ledger {
    /// What all campaigns have together.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let state = self.state.lock();
        let Summed { campaigns, parts } = *state.sums;
        Sums { campaigns, money: Money::of_parts(parts.map(|part| u64::try_from(part).unwrap_or(u64::MAX))) }
    }
}
