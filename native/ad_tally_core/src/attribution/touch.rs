//! A touch: counted as spend in its window, kept in the ring of its user, and merged into that user's provisional conversions.

use super::Attribution;
use super::journal::{Spent, Writing};
use super::orders::Record;
use super::path;
use super::stats::Kind;
use super::types::{Outcome, Step, Touch};
use super::window::Window;
use crate::error::{Error, check_time};
use crate::table::Spilled;
use crate::windows::NotBegun;

impl Attribution {
    /// Asks for the memory of a user's touches, to be looked at soon.
    #[inline(always)]
    pub fn fetch(&self, user: u64) {
        self.ring.fetch(user);
    }

    /// Takes a touch. The system's time is asked for where it matters.
    ///
    /// # Errors
    /// [`Error::Time`], with nothing changed.
    ///
    /// # Panics
    /// If there is no such kind.
    pub fn touch(&self, touch: &Touch<'_>, now: impl Fn() -> u64) -> Result<Outcome, Error> {
        check_time(touch.at)?;
        assert!(usize::from(touch.kind) < self.config.lookbacks.len(), "a kind of touches");
        let outcome = loop {
            let open = self.windows.protect();
            let slot = open.slot().id();
            let is_newest = self.windows.is_newest(touch.at);
            if is_newest && self.windows.is_future(touch.at, &now) {
                break Outcome::Future;
            }
            if let Some(window) = open.find_at(touch.at) {
                let outcome = self.touch_in(window, touch, slot);
                if is_newest && outcome == Outcome::Applied {
                    self.windows.note_newest(touch.at);
                }
                break outcome;
            }
            if self.windows.is_late(&open, touch.at, &now) {
                break self.touch_late(touch);
            }
            drop(open);
            match self.begin_window(touch.at, &now) {
                Ok(()) => {}
                // Where too many are open the system's time was set back by days.
                Err(NotBegun::Late | NotBegun::Full) => break self.touch_late(touch),
            }
        };
        self.stats.count_touch(outcome, touch.at);
        if matches!(outcome, Outcome::Late | Outcome::Future) {
            self.stats.exclude(touch.cost);
        }
        Ok(outcome)
    }

    #[inline(always)]
    fn touch_in(&self, window: &Window, touch: &Touch<'_>, slot: usize) -> Outcome {
        let Ok(writing) = self.begin_writing() else { return Outcome::Busy };
        let (row, number) = window.find(touch.dimensions, &self.dimensions);
        if !self.insert(touch, number, writing.as_ref()) {
            return Outcome::Duplicate;
        }
        // SAFETY: the row was found in that window, and this thread protects the open windows in that slot.
        let spilled = unsafe { window.spend(row, number, touch, slot) };
        if let Some(writing) = &writing {
            writing.touch(touch, number, Spent { instance: window.instance, spilled });
        }
        Outcome::Applied
    }

    /// Keeps a touch whose window is closed, for conversions to come and for provisional ones.
    #[cold]
    fn touch_late(&self, touch: &Touch<'_>) -> Outcome {
        let Ok(writing) = self.begin_writing() else { return Outcome::Busy };
        let number = self.dimensions.number(touch.dimensions.words);
        if !self.insert(touch, number, writing.as_ref()) {
            return Outcome::Duplicate;
        }
        if let Some(writing) = &writing {
            writing.touch(touch, number, Spent { instance: 0, spilled: Spilled::NOTHING });
        }
        Outcome::Late
    }

    /// Puts a touch into the ring of its user, unless it is there, and into the provisional conversions that it may change.
    #[inline(always)]
    fn insert(&self, touch: &Touch<'_>, number: u32, writing: Option<&Writing<'_>>) -> bool {
        let Touch { id, at, kind, .. } = *touch;
        let step = Step { id, at, first_at: at, kind, dimensions: number, repeats: 0 };
        let inserted = self.ring.insert(touch.user, &step, self.oldest_that_matters());
        if inserted.is_duplicate {
            return false;
        }
        if let Some(writing) = writing {
            writing.dropped(self.ring.newest_dropped());
        }
        if number == super::NO_DIMENSIONS {
            self.stats.count(Kind::WithoutDimensions);
        }
        if !inserted.pending.is_empty() {
            inserted.pending.iter().for_each(|(order, _at)| self.tell(*order, &step, writing));
        }
        true
    }

    /// Merges a touch into a provisional conversion that is not before it. It may be final by now.
    #[cold]
    fn tell(&self, order: u64, step: &Step, writing: Option<&Writing<'_>>) {
        let is_changed = self.orders.lock(order).update(order, |record| {
            if !record.is_provisional() {
                return false;
            }
            let is_changed = self.merge(record, std::slice::from_ref(step));
            if let Some(writing) = writing {
                writing.path(order, record, step);
            }
            is_changed
        });
        if is_changed == Some(true) {
            self.stats.count(Kind::Revised);
        }
    }

    /// Merges touches into a provisional conversion, those at or before it, of which the newest one that is missing was at a time,
    /// 0 if none is. It may be final by now.
    pub(super) fn amend(&self, order: u64, steps: &[Step], evicted: u64) {
        let mut orders = self.orders.lock(order);
        let is_changed = orders.update(order, |record| {
            if !record.is_provisional() {
                return None;
            }
            record.truncated |= self.is_within_reach(evicted, record.at);
            Some(self.merge(record, steps))
        });
        if is_changed.flatten().is_some() {
            self.write_order(&mut orders, order);
        }
        if is_changed == Some(Some(true)) {
            self.stats.count(Kind::Revised);
        }
    }

    /// Merges touches into the path of a conversion, those at or before it. Whether that has changed its credits.
    pub(super) fn merge(&self, record: &mut Record, steps: &[Step]) -> bool {
        let before = self.eligible(&record.steps, record.at);
        let dropped = record.merge(steps, self.config.touches_per_user);
        record.truncated |= dropped.is_some_and(|at| self.is_within_reach(at, record.at));
        let is_changed = self.eligible(&record.steps, record.at) != before;
        record.revision += u32::from(is_changed);
        is_changed
    }

    /// The steps of a path that a conversion at that time is credited to.
    pub(super) fn eligible(&self, steps: &[Step], at: u64) -> Vec<Step> {
        let mut eligible = Vec::new();
        let super::Config { prevail, collapse, lookbacks, .. } = &self.config;
        path::eligible(steps, at, lookbacks, *prevail, *collapse, &mut eligible);
        eligible
    }

    /// Whether touches that were evicted, the newest of them at a time (0 if there is none), may be some that a conversion would
    /// be credited to: the oldest ones are evicted first.
    pub(super) fn is_within_reach(&self, evicted: u64, converted: u64) -> bool {
        evicted > 0 && converted.saturating_sub(evicted) <= self.longest_lookback
    }

    /// Begins the window of a time.
    ///
    /// # Errors
    /// Why it did not begin.
    #[cold]
    pub(super) fn begin_window(&self, at: u64, now: impl Fn() -> u64) -> Result<(), NotBegun> {
        self.begin_number(self.windows.number_of(at), now)
    }

    pub(super) fn begin_number(&self, number: u64, now: impl Fn() -> u64) -> Result<(), NotBegun> {
        let (kinds, max_keys) = (self.config.lookbacks.len(), self.config.max_keys);
        self.windows.begin(number, now, |number| {
            let instance = self.journal.as_ref().map_or(0, |journal| journal.instance());
            Window::new(number, instance, kinds, max_keys, &self.seed, self.closed_bytes.clone())
        })
    }
}
