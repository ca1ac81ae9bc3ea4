//! How many events had which outcome, and what those that are in no window would have added.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::event::{Event, OUTCOMES, Outcome};
use super::top::Top;
use super::window::Window;
use crate::sync::AtomicU64;
use crate::sync::sharded_counter::ShardedCounter;

/// Outcomes of events that are in no window: `Duplicate`, `Late`, `Future` and `NoWindow`.
pub(super) const LEFT_OUT: usize = 4;
/// What is counted of events: outcomes, and those that are none.
const KINDS: usize = OUTCOMES + 1;
const REFUSED: usize = OUTCOMES;

/// How many events had an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// [`Outcome::Applied`].
    pub applied: u64,
    /// [`Outcome::Duplicate`].
    pub duplicate: u64,
    /// [`Outcome::Late`].
    pub late: u64,
    /// [`Outcome::Future`].
    pub future: u64,
    /// [`Outcome::NoWindow`].
    pub no_window: u64,
    /// [`Outcome::Overflow`].
    pub overflow: u64,
    /// [`Outcome::Busy`].
    pub busy: u64,
    /// What [`super::Meter::refuse`] was told of.
    pub refused: u64,
}

/// A meter's counts of events.
pub(super) struct Stats {
    events: ShardedCounter<KINDS>,
    left_out: [Mutex<Vec<i128>>; LEFT_OUT],
    /// The times of the last events that were.
    last_left_out: [AtomicU64; LEFT_OUT],
    closed: Mutex<Totals>,
    /// Once somebody wants it.
    top: Mutex<Option<Box<Top>>>,
}

/// What was counted in windows that are closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// How many were closed.
    pub windows: u64,
    /// By metric the sum of what each window had, of those where that is more than 0.
    pub added: Vec<i128>,
    /// The same of those where it is less, as a number above 0: corrections. Neither ever falls.
    pub corrected: Vec<i128>,
}

impl Stats {
    pub(super) fn new(metrics: usize) -> Self {
        Self {
            events: ShardedCounter::new(),
            left_out: std::array::from_fn(|_| Mutex::new(vec![0; metrics])),
            last_left_out: Default::default(),
            closed: Mutex::new(Totals { windows: 0, added: vec![0; metrics], corrected: vec![0; metrics] }),
            top: Mutex::default(),
        }
    }

    /// Adds up what was counted in a window that is closed.
    pub(super) fn close(&self, window: &Window) {
        let wanted = self.top.lock().as_ref().map(|top| top.wanted());
        // Not under the lock, for which a snapshot of the numbers may wait.
        let sums = wanted.map(|wanted| wanted.sums(window));
        if let (Some(sums), Some(top)) = (sums, &mut *self.top.lock()) {
            top.add(&sums);
        }
        let totals = window.totals();
        let mut closed = self.closed.lock();
        let Totals { windows, added, corrected } = &mut *closed;
        *windows += 1;
        for ((added, corrected), total) in added.iter_mut().zip(corrected).zip(&totals) {
            *added += (*total).max(0);
            *corrected -= (*total).min(0);
        }
    }

    pub(super) fn with_top<T>(&self, act: impl FnOnce(&mut Option<Box<Top>>) -> T) -> T {
        act(&mut self.top.lock())
    }

    pub(super) fn closed(&self) -> Totals {
        self.closed.lock().clone()
    }

    /// Counts an event that a thread with that hazard slot has recorded.
    #[inline(always)]
    pub(super) fn count(&self, slot: usize, outcome: Outcome) {
        self.events.add_in(slot, outcome as usize, 1);
    }

    /// Counts events that a thread with that hazard slot did not record, because the journal has no room.
    #[cold]
    pub(super) fn count_busy(&self, slot: usize, events: u64) {
        self.events.add_in(slot, Outcome::Busy as usize, events);
    }

    /// Counts events that were none.
    pub(super) fn refuse(&self, slot: usize, events: u64) {
        self.events.add_in(slot, REFUSED, events);
    }

    /// Adds up the amounts of an event that is in no window. Of one that is busy nothing is: it comes again.
    #[cold]
    pub(super) fn leave_out(&self, event: &Event<'_>, outcome: Outcome) {
        if outcome == Outcome::Busy {
            return;
        }
        let why = outcome as usize - Outcome::Duplicate as usize;
        // Of copies nobody asks.
        if outcome != Outcome::Duplicate {
            self.last_left_out[why].store(event.at, Relaxed);
        }
        let mut left_out = self.left_out[why].lock();
        for add in event.amounts {
            left_out[add.metric as usize] += i128::from(add.amount);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |outcome: Outcome| self.events.get(outcome as usize);
        Counts {
            applied: count(Outcome::Applied),
            duplicate: count(Outcome::Duplicate),
            late: count(Outcome::Late),
            future: count(Outcome::Future),
            no_window: count(Outcome::NoWindow),
            overflow: count(Outcome::Overflow),
            busy: count(Outcome::Busy),
            refused: self.events.get(REFUSED),
        }
    }

    pub(super) fn left_out(&self) -> [Vec<i128>; LEFT_OUT] {
        std::array::from_fn(|outcome| self.left_out[outcome].lock().clone())
    }

    /// The time of the last event that was late, and of the last one that was too far ahead; 0 if none was.
    pub(super) fn last_late_and_future(&self) -> (u64, u64) {
        let [_duplicate, late, future, _no_window] = &self.last_left_out;
        (late.load(Relaxed), future.load(Relaxed))
    }

    pub(super) fn bytes(&self) -> usize {
        self.events.bytes()
    }
}
