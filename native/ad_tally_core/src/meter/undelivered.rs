//! Windows that are closed and that not everybody has who is to have them. A meter with a journal keeps them until then: whoever
//! hands them on may end in between.

use super::Meter;
use super::window::Window;
use crate::windows::{self, Numbered};

/// A window that is closed and not delivered.
pub type Undelivered = windows::Undelivered<Window>;

impl Meter {
    /// Gives a closed window a number, which is not handed on before that is durable. Whether it had none: otherwise, and without a
    /// journal, nothing has changed.
    pub fn closed(&self, window: &Window, numbered: Numbered) -> bool {
        self.stored.as_ref().is_some_and(|stored| {
            stored.kept.number(window.instance, numbered, |config, numbered| {
                stored.writer(&stored.part.begin_anyway()).closed(window, config, numbered);
            })
        })
    }

    /// Notes that everybody has a closed window who is to have it, so that it is not kept any longer.
    pub fn delivered(&self, window: &Window) {
        if let Some(stored) = &self.stored
            && stored.kept.remove(window.instance)
        {
            stored.drop_window(window);
        }
    }

    /// The windows that are closed and not delivered, by their numbers, and then those that have none yet, from old to new. None
    /// without a journal.
    #[must_use]
    pub fn undelivered(&self) -> Vec<Undelivered> {
        self.stored.as_ref().map_or_else(Vec::new, |stored| stored.kept.all())
    }

    /// The greatest number that a window was given, also before a restart; 0 if none was.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.stored.as_ref().map_or(0, |stored| stored.kept.sequence())
    }
}
