//! Where something is booked that is too late for the window of its own time.

use super::Attribution;
use super::window::Window;
use crate::windows::OpenWindows;

/// A window that takes what is late.
pub(super) enum Place<'o> {
    /// This one.
    There(&'o Window),
    /// The one of this number, which has not begun.
    ToBegin(u64),
    /// None: all windows are closed for good.
    Nowhere,
}

impl Attribution {
    /// Where something of a time is booked: the first window at or after that is open, or may begin. Where one has turned out to be
    /// one too many, which is so only after the system's time was set back by days, any one that is open.
    pub(super) fn place_of_late<'o>(
        &self,
        open: &'o OpenWindows<Window>,
        at: u64,
        is_full: bool,
        now: impl Fn() -> u64,
    ) -> Place<'o> {
        let Some(number) = self.windows.first_at_or_after(open, at, now) else { return Place::Nowhere };
        if let Some(window) = open.find(number) {
            return Place::There(window);
        }
        let any = || open.first_number_from(0).and_then(|any| open.find(any));
        match is_full.then(any).flatten() {
            Some(window) => Place::There(window),
            None => Place::ToBegin(number),
        }
    }
}
