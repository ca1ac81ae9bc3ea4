//! What a node has of a campaign's period, as far as the ledger knows.

use super::super::message::{MOST_TOTAL, NodeRef, Report};
use super::super::plan::PeriodOf;

/// The most that a node has available of a campaign: more does not fit the word that it takes money from.
const MOST_LEASE: u64 = 1 << 55;

/// An account. Totals only rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// Whose.
    pub node: NodeRef,
    /// The number of the period, and its time.
    pub period: u32,
    pub begin: u64,
    pub end: u64,
    pub totals: Totals,
    /// What the node last said that its reservations hold, that is presumed spent, and that it wants.
    pub reserved: u64,
    pub presumed: u64,
    pub wanted: u64,
    /// When it last said something, by the ledger's clock.
    pub seen: u64,
    /// Whether the journal has other totals.
    pub is_unwritten: bool,
}

/// What was new in a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Nothing is: a later one came before it.
    pub is_old: bool,
    /// What is to be written down with the next grant, because what is free depends on it.
    pub is_changed: bool,
}

/// Totals of one account, or of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub granted: u64,
    pub returned: u64,
    /// With `overspent`.
    pub spent: u64,
    pub overspent: u64,
    pub confirms: u64,
    pub passed: u64,
}

impl Totals {
    /// What counts against a wall: what is spent, or may be, or is so because nobody knows.
    pub fn out(&self) -> u64 {
        (self.granted - self.returned).saturating_add(self.overspent)
    }

    /// Spent of what was granted.
    fn covered(&self) -> u64 {
        self.spent - self.overspent
    }

    /// Takes the greater ones: whether one of them was less.
    fn raise(&mut self, report: &Report) -> bool {
        let before = *self;
        // Who knows of a greater grant got it from this ledger, before its store was replaced by an older one.
        self.granted = self.granted.max(report.granted);
        self.returned = self.returned.max(report.returned).min(self.granted);
        self.spent = self.spent.max(report.spent);
        self.overspent = self.overspent.max(report.overspent).min(self.spent);
        self.confirms = self.confirms.max(report.confirms);
        self.passed = self.passed.max(report.passed);
        *self != before
    }

    /// Whether a report is older than what is known.
    fn is_ahead_of(&self, report: &Report) -> bool {
        report.returned < self.returned || report.spent < self.spent || report.overspent < self.overspent
    }

    /// Adds those of another account.
    pub fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.granted, other.granted),
            (&mut self.returned, other.returned),
            (&mut self.spent, other.spent),
            (&mut self.overspent, other.overspent),
            (&mut self.confirms, other.confirms),
            (&mut self.passed, other.passed),
        ];
        pairs.into_iter().for_each(|(own, other)| *own = own.saturating_add(other));
    }
}

impl Account {
    /// An empty one.
    pub fn new(node: NodeRef, PeriodOf { number: period, begin, end }: PeriodOf) -> Self {
        let totals = Totals::default();
        Self { node, period, begin, end, totals, reserved: 0, presumed: 0, wanted: 0, seen: 0, is_unwritten: false }
    }

    /// Takes what the node says.
    pub fn take(&mut self, report: &Report, now: u64) -> Taken {
        let is_old = self.totals.is_ahead_of(report);
        let (granted, returned) = (self.totals.granted, self.totals.returned);
        self.is_unwritten |= self.totals.raise(report);
        if !is_old {
            (self.reserved, self.presumed, self.wanted) = (report.reserved, report.presumed, report.wanted);
            self.seen = now;
        }
        Taken { is_old, is_changed: self.totals.granted > granted || self.totals.returned > returned }
    }

    /// Its period.
    pub fn of(&self) -> PeriodOf {
        PeriodOf { number: self.period, begin: self.begin, end: self.end }
    }

    /// What it has that is neither spent nor held by a reservation, whether it knows of it or not.
    pub fn has(&self) -> u64 {
        let Totals { granted, returned, .. } = self.totals;
        let gone = [self.totals.covered(), self.reserved, self.presumed];
        gone.into_iter().fold(granted - returned, u64::saturating_sub)
    }

    /// What is granted, and neither spent nor returned.
    pub fn leased(&self) -> u64 {
        (self.totals.granted - self.totals.returned).saturating_sub(self.totals.covered())
    }

    /// How much more it may be granted, whatever it wants.
    pub fn room(&self) -> u64 {
        MOST_LEASE.saturating_sub(self.has()).min(MOST_TOTAL - 1 - self.totals.granted)
    }
}
