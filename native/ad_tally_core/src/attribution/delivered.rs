//! Windows that are closed, until everybody has them who is to have them.

use std::sync::Arc;

use super::Attribution;
use super::window::Window;
use crate::journal::{self, Fold};
use crate::windows::{self, Numbered, WindowRef};

/// A window that is closed and not delivered.
pub type Undelivered = windows::Undelivered<Window>;

impl Attribution {
    /// Its journal, if it has one.
    #[must_use]
    pub fn journal(&self) -> Option<&Arc<journal::Journal>> {
        self.journal.as_ref().map(|journal| &journal.part.journal)
    }

    /// How its records become entries.
    ///
    /// # Panics
    /// If it has no journal.
    #[must_use]
    pub fn fold(&self) -> Arc<dyn Fold> {
        self.journal.as_ref().expect("an attribution without a journal has no records").folding.clone()
    }

    /// Gives a closed window a number, which is not handed on before that is durable. Whether it had none: otherwise, and without a
    /// journal, nothing has changed.
    pub fn closed(&self, window: &Window, numbered: Numbered) -> bool {
        let Some(journal) = &self.journal else { return false };
        journal.kept.number(window.instance, numbered, |config, numbered| {
            journal.begin_anyway().closed(window, config, numbered);
        })
    }

    /// Notes that everybody has a closed window who is to have it, so that it is not kept any longer.
    pub fn delivered(&self, window: &Window) {
        if let Some(journal) = &self.journal
            && journal.kept.remove(window.instance)
        {
            journal.begin_anyway().gone(window.instance);
        }
    }

    /// The windows that are closed and not delivered, by their numbers, and then those that have none yet, from old to new. None
    /// without a journal.
    #[must_use]
    pub fn undelivered(&self) -> Vec<Undelivered> {
        self.journal.as_ref().map_or_else(Vec::new, |journal| journal.kept.all())
    }

    /// The greatest number that a window was given, also before a restart; 0 if none was.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.journal.as_ref().map_or(0, |journal| journal.kept.sequence())
    }

    /// Keeps a window that is closed and settled, if anything has happened in it. Whether that is so.
    pub(super) fn keep_closed(&self, window: &WindowRef<Window>) -> bool {
        let config = self.journal.as_ref().map_or(0, |journal| journal.config);
        self.keep_window(window, (config, self.config.window), None)
    }

    /// The same of one with a configuration and its length, which may have a number.
    pub(super) fn keep_window(
        &self,
        window: &WindowRef<Window>,
        (config, length): (u32, u64),
        numbered: Option<Numbered>,
    ) -> bool {
        let is_empty = numbered.is_none() && window.is_empty();
        if !is_empty {
            window.note_closed();
        }
        let Some(journal) = &self.journal else { return !is_empty };
        if is_empty {
            journal.begin_anyway().gone(window.instance);
            return false;
        }
        let (begin, end) = (window.number * length, (window.number + 1) * length);
        journal.kept.keep(window.instance, Undelivered { window: window.clone(), config, begin, end, numbered });
        true
    }
}
