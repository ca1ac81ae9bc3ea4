//! How large a node's pacer is.

use super::entry::BOOK_BITS;
use crate::time::HOUR;

/// The most campaigns.
pub const MOST_CAMPAIGNS: usize = 4_000_000;
/// The most reservations.
pub const MOST_RESERVATIONS: usize = 1_000_000_000;
/// The longest time a reservation lives, in milliseconds.
pub const MOST_TTL: u64 = 12 * HOUR;

/// What a node is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The hash of the node's name, of which tokens have a part.
    pub name: u64,
    /// Campaigns that there is room for, with those that were removed.
    pub max_campaigns: usize,
    /// Reservations that there is room for: live ones, and as many of the settled ones as find room beside them.
    pub max_reservations: usize,
    /// Events further ahead of the clock than this are refused, in milliseconds.
    pub max_ahead: u64,
    /// For how long a reservation is remembered after its time, in milliseconds.
    pub remember: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: 0, max_campaigns: 65_536, max_reservations: 1_000_000, max_ahead: 60_000, remember: HOUR }
    }
}

/// The most days that are over of which each campaign has room for a book. With a larger `max_ahead` books may run out: grants without
/// one are counted.
const MOST_DAYS_OVER: u64 = 7;
/// No day of a zone is shorter, but for those that were skipped.
const SHORTEST_DAY: u64 = 23 * HOUR;

impl Config {
    /// For how long a book is kept after its period: longer than any reservation of it is remembered, and than a plan that is edited
    /// may have its period again. The same day of two zones ends up to 26 hours apart.
    pub(super) fn keeps_books(&self) -> u64 {
        (MOST_TTL + 48 * HOUR).saturating_add(self.max_ahead).saturating_add(self.remember)
    }

    /// How many books there are: each campaign has one of its period and those of the days before that are kept.
    pub(super) fn books(&self) -> usize {
        let days = self.keeps_books().div_ceil(SHORTEST_DAY).min(MOST_DAYS_OVER) as usize + 1;
        (days * self.max_campaigns + 64).min(1 << BOOK_BITS)
    }
}
