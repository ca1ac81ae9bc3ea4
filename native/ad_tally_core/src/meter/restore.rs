//! A meter's entries, taken back after a restart.
//!
//! Windows that were open are open again. Those that were closed are among the undelivered, and so are those that were open under
//! another configuration: nothing can be counted in them any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Meter;
use super::config::Shape;
use super::journal::{CLOSED_EARLY, CLOSINGS, META_CLOSED_BY, META_IDS, META_NEWEST_EVENT, META_SEQUENCE};
use super::stored::Stored;
use super::undelivered::Undelivered;
use super::window::{Shares, Window, WindowRef};
use crate::counters::Cells;
use crate::error::check_restored_time;
use crate::journal::{Entry, Restore};
use crate::reach::Sketches;
use crate::sync::{AtomicBool, AtomicU64};
use crate::table::Durable;
use crate::windows::{Restored, RestoredWindows, check_number};

/// A meter that takes its entries back.
pub struct Restoring<'m> {
    meter: &'m Meter,
    stored: &'m Stored,
    /// By when windows were closed in time.
    clock: AtomicU64,
    windows: RestoredWindows<Shape, OwnWindow>,
}

/// A window that is taken back.
struct OwnWindow {
    window: Arc<Window>,
    shares: Shares,
    /// Milliseconds of it.
    length: u64,
    is_closing: AtomicBool,
}

impl Meter {
    /// Begins to take entries back. `shapes` are those of all configurations that the meter had before, by their numbers.
    ///
    /// # Panics
    /// If the meter has no journal.
    #[must_use]
    pub fn restoring(&self, shapes: impl IntoIterator<Item = (u32, Shape)>) -> Restoring<'_> {
        let stored = self.stored.as_deref().unwrap_or_else(|| panic!("a meter without a journal has no entries"));
        let shapes = shapes.into_iter().chain([(stored.config, self.shape.clone())]);
        Restoring { meter: self, stored, clock: AtomicU64::new(0), windows: RestoredWindows::new(shapes) }
    }
}

impl Restoring<'_> {
    /// Opens the windows that were open, and has all others be among the undelivered. The system's time is `now`: what was not late
    /// and not closed before the restart is not for as long as windows stay open past their end, because what was sent
    /// before comes again only now.
    pub fn finish(self, now: u64) {
        let mut open = HashMap::new();
        for (_, Restored { window: own, config, numbered }) in self.windows.into_sorted() {
            let OwnWindow { window, length, is_closing, .. } = own;
            let number = window.number;
            let is_open = numbered.is_none() && config == self.stored.config && !is_closing.into_inner();
            // Of two of a number the older one was closed when the clock was set back, which was not written any more.
            let closed = if is_open { open.insert(number, window) } else { Some(window) };
            if let Some(window) = closed {
                window.note_closed();
                let (begin, end) = (number * length, (number + 1) * length);
                self.stored.keep(Undelivered { window: WindowRef::new(window), config, begin, end, numbered });
            }
        }
        let clock = self.clock.into_inner().max(self.meter.windows.newest());
        // Where there was no event, none comes again.
        let until = if clock == 0 { 0 } else { now.saturating_add(self.meter.windows.lateness()) };
        self.meter.windows.resume(open, clock, until, now);
    }
}

impl Restore for Restoring<'_> {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Meta { name: META_SEQUENCE, value } => {
                self.stored.kept.pass_sequence(value);
                Ok(())
            }
            Entry::Meta { name: META_NEWEST_EVENT, value } => {
                check_restored_time(value)?;
                self.meter.windows.note_newest(value);
                Ok(())
            }
            Entry::Meta { name: META_CLOSED_BY, value } => {
                self.clock.fetch_max(value, Relaxed);
                Ok(())
            }
            Entry::Latest { table: CLOSED_EARLY, words: [until], .. } => {
                self.meter.windows.restore_early(*until);
                Ok(())
            }
            Entry::Item { table: CLOSINGS, owner, .. } => self.windows.with(owner, |own| {
                own.is_closing.store(true, Relaxed);
                Ok(())
            }),
            Entry::Meta { name: META_IDS, .. } | Entry::Id { .. } => match &self.meter.dedupe {
                Some(dedupe) => dedupe.restore(entry),
                // It had ids before, and has none now.
                None => Ok(()),
            },
            Entry::Window { instance, number, config, state } => {
                self.windows.restore(instance, config, state, |shape| {
                    check_number(instance, number, shape.window)?;
                    let closed_bytes = self.meter.closed_bytes.clone();
                    let window = Arc::new(Window::new(number, instance, shape, self.meter.seed(), closed_bytes));
                    let (shares, is_closing) = (window.shares(), AtomicBool::new(false));
                    Ok(OwnWindow { shares, window, length: shape.window, is_closing })
                })
            }
            Entry::Row { instance, .. } => {
                self.windows.with(instance, |own| Cells::restore(&own.shares.counters.protect(), &entry))
            }
            Entry::Sketch { instance, .. } => self.windows.with(instance, |own| match &own.shares.reach {
                Some(reach) => Sketches::restore(&reach.protect(), &entry),
                None => Err("a sketch of a configuration without reach".into()),
            }),
            other => Err(format!("a meter has no {}", other.kind().text())),
        }
    }
}
