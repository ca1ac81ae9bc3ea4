//! A meter's entries, taken back after a restart.
//!
//! Windows that were open are open again. Those that were closed are among the undelivered, and so are those that were open under
//! another configuration: nothing can be counted in them any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::RwLock;

use super::Meter;
use super::config::Shape;
use super::journal::{META_CLOSED_BY, META_IDS, META_NEWEST_EVENT, META_SEQUENCE};
use super::stored::Stored;
use super::undelivered::Undelivered;
use super::window::{Shares, Window, WindowRef};
use crate::counters::Cells;
use crate::journal::{Entry, Restore, WindowState};
use crate::reach::Sketches;
use crate::sync::AtomicU64;
use crate::table::Durable;
use crate::windows::Numbered;

/// A meter that takes its entries back.
pub struct Restoring<'m> {
    meter: &'m Meter,
    stored: &'m Stored,
    /// By the number of their configuration.
    shapes: HashMap<u32, Shape>,
    /// By when windows were closed in time.
    clock: AtomicU64,
    /// By instance. `None` for one that is gone.
    windows: RwLock<HashMap<u64, Option<Arc<Restored>>>>,
}

/// A window that is taken back.
struct Restored {
    window: Arc<Window>,
    shares: Shares,
    config: u32,
    /// Of one that is closed.
    numbered: RwLock<Option<Numbered>>,
}

impl Meter {
    /// Begins to take entries back. `shapes` are those of all configurations that the meter had before, by their numbers.
    ///
    /// # Panics
    /// If the meter has no journal.
    #[must_use]
    pub fn restoring(&self, shapes: impl IntoIterator<Item = (u32, Shape)>) -> Restoring<'_> {
        let stored = self.stored.as_deref().unwrap_or_else(|| panic!("a meter without a journal has no entries"));
        let mut shapes: HashMap<u32, Shape> = shapes.into_iter().collect();
        shapes.insert(stored.config, self.shape.clone());
        Restoring { meter: self, stored, shapes, clock: AtomicU64::new(0), windows: RwLock::default() }
    }
}

impl Restoring<'_> {
    /// Opens the windows that were open, and has all others be among the undelivered. The system's time is `now`: what was not late
    /// and not closed before the restart is not for as long as windows stay open past their end, because what was sent
    /// before comes again only now.
    pub fn finish(self, now: u64) {
        let windows = self.windows.into_inner().into_iter().filter_map(|(instance, window)| Some((instance, window?)));
        let mut windows: Vec<_> = windows.collect();
        windows.sort_unstable_by_key(|(instance, _)| *instance);
        let mut open = HashMap::new();
        for (_, restored) in windows {
            let Some(Restored { window, shares: _, config, numbered }) = Arc::into_inner(restored) else {
                unreachable!("nobody takes an entry back any more")
            };
            let (number, numbered) = (window.number, numbered.into_inner());
            let is_open = numbered.is_none() && config == self.stored.config;
            // Of two of a number the older one was closed when the clock was set back, and had no number yet.
            let closed = if is_open { open.insert(number, window) } else { Some(window) };
            if let Some(window) = closed {
                window.note_closed();
                let length = self.shapes.get(&config).map_or(0, |shape| shape.window);
                let (begin, end) = (number * length, (number + 1) * length);
                self.stored.keep(Undelivered { window: WindowRef::new(window), config, begin, end, numbered });
            }
        }
        let clock = self.clock.into_inner().max(self.meter.windows.newest());
        // Where there was no event, none comes again.
        let until = if clock == 0 { 0 } else { now.saturating_add(self.meter.windows.lateness()) };
        self.meter.windows.resume(open, clock, until);
    }

    fn window(&self, instance: u64, number: u64, config: u32, state: WindowState<'_>) -> Result<(), String> {
        if state == WindowState::Gone {
            self.windows.write().insert(instance, None);
            return Ok(());
        }
        let there = self.windows.read().get(&instance).cloned();
        let restored = match there {
            Some(there) => there,
            None => {
                let shape = self
                    .shapes
                    .get(&config)
                    .ok_or_else(|| format!("window {instance} is of configuration {config}, which is not known"))?;
                let closed_bytes = self.meter.closed_bytes.clone();
                let window = Arc::new(Window::new(number, instance, shape, self.meter.seed(), closed_bytes));
                let shares = window.shares();
                let restored = Arc::new(Restored { window, shares, config, numbered: RwLock::new(None) });
                self.windows.write().entry(instance).or_insert(Some(restored)).clone()
            }
        };
        if let (Some(restored), WindowState::Closed { sequence, partial, node, closed_at }) = (restored, state) {
            *restored.numbered.write() = Some(Numbered { sequence, partial, node: node.into(), closed_at });
        }
        Ok(())
    }

    /// Does something with a window that is not gone.
    fn with_window(&self, instance: u64, act: impl FnOnce(&Shares) -> Result<(), String>) -> Result<(), String> {
        let windows = self.windows.read();
        match windows.get(&instance) {
            Some(Some(window)) => act(&window.shares),
            Some(None) => Ok(()),
            None => Err(format!("window {instance} has rows, but no entry of its own")),
        }
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
                self.meter.windows.note_newest(value);
                Ok(())
            }
            Entry::Meta { name: META_CLOSED_BY, value } => {
                self.clock.fetch_max(value, Relaxed);
                Ok(())
            }
            Entry::Meta { name: META_IDS, .. } | Entry::Id { .. } => match &self.meter.dedupe {
                Some(dedupe) => dedupe.restore(entry),
                // It had ids before, and has none now.
                None => Ok(()),
            },
            Entry::Window { instance, number, config, state } => self.window(instance, number, config, state),
            Entry::Row { instance, .. } => {
                self.with_window(instance, |shares| Cells::restore(&shares.counters.protect(), &entry))
            }
            Entry::Sketch { instance, .. } => self.with_window(instance, |shares| match &shares.reach {
                Some(reach) => Sketches::restore(&reach.protect(), &entry),
                None => Err("a sketch of a configuration without reach".into()),
            }),
            other => Err(format!("a meter has no {}", other.kind().text())),
        }
    }
}
