//! The system's clock, which may stand still for a while after a restart.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::AtomicU64;

/// A clock that stands still until a time. What was sent before a restart comes again only after it, and would be late by then.
#[derive(Default)]
pub(super) struct Standing {
    at: AtomicU64,
    until: AtomicU64,
}

impl Standing {
    /// Has it stand at a time until the system's is another one.
    pub(super) fn stand(&self, at: u64, until: u64) {
        self.at.store(at, Relaxed);
        self.until.store(until, Release);
    }

    /// The time that it is by this clock.
    #[inline]
    pub(super) fn time(&self, now: u64) -> u64 {
        if now < self.until.load(Acquire) { now.min(self.at.load(Relaxed)) } else { now }
    }
}
