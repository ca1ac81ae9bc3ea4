//! The tables of one window.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};

use super::config::Shape;
use super::event::Event;
use crate::counters::{self, Cells};
use crate::key::{self, HashedKey, Seed};
use crate::reach::{self, SketchRef, Sketches};
use crate::sketch::{Coupon, Sketch};
use crate::sync::AtomicUsize;
use crate::sync::hazard::Current;
use crate::table::{Generation, Line, RowRef, Rows, Spilled, Value};
use crate::windows::{self, ClosedBytes};

/// What was recorded in a window.
pub struct Window {
    /// Which one: it begins at this many times its length.
    pub number: u64,
    /// What tells it from all others, also of its number, in a journal. 0 without one.
    pub instance: u64,
    counters: Arc<Generation<Cells>>,
    reach: Option<Reach>,
    closed_bytes: ClosedBytes,
    /// Its totals, once it is closed: reading all rows again takes as long as the first time.
    totals: OnceLock<Box<[i128]>>,
}

/// A share in a window.
pub type WindowRef = windows::WindowRef<Window>;

/// The sketches of a window. A row of counters has the word of its sketch's row, once that was looked for: of many keys that
/// have a sketch in common each finds it without making that one's key and looking for it.
struct Reach {
    table: Arc<Generation<Sketches>>,
    by: Vec<usize>,
}

/// Shares in the tables of a window.
pub(super) struct Shares {
    pub(super) counters: Current<Generation<Cells>>,
    pub(super) reach: Option<Current<Generation<Sketches>>>,
}

/// Where the rows of an event are, if there are any.
#[derive(Clone, Copy, Default)]
pub(super) struct RowRefs<'w> {
    counters: Option<RowRef<'w>>,
    sketch: Option<SketchRef<'w>>,
}

impl Window {
    /// One without events. What it takes once it is closed is counted in `closed_bytes`.
    pub(super) fn new(number: u64, instance: u64, shape: &Shape, seed: &Seed, closed_bytes: Arc<AtomicUsize>) -> Self {
        let reach = shape.reach.as_ref().map(|reach| {
            let config = reach::Config { precision: reach.precision, secret: reach.secret.clone() };
            let table = Arc::new(Generation::undivided(&config, reach.max_keys, seed.clone()));
            Reach { table, by: reach.by.clone() }
        });
        let config = counters::Config { metrics: shape.metrics, linked: reach.is_some() };
        let counters = Arc::new(Generation::undivided(&config, shape.max_keys, seed.clone()));
        Self {
            number,
            instance,
            counters,
            reach,
            closed_bytes: ClosedBytes::none(closed_bytes),
            totals: OnceLock::new(),
        }
    }

    /// Shares in its tables, to merge rows into.
    pub(super) fn shares(&self) -> Shares {
        Shares {
            counters: Current::new(self.counters.clone()),
            reach: self.reach.as_ref().map(|reach| Current::new(reach.table.clone())),
        }
    }

    /// Asks for the line of the index where a key of counters belongs, to be looked at soon.
    #[inline(always)]
    pub(super) fn fetch_line(&self, hash: u64) -> Option<&Line> {
        self.counters.keyed.fetch_line(hash)
    }

    /// Asks for the row of counters that most likely is that of a key of that hash and so many words, whose line is near.
    #[inline(always)]
    pub(super) fn fetch_row<'w>(&self, line: &'w Line, hash: u64, words: usize) -> Option<RowRef<'w>> {
        self.counters.keyed.fetch_row(line, hash, words)
    }

    /// Looks for the rows of an event, that of its counters first where it most likely is. What its sketch loads for its user is
    /// asked for.
    #[inline(always)]
    pub(super) fn find<'w>(
        &'w self,
        key: HashedKey<'_>,
        user: Option<Coupon>,
        likely: Option<RowRef<'w>>,
    ) -> RowRefs<'w> {
        let counters = self.counters.keyed.find_at(likely, key);
        let sketch = match (counters, user, &self.reach) {
            (Some(row), Some(user), Some(reach)) => {
                let word = self.counters.link(row).load(Acquire);
                // SAFETY: it is 0, or what `insert_by_key` has stored, which had found a row of that table. The window keeps the
                // table.
                let sketch = unsafe { RowRef::from_word(word) }.map(|row| reach.table.sketch(row));
                if let Some(sketch) = sketch {
                    sketch.prefetch(user);
                }
                sketch
            }
            _ => None,
        };
        RowRefs { counters, sketch }
    }

    /// Counts an event whose rows were looked up.
    ///
    /// # Safety
    /// `rows` are of this window, and `slot` is the id of a slot that the calling thread has claimed.
    #[inline(always)]
    pub(super) unsafe fn add(&self, rows: RowRefs<'_>, event: &Event<'_>, slot: usize) -> Spilled {
        let Some(row) = rows.counters else {
            // SAFETY: the slot as in this function.
            return unsafe { self.add_to_new(event, slot) };
        };
        // SAFETY: as in this function.
        let spilled = unsafe { self.counters.add_to_row(row, event.amounts, slot) };
        match (event.user, rows.sketch, &self.reach) {
            (Some(user), Some(sketch), _) => {
                sketch.insert(user);
                spilled
            }
            (Some(user), None, Some(reach)) => spilled.and(self.insert_by_key(reach, Some(row), event.key, user)),
            _ => spilled,
        }
    }

    /// Counts an event whose key had no row when that was looked up.
    ///
    /// # Safety
    /// `slot` is the id of a slot that the calling thread has claimed.
    #[inline(never)]
    unsafe fn add_to_new(&self, event: &Event<'_>, slot: usize) -> Spilled {
        // SAFETY: this function's contract.
        let spilled = unsafe { self.counters.add(None, event.key, event.amounts, slot) };
        match (event.user, &self.reach) {
            (Some(user), Some(reach)) => {
                spilled.and(self.insert_by_key(reach, self.counters.keyed.find(event.key), event.key, user))
            }
            _ => spilled,
        }
    }

    /// Inserts a user into the sketch of a key, which is looked up, and links the key's row to it, if that has one.
    #[inline(never)]
    fn insert_by_key(&self, reach: &Reach, row: Option<RowRef<'_>>, key: HashedKey<'_>, user: Coupon) -> Spilled {
        let part = key::projection(key.words, &reach.by);
        let part = reach.table.keyed.seed().key(&part);
        let sketch = reach.table.add(reach.table.keyed.find(part), part, &[user]);
        if let (Some(row), Some(sketch)) = (row, sketch) {
            self.counters.link(row).store(sketch.word(), Release);
        }
        if sketch.is_some() { Spilled::NOTHING } else { Spilled::MORE }
    }

    /// The rows of its counters.
    #[must_use]
    pub fn counters(&self) -> Rows<Cells> {
        Rows::new(self.counters.clone())
    }

    /// What had no row, by metric.
    #[must_use]
    pub fn overflow(&self) -> Vec<i128> {
        self.counters.value.overflow()
    }

    /// The rows of its sketches, if it has any.
    #[must_use]
    pub fn reach(&self) -> Option<Rows<Sketches>> {
        self.reach.as_ref().map(|reach| Rows::new(reach.table.clone()))
    }

    /// The users of keys that had no sketch.
    #[must_use]
    pub fn reach_overflow(&self) -> Option<Sketch> {
        self.reach.as_ref().map(|reach| reach.table.value.overflow())
    }

    /// Whether the sketch that a key of counters belongs to is there.
    pub(super) fn has_sketch(&self, words: &[u64]) -> bool {
        self.reach.as_ref().is_some_and(|reach| {
            let table = &reach.table.keyed;
            table.find(table.seed().key(&key::projection(words, &reach.by))).is_some()
        })
    }

    /// How many rows its counters have.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.counters.keyed.keys()
    }

    /// Whether nothing was recorded in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys() == 0 && self.overflow().iter().all(|amount| *amount == 0)
    }

    /// Totals by metric: of all rows, and what had no row.
    #[must_use]
    pub fn totals(&self) -> Vec<i128> {
        self.totals.get().map_or_else(|| self.read_totals(), |totals| totals.to_vec())
    }

    fn read_totals(&self) -> Vec<i128> {
        let mut totals = self.overflow();
        self.counters().walk(|_key, row| {
            totals.iter_mut().zip(row).for_each(|(total, amount)| *total += amount);
            ControlFlow::Continue(())
        });
        totals
    }

    /// Memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.counters.bytes() + self.reach.as_ref().map_or(0, |reach| reach.table.bytes())
    }

    /// Has what it takes be counted among closed windows, until it is dropped, and keeps its totals. Once, when nothing is recorded
    /// in it any more.
    pub(super) fn note_closed(&self) {
        self.closed_bytes.note(self.bytes());
        self.totals.get_or_init(|| self.read_totals().into());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::counters::Add;
    use crate::key::{KeyWriter, SHORT_KEY_WORDS};
    use crate::meter::ReachConfig;
    use crate::sync::hazard::REGISTRY;

    #[test]
    fn the_lower_bound_of_a_sketch_that_keys_share_follows_its_registers() {
        const KEYS: u64 = 500;
        const THREADS: u64 = 4;
        let seed = Seed::random();
        let reach = ReachConfig { by: vec![0], precision: 6, max_keys: 10, secret: None };
        let shape = Shape { window: 1, metrics: 1, max_keys: 10_000, reach: Some(reach) };
        let window = Window::new(0, 0, &shape, &seed, Arc::default());
        let show = |user: u64, slot: usize| {
            let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
            let mut writer = KeyWriter::tuple(&mut room, 2).expect("an arity");
            writer.integer(1);
            writer.integer((user % KEYS) as i64);
            let event = Event {
                at: 0,
                id: None,
                key: seed.key(writer.finish()),
                amounts: &[Add { metric: 0, amount: 1 }],
                user: Some(Coupon::of_integer(user, None)),
            };
            let rows = window.find(event.key, event.user, None);
            // SAFETY: the rows are of this window, and the calling thread has claimed the slot.
            let spilled = unsafe { window.add(rows, &event, slot) };
            assert_eq!(spilled, Spilled::NOTHING);
        };
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let show = &show;
                scope.spawn(move || {
                    let slot = REGISTRY.claim();
                    (0..200_000 / THREADS).for_each(|user| show(THREADS * user + thread, slot.id()));
                    // SAFETY: it is not used any more.
                    unsafe { slot.release() };
                });
            }
        });
        let table = &window.reach.as_ref().expect("sketches").table;
        let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
        let mut writer = KeyWriter::tuple(&mut room, 1).expect("an arity");
        writer.integer(1);
        let row = table.keyed.find(seed.key(writer.finish())).expect("a row");
        let (bound, least) = table.sketch(row).bound_and_least().expect("registers");
        // Of 64 registers that have seen 3,000 users each. It must not be too high, or users would be left out.
        assert!(least >= 7 && bound <= least, "{bound} of {least}");
        // It follows soon.
        assert!(bound + 1 >= least, "{bound} of {least}");
    }
}
