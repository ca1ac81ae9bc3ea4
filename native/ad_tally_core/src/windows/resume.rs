//! Windows after a restart: those that were open are open again, and the clock stands still for as long as the restart may have taken.

use std::sync::Arc;

use super::Windows;
use crate::sync::hazard::REGISTRY;

impl<W: Send + Sync> Windows<W> {
    /// Windows were closed before their time, until then, as was written before a restart. The one that this is in the middle of, of
    /// another length, may open.
    pub(crate) fn restore_early(&self, until: u64) {
        self.early.restore(until / self.length);
    }

    /// Goes on after a restart, at `now`: opens windows that were open before, of numbers that there are none of, and has windows be late
    /// and be closed as if the system's time were still `clock`, until that is `until`. (By the events' time no clock stands.) A window
    /// whose time has passed takes what comes until it is closed, as any other does. What was closed before its time stays closed.
    ///
    /// # Panics
    /// If the calling thread protects the open windows.
    pub fn resume(&self, windows: impl IntoIterator<Item = (u64, Arc<W>)>, clock: u64, until: u64, now: u64) {
        let mut by_number = self.by_number.lock();
        self.standing.stand(clock, until);
        let there = self.open.protect().to_arc();
        let mut first = self.first_not_early(now);
        let mut open = there.without(there.first(), std::iter::empty());
        for (number, window) in windows {
            first = first.min(number);
            by_number.insert(number, window.clone());
            open = open.with(number, window);
        }
        self.early.open(first);
        // None that is closed may be among those that can be written to.
        self.open.replace(Arc::new(open.without(first, std::iter::empty())), &REGISTRY);
    }
}
