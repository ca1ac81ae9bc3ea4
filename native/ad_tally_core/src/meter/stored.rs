//! What a meter with a journal has.

use std::sync::Arc;

use super::journal::{Folding, Writer};
use super::window::Window;
use crate::journal::{Part, Scribe};
use crate::windows::{Kept, Undelivered};

/// What a meter with a journal has beside its windows.
pub(super) struct Stored {
    pub(super) part: Part,
    /// The number of its configuration.
    pub(super) config: u32,
    pub(super) folding: Arc<Folding>,
    /// Closed windows that are not delivered.
    pub(super) kept: Kept<Window>,
}

impl Stored {
    pub(super) fn new(part: Part, config: u32, folding: Folding) -> Self {
        Self { part, config, folding: folding.into(), kept: Kept::default() }
    }

    #[inline(always)]
    pub(super) fn writer<'s>(&self, scribe: &'s Scribe<'s>) -> Writer<'s> {
        Writer { scribe, part: self.part.number }
    }

    /// Keeps a window.
    pub(super) fn keep(&self, undelivered: Undelivered<Window>) {
        self.kept.keep(undelivered.window.instance, undelivered);
    }

    /// Notes that a window is closed.
    pub(super) fn closing(&self, window: &Window, is_in_time: bool) {
        self.writer(&self.part.begin_anyway()).closing(window, is_in_time);
    }

    /// Notes that windows were closed before their time, until then.
    pub(super) fn close_early(&self, until: u64) {
        let version = self.part.journal.instance();
        self.writer(&self.part.begin_anyway()).closed_early(version, until);
    }

    /// Notes that nobody is to have a window.
    pub(super) fn drop_window(&self, window: &Window) {
        self.writer(&self.part.begin_anyway()).gone(window);
    }
}
