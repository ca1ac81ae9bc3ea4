//! An attribution's entries, taken back after a restart.
//!
//! What users have and conversions are put in place as they are read. Rows and postings wait with their window until its state is
//! known; aliases, and touches that came into paths, until all is read (`finish`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::super::Attribution;
use super::super::posting::Posting;
use super::super::ring::{Mark, Owned};
use super::super::types::{MAX_ACTIONS, Step};
use super::super::window::{METRICS, Spending, Window};
use super::bytes::{read_conversion, read_posting};
use super::fold::{ALIASES, CLOSED_EARLY, CLOSINGS, CONVERSIONS, MARKS, ORDERS, PATHS, POSTINGS, kept_for};
use super::kinds::{META_CLOSED_BY, META_DROPPED};
use super::packed::{numbers, split_time};
use crate::counters::Cells;
use crate::error::check_restored_time;
use crate::journal::{Entry, META_NEWEST, META_SEQUENCE, Restore, TouchEntry, split_bytes};
use crate::sync::{AtomicBool, AtomicU64};
use crate::table::{Durable, restore_taken};
use crate::windows::{RestoredWindows, check_number};

/// What windows of a configuration are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Milliseconds of a window.
    pub window: u64,
    /// How many kinds of touches there are.
    pub kinds: usize,
}

/// An attribution that takes its entries back.
pub struct Restoring<'a> {
    pub(super) of: &'a Attribution,
    pub(super) windows: RestoredWindows<Shape, OwnWindow>,
    pub(super) aliases: Mutex<HashMap<u64, Alias>>,
    pub(super) told: Mutex<Vec<Told>>,
    /// The last version of an order and of an alias.
    pub(super) last_order: AtomicU64,
    pub(super) last_alias: AtomicU64,
    /// By when windows were closed in time.
    pub(super) closed_by: AtomicU64,
}

/// A window that is taken back.
pub(super) struct OwnWindow {
    number: u64,
    /// Milliseconds of it.
    pub(super) length: u64,
    spending: Spending,
    /// By their places.
    postings: Mutex<Vec<(u64, Arc<Posting>)>>,
    pub(super) is_closing: AtomicBool,
}

/// Whose alias somebody is.
#[derive(Clone, Copy)]
pub(super) struct Alias {
    pub(super) user: u64,
    /// Whether conversions are credited to the touches of both.
    pub(super) is_whole: bool,
}

/// A touch that came into the path of a conversion.
#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) order: u64,
    pub(super) born: u64,
    pub(super) revision: u32,
    pub(super) step: Step,
}

impl Attribution {
    /// Begins to take entries back. `shapes` are those of all configurations that it had before, by their numbers.
    ///
    /// # Panics
    /// If it has no journal.
    #[must_use]
    pub fn restoring(&self, shapes: impl IntoIterator<Item = (u32, Shape)>) -> Restoring<'_> {
        let journal = self.journal.as_ref().expect("an attribution without a journal has no entries");
        let own = Shape { window: self.config.window, kinds: self.config.lookbacks.len() };
        Restoring {
            of: self,
            windows: RestoredWindows::new(shapes.into_iter().chain([(journal.config, own)])),
            aliases: Mutex::default(),
            told: Mutex::default(),
            last_order: AtomicU64::new(0),
            last_alias: AtomicU64::new(0),
            closed_by: AtomicU64::new(0),
        }
    }
}

impl OwnWindow {
    /// The window, with all that was booked in it.
    pub(super) fn window(&self, instance: u64, of: &Attribution) -> Arc<Window> {
        let mut postings = std::mem::take(&mut *self.postings.lock());
        postings.sort_unstable_by_key(|(place, _)| *place);
        let spend = self.spending.protect().to_arc();
        Arc::new(Window::restored(self.number, instance, spend, postings, of.closed_bytes.clone()))
    }
}

impl Restore for Restoring<'_> {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Meta { name, value } => self.meta(name, value),
            Entry::Forgotten { owner } => {
                self.of.ring.forget(owner);
                self.aliases.lock().remove(&owner);
                Ok(())
            }
            Entry::Window { instance, number, config, state } => {
                self.windows.restore(instance, config, state, |shape| self.window(instance, number, shape))
            }
            Entry::Row { instance, .. } => {
                self.windows.with(instance, |window| Cells::restore(&window.spending.protect(), &entry))
            }
            Entry::Touches { user, touches, evicted } => self.touches(user, touches, evicted),
            Entry::Latest { table: ORDERS, hash, version, words } => self.order(hash, version, words),
            Entry::Latest { table: CLOSED_EARLY, words: [until], .. } => {
                self.of.windows.restore_early(*until);
                Ok(())
            }
            Entry::Latest { table: CONVERSIONS, hash: user, version: at, .. } => {
                check_restored_time(at)?;
                self.own(user, Owned { converted: Some(at), ..Owned::default() });
                Ok(())
            }
            Entry::Latest { table: ALIASES, hash, version, words: [user, is_whole @ 0..=1] } => {
                self.last_alias.fetch_max(version, Relaxed);
                self.aliases.lock().insert(hash, Alias { user: *user, is_whole: *is_whole == 1 });
                Ok(())
            }
            Entry::Item { table: 0, key, bytes, .. } => restore_taken(&self.of.taken, key, bytes),
            Entry::Item { table: POSTINGS, owner, key, bytes } => {
                let [place] = numbers(key).ok_or("a posting is known by its place")?;
                let of_window = |window: &OwnWindow| {
                    let posting = read_posting(bytes).map_err(|error| format!("posting: {error}"))?;
                    window.postings.lock().push((place, posting.into()));
                    Ok(())
                };
                self.windows.with(owner, of_window)
            }
            Entry::Item { table: PATHS, key, .. } => self.told(key),
            Entry::Item { table: CLOSINGS, owner, .. } => self.windows.with(owner, |window| {
                window.is_closing.store(true, Relaxed);
                Ok(())
            }),
            Entry::Item { table: MARKS, owner, key, .. } => self.mark(owner, key),
            Entry::Number { number, key } if self.of.dimensions.restore(number, key) => Ok(()),
            Entry::Number { number, .. } => Err(format!("dimensions {number} are others")),
            other => Err(format!("an attribution has no such {}", other.kind().text())),
        }
    }
}

impl Restoring<'_> {
    fn meta(&self, name: u8, value: u64) -> Result<(), String> {
        match name {
            META_NEWEST => {
                check_restored_time(value)?;
                self.of.windows.note_newest(value);
            }
            META_SEQUENCE => self.of.journal.iter().for_each(|journal| journal.kept.pass_sequence(value)),
            META_CLOSED_BY => _ = self.closed_by.fetch_max(value, Relaxed),
            META_DROPPED => {
                check_restored_time(value)?;
                self.of.ring.note_dropped(value);
            }
            other => return Err(format!("an attribution has no number {other}")),
        }
        Ok(())
    }

    fn window(&self, instance: u64, number: u64, shape: &Shape) -> Result<OwnWindow, String> {
        let Shape { window: length, kinds } = *shape;
        check_number(instance, number, length)?;
        let spending = Window::spending(METRICS * kinds, self.of.config.max_keys, &self.of.seed);
        Ok(OwnWindow { number, length, spending, postings: Mutex::default(), is_closing: AtomicBool::new(false) })
    }

    fn touches(&self, user: u64, touches: &[TouchEntry], evicted: u64) -> Result<(), String> {
        check_restored_time(evicted)?;
        let kinds = self.of.config.lookbacks.len();
        let oldest = self.of.windows.newest().saturating_sub(kept_for(self.of.matters_for));
        let mut steps = Vec::with_capacity(touches.len());
        for TouchEntry { at, id, kind, dimensions, repeats } in touches.iter().copied() {
            check_restored_time(at)?;
            check_kind(kind, kinds)?;
            // As files are merged, those of users that have none that is newer are dropped.
            if at < oldest {
                self.of.ring.note_dropped(at);
            } else {
                steps.push(Step { id, at, first_at: at, kind, dimensions, repeats });
            }
        }
        self.own(user, Owned { touches: steps, evicted, ..Owned::default() });
        Ok(())
    }

    fn mark(&self, user: u64, key: &[u8]) -> Result<(), String> {
        let [action, has_touch, touch, order, at] = numbers(key).ok_or("a mark is 5 numbers")?;
        check_restored_time(at)?;
        let action = u8::try_from(action).ok().filter(|action| usize::from(*action) < MAX_ACTIONS);
        let action = action.ok_or_else(|| format!("action is below {MAX_ACTIONS}"))?;
        let mark = Mark::new(action, (has_touch == 1).then_some(touch as i64), order, at);
        self.own(user, Owned { marks: vec![mark], ..Owned::default() });
        Ok(())
    }

    /// Adds to what a user has.
    pub(super) fn own(&self, user: u64, owned: Owned) {
        let ring = &self.of.ring;
        ring.restore(ring.key_of(user), owned);
    }

    fn order(&self, order: u64, version: u64, words: &[u64]) -> Result<(), String> {
        self.last_order.fetch_max(version, Relaxed);
        let mut orders = self.of.orders.lock(order);
        let Some((_, rest)) = words.split_first() else {
            orders.remove(order);
            return Ok(());
        };
        let (bytes, _) = split_bytes(rest).ok_or("a conversion that is cut off")?;
        let record = read_conversion(bytes, &self.of.config).map_err(|error| format!("conversion: {error}"))?;
        orders.insert(order, record);
        Ok(())
    }

    fn told(&self, key: &[u8]) -> Result<(), String> {
        let [order, born, id, revision, time, dimensions] = numbers(key).ok_or("a step is 6 numbers")?;
        let (at, kind) = split_time(time);
        check_restored_time(at)?;
        check_kind(kind, self.of.config.lookbacks.len())?;
        let step = Step { id: id as i64, at, first_at: at, kind, dimensions: dimensions as u32, repeats: 0 };
        self.told.lock().push(Told { order, born, revision: revision as u32, step });
        Ok(())
    }
}

fn check_kind(kind: u8, kinds: usize) -> Result<(), String> {
    if usize::from(kind) < kinds { Ok(()) } else { Err(format!("kind is below {kinds}, not {kind}")) }
}
