//! Closing windows, by time or all of them, and reading those that are open.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Windows;
use super::open_windows::OpenWindows;
use super::window_ref::WindowRef;
use crate::sync::hazard::REGISTRY;

/// Windows that are closed at once.
const CLOSED_AT_ONCE: usize = 64;

/// Windows that were closed together, from old to new: nothing is written to them any more.
pub struct Closed<W: Send + Sync + 'static> {
    /// Some at most, so that whoever begins a window meanwhile does not wait for long.
    pub windows: Vec<WindowRef<W>>,
    /// Whether that was all that was to be closed: otherwise there is more to be asked for.
    pub is_all: bool,
}

impl<W: Send + Sync> Windows<W> {
    /// Closes the windows whose time has passed: whose end is not after the system's time or, where that is not asked for, the
    /// newest event's, less the lateness.
    ///
    /// Where the system's time is earlier than it was the last time, windows open again, but for those that were closed before their
    /// time: an event is late only by the clock that there is. What was closed of them stays closed, and they are closed once more with
    /// what comes now. An event that comes before somebody looks opens them as well.
    pub fn close(&self, now: u64) -> Closed<W> {
        let first = self.first_in_time(|| now);
        if let Some(max_ahead) = self.max_ahead {
            if now < self.clock.swap(now, Relaxed) {
                self.open_again(first, now);
            }
            // Counted by a clock that was wrong for a moment: times up to it would not be compared with the clock any more.
            if self.newest() > now.saturating_add(max_ahead) {
                self.newest.fetch_min(now, Relaxed);
            }
        }
        self.close_before(first, false)
    }

    #[cold]
    fn open_again(&self, first: u64, now: u64) {
        let _windows = self.by_number.lock();
        let first = first.max(self.first_not_early(now));
        let open = self.open.protect().to_arc();
        // Not after `stop`.
        if first < open.first() && open.first() < u64::MAX {
            self.early.open(first);
            self.open.replace(Arc::new(open.without(first, std::iter::empty())), &REGISTRY);
        }
        // So that times are compared with the clock again.
        self.newest.fetch_min(now, Relaxed);
    }

    /// Closes the window of a time and those before, whether or not their time has passed. They do not open again.
    pub fn close_through(&self, at: u64) -> Closed<W> {
        self.close_before(self.number_of(at) + 1, true)
    }

    /// Tells until when windows were closed before their time, if that has changed since it was told. What is written last is what is so.
    pub(crate) fn write_early(&self, write: impl FnOnce(u64)) {
        self.early.write(|first| write(first.saturating_mul(self.length)));
    }

    /// Closes all windows, those that are to come as well: whatever comes afterwards is late.
    pub fn stop(&self) -> Closed<W> {
        self.close_before(u64::MAX, false)
    }

    fn close_before(&self, first: u64, is_early: bool) -> Closed<W> {
        let mut by_number = self.by_number.lock();
        let open = self.open.protect().to_arc();
        // Of more than a step closes the others are closed by the next one; but where nothing stays open all at once.
        let beyond = by_number.numbers_before(first).nth(CLOSED_AT_ONCE);
        let first = if first == u64::MAX { first } else { beyond.unwrap_or(first) };
        if first > open.first() {
            let fresh = if first == u64::MAX {
                OpenWindows::none(first, self.length)
            } else {
                open.without(first, by_number.numbers_before(first))
            };
            self.open.replace(Arc::new(fresh), &REGISTRY);
        }
        // Whoever counted in them has done so by now: nobody writes down that they are closed, and it is on disk, before what was
        // counted in them.
        if is_early {
            self.early.close(first);
        }
        let mut windows = Vec::new();
        while windows.len() < CLOSED_AT_ONCE
            && let Some(window) = by_number.take_first_before(first)
        {
            windows.push(WindowRef::new(window));
        }
        Closed { windows, is_all: beyond.is_none() }
    }

    /// Windows that are open, from the one of a number on: the first ones of them from old to new, as they are now.
    #[must_use]
    pub fn open_windows(&self, from: u64, most: usize) -> Vec<WindowRef<W>> {
        self.by_number.lock().from(from).take(most).map(|window| WindowRef::new(window.clone())).collect()
    }

    /// The number of the first window that is not closed.
    #[must_use]
    pub fn first_open(&self) -> u64 {
        self.open.protect().first()
    }

    /// The number of the last window that is open, if there is any. It may be newer than the newest event, where the clock was
    /// set back.
    #[must_use]
    pub fn last_open(&self) -> Option<u64> {
        self.by_number.lock().last_number()
    }

    /// The number of the first window that begins at a time or later.
    #[must_use]
    pub fn first_from(&self, at: u64) -> u64 {
        at.div_ceil(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn that_windows_are_closed_early_is_not_told_while_somebody_counts_in_them() {
        let config = Config { window: 10, lateness: 0, max_ahead: None, max_open_windows: 4 };
        let windows = Windows::<()>::new(config).expect("a configuration that is right");
        windows.begin(3, || 0, |_| ()).expect("in time");
        std::thread::scope(|scope| {
            let counting = windows.protect();
            let closing = scope.spawn(|| windows.close_through(35).windows.len());
            while windows.first_open() == 0 {
                std::thread::yield_now();
            }
            assert!(counting.find(3).is_some());
            windows.write_early(|until| panic!("closed until {until}, and somebody counts in them"));
            drop(counting);
            assert_eq!(closing.join().expect("no panic"), 1);
        });
        let mut told = None;
        windows.write_early(|until| told = Some(until));
        assert_eq!(told, Some(40));
    }
}
