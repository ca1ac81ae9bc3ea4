//! A touch: counted as spend in its window, kept in the ring of its user, and merged into that user's provisional conversions.

use super::Attribution;
use super::orders::Record;
use super::path;
use super::stats::Kind;
use super::types::{Outcome, Step, Touch};
use super::window::Window;
use crate::error::{Error, check_time};
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
        let (row, number) = window.find(touch.dimensions, &self.dimensions);
        if !self.insert(touch, number) {
            return Outcome::Duplicate;
        }
        // SAFETY: the row was found in that window, and this thread protects the open windows in that slot.
        unsafe { window.spend(row, number, touch, slot) };
        Outcome::Applied
    }

    /// Keeps a touch whose window is closed, for conversions to come and for provisional ones.
    #[cold]
    fn touch_late(&self, touch: &Touch<'_>) -> Outcome {
        let number = self.dimensions.number(touch.dimensions.words);
        if self.insert(touch, number) { Outcome::Late } else { Outcome::Duplicate }
    }

    /// Puts a touch into the ring of its user, unless it is there, and into the provisional conversions that it may change.
    #[inline(always)]
    fn insert(&self, touch: &Touch<'_>, number: u32) -> bool {
        let Touch { id, at, kind, .. } = *touch;
        let step = Step { id, at, first_at: at, kind, dimensions: number, repeats: 0 };
        let inserted = self.ring.insert(touch.user, &step, self.oldest_that_matters());
        if inserted.is_duplicate {
            return false;
        }
        if number == super::NO_DIMENSIONS {
            self.stats.count(Kind::WithoutDimensions);
        }
        if !inserted.pending.is_empty() {
            inserted.pending.iter().for_each(|(order, _at)| self.amend(*order, &[step], 0));
        }
        true
    }

    /// Merges touches into a provisional conversion, those at or before it, of which the newest one that is missing was at a time,
    /// 0 if none is. It may be final by now.
    #[cold]
    pub(super) fn amend(&self, order: u64, steps: &[Step], evicted: u64) {
        let is_changed = self.orders.lock(order).update(order, |record| {
            if !record.is_provisional() {
                return false;
            }
            record.truncated |= self.is_within_reach(evicted, record.at);
            self.merge(record, steps)
        });
        if is_changed == Some(true) {
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
        let closed = || self.closed_bytes.clone();
        self.windows.begin(number, now, |number| Window::new(number, kinds, max_keys, &self.seed, closed()))
    }
}
