//! What is known of an event before all of it is read.
//!
//! An event waits for the lines of its id and of its key in the index, then for its row, and then for its user's register.
//! Where few caches are left to it each takes as long as reading the event does. So whoever reads one says what is known of it so
//! far, and the lines are asked for while the rest is read.

use std::ptr;

use super::open::OpenWindows;
use super::window::Window;
use super::{Meter, Written};
use crate::table::{Line, RowRef};

/// An event that is being read. What it is told are hints: what is recorded is the event.
pub struct Ahead<'o> {
    from: Option<(&'o Meter, &'o OpenWindows)>,
    at: u64,
    window: Option<&'o Window>,
    line: Option<&'o Line>,
    key: Written,
    row: Option<RowRef<'o>>,
}

impl<'o> Ahead<'o> {
    #[inline(always)]
    pub(super) fn new(meter: &'o Meter, open: &'o OpenWindows) -> Self {
        Self { from: Some((meter, open)), ..Self::nothing() }
    }

    /// Of an event that is recorded later: nothing is looked for.
    #[inline(always)]
    #[must_use]
    pub fn nothing() -> Self {
        let key = Written { hash: 0, begin: 0, length: 0 };
        Self { from: None, at: 0, window: None, line: None, key, row: None }
    }

    /// Its time. To be said first: what was said before is forgotten, because it is of another window.
    #[inline(always)]
    pub fn at(&mut self, at: u64) {
        self.line = None;
        self.row = None;
        if let Some((meter, open)) = self.from {
            self.at = at;
            self.window = open.find_at(at, meter.window);
        }
    }

    /// Its key: the line of the index where that belongs is asked for.
    #[inline(always)]
    pub fn key(&mut self, key: Written) {
        self.key = key;
        self.line = self.window.and_then(|window| window.fetch_line(key.hash));
    }

    /// That line is near by now: the row that it most likely names is asked for.
    #[inline(always)]
    pub fn row(&mut self) {
        if let (Some(window), Some(line)) = (self.window, self.line) {
            self.row = window.fetch_row(line, self.key.hash, self.key.length as usize);
        }
    }

    /// The window of that time, and where the row of the event's counters most likely is.
    #[inline(always)]
    pub(super) fn found<'w>(
        self,
        meter: &Meter,
        open: &'w OpenWindows,
        at: u64,
    ) -> (Option<&'w Window>, Option<RowRef<'w>>)
    where
        'o: 'w,
    {
        let is_of = |(_, own): (&Meter, &OpenWindows)| ptr::eq(own, open) && self.at == at;
        match self.window {
            Some(window) if self.from.is_some_and(is_of) => (Some(window), self.row),
            _ => (open.find_at(at, meter.window), None),
        }
    }
}
