//! How a ledger is to grant.

/// How a ledger is to grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How much at once.
    pub lease: Lease,
    /// The most campaigns that it keeps, with those that were deleted lately.
    pub max_campaigns: usize,
    /// Milliseconds between ticks.
    pub tick: u64,
}

/// How much is granted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// All that is free: for one node that has no store, and loses all when it dies anyway.
    Whole,
    /// What a node wants, and of what is free half of its part at most.
    Shared {
        /// How many nodes there are.
        nodes: u32,
    },
}
