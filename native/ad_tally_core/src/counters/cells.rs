//! Counters as a value kind: the words of a row, and the overflow of a generation.
//!
//! ```text
//! row    head | a cell for each metric | link, if rows are linked: the reference to a row of another table
//! ```

use std::sync::LazyLock;

use parking_lot::Mutex;

use super::row::Row;
use super::stripes::Stripes;
use crate::key::HashedKey;
use crate::sync::AtomicU64;
use crate::sync::hazard::{Protected, REGISTRY};
use crate::table::{Generation, RowRef, Spilled, Value};

/// Rows that may be striped. Contention is for the few hottest keys; 1,024 of them at 64 threads take 8 MiB.
const MAX_STRIPED: usize = 1_024;

/// An amount for a metric of a key.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// The number of the metric.
    pub metric: u32,
    /// What to add to it.
    pub amount: i64,
}

/// What counters are to be.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How many metrics a key has.
    pub metrics: usize,
    /// Whether a row has a word for a row of another table.
    pub linked: bool,
}

/// The counters of a generation.
pub struct Cells {
    config: Config,
    stripes: Stripes,
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
    fn new(metrics: usize) -> Self {
        Self {
            head: AtomicU64::new(0),
            cells: (0..metrics).map(|_| AtomicU64::new(0)).collect(),
            stripes: Stripes::new(1, threads),
            carry: Mutex::new(vec![0; metrics]),
        }
    }

    fn row(&self) -> Row<'_> {
        Row { head: &self.head, cells: &self.cells }
    }

    /// # Safety
    /// As of [`Generation::add`].
    #[cold]
    unsafe fn add(&self, add: Add, slot: usize) {
        let metric = add.metric as usize;
        // SAFETY: this function's contract; the stripes live as long as the row.
        if unsafe { self.row().add(metric, add.amount, slot, &self.stripes) }.is_err() {
            self.carry.lock()[metric] += i128::from(add.amount);
        }
    }

    fn totals(&self) -> Vec<i128> {
        let row = self.row();
        let carry = self.carry.lock();
        carry.iter().enumerate().map(|(metric, carry)| row.total(metric) + carry).collect()
    }
}

impl Value for Cells {
    type Config = Config;
    /// Totals by metric.
    type Snapshot = Vec<i128>;
    type Overflowed = Vec<i128>;

    fn new(config: &Config) -> Self {
        let stripes = Stripes::new(MAX_STRIPED, threads);
        Self { config: *config, stripes, overflow: Overflow::new(config.metrics) }
    }

    fn words(&self) -> usize {
        1 + self.config.metrics + usize::from(self.config.linked)
    }

    fn bytes(&self) -> usize {
        self.stripes.bytes() + self.overflow.stripes.bytes()
    }

    fn grown_rows(&self) -> usize {
        self.stripes.rows()
    }

    fn read(table: &Generation<Self>, row: RowRef<'_>) -> Vec<i128> {
        let row = table.row(row);
        (0..table.value.config.metrics).map(|metric| row.total(metric)).collect()
    }

    fn merge(table: &Protected<'_, Generation<Self>>, key: HashedKey<'_>, totals: &Vec<i128>) -> Spilled {
        let row = table.keyed.find(key).or_else(|| table.keyed.insert(key));
        let mut merged = if row.is_some() { Spilled::NOTHING } else { Spilled::ALL };
        for (metric, total) in totals.iter().enumerate() {
            let spilled = match (row, i64::try_from(*total)) {
                // SAFETY: the row is of this table, and the slot the one that this thread protects it in.
                (Some(row), Ok(amount)) => unsafe {
                    table.add_to_row(row, &[Add { metric: metric as u32, amount }], table.slot().id())
                },
                _ => {
                    table.value.overflow.carry.lock()[metric] += total;
                    Spilled::ALL
                }
            };
            if spilled != Spilled::NOTHING {
                merged = merged.with(metric);
            }
        }
        merged
    }

    fn overflow(&self) -> Vec<i128> {
        self.overflow.totals()
    }

    fn add_overflowed(&self, to: &mut Vec<i128>) {
        to.resize(self.config.metrics, 0);
        to.iter_mut().zip(self.overflow.totals()).for_each(|(sum, total)| *sum += total);
    }

    fn merge_overflow(table: &Protected<'_, Generation<Self>>, totals: &Vec<i128>, _overflowed: &Vec<i128>) {
        let mut carry = table.value.overflow.carry.lock();
        carry.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
    }
}

impl Cells {
    /// How many metrics a key has.
    pub(super) fn metrics(&self) -> usize {
        self.config.metrics
    }
}

impl Generation<Cells> {
    /// The head and the cells of a row.
    #[inline(always)]
    pub(crate) fn row<'a>(&'a self, row: RowRef<'a>) -> Row<'a> {
        let (head, cells) = self.keyed.cells(row).split_first().unwrap_or_else(|| unreachable!("a row has a head"));
        Row { head, cells: &cells[..self.value.config.metrics] }
    }

    /// The word that a row has for another one, its last one.
    ///
    /// # Panics
    /// If rows are not linked.
    #[inline(always)]
    pub(crate) fn link<'a>(&'a self, row: RowRef<'a>) -> &'a AtomicU64 {
        assert!(self.value.config.linked);
        self.keyed.cells(row).last().unwrap_or_else(|| unreachable!("a row has a head"))
    }

    /// Adds amounts to a key whose row was looked for just now.
    ///
    /// # Safety
    /// The row is of this table, and `slot` is the id of a hazard slot that the calling thread has claimed.
    #[inline(always)]
    pub(crate) unsafe fn add(&self, row: Option<RowRef<'_>>, key: HashedKey<'_>, adds: &[Add], slot: usize) -> Spilled {
        match row {
            // SAFETY: this function's contract.
            Some(row) => unsafe { self.add_to_row(row, adds, slot) },
            // SAFETY: this function's contract.
            None => unsafe { self.add_to_new(key, adds, slot) },
        }
    }

    /// Adds amounts to a row.
    ///
    /// # Safety
    /// As of [`Generation::add`].
    #[inline(always)]
    pub(crate) unsafe fn add_to_row(&self, row: RowRef<'_>, adds: &[Add], slot: usize) -> Spilled {
        let row = self.row(row);
        let mut spilled = Spilled::NOTHING;
        for (place, add) in adds.iter().enumerate() {
            // SAFETY: this function's contract, and the stripes live as long as the rows.
            if unsafe { row.add(add.metric as usize, add.amount, slot, &self.value.stripes) }.is_err() {
                // SAFETY: this function's contract.
                unsafe { self.value.overflow.add(*add, slot) };
                spilled = spilled.with(place);
            }
        }
        spilled
    }

    /// Adds amounts to a key that had no row.
    ///
    /// # Safety
    /// As of [`Generation::add`].
    #[cold]
    unsafe fn add_to_new(&self, key: HashedKey<'_>, adds: &[Add], slot: usize) -> Spilled {
        match self.keyed.insert(key) {
            // SAFETY: this function's contract, and the row is of this table.
            Some(row) => unsafe { self.add_to_row(row, adds, slot) },
            // SAFETY: this function's contract.
            None => unsafe { self.add_to_overflow(adds, slot) },
        }
    }

    /// Adds amounts to the overflow, those of a key that is to have no row.
    ///
    /// # Safety
    /// As of [`Generation::add`].
    #[cold]
    pub(crate) unsafe fn add_to_overflow(&self, adds: &[Add], slot: usize) -> Spilled {
        for add in adds {
            // SAFETY: this function's contract.
            unsafe { self.value.overflow.add(*add, slot) };
        }
        Spilled::ALL
    }
}

/// Lanes for every thread that has added so far, and for as many as the machine runs at once.
fn threads() -> usize {
    // Finding out opens files.
    static PARALLEL: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    REGISTRY.count().max(*PARALLEL)
}
