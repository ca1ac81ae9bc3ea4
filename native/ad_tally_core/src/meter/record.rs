//! Recording an event: the last stage of its lookup, and the windows that begin with one.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Meter;
use super::event::{Event, Outcome};
use super::lookup::{Lookup, Recording};
use super::open_windows::OpenWindows;
use super::window::Window;
use crate::dedupe::Id;
use crate::error::{Error, check_time};
use crate::sync::hazard::REGISTRY;

/// Milliseconds that the system's time is earlier by than it was before, if it was set back. Less may be how it is read: whoever
/// records is told by another function than whoever closes windows.
const SET_BACK: u64 = 100;

impl<'r> Lookup<'r> {
    /// Records the event that was looked up. `None`, with nothing counted, when its window is still to begin: [`Meter::record`]
    /// does that, once the [`Recording`] is dropped. The system's time is asked for where it matters.
    ///
    /// # Panics
    /// If it is an event of another time, or a metric is not below [`Meter::metrics`].
    #[inline(always)]
    pub fn record(mut self, event: &Event<'_>, now: impl Fn() -> u64) -> Option<Outcome> {
        self.find_rows(event);
        self.finish(event, &now)
    }

    /// The last stage.
    #[inline(always)]
    pub(super) fn finish(&self, event: &Event<'_>, now: &impl Fn() -> u64) -> Option<Outcome> {
        assert_eq!(event.at, self.at, "the time that the lookup has begun with");
        let Recording { meter, open } = self.recording;
        let slot = open.slot().id();
        let outcome = match self.check(now)? {
            // SAFETY: the rows were found in that window, and this thread has protected the windows in that slot.
            Ok(window) => unsafe { window.add(self.rows, event, slot) }.into(),
            Err(outcome) => {
                meter.stats.leave_out(event, outcome);
                outcome
            }
        };
        meter.stats.count(slot, outcome);
        Some(outcome)
    }

    /// The window that the event is counted in, and its id is known from now on; or what becomes of it instead; or `None` if its
    /// window has not begun.
    #[inline(always)]
    fn check(&self, now: &impl Fn() -> u64) -> Option<Result<&'r Window, Outcome>> {
        let Recording { meter, open } = self.recording;
        let is_newest = self.at > meter.newest.load(Relaxed);
        if is_newest && meter.max_ahead.is_some_and(|ahead| self.at > now().saturating_add(ahead)) {
            return Some(Err(meter.unless_known(self.id, Outcome::Future)));
        }
        let Some(window) = self.window else {
            return meter.check_without_window(open, self.at, self.id, now).map(Err);
        };
        if let (Some(id), Some(dedupe)) = (self.id, &meter.dedupe)
            && !dedupe.first_at(id, self.at, now)
        {
            return Some(Err(Outcome::Duplicate));
        }
        if is_newest {
            meter.newest.fetch_max(self.at, Relaxed);
        }
        Some(Ok(window))
    }
}

impl Meter {
    /// Counts an event in its window, which begins if it has to, unless the event is a copy, late or too far ahead. The system's
    /// time is asked for where it matters.
    ///
    /// # Errors
    /// [`Error::Time`], with nothing counted.
    ///
    /// # Panics
    /// If a metric is not below [`Meter::metrics`].
    pub fn record(&self, event: &Event<'_>, now: impl Fn() -> u64) -> Result<Outcome, Error> {
        check_time(event.at)?;
        loop {
            let recording = self.protect();
            if let Some(outcome) = recording.begin_checked(event.at, event.id).record(event, &now) {
                return Ok(outcome);
            }
            drop(recording);
            if let Err(outcome) = self.begin_window_of(event, &now) {
                return Ok(outcome);
            }
        }
    }

    /// Notes that so many events were none that could be recorded.
    pub fn refuse(&self, events: u64) {
        self.stats.refuse(self.open.protect().slot().id(), events);
    }

    /// What becomes of an event whose window is not open, or `None` if that is still to begin.
    #[cold]
    fn check_without_window(
        &self,
        open: &OpenWindows,
        at: u64,
        id: Option<Id>,
        now: &impl Fn() -> u64,
    ) -> Option<Outcome> {
        let number = at / self.window;
        if self.is_known(id) {
            Some(Outcome::Duplicate)
        } else if number < open.first && !self.opens_again(open, number, now) {
            Some(Outcome::Late)
        } else {
            None
        }
    }

    /// Whether a window that is closed is to open again: the system's time was set back since windows were last closed by it,
    /// and that of the window has not passed.
    #[cold]
    fn opens_again(&self, open: &OpenWindows, number: u64, now: &impl Fn() -> u64) -> bool {
        // Not after `stop`.
        if self.max_ahead.is_none() || open.first == u64::MAX {
            return false;
        }
        // Read before the clock: whoever waits in between does not take a later time for one that was set back.
        let closed_by = self.clock.load(Relaxed);
        let now = now();
        now.saturating_add(SET_BACK) < closed_by && number >= self.first_in_time(|| now)
    }

    /// That outcome, which an event has unless its id is known.
    #[cold]
    fn unless_known(&self, id: Option<Id>, outcome: Outcome) -> Outcome {
        if self.is_known(id) { Outcome::Duplicate } else { outcome }
    }

    fn is_known(&self, id: Option<Id>) -> bool {
        matches!((id, &self.dedupe), (Some(id), Some(dedupe)) if dedupe.is_known(id))
    }

    /// Makes the window of an event that has none yet. Where there is to be none the event is counted as left out.
    #[cold]
    pub(super) fn begin_window_of(&self, event: &Event<'_>, now: &impl Fn() -> u64) -> Result<(), Outcome> {
        self.begin_window(event.at / self.window, now).inspect_err(|outcome| {
            self.stats.leave_out(event, *outcome);
            self.stats.count(self.open.protect().slot().id(), *outcome);
        })
    }

    /// Makes a window that there is none of, unless it is closed by now or there are too many. Not one that would be closed as
    /// soon as somebody looks: events of all times in any order would begin windows without bound until then.
    ///
    /// # Errors
    /// [`Outcome::Late`] or [`Outcome::NoWindow`]: what becomes of an event that would be in it.
    fn begin_window(&self, number: u64, now: &impl Fn() -> u64) -> Result<(), Outcome> {
        let mut windows = self.windows.lock();
        let mut open = self.open.protect().to_arc();
        let is_again = number < open.first && self.opens_again(&open, number, now);
        if number < open.first && !is_again || open.find(number).is_some() {
            return Ok(());
        }
        let first_in_time = self.first_in_time(now);
        if number < first_in_time {
            return Err(Outcome::Late);
        }
        // By the events' time a replay has many pass at once: those are not in the way of others until somebody looks.
        if windows.len() >= self.max_open_windows
            && (self.max_ahead.is_some() || windows.in_time(first_in_time) >= self.max_open_windows)
        {
            return Err(Outcome::NoWindow);
        }
        if is_again {
            open = Arc::new(open.without(first_in_time, std::iter::empty()));
            self.newest.fetch_min(now(), Relaxed);
        }
        let closed = self.closed_bytes.clone();
        let window = Window::new(number, self.metrics, self.max_keys, self.reach.as_ref(), &self.seed, closed);
        let window = Arc::new(window);
        windows.insert(number, window.clone());
        self.open.replace(Arc::new(open.with(window, self.window)), &REGISTRY);
        Ok(())
    }
}
