//! What is counted of touches and conversions, by each thread for itself.

use parking_lot::Mutex;

use super::types::Outcome;
use crate::sync::hazard::thread_number;
use crate::sync::sharded_counter::{ShardedCounter, THREADS};

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    TouchApplied,
    TouchDuplicate,
    TouchLate,
    TouchFuture,
    TouchRefused,
    ConversionApplied,
    ConversionDuplicate,
    ConversionLate,
    ConversionFuture,
    ConversionRefused,
    WithoutDimensions,
    Revised,
    FinalEarly,
    EvictedOrder,
    Attributed,
    Unattributed,
    Repeated,
    Adjusted,
    Superseded,
    Linked,
    Forgotten,
}

const KINDS: usize = Kind::Forgotten as usize + 1;

impl Kind {
    pub(super) fn of_touch(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::TouchApplied,
            Outcome::Duplicate => Self::TouchDuplicate,
            Outcome::Late => Self::TouchLate,
            Outcome::Future => Self::TouchFuture,
        }
    }

    pub(super) fn of_conversion(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::ConversionApplied,
            Outcome::Duplicate => Self::ConversionDuplicate,
            Outcome::Late => Self::ConversionLate,
            Outcome::Future => Self::ConversionFuture,
        }
    }
}

/// Counts of an attribution.
pub(super) struct Stats {
    counts: ShardedCounter<KINDS>,
    excluded: Mutex<i128>,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self { counts: ShardedCounter::new(), excluded: Mutex::new(0) }
    }

    #[inline(always)]
    pub(super) fn count(&self, kind: Kind) {
        self.counts.add(kind as usize);
    }

    #[cold]
    pub(super) fn refuse(&self, kind: Kind, more: u64) {
        let thread = thread_number().unwrap_or(THREADS);
        self.counts.add_in(thread, kind as usize, more);
    }

    #[cold]
    pub(super) fn exclude(&self, cost: i64) {
        *self.excluded.lock() += i128::from(cost);
    }

    pub(super) fn get(&self, kind: Kind) -> u64 {
        self.counts.get(kind as usize)
    }

    /// The sum of what was excluded.
    pub(super) fn excluded(&self) -> i128 {
        *self.excluded.lock()
    }
}
