//! How large a node's pacer is.

/// The most campaigns.
pub const MOST_CAMPAIGNS: usize = 4_000_000;
/// The most reservations.
pub const MOST_RESERVATIONS: usize = 1_000_000_000;
/// The longest time a reservation lives, in milliseconds.
pub const MOST_TTL: u64 = 12 * HOUR;

pub(super) const HOUR: u64 = 3_600_000;

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

/// Books that there are for so many campaigns: of the period that is now, and of one or two that are over.
pub(super) fn books(campaigns: usize) -> usize {
    3 * campaigns + 64
}
