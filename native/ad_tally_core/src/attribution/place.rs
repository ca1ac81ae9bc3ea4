//! Which window takes something: that of its own time or, where that is closed, the first one that is not.

use super::Attribution;
use super::window::Window;
use crate::sync::hazard::Protected;
use crate::windows::{NotBegun, OpenWindows};

/// A window that takes something of a time.
pub(super) struct Place<'o> {
    pub(super) window: &'o Window,
    /// Whether it is a later window than that of the time, which is closed.
    pub(super) is_late: bool,
}

impl Attribution {
    /// Does something with the window of a time, which begins if it has to, or with a later one if that is closed. It stays open
    /// meanwhile. `None` if all windows are closed for good.
    pub(super) fn in_place<T>(
        &self,
        at: u64,
        now: impl Fn() -> u64,
        act: impl FnOnce(Option<Place<'_>>, &Protected<'_, OpenWindows<Window>>) -> T,
    ) -> T {
        let (mut is_late, mut is_full) = (false, false);
        loop {
            let open = self.windows.protect();
            if !is_late {
                if let Some(window) = open.find_at(at) {
                    return act(Some(Place { window, is_late }), &open);
                }
                is_late = self.windows.is_late(&open, at, &now);
            }
            if !is_late {
                drop(open);
                // One that would be closed at once does not begin.
                is_late = self.begin_window(at, &now).is_err();
                continue;
            }
            let Some(number) = self.windows.first_at_or_after(&open, at, &now) else {
                return act(None, &open);
            };
            // As many are open as may be only after the system's time was set back by days: then any of them does.
            let any = || open.first_number_from(0).filter(|_| is_full).and_then(|any| open.find(any));
            if let Some(window) = open.find(number).or_else(any) {
                return act(Some(Place { window, is_late }), &open);
            }
            drop(open);
            // If its time has passed by now, there is another one.
            is_full = self.begin_number(number, &now) == Err(NotBegun::Full);
        }
    }
}
