//! One generation of counters: rows from the first add after a drain to the next drain, and what had no room.

use std::sync::LazyLock;

use parking_lot::Mutex;

use super::{Add, Added};
use crate::counters::row::{Row, Stripes};
use crate::key::{HashedKey, Seed};
use crate::sync::AtomicU64;
use crate::sync::hazard::REGISTRY;
use crate::table::{Found, Keyed};

/// Rows that may be striped. Contention is for the few hottest keys; 1,024 of them at 64 threads take 8 MiB.
const MAX_STRIPED: usize = 1_024;

pub(crate) struct Table {
    pub(crate) keyed: Keyed,
    metrics: usize,
    /// Whether its rows have a word for their sketch.
    linked: bool,
    /// Whether amounts are added at once, or each for itself: a row is added to in one way only.
    at_once: bool,
    pub(crate) stripes: Stripes,
    overflow: Overflow,
}

/// What has no row of its own, by metric.
struct Overflow {
    head: AtomicU64,
    cells: Box<[AtomicU64]>,
    /// Not those of the rows, which may have been given to others by the time everybody comes here.
    stripes: Stripes,
    /// What the cells had no room for.
    carry: Mutex<Vec<i128>>,
}

impl Overflow {
    fn row(&self) -> Row<'_> {
        Row { head: &self.head, cells: &self.cells }
    }
}

impl Table {
    /// A table of rows with so many metrics, to which single amounts are added.
    pub(crate) fn of_single_amounts(metrics: usize, max_keys: usize, seed: Seed) -> Self {
        Self::new(metrics, false, false, max_keys, seed)
    }

    /// The same where amounts are added at once, and with a word for another one's row each if rows are to be linked.
    pub(crate) fn of_events(metrics: usize, linked: bool, max_keys: usize, seed: Seed) -> Self {
        Self::new(metrics, linked, true, max_keys, seed)
    }

    fn new(metrics: usize, linked: bool, at_once: bool, max_keys: usize, seed: Seed) -> Self {
        let width = 1 + metrics + usize::from(linked);
        let keyed = if at_once {
            // Of the windows of a meter there are many, most of them small.
            Keyed::undivided(width, max_keys, seed, None)
        } else {
            Keyed::new(width, max_keys, seed, None)
        };
        Self {
            keyed,
            metrics,
            linked,
            at_once,
            stripes: Stripes::new(MAX_STRIPED, threads),
            overflow: Overflow {
                head: AtomicU64::new(0),
                cells: (0..metrics).map(|_| AtomicU64::new(0)).collect(),
                stripes: Stripes::new(1, threads),
                carry: Mutex::new(vec![0; metrics]),
            },
        }
    }

    pub(crate) fn metrics(&self) -> usize {
        self.metrics
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.keyed.bytes() + self.stripes.bytes() + self.overflow.stripes.bytes()
    }

    /// The head and the counters of a row.
    #[inline(always)]
    pub(crate) fn row<'a>(&'a self, found: Found<'a>) -> Row<'a> {
        let (head, cells) = self.keyed.cells(found).split_first().unwrap_or_else(|| unreachable!("a row has a head"));
        Row { head, cells: &cells[..self.metrics] }
    }

    /// The word that a row has for another one, its last one.
    ///
    /// # Panics
    /// If rows are not linked.
    #[inline(always)]
    pub(crate) fn link<'a>(&'a self, found: Found<'a>) -> &'a AtomicU64 {
        assert!(self.linked);
        self.keyed.cells(found).last().unwrap_or_else(|| unreachable!("a row has a head"))
    }

    /// Adds an amount to a key whose row was looked for just now.
    ///
    /// # Safety
    /// The table is of single amounts, `found` is of it, and `slot` is the id of a slot that the calling thread has claimed.
    #[inline]
    pub(crate) unsafe fn add_to(
        &self,
        found: Option<Found<'_>>,
        key: HashedKey<'_>,
        metric: usize,
        amount: i64,
        slot: usize,
    ) -> Added {
        debug_assert!(!self.at_once);
        let Some(found) = found else {
            // SAFETY: this function's contract.
            return unsafe { self.add_to_new(key, metric, amount, slot) };
        };
        // SAFETY: this function's contract, and the stripes live as long as the rows.
        if unsafe { self.row(found).add(metric, amount, slot, &self.stripes) }.is_ok() {
            return Added::Row;
        }
        self.add_to_overflow(metric, amount, slot);
        Added::Overflow
    }

    /// The same for a key that had no row.
    ///
    /// # Safety
    /// As in [`Table::add_to`].
    #[cold]
    unsafe fn add_to_new(&self, key: HashedKey<'_>, metric: usize, amount: i64, slot: usize) -> Added {
        match self.keyed.insert(key) {
            // SAFETY: this function's contract, and the row is of this table.
            Some(found) => unsafe { self.add_to(Some(found), key, metric, amount, slot) },
            None => {
                self.add_to_overflow(metric, amount, slot);
                Added::Overflow
            }
        }
    }

    /// Adds amounts at once to a key whose row was not found. Into the row unless one of them went into the overflow.
    ///
    /// # Safety
    /// The table is of events, and `slot` is the id of a slot that the calling thread has claimed.
    #[cold]
    pub(crate) unsafe fn add_all(&self, key: HashedKey<'_>, amounts: &[Add], slot: usize) -> Added {
        let Some(found) = self.keyed.insert(key) else {
            amounts.iter().for_each(|add| self.add_to_overflow(add.metric as usize, add.amount, slot));
            return Added::Overflow;
        };
        // SAFETY: this function's contract, and the row is of this table.
        unsafe { self.add_all_to(found, amounts, slot) }
    }

    /// Adds amounts at once to a row. Into it unless one of them went into the overflow.
    ///
    /// # Safety
    /// The table is of events, `found` is of it, and `slot` is the id of a slot that the calling thread has claimed.
    #[inline(always)]
    pub(crate) unsafe fn add_all_to(&self, found: Found<'_>, amounts: &[Add], slot: usize) -> Added {
        debug_assert!(self.at_once);
        let amounts_of = amounts.iter().map(|add| (add.metric as usize, add.amount));
        // SAFETY: the rows of such a table are added to by this only.
        let quick = unsafe { self.row(found).add_at_once(amounts_of) };
        if quick == Some(amounts.len()) {
            return Added::Row;
        }
        // SAFETY: this function's contract.
        unsafe { self.add_rest(found, amounts, quick, slot) }
    }

    /// Adds amounts of which only so many could be added in the shortest way, or none because that would have meant to wait or
    /// the row has lanes.
    ///
    /// # Safety
    /// As in [`Table::add_all_to`].
    #[inline(never)]
    unsafe fn add_rest(&self, found: Found<'_>, amounts: &[Add], quick: Option<usize>, slot: usize) -> Added {
        let row = self.row(found);
        let mut has_met = quick.is_none();
        let mut added = Added::Row;
        for Add { metric, amount } in &amounts[quick.unwrap_or(0)..] {
            let metric = *metric as usize;
            // SAFETY: this function's contract, and the stripes live as long as the rows.
            let result = unsafe { row.add_waiting(metric, *amount, slot, &self.stripes, has_met) };
            has_met = false;
            if result.is_err() {
                self.add_to_overflow(metric, *amount, slot);
                added = Added::Overflow;
            }
        }
        added
    }

    #[cold]
    fn add_to_overflow(&self, metric: usize, amount: i64, slot: usize) {
        let row = self.overflow.row();
        // SAFETY: the slot is as in `add_to`, the stripes live as long as the row.
        if unsafe { row.add(metric, amount, slot, &self.overflow.stripes) }.is_err() {
            self.overflow.carry.lock()[metric] += i128::from(amount);
        }
    }

    /// What went into the overflow rows, by metric.
    pub(crate) fn overflow(&self) -> Vec<i128> {
        let row = self.overflow.row();
        let carry = self.overflow.carry.lock();
        carry.iter().enumerate().map(|(metric, carry)| row.total(metric) + carry).collect()
    }
}

/// Lanes for every thread that has added so far, and for as many as the machine runs at once.
fn threads() -> usize {
    // Finding out opens files.
    static PARALLEL: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    REGISTRY.count().max(*PARALLEL)
}
