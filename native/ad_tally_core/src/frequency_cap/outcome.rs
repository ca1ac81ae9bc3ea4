//! What became of an event, and how many were not admitted.

use super::decide::Block;
use crate::sync::sharded_counter::ShardedCounter;

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is admitted (and counted, where that was asked for).
    Admitted,
    /// The rule of that number blocks (of the scope of that number); nothing is counted.
    Capped {
        /// Which scope, 0 where there is one.
        scope: usize,
        /// Which of its rules.
        rule: usize,
    },
    /// It cannot be decided; nothing is counted.
    Refused(Reason),
}

/// Why an event cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Further ahead of the system's time than events are believed.
    Future,
    /// Further back from the newest time seen than the shortest horizon.
    TooOld,
    /// There is no room for another pair.
    Full,
}

/// Events that were not admitted: by a rule for sure or by rounding, and for each reason.
pub(super) struct NotAdmitted(ShardedCounter<5>);

const REASONS: usize = 2;

impl NotAdmitted {
    pub(super) fn new() -> Self {
        Self(ShardedCounter::new())
    }

    #[inline(always)]
    pub(super) fn note_block(&self, block: Block) {
        self.0.add(block as usize);
    }

    #[cold]
    pub(super) fn refuse(&self, reason: Reason) -> Decision {
        self.0.add(REASONS + reason as usize);
        Decision::Refused(reason)
    }

    pub(super) fn blocked(&self, block: Block) -> u64 {
        self.0.get(block as usize)
    }

    pub(super) fn refused(&self, reason: Reason) -> u64 {
        self.0.get(REASONS + reason as usize)
    }

    /// Memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
