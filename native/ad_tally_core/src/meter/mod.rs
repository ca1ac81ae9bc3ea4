//! The meter: dedupe, counters and reach of an event in one step, in windows of event time that are closed exactly.
//!
//! ```text
//! Meter ── windows, by number ──> Window
//!        └─ dedupe
//! Window ── counters ──> rows by key
//!         └─ reach ────> sketches by key
//! ```
//!
//! `record` protects the set of open windows by a hazard pointer while it works, as `counters` protects its table. What was
//! recorded in a window is in its tables, whole and for good, once that is closed ([`crate::windows`]).
//!
//! * `config`, `event`: what a meter is to be; what is recorded, and what becomes of it
//! * `window`: the tables of one
//! * `lookup`: where an event's id and rows are, looked up in stages
//! * `record`, `batch`: an event, and a list of them
//! * `close`, `stats`: closed windows, and what is known of all events; `top`: totals of the largest values of a dimension
//! * `journal`, `stored`, `undelivered`, `restore`: what survives a restart
//! * `report`: rows of windows, grouped

mod batch;
mod close;
mod config;
mod event;
mod journal;
mod lookup;
mod record;
pub mod report;
mod restore;
mod stats;
mod stored;
mod top;
mod undelivered;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub use self::batch::{Batch, Outcomes};
pub use self::close::Closed;
pub use self::config::{Config, ReachConfig, Shape};
pub use self::event::{Event, Outcome};
use self::journal::Folding;
pub use self::lookup::{Lookup, Recording};
pub use self::restore::Restoring;
pub use self::stats::{Counts, Totals};
use self::stats::{LEFT_OUT, Stats};
use self::stored::Stored;
pub use self::top::{Top, Words};
pub use self::undelivered::Undelivered;
pub use self::window::{Window, WindowRef};
use crate::counters::MAX_METRICS;
use crate::dedupe::{self, Dedupe};
use crate::error::Error;
pub use crate::error::TIMES;
use crate::journal::{Fold, Part};
use crate::key::{MAX_ARITY, Seed};
use crate::sketch::Sketch;
use crate::sync::AtomicUsize;
use crate::table::check_max_keys;
pub use crate::windows::Numbered;
use crate::windows::{self, Windows};

/// A meter's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Events by outcome.
    pub events: Counts,
    /// What was not added to any window, by outcome ([`Outcome::Duplicate`], `Late`, `Future` and `NoWindow`) and metric.
    pub left_out: [Vec<i128>; LEFT_OUT],
    /// Windows that have events and are open.
    pub open_windows: usize,
    /// The newest time of an event that was counted.
    pub newest: u64,
    /// Memory of ids.
    pub id_bytes: usize,
    /// Memory of closed windows that somebody still refers to.
    pub closed_bytes: usize,
}

/// Events by window.
pub struct Meter {
    windows: Windows<Window>,
    shape: Shape,
    seed: Seed,
    dedupe: Option<Dedupe>,
    /// Of closed windows that somebody still refers to.
    closed_bytes: Arc<AtomicUsize>,
    stats: Stats,
    /// What it has with a journal.
    stored: Option<Box<Stored>>,
}

impl Meter {
    /// A meter without events.
    ///
    /// # Errors
    /// What is wrong with the configuration, or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_seed(config, Seed::random())
    }

    /// The same with a seed of the caller's.
    ///
    /// # Errors
    /// As [`Meter::new`].
    pub fn with_seed(config: &Config, seed: Seed) -> Result<Self, Error> {
        let Config { window, lateness, max_ahead, metrics, max_keys, max_open_windows, .. } = *config;
        let windows = Windows::new(windows::Config { window, lateness, max_ahead, max_open_windows })?;
        if metrics == 0 || metrics > MAX_METRICS {
            return Err(Error::Metrics(metrics));
        }
        check_max_keys(max_keys)?;
        if let Some(reach) = &config.reach {
            check_max_keys(reach.max_keys)?;
            Sketch::new(reach.precision, None)?;
            if reach.by.is_empty() || reach.by.len() > MAX_ARITY {
                return Err(Error::ReachBy(reach.by.len()));
            }
        }
        Ok(Self {
            windows,
            shape: config.into(),
            dedupe: config.dedupe.as_ref().map(|ids| Dedupe::with_seed(ids, seed.clone())).transpose()?,
            seed,
            closed_bytes: Arc::default(),
            stats: Stats::new(metrics),
            stored: None,
        })
    }

    /// The same with a journal, in which its configuration has that number.
    ///
    /// # Errors
    /// As [`Meter::new`].
    pub fn stored(config: &Config, seed: Seed, part: Part, number: u32) -> Result<Self, Error> {
        let stored = Some(Box::new(Stored::new(part, number, Folding::new(config, number, seed.clone()))));
        Ok(Self { stored, ..Self::with_seed(config, seed)? })
    }

    /// What it writes to its journal as, if it has one.
    #[must_use]
    pub fn part(&self) -> Option<&Part> {
        self.stored.as_ref().map(|stored| &stored.part)
    }

    /// How its records become entries.
    ///
    /// # Panics
    /// If the meter has no journal.
    #[must_use]
    pub fn fold(&self) -> Arc<dyn Fold> {
        self.stored.as_ref().unwrap_or_else(|| panic!("a meter without a journal has no records")).folding.clone()
    }

    /// The seed that keys and ids are hashed under.
    #[inline(always)]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Whether ids are asked for.
    #[inline(always)]
    pub fn has_dedupe(&self) -> bool {
        self.dedupe.is_some()
    }

    /// What its sketches are, if it has any.
    #[inline(always)]
    pub fn reach(&self) -> Option<&ReachConfig> {
        self.shape.reach.as_ref()
    }

    /// Milliseconds of a window.
    #[must_use]
    pub fn window_length(&self) -> u64 {
        self.shape.window
    }

    /// How many metrics a key has.
    #[inline(always)]
    pub fn metrics(&self) -> usize {
        self.shape.metrics
    }

    /// The meter's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            events: self.stats.counts(),
            left_out: self.stats.left_out(),
            open_windows: self.windows.count(),
            newest: self.windows.newest(),
            id_bytes: self.dedupe.as_ref().map_or(0, Dedupe::memory_bytes),
            closed_bytes: self.closed_bytes.load(Relaxed),
        }
    }

    /// What was counted in the windows that were closed until now.
    #[must_use]
    pub fn closed_totals(&self) -> Totals {
        self.stats.closed()
    }

    /// Totals of values of a dimension in windows that are closed from now on, or what they are since an earlier call.
    pub fn with_top<T>(&self, begin: impl FnOnce() -> Top, act: impl FnOnce(&mut Top) -> T) -> T {
        self.stats.with_top(|top| act(top.get_or_insert_with(|| Box::new(begin()))))
    }

    /// The same, if there was such a call.
    pub fn if_top<T>(&self, act: impl FnOnce(&Top) -> T) -> Option<T> {
        self.stats.with_top(|top| top.as_deref().map(act))
    }

    /// The time of the last event that was late, and of the last one that was too far ahead; 0 if none was.
    #[must_use]
    pub fn last_late_and_future(&self) -> (u64, u64) {
        self.stats.last_late_and_future()
    }

    /// Memory of the meter itself, without ids and windows.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of::<Self>() + self.windows.own_bytes() + self.stats.bytes()
    }

    /// What is known about ids, if they are asked for.
    #[must_use]
    pub fn dedupe_info(&self) -> Option<dedupe::Info> {
        self.dedupe.as_ref().map(Dedupe::info)
    }
}
