//! Which times can be decided: not too far ahead of the system's, and not too far back from the newest one seen.

use std::sync::atomic::Ordering::Relaxed;

use super::decide::Reason;
use crate::error::{Error, TIMES, check_time};
use crate::sync::AtomicU64;

/// The newest time seen is noted in steps of this many milliseconds, so that threads do not all write one line.
const NEWEST_STEP: u64 = 1_000;

pub(super) struct Times {
    /// The shortest horizon in milliseconds.
    horizon: u64,
    newest: AtomicU64,
    max_ahead: u64,
    /// Up to which time events are believed without asking for the system's time again: `max_ahead` past what that was when it
    /// was asked for last.
    believed: AtomicU64,
}

impl Times {
    pub(super) fn new(horizon: u64, max_ahead: u64) -> Self {
        Self { horizon, newest: AtomicU64::new(0), max_ahead, believed: AtomicU64::new(0) }
    }

    /// The newest time seen.
    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Relaxed)
    }

    /// Notes that a time was seen.
    #[inline(always)]
    pub(super) fn note(&self, at: u64) {
        if at >= self.newest.load(Relaxed) + NEWEST_STEP {
            self.newest.fetch_max(at, Relaxed);
        }
    }

    /// The same of one that another table had noted.
    pub(super) fn note_exactly(&self, at: u64) {
        self.newest.fetch_max(at, Relaxed);
    }

    /// Whether a time can be decided without a second look: from the horizon before the newest one to what is believed.
    #[inline(always)]
    pub(super) fn is_near(&self, at: u64) -> bool {
        at <= self.believed.load(Relaxed) && at.wrapping_add(self.horizon) >= self.newest.load(Relaxed)
    }

    /// Why a time cannot be decided. The system's time is asked for where it matters.
    pub(super) fn refuse(&self, at: u64, now: impl FnOnce() -> u64) -> Result<Option<Reason>, Error> {
        check_time(at)?;
        Ok(if at > self.believed.load(Relaxed) || self.is_too_old(at) { self.refuse_at(at, now()) } else { None })
    }

    /// The same after a look at the system's time.
    #[cold]
    fn refuse_at(&self, at: u64, now: u64) -> Option<Reason> {
        let most = self.latest(now);
        if self.newest.load(Relaxed) > most {
            // The system's time was set back: what was seen before is no longer the newest.
            self.newest.fetch_min(most, Relaxed);
            self.believed.fetch_min(most, Relaxed);
        } else {
            self.believed.fetch_max(most, Relaxed);
        }
        if at > most {
            return Some(Reason::Future);
        }
        self.is_too_old(at).then_some(Reason::TooOld)
    }

    /// The last time that is believed at a system's time.
    pub(super) fn latest(&self, now: u64) -> u64 {
        now.saturating_add(self.max_ahead).min(TIMES - 1)
    }

    fn is_too_old(&self, at: u64) -> bool {
        self.newest.load(Relaxed).saturating_sub(at) > self.horizon
    }
}
