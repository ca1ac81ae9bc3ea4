//! Amounts of a campaign, or of several together.

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
