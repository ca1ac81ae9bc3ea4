//! What a node has, for people to look at.

use super::Node;
use super::book::Totals;
use super::campaigns::Campaigns;
use super::outcome::{Counts, Kind};
use crate::key::HashedKey;

/// A campaign on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// The version of its plan.
    pub version: u32,
    /// A request takes part if its hash is below this; `u64::MAX`: all do.
    pub pass: u64,
    /// The number of the period that it is in.
    pub period: Option<u32>,
    /// The money of that period.
    pub current: Totals,
    /// The money of all periods that are still known.
    pub all: Totals,
    /// What it would like to have available of that period, by what it used in the last rounds.
    pub wanted: u64,
}

/// The node's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// Campaigns that are known.
    pub campaigns: usize,
    /// Campaigns and removed ones, for which there is no more room than the most.
    pub rows: usize,
    /// How often what happened.
    pub counts: Counts,
    /// All memory.
    pub memory_bytes: usize,
}

impl Node {
    /// What this node has of a campaign, if it knows that.
    #[must_use]
    pub fn status(&self, key: HashedKey<'_>) -> Option<Status> {
        let row = self.row(key).filter(|row| row.head().is_installed())?;
        let mut campaigns = self.campaigns.lock();
        let campaign = campaigns.get(key.hash)?;
        let period = campaign.period.map(|period| period.number);
        let (mut current, mut all) = (Totals::default(), Totals::default());
        for book in &campaign.books {
            let totals = self.till.book(book.number).totals();
            all.add(&totals);
            if period == Some(book.period) {
                current = totals;
            }
        }
        let price = current.price().unwrap_or(campaign.price());
        let wanted = campaign.usage.wanted(price, 0, false);
        Some(Status { version: campaign.version, pass: row.pass(), period, current, all, wanted })
    }

    /// The node's numbers.
    #[must_use]
    pub fn info(&self) -> Info {
        self.info_of(self.campaigns.lock().seen())
    }

    /// The same. The last value that is known where its campaigns are locked for longer than 100 us.
    #[must_use]
    pub fn seen(&self) -> Info {
        self.info_of(self.seen.read(&self.campaigns, Campaigns::seen))
    }

    fn info_of(&self, (campaigns, known_bytes): (usize, usize)) -> Info {
        let tables = self.rows.bytes() + self.till.reservations.bytes() + self.counts.bytes();
        let memory_bytes = size_of::<Self>() + tables + known_bytes;
        Info { campaigns, rows: self.rows.keys(), counts: self.counts(), memory_bytes }
    }

    /// How often what happened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts::of(|kind: Kind| self.counts.get(kind as usize))
    }
}

impl Totals {
    /// What an impression costs in the mean, if there were some.
    pub(super) fn price(&self) -> Option<u64> {
        self.spent.checked_div(self.confirms)
    }

    fn add(&mut self, other: &Self) {
        let Self { available, spent, pending, confirms, presumed, overspent, granted, returned } = *other;
        self.available += available;
        self.spent += spent;
        self.pending += pending;
        self.confirms += confirms;
        self.presumed += presumed;
        self.overspent += overspent;
        self.granted += granted;
        self.returned += returned;
    }
}
