//! Closing a meter's windows, by time or all of them, and reading those that are open.

use super::Meter;
use super::undelivered::Undelivered;
use super::window::{Window, WindowRef};
use crate::windows;

/// Windows that were closed together, see [`windows::Closed`]. Those without events are not among them.
pub type Closed = windows::Closed<Window>;

impl Meter {
    /// Closes the windows whose time has passed, see [`windows::Windows::close`].
    pub fn close(&self, now: u64) -> Closed {
        self.keep(self.windows.close(now), true)
    }

    /// Closes the window of a time and those before, whether or not their time has passed.
    pub fn close_through(&self, at: u64) -> Closed {
        self.keep(self.windows.close_through(at), false)
    }

    /// Closes all windows, those that are to come as well: whatever is recorded afterwards is late.
    pub fn stop(&self) -> Closed {
        self.keep(self.windows.stop(), false)
    }

    /// Windows that are open and have events, from the one of a number on: the first ones of them from old to new, as they are
    /// now.
    #[must_use]
    pub fn open_windows(&self, from: u64, most: usize) -> Vec<WindowRef> {
        self.windows.open_windows(from, most)
    }

    /// The number of the first window that is not closed.
    #[must_use]
    pub fn first_open(&self) -> u64 {
        self.windows.first_open()
    }

    /// The number of the last window that is open and has events, if there is any. It may be newer than the newest event, where
    /// the clock was set back.
    #[must_use]
    pub fn last_open(&self) -> Option<u64> {
        self.windows.last_open()
    }

    /// The number of the first window that begins at a time or later.
    #[must_use]
    pub fn first_from(&self, at: u64) -> u64 {
        self.windows.first_from(at)
    }

    /// When a window of that number begins and ends.
    #[must_use]
    pub fn bounds(&self, number: u64) -> (u64, u64) {
        self.windows.bounds(number)
    }

    /// Those that have events, which with a journal are kept until they are delivered. One may have begun for an event that turned
    /// out to be a copy.
    fn keep(&self, mut closed: Closed, is_in_time: bool) -> Closed {
        let (empty, windows): (Vec<WindowRef>, _) = closed.windows.into_iter().partition(|window| window.is_empty());
        closed.windows = windows;
        if let Some(stored) = &self.stored {
            empty.iter().for_each(|window| stored.drop_window(window));
        }
        for window in &closed.windows {
            window.note_closed();
            self.stats.close(window);
            if let Some(stored) = &self.stored {
                let (begin, end) = self.windows.bounds(window.number);
                stored.closing(window, is_in_time);
                let (window, config) = (window.clone(), stored.config);
                stored.keep(Undelivered { window, config, begin, end, numbered: None });
            }
        }
        // After the windows: what was counted in them is in no later interval.
        if let Some(stored) = &self.stored {
            self.windows.write_early(|until| stored.close_early(until));
        }
        closed
    }
}
