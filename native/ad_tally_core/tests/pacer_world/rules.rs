//! What is to happen in a run, and what its processes do wrong.

#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub hours: u64,
    /// Faults at most.
    pub faults: u64,
    /// Edits at most.
    pub edits: u64,
    /// How often of a thousand times a node syncs that could: what it has done since is lost when it is killed.
    pub syncs: u64,
    /// How many times as many requests there are, and how many times smaller the budgets are.
    pub pressure: u64,
    pub answers_before_sync: bool,
    pub frees_before_sync: bool,
    pub gives_back_after_crash: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            hours: 24,
            faults: 20,
            edits: 4,
            syncs: 1_000,
            pressure: 1,
            answers_before_sync: false,
            frees_before_sync: false,
            gives_back_after_crash: false,
        }
    }
}

impl Rules {
    /// Budgets that are soon spent, by nodes that are killed often and have seldom synced: what a crash loses is more than what
    /// is left.
    pub fn harsh() -> Self {
        Self { hours: 3, faults: 400, edits: 8, syncs: 60, pressure: 2, ..Self::default() }
    }
}
