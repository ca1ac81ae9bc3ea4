//! What a node is made of.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use parking_lot::Mutex;

use super::book::Book;
use super::campaigns::Campaigns;
use super::config::{Config, MOST_CAMPAIGNS, MOST_RESERVATIONS};
use super::outcome::KINDS;
use super::reservations::Reservations;
use super::row::{CELLS, Row};
use super::till::Till;
use super::written::Journal;
use crate::error::{Error, TIMES};
use crate::journal;
use crate::key::{HashedKey, Seed};
use crate::memory::Lines;
use crate::sync::last_seen::LastSeen;
use crate::sync::sharded_counter::ShardedCounter;
use crate::table::{Keyed, RowRef};

type Waker = Box<dyn Fn() + Send + Sync>;

/// A node's pacer.
pub struct Node {
    pub(super) config: Config,
    pub(super) rows: Keyed,
    pub(super) till: Till,
    pub(super) counts: ShardedCounter<KINDS>,
    pub(super) journal: Option<Journal>,
    /// The latest time that the server has told.
    pub(super) clock: AtomicU64,
    /// The bucket that the next sweep begins with.
    pub(super) swept: AtomicUsize,
    /// How often the node has begun, as far as its journal knows.
    pub(super) begun: AtomicU64,
    pub(super) campaigns: Mutex<Campaigns>,
    /// How many campaigns there are, and their memory.
    pub(super) seen: LastSeen<(usize, usize)>,
    pub(super) waker: OnceLock<Waker>,
}

impl Node {
    /// A node without campaigns, with a journal or without.
    ///
    /// # Errors
    /// [`Error::MaxCampaigns`], [`Error::MaxReservations`], [`Error::MaxAhead`], or [`Error::Memory`].
    pub fn new(config: &Config, seed: Seed, part: Option<journal::Part>) -> Result<Self, Error> {
        let Config { max_campaigns, max_reservations, max_ahead, remember, .. } = *config;
        if max_campaigns == 0 || max_campaigns > MOST_CAMPAIGNS {
            return Err(Error::MaxCampaigns(max_campaigns));
        }
        if max_reservations == 0 || max_reservations > MOST_RESERVATIONS {
            return Err(Error::MaxReservations(max_reservations));
        }
        if max_ahead >= TIMES {
            return Err(Error::MaxAhead(max_ahead));
        }
        let books = config.books();
        let reservations = Reservations::new(max_reservations, remember).map_err(Error::Memory)?;
        let lines = Lines::new(books).ok_or(Error::Memory(books * size_of::<Book>()))?;
        Ok(Self {
            config: *config,
            rows: Keyed::new(CELLS, max_campaigns, seed),
            till: Till::new(lines, reservations, part.is_some()),
            counts: ShardedCounter::new(),
            journal: part.map(|part| Journal::new(part, books)),
            clock: AtomicU64::new(0),
            swept: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            campaigns: Mutex::default(),
            seen: LastSeen::new(),
            waker: OnceLock::new(),
        })
    }

    /// The seed that keys and requests are hashed under: the same on all nodes.
    #[inline(always)]
    #[must_use]
    pub fn seed(&self) -> &Seed {
        self.rows.seed()
    }

    /// Has somebody be called when a request found no money, for the first time since the last report. It may neither wait nor
    /// report itself. Whoever is set first stays.
    pub fn set_waker(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// Moves the clock on.
    pub(super) fn reach(&self, now: u64) {
        self.clock.fetch_max(now.min(TIMES - 1), Relaxed);
    }

    #[inline(always)]
    pub(super) fn row(&self, key: HashedKey<'_>) -> Option<Row<'_>> {
        self.rows.find(key).map(|row| self.row_at(row))
    }

    #[inline(always)]
    pub(super) fn row_at<'n>(&'n self, row: RowRef<'n>) -> Row<'n> {
        Row(self.rows.cells(row))
    }
}
