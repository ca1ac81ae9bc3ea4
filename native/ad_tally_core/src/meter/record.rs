//! Recording an event: the last stage of its lookup, and the windows that begin with one.

use super::Meter;
use super::event::{Event, Outcome};
use super::journal::EventDraft;
use super::lookup::{Lookup, Recording, Writing};
use super::window::Window;
use crate::dedupe::{Id, Seen};
use crate::error::{Error, check_time};
use crate::windows::{NotBegun, OpenWindows};

/// Where an event is counted.
struct Counted<'r> {
    window: &'r Window,
    /// What its id is known in from now on.
    generation: Option<u64>,
    /// Where there is a journal.
    draft: Option<EventDraft<'r>>,
}

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

    /// The last stage: counts the event, or what becomes of it instead, and writes it down where there is a journal.
    #[inline(always)]
    pub(super) fn finish(&self, event: &Event<'_>, now: &impl Fn() -> u64) -> Option<Outcome> {
        assert_eq!(event.at, self.at, "the time that the lookup has begun with");
        let Recording { meter, open, .. } = self.recording;
        let slot = open.slot().id();
        let outcome = match self.check(event, now)? {
            Ok(Counted { window, generation, draft }) => {
                // SAFETY: the rows were found in that window, and this thread has protected the windows in that slot.
                let spilled = unsafe { window.add(self.rows, event, slot) };
                if let Some(draft) = draft {
                    draft.counted(event, generation, spilled);
                }
                spilled.into()
            }
            Err(outcome) => {
                meter.stats.leave_out(event, outcome);
                outcome
            }
        };
        meter.stats.count(slot, outcome);
        Some(outcome)
    }

    /// Where the event is counted, or what becomes of it instead, or `None` if its window has not begun.
    #[inline(always)]
    fn check(&self, event: &Event<'_>, now: &impl Fn() -> u64) -> Option<Result<Counted<'r>, Outcome>> {
        let Recording { meter, open, writing } = self.recording;
        if let Writing::Busy = writing {
            return Some(Err(Outcome::Busy));
        }
        let is_newest = meter.windows.is_newest(self.at);
        if is_newest && meter.windows.is_future(self.at, now) {
            return Some(Err(self.recording.unless_known(self.id, Outcome::Future)));
        }
        let Some(window) = self.window else {
            return self.recording.check_without_window(open, self.at, self.id, now).map(Err);
        };
        // The bucket of its id is still on its way to the cache.
        let draft = match writing {
            Writing::By(scribe, stored) => Some(stored.writer(scribe).event(window, event, self.id.map(Id::hash))),
            _ => None,
        };
        let mut generation = None;
        if let (Some(id), Some(dedupe)) = (self.id, &meter.dedupe) {
            match dedupe.see(id, self.at, now) {
                Seen::First(now) => generation = Some(now),
                seen => {
                    drop(draft);
                    self.recording.write_again(id, seen);
                    return Some(Err(Outcome::Duplicate));
                }
            }
        }
        if is_newest {
            meter.windows.note_newest(self.at);
        }
        Some(Ok(Counted { window, generation, draft }))
    }
}

impl Recording<'_> {
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
        } else if self.meter.windows.is_late(open, at, now) {
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
        let (Some(id), Some(dedupe)) = (id, &self.meter.dedupe) else { return false };
        let seen = dedupe.see_again(id);
        seen.inspect(|seen| self.write_again(id, *seen)).is_some()
    }

    /// Writes down that an id was seen again.
    #[cold]
    fn write_again(&self, id: Id, seen: Seen) {
        if let (Writing::By(scribe, stored), Some(generation)) = (&self.writing, seen.generation()) {
            stored.writer(scribe).seen_again(id.hash(), generation);
        }
    }
}

impl Meter {
    /// Counts events that there was no room for in the journal, as their caller has found.
    #[cold]
    pub fn count_busy(&self, events: u64) {
        self.stats.count_busy(self.windows.protect().slot().id(), events);
    }

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

    /// Makes the window of an event that has none yet. Where there is to be none the event is counted as left out.
    #[cold]
    pub(super) fn begin_window_of(&self, event: &Event<'_>, now: &impl Fn() -> u64) -> Result<(), Outcome> {
        let make = |number| {
            let instance = self.stored.as_ref().map_or(0, |stored| stored.part.journal.instance());
            Window::new(number, instance, &self.shape, &self.seed, self.closed_bytes.clone())
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
