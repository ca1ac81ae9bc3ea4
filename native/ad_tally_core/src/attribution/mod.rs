//! Attribution: which touches a conversion is credited to, exactly, whatever the order in which both came.
//!
//! ```text
//! touch ──> window: spend        ──> ring of its user ──> provisional conversions of that user
//! convert ──> order, with the path from the ring ──────────────────┘
//! window closes: its conversions become final ──> postings ──> sinks, reports
//! ```
//!
//! * `ring`: the touches of users, in buckets by the hash of the user; `dimensions`: of what they are, by number
//! * `orders`: the conversions that are known, with their paths; `path`: which touches of a path are eligible
//! * `credit`: the models, and integers that sum up exactly; `posting`: what a conversion books
//! * `window`: what happened in a window of event time
//! * `touch`, `batch`, `convert`, `adjust`, `users`: what is told; `place`: where what is late is booked
//! * `settle`: how conversions become final; `delivered`: closed windows, until everybody has them;
//!   `credits`, `report`, `paths`: what is asked; `sorted`: its rows in order
//! * `export`: what leaves as frames, and comes in; `journal`: what is written down of it; `fields`: what both have in common
//!
//! Three kinds of locks, taken in this order: that of an order's shard, that of a user's bucket, that of what a window has booked.
//! Whoever tells something has the open windows protected meanwhile, so a window that is closed has all of it.

mod adjust;
mod batch;
mod convert;
pub mod credit;
mod credits;
mod delivered;
mod dimensions;
mod export;
mod fields;
mod info;
mod journal;
mod linking;
mod orders;
pub mod path;
mod paths;
mod place;
mod posting;
mod report;
mod ring;
mod settle;
mod sorted;
mod stats;
mod touch;
mod types;
mod users;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use self::journal::{Folding, Journal, Writing};
use self::orders::Orders;
use self::ring::Ring;
use self::stats::Stats;
use crate::codec::Taken;
use crate::error::Error;
use crate::journal::{Busy, Part};
use crate::key::Seed;
use crate::memory::free;
use crate::sync::AtomicUsize;
use crate::windows::{self, Windows};

pub use self::batch::Outcomes;
pub use self::credits::OrderCredits;
pub use self::delivered::Undelivered;
pub use self::dimensions::{Dimensions, MAX_DIMENSIONS, NO_DIMENSIONS};
pub use self::export::{Export, Names};
pub use self::info::{Counts, Info};
pub use self::journal::{Restoring, Shape};
pub use self::linking::Linking;
pub use self::paths::{Led, PathQuery, Paths};
pub use self::posting::{Credit, Credits, Net, Posting};
pub use self::report::{DatedBy, Group, Query, Report, Sums};
pub use self::settle::Closed;
pub use self::sorted::{SortKey, Sorted};
pub use self::types::{
    Change, Config, Conversion, Counting, MAX_ACTIONS, MAX_KINDS, MAX_TOUCHES, Model, Outcome, PARTS, Step, Touch,
    Unchanged, VALUES,
};
pub use self::window::{Spend, SpendRows, Window};

/// Windows that may be open beside those of lateness: those that the system's time, set back, leaves ahead.
const SPARE_WINDOWS: usize = 10_000;

/// Touches, conversions, and what they come to.
pub struct Attribution {
    config: Config,
    seed: Seed,
    windows: Windows<Window>,
    ring: Ring,
    orders: Orders,
    dimensions: Arc<Dimensions>,
    /// By whoever makes conversions final.
    settling: Mutex<()>,
    /// Links whose conversions are not all credited yet.
    linking: Mutex<Vec<Arc<Linking>>>,
    /// By users who were forgotten while the disk refused, whom files may still have.
    unerased: Mutex<HashMap<u64, Vec<u64>>>,
    stats: Stats,
    /// Of closed windows that somebody still refers to.
    closed_bytes: Arc<AtomicUsize>,
    taken: Taken,
    /// How long a touch can matter: the longest lookback, and what a conversion may be late by.
    matters_for: u64,
    longest_lookback: u64,
    /// What it has with a journal.
    journal: Option<Box<Journal>>,
}

impl Drop for Attribution {
    /// There may be many orders, and whoever drops the last reference has not asked to free them.
    fn drop(&mut self) {
        free::later(std::mem::replace(&mut self.orders, Orders::new(1)));
    }
}

impl Attribution {
    /// One without touches.
    ///
    /// # Errors
    /// What is wrong with the configuration, or [`Error::Memory`].
    pub fn new(config: &Config, seed: Seed) -> Result<Self, Error> {
        let Config { window, lateness, max_ahead, touches_per_user, users, orders, max_keys, .. } = *config;
        let kinds = config.lookbacks.len();
        if kinds == 0 || kinds > MAX_KINDS {
            return Err(Error::Kinds(kinds));
        }
        if config.actions.is_empty() || config.actions.len() > MAX_ACTIONS {
            return Err(Error::Actions(config.actions.len()));
        }
        if config.models.is_empty() || config.models.len() > MAX_MODELS {
            return Err(Error::Models(config.models.len()));
        }
        if touches_per_user == 0 || touches_per_user > MAX_TOUCHES {
            return Err(Error::TouchesPerUser(touches_per_user));
        }
        if users == 0 || users > MAX_USERS {
            return Err(Error::Users(users));
        }
        if orders == 0 || orders > MAX_USERS {
            return Err(Error::Orders(orders));
        }
        if max_keys == 0 || max_keys > MAX_DIMENSIONS {
            return Err(Error::MaxDimensions(max_keys));
        }
        let ahead = max_ahead.unwrap_or(0);
        let in_time = (lateness.saturating_add(ahead) / window.max(1)).saturating_add(2) as usize;
        let max_open_windows = in_time.saturating_add(SPARE_WINDOWS);
        let windows = Windows::new(windows::Config { window, lateness, max_ahead, max_open_windows })?;
        let longest_lookback = config.lookbacks.iter().copied().max().unwrap_or(0);
        let late_by = lateness.saturating_add(window).saturating_add(ahead);
        let ring = Ring::new(users, touches_per_user, config.collapse).map_err(Error::Memory)?;
        Ok(Self {
            config: config.clone(),
            seed,
            windows,
            ring,
            orders: Orders::new(orders),
            dimensions: Arc::new(Dimensions::new(max_keys)),
            settling: Mutex::new(()),
            linking: Mutex::default(),
            unerased: Mutex::default(),
            stats: Stats::new(),
            closed_bytes: Arc::default(),
            taken: Taken::default(),
            matters_for: longest_lookback.saturating_add(late_by),
            longest_lookback,
            journal: None,
        })
    }

    /// The same with a journal, in which its configuration has that number.
    ///
    /// # Errors
    /// As of [`Attribution::new`].
    pub fn stored(config: &Config, seed: Seed, part: Part, number: u32) -> Result<Self, Error> {
        let mut attribution = Self::new(config, seed)?;
        let folding = Folding::new(config, number, attribution.matters_for);
        attribution.journal = Some(Box::new(Journal::new(part, number, folding)));
        Ok(attribution)
    }

    /// What it is.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The seed that users, orders and dimensions are hashed under.
    #[inline(always)]
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Which frames were taken.
    #[must_use]
    pub fn taken(&self) -> &Taken {
        &self.taken
    }

    /// When a window of that number begins and ends.
    #[must_use]
    pub fn bounds(&self, number: u64) -> (u64, u64) {
        self.windows.bounds(number)
    }

    /// What the numbers of dimensions stand for.
    #[must_use]
    pub fn dimensions(&self) -> &Arc<Dimensions> {
        &self.dimensions
    }

    /// Begins to write what is to be done, where there is a journal.
    ///
    /// # Errors
    /// [`Busy`]: then nothing may be done.
    #[inline(always)]
    fn begin_writing(&self) -> Result<Option<Writing<'_>>, Busy> {
        self.journal.as_ref().map(|journal| journal.begin()).transpose()
    }

    /// The same for what must not fail.
    fn write_anyway(&self) -> Option<Writing<'_>> {
        self.journal.as_ref().map(|journal| journal.begin_anyway())
    }

    /// Touches before that time matter to no conversion that may come.
    #[inline(always)]
    fn oldest_that_matters(&self) -> u64 {
        self.windows.newest().saturating_sub(self.matters_for)
    }
}

/// The most models side by side.
pub const MAX_MODELS: usize = 8;
/// The most users and orders.
const MAX_USERS: usize = 1_000_000_000;
