//! What is counted of touches and conversions, by each thread for itself.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::types::Outcome;
use crate::sync::AtomicU64;
use crate::sync::hazard::thread_number;
use crate::sync::sharded_counter::{ShardedCounter, THREADS};

/// What is counted.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    TouchApplied,
    TouchDuplicate,
    TouchLate,
    TouchFuture,
    TouchBusy,
    TouchRefused,
    ConversionApplied,
    ConversionDuplicate,
    ConversionLate,
    ConversionFuture,
    ConversionBusy,
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
            Outcome::Busy => Self::TouchBusy,
        }
    }

    pub(super) fn of_conversion(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::ConversionApplied,
            Outcome::Duplicate => Self::ConversionDuplicate,
            Outcome::Late => Self::ConversionLate,
            Outcome::Future => Self::ConversionFuture,
            Outcome::Busy => Self::ConversionBusy,
        }
    }
}

/// Counts of an attribution.
pub(super) struct Stats {
    counts: ShardedCounter<KINDS>,
    excluded: Mutex<i128>,
    /// The time of the last touch that was late, and of the last one that was too far ahead, 0 if none was.
    touches: [AtomicU64; 2],
    /// The same of conversions.
    conversions: [AtomicU64; 2],
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            counts: ShardedCounter::new(),
            excluded: Mutex::new(0),
            touches: Default::default(),
            conversions: Default::default(),
        }
    }

    #[inline(always)]
    pub(super) fn count(&self, kind: Kind) {
        self.counts.add(kind as usize);
    }

    /// Counts a touch at a time.
    #[inline(always)]
    pub(super) fn count_touch(&self, outcome: Outcome, at: u64) {
        self.count(Kind::of_touch(outcome));
        note(&self.touches, outcome, at);
    }

    /// Counts a conversion at a time.
    #[inline(always)]
    pub(super) fn count_conversion(&self, outcome: Outcome, at: u64) {
        self.count(Kind::of_conversion(outcome));
        note(&self.conversions, outcome, at);
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

    /// Of touches and of conversions the times of the last one that was late and of the last one that was too far ahead.
    pub(super) fn last_late_and_future(&self) -> [(u64, u64); 2] {
        [&self.touches, &self.conversions].map(|[late, future]| (late.load(Relaxed), future.load(Relaxed)))
    }

    /// The sum of what was excluded.
    pub(super) fn excluded(&self) -> i128 {
        *self.excluded.lock()
    }
}

/// Notes the time of one that was late or too far ahead.
#[inline(always)]
fn note([late, future]: &[AtomicU64; 2], outcome: Outcome, at: u64) {
    match outcome {
        Outcome::Late => late.store(at, Relaxed),
        Outcome::Future => future.store(at, Relaxed),
        Outcome::Applied | Outcome::Duplicate | Outcome::Busy => {}
    }
}
