//! What crosses nodes: reports, grants and plans. Each message is a frame, and stands alone.
//!
//! ```text
//! node ── reports: what it has got, spent and given back, in all ──> coordinator
//! node <── grants: what it may have had, in all; rate ── coordinator
//! node <── plans that it has not, in the order of their versions ── coordinator
//! ```
//!
//! Amounts are totals since the account began, never differences. So a message that is lost, comes twice or late does no harm: each side
//! takes the greater of what it knows and what it is told.
//!
//! * [`frames`]: reports and grants as frames; [`plans`]: plans as frames

mod frames;
mod plans;

pub use self::frames::{Grants, Reports, read_grants, read_reports, write_grants, write_reports};
pub use self::plans::{PlanOf, Plans, Unreadable, read_plans, write_plans};

/// Totals of an account are below this. Budgets are at most half of it.
pub const MOST_TOTAL: u64 = 1 << 63;

/// A node, and since when: without a store a node knows nothing of what it did before it was started, so it is another one then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRef {
    /// The hash of its name.
    pub name: u64,
    /// A random number: of each start, or with a store of that store.
    pub incarnation: u64,
}

/// What a node says of a campaign's period. Amounts are in micros.
///
/// All that it was granted is somewhere: `granted = available + reserved + (spent - overspent) + pending + returned + presumed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// The campaign: the hash of its key.
    pub campaign: u64,
    /// Which period of its plan.
    pub period: u32,
    /// What it knows to have been granted, in all.
    pub granted: u64,
    /// What was spent, in all, with `overspent`.
    pub spent: u64,
    /// What it has given back, in all.
    pub returned: u64,
    /// What its reservations hold now.
    pub reserved: u64,
    /// What counts as spent now because a crash may have lost that it was.
    pub presumed: u64,
    /// What was spent that no grant was there for: above what was reserved, or later. In all.
    pub overspent: u64,
    /// What it would like to have available now: 0 for a period that is over.
    pub wanted: u64,
    /// How many reservations were confirmed, in all.
    pub confirms: u64,
    /// How many requests took part by their rate, in all. Counted only for plans that learn.
    pub passed: u64,
}

/// What a node may do with a campaign's period. Amounts are in micros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grant {
    /// The campaign: the hash of its key.
    pub campaign: u64,
    /// Which period of its plan.
    pub period: u32,
    /// When that period begins, in Unix milliseconds.
    pub begin: u64,
    /// When it has ended.
    pub until: u64,
    /// What the node may have had, in all.
    pub granted: u64,
    /// What it has said that it spent, in all: after a crash it may know of less.
    pub spent: u64,
    /// What it has said that it gave back, in all: after a crash it may know of less.
    pub returned: u64,
    /// What it may keep available: it gives back the rest.
    pub keep: u64,
    /// The rate: a request takes part if its hash is below this. `u64::MAX`: all do.
    pub pass: u64,
    /// The version of the campaign's plan.
    pub plan: u32,
}
