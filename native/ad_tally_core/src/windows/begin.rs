//! Whether an event's time is one that a window takes, and windows that begin with an event.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Windows;
use super::open_windows::OpenWindows;
use crate::sync::hazard::REGISTRY;

/// Milliseconds that the system's time is earlier by than it was before, if it was set back. Less may be how it is read: whoever
/// writes is told by another function than whoever closes windows.
const SET_BACK: u64 = 100;

/// Why a window did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBegun {
    /// It would be closed as soon as somebody looks.
    Late,
    /// As many are open as may be.
    Full,
}

impl<W: Send + Sync> Windows<W> {
    /// Whether a time is newer than all that were noted: only then it may be too far ahead.
    #[inline(always)]
    #[must_use]
    pub fn is_newest(&self, at: u64) -> bool {
        at > self.newest()
    }

    /// Whether a time is too far ahead of the system's. Asked of a time that is newer than all that were noted: another one need
    /// not be compared with a clock.
    #[inline(always)]
    pub fn is_future(&self, at: u64, now: impl Fn() -> u64) -> bool {
        self.max_ahead.is_some_and(|ahead| at > now().saturating_add(ahead))
    }

    /// Whether a time whose window is not among the open ones is late. Otherwise its window is still to begin. One that is too far
    /// ahead of a clock that was set back opens none again.
    #[cold]
    pub fn is_late(&self, open: &OpenWindows<W>, at: u64, now: impl Fn() -> u64) -> bool {
        let number = self.number_of(at);
        number < open.first() && (self.is_future(at, &now) || !self.opens_again(open, number, now))
    }

    /// Whether a window that is closed is to open again: the system's time was set back since windows were last closed by it,
    /// that of the window has not passed, and it was not closed before that.
    #[cold]
    fn opens_again(&self, open: &OpenWindows<W>, number: u64, now: impl Fn() -> u64) -> bool {
        // Not after `stop`.
        if self.max_ahead.is_none() || open.first() == u64::MAX {
            return false;
        }
        // Read before the clock: whoever waits in between does not take a later time for one that was set back.
        let closed_by = self.clock.load(Relaxed);
        let now = now();
        now.saturating_add(SET_BACK) < closed_by
            && number >= self.first_in_time(|| now)
            && number >= self.first_not_early(now)
    }

    /// The first window that may open again because the clock was set back: those before were closed before their time. If that was
    /// further ahead than an event may be now, the clock was wrong when they were closed, and all events would be late until it is that
    /// time: then they may.
    pub(super) fn first_not_early(&self, now: u64) -> u64 {
        let first = self.early.first();
        match self.max_ahead {
            Some(ahead) if first > self.number_of(now.saturating_add(ahead).saturating_add(SET_BACK)) + 1 => 0,
            _ => first,
        }
    }

    /// Makes a window that there is none of, unless it is closed by now or there are too many. Not one that would be closed as
    /// soon as somebody looks: events of all times in any order would begin windows without bound until then. `Ok` where it is
    /// there, or closed, when that is looked for once more.
    ///
    /// # Errors
    /// Why it did not begin.
    ///
    /// # Panics
    /// If the calling thread protects the open windows.
    pub fn begin(&self, number: u64, now: impl Fn() -> u64, make: impl FnOnce(u64) -> W) -> Result<(), NotBegun> {
        let mut by_number = self.by_number.lock();
        let mut open = self.open.protect().to_arc();
        let is_again = number < open.first() && self.opens_again(&open, number, &now);
        if number < open.first() && !is_again || open.find(number).is_some() {
            return Ok(());
        }
        let first_in_time = self.first_in_time(&now);
        if number < first_in_time {
            return Err(NotBegun::Late);
        }
        // By the events' time a replay has many pass at once: those are not in the way of others until somebody looks.
        if by_number.len() >= self.max_open_windows
            && (self.max_ahead.is_some() || by_number.in_time(first_in_time) >= self.max_open_windows)
        {
            return Err(NotBegun::Full);
        }
        if is_again {
            let now = now();
            let first = first_in_time.max(self.first_not_early(now)).min(number);
            self.early.open(first);
            open = Arc::new(open.without(first, std::iter::empty()));
            self.newest.fetch_min(now, Relaxed);
        }
        let window = Arc::new(make(number));
        by_number.insert(number, window.clone());
        self.open.replace(Arc::new(open.with(number, window)), &REGISTRY);
        Ok(())
    }

    /// The number of the first window at or after a time that is there, or may begin now: where something goes that is too late
    /// for its own window. `None` once all windows are closed for good.
    #[must_use]
    pub fn first_at_or_after(&self, open: &OpenWindows<W>, at: u64, now: impl Fn() -> u64) -> Option<u64> {
        let first = self.number_of(at).max(open.first());
        if open.find(first).is_some() {
            return Some(first);
        }
        // A window whose time has passed takes what comes until it is closed, but does not begin any more.
        let first_in_time = self.first_in_time(now).max(first);
        let there = if first < first_in_time { open.first_number_from(first) } else { None };
        let number = there.map_or(first_in_time, |there| there.min(first_in_time));
        (number < u64::MAX).then_some(number)
    }
}
