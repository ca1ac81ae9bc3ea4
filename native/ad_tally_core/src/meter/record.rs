//! Recording an event: the last stage of its lookup, and the windows that begin with one.

use super::Meter;
use super::event::{Event, Outcome};
use super::lookup::{Lookup, Recording};
use super::window::Window;
use crate::dedupe::Id;
use crate::error::{Error, check_time};
use crate::windows::{NotBegun, OpenWindows};

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
        let is_newest = meter.windows.is_newest(self.at);
        if is_newest && meter.windows.is_future(self.at, now) {
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
            meter.windows.note_newest(self.at);
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
        self.stats.refuse(self.windows.protect().slot().id(), events);
    }

    /// What becomes of an event whose window is not open, or `None` if that is still to begin.
    #[cold]
    fn check_without_window(
        &self,
        open: &OpenWindows<Window>,
        at: u64,
        id: Option<Id>,
        now: &impl Fn() -> u64,
    ) -> Option<Outcome> {
        if self.is_known(id) {
            Some(Outcome::Duplicate)
        } else if self.windows.is_late(open, at, now) {
            Some(Outcome::Late)
        } else {
            None
        }
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
        let make = |number| {
            let closed = self.closed_bytes.clone();
            Window::new(number, self.metrics, self.max_keys, self.reach.as_ref(), &self.seed, closed)
        };
        self.windows.begin(self.windows.number_of(event.at), now, make).map_err(|why| {
            let outcome = match why {
                NotBegun::Late => Outcome::Late,
                NotBegun::Full => Outcome::NoWindow,
            };
            self.stats.leave_out(event, outcome);
            self.stats.count(self.windows.protect().slot().id(), outcome);
            outcome
        })
    }
}
