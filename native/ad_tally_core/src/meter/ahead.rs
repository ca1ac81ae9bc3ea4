//! What is known of an event before all of it is read.
//!
//! An event waits for five lines of memory: that of its id, those of its keys in the index, and then those of its row and of its
//! user's register. Where few caches are left to it each takes as long as reading the event does. So whoever reads one says what
//! is known of it so far, and the lines are asked for while the rest is read.

use std::ptr;

use super::window::{Places, Window};
use super::{Meter, Open, Written};
use crate::keyed::Line;
use crate::sketch::Coupon;

/// An event that is being read. What it is told are hints: what is recorded is the event.
pub struct Ahead<'o> {
    from: Option<(&'o Meter, &'o Open)>,
    number: u64,
    window: Option<&'o Window>,
    line: Option<&'o Line>,
    key: Written,
    places: Places<'o>,
}

impl<'o> Ahead<'o> {
    #[inline(always)]
    pub(super) fn new(meter: &'o Meter, open: &'o Open) -> Self {
        Self { from: Some((meter, open)), ..Self::nothing() }
    }

    /// Of an event that is recorded later: nothing is looked for.
    #[inline(always)]
    #[must_use]
    pub fn nothing() -> Self {
        let key = Written { hash: 0, begin: 0, length: 0 };
        Self { from: None, number: 0, window: None, line: None, key, places: Places::default() }
    }

    /// Its time. To be said first: what was said before is forgotten, because it is of another window.
    #[inline(always)]
    pub fn at(&mut self, at: u64) {
        self.line = None;
        self.places = Places::default();
        if let Some((meter, open)) = self.from {
            self.number = at / meter.window;
            self.window = open.find(self.number);
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
            self.places.counters = window.fetch_row(line, self.key.hash, self.key.length as usize);
        }
    }

    /// Its sketch's key, and its user, whose register is asked for.
    #[inline(always)]
    pub fn reach(&mut self, key: Written, user: Coupon) {
        if let Some(window) = self.window
            && let Some(line) = window.fetch_reach_line(key.hash)
        {
            self.places.reach = window.fetch_sketch(line, key.hash, key.length as usize, user);
        }
    }

    /// The window of that number, and where the event's rows most likely are.
    #[inline(always)]
    pub(super) fn found<'w>(self, open: &'w Open, number: u64) -> (Option<&'w Window>, Places<'w>)
    where
        'o: 'w,
    {
        let is_of = |(_, own): (&Meter, &Open)| ptr::eq(own, open) && self.number == number;
        match self.window {
            Some(window) if self.from.is_some_and(is_of) => (Some(window), self.places),
            _ => (open.find(number), Places::default()),
        }
    }
}
