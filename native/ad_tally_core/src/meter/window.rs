//! The tables of one window.

use std::sync::Arc;

use super::{Event, ReachConfig};
use crate::counters::{self, Added};
use crate::key::Seed;
use crate::keyed::{Found, Line};
use crate::reach;
use crate::sketch::{Coupon, Secret, Sketch};

/// What was recorded in a window.
pub struct Window {
    /// Which one: it begins at this many times its length.
    pub number: u64,
    counters: Arc<counters::Table>,
    reach: Option<(Arc<reach::Table>, Sketch)>,
}

/// Where the rows of an event's keys are, if there are any.
#[derive(Clone, Copy, Default)]
pub(super) struct Places<'w> {
    pub(super) counters: Option<Found<'w>>,
    pub(super) reach: Option<Found<'w>>,
}

impl Window {
    pub(super) fn new(number: u64, metrics: usize, max_keys: usize, reach: Option<&ReachConfig>, seed: &Seed) -> Self {
        let reach = reach.map(|reach| {
            let empty = Sketch::new(reach.precision, reach.secret.as_ref().map(Secret::check));
            let empty = empty.unwrap_or_else(|_| unreachable!("checked when the meter was made"));
            (Arc::new(reach::Table::new(empty.clone(), reach.max_keys, seed.clone())), empty)
        });
        Self { number, counters: Arc::new(counters::Table::new(metrics, max_keys, seed.clone())), reach }
    }

    /// Asks for the line of the index where a key of counters belongs, to be looked at soon.
    #[inline(always)]
    pub(super) fn fetch_line(&self, hash: u64) -> Option<&Line> {
        self.counters.keyed.fetch_line(hash)
    }

    /// Asks for the row of counters that most likely is that of a key of that hash and so many words, whose line is near.
    #[inline(always)]
    pub(super) fn fetch_row(&self, line: &Line, hash: u64, words: usize) -> Option<Found<'_>> {
        self.counters.keyed.fetch_row(line, hash, words)
    }

    /// The same of a sketch's key.
    #[inline(always)]
    pub(super) fn fetch_reach_line(&self, hash: u64) -> Option<&Line> {
        self.reach.as_ref()?.0.keyed.fetch_line(hash)
    }

    /// Asks for the sketch that most likely is that of a key of that hash and so many words, whose line is near, and for a
    /// user's register there.
    #[inline(always)]
    pub(super) fn fetch_sketch(&self, line: &Line, hash: u64, words: usize, user: Coupon) -> Option<Found<'_>> {
        let (reach, _) = self.reach.as_ref()?;
        let found = reach.keyed.fetch_row(line, hash, words)?;
        reach.fetch_register(found, user);
        Some(found)
    }

    /// Looks for the rows of an event's keys, first where they most likely are.
    #[inline(always)]
    pub(super) fn find<'w>(&'w self, event: &Event<'_>, likely: Places<'w>) -> Places<'w> {
        Places {
            counters: self.counters.keyed.find_at(likely.counters, event.key),
            reach: match (event.reach, &self.reach) {
                (Some((key, _user)), Some((reach, _))) => reach.keyed.find_at(likely.reach, key),
                _ => None,
            },
        }
    }

    /// Counts an event whose rows were looked for just now.
    ///
    /// # Safety
    /// `places` are of this window, and `slot` is the id of a slot that the calling thread has claimed.
    #[inline(always)]
    pub(super) unsafe fn add(&self, event: &Event<'_>, places: Places<'_>, slot: usize) -> Added {
        // SAFETY: the row is of that table, the slot as in this function.
        let mut outcome = unsafe { self.counters.add_all_to(places.counters, event.key, event.amounts, slot) };
        if let (Some((key, user)), Some((reach, _))) = (event.reach, &self.reach)
            && reach.add_found(places.reach, key, user) == Added::Overflow
        {
            outcome = Added::Overflow;
        }
        outcome
    }

    /// The rows of its counters.
    #[must_use]
    pub fn counters(&self) -> counters::Rows {
        counters::Rows::new(self.counters.clone())
    }

    /// What had no row, by metric.
    #[must_use]
    pub fn overflow(&self) -> Vec<i128> {
        self.counters.overflow()
    }

    /// The rows of its sketches, if it has any.
    #[must_use]
    pub fn reach(&self) -> Option<reach::Rows> {
        self.reach.as_ref().map(|(table, empty)| reach::Rows::new(table.clone(), empty.clone()))
    }

    /// The users of keys that had no sketch.
    #[must_use]
    pub fn reach_overflow(&self) -> Option<Sketch> {
        self.reach.as_ref().map(|(table, empty)| {
            let mut sketch = empty.clone();
            table.overflow().pour(&mut sketch);
            sketch
        })
    }

    /// How many rows its counters have.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.counters.keyed.keys()
    }

    /// Whether nothing was recorded in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys() == 0 && self.overflow().iter().all(|amount| *amount == 0)
    }

    pub(super) fn bytes(&self) -> usize {
        self.counters.bytes() + self.reach.as_ref().map_or(0, |(table, _)| table.bytes())
    }
}
