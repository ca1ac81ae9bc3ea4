//! The meter: dedupe, counters and reach of an event in one step, in windows of event time that are closed exactly.
//!
//! ```text
//! Meter ── open ──> OpenWindows: first window that is not closed, and those that have events
//!        └─ dedupe
//! Window ── counters ──> rows by key
//!         └─ reach ────> sketches by key
//! ```
//!
//! `record` protects the set of open windows by a hazard pointer while it works, as `counters` protects its table. To close
//! windows is to put another set in place and to wait until no hazard pointer names the old one: what was recorded in a window
//! is in its tables then, whole and for good, and what comes later finds the window closed and is late.
//!
//! * `config`, `event`: what a meter is to be; what is recorded, and what becomes of it
//! * `window`, `open_windows`, `windows`: the tables of one; those that can be recorded in; those that are not handed over yet
//! * `lookup`: where an event's id and rows are, looked up in stages
//! * `record`, `batch`: an event, and a list of them
//! * `close`, `stats`: closed windows, and what is known of all events
//! * `report`: rows of windows, grouped

mod batch;
mod close;
mod config;
mod event;
mod lookup;
mod open_windows;
mod record;
pub mod report;
mod stats;
mod window;
mod windows;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

pub use self::batch::{Batch, Outcomes};
pub use self::close::Closed;
pub use self::config::{Config, ReachConfig};
pub use self::event::{Event, Outcome};
pub use self::lookup::{Lookup, Recording};
use self::open_windows::OpenWindows;
pub use self::stats::Counts;
use self::stats::{LEFT_OUT, Stats};
pub use self::window::{Window, WindowRef};
use self::windows::Windows;
use crate::counters::MAX_METRICS;
use crate::dedupe::{self, Dedupe};
use crate::error::Error;
pub use crate::error::TIMES;
use crate::key::{MAX_ARITY, Seed};
use crate::memory::free;
use crate::sketch::Sketch;
use crate::sync::hazard::Current;
use crate::sync::{AtomicU64, AtomicUsize};
use crate::table::check_max_keys;

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
    open: Current<OpenWindows>,
    window: u64,
    lateness: u64,
    max_ahead: Option<u64>,
    metrics: usize,
    max_keys: usize,
    reach: Option<ReachConfig>,
    seed: Seed,
    dedupe: Option<Dedupe>,
    newest: AtomicU64,
    /// The system's time when windows were last closed by it.
    clock: AtomicU64,
    /// Those that are open, and those that are closed and still to be handed over, by number. Locked by whoever opens or closes
    /// some.
    windows: Mutex<Windows<Arc<Window>>>,
    max_open_windows: usize,
    /// Of closed windows that somebody still refers to.
    closed_bytes: Arc<AtomicUsize>,
    stats: Stats,
}

impl Drop for Meter {
    /// There may be many windows, and whoever drops a meter has not asked to free them.
    fn drop(&mut self) {
        let open = std::mem::replace(&mut self.open, Current::new(Arc::new(OpenWindows::none(u64::MAX))));
        free::later((open, std::mem::take(self.windows.get_mut())));
    }
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
        if window == 0 || window >= TIMES {
            return Err(Error::MeterWindow(window));
        }
        if lateness >= TIMES {
            return Err(Error::Lateness(lateness));
        }
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
            open: Current::new(Arc::new(OpenWindows::none(0))),
            window,
            lateness,
            max_ahead,
            clock: AtomicU64::new(0),
            metrics,
            max_keys,
            reach: config.reach.clone(),
            dedupe: config.dedupe.as_ref().map(|ids| Dedupe::with_seed(ids, seed.clone())).transpose()?,
            seed,
            newest: AtomicU64::new(0),
            windows: Mutex::default(),
            max_open_windows,
            closed_bytes: Arc::default(),
            stats: Stats::new(metrics),
        })
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
        self.reach.as_ref()
    }

    /// How many metrics a key has.
    #[inline(always)]
    pub fn metrics(&self) -> usize {
        self.metrics
    }

    /// When a window of that number begins and ends.
    #[must_use]
    pub fn bounds(&self, number: u64) -> (u64, u64) {
        (number * self.window, (number + 1) * self.window)
    }

    /// The first window whose time has not passed, by the system's time or, where that is not asked for, the newest event's.
    fn first_in_time(&self, now: impl Fn() -> u64) -> u64 {
        let time = if self.max_ahead.is_some() { now() } else { self.newest.load(Relaxed) };
        time.saturating_sub(self.lateness) / self.window
    }

    /// The meter's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        let open_windows = self.windows.lock().len();
        Info {
            events: self.stats.counts(),
            left_out: self.stats.left_out(),
            open_windows,
            newest: self.newest.load(Relaxed),
            id_bytes: self.dedupe.as_ref().map_or(0, Dedupe::memory_bytes),
            closed_bytes: self.closed_bytes.load(Relaxed),
        }
    }

    /// The time of the last event that was late, and of the last one that was too far ahead; 0 if none was.
    #[must_use]
    pub fn last_late_and_future(&self) -> (u64, u64) {
        self.stats.last_late_and_future()
    }

    /// Memory of the meter itself, without ids and windows.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of::<Self>() + size_of::<OpenWindows>() + self.stats.bytes()
    }

    /// What is known about ids, if they are asked for.
    #[must_use]
    pub fn dedupe_info(&self) -> Option<dedupe::Info> {
        self.dedupe.as_ref().map(Dedupe::info)
    }
}
