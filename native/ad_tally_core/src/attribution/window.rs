//! What happened in one window: its touches and what they have cost, the conversions that are to be final with it, and what is
//! booked.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::dimensions::{Dimensions, NO_DIMENSIONS};
use super::posting::Posting;
use super::types::Touch;
use crate::counters::{self, Add, Cells};
use crate::key::{HashedKey, KeyRef, Seed};
use crate::sync::AtomicUsize;
use crate::sync::hazard::Current;
use crate::table::{Generation, Line, RowRef, Rows, Spilled, Value};
use crate::windows::ClosedBytes;

/// Metrics of a kind in a row of spend: how many touches, and what they have cost.
pub(super) const METRICS: usize = 2;

/// What happened in a window.
///
/// A row of spend is that of some dimensions, with two metrics for each kind, and the number of the dimensions as its link: a touch
/// finds that with its row.
pub struct Window {
    /// Which one: it begins at this many times its length.
    pub number: u64,
    /// By what a journal knows it, as no other one; 0 without a journal.
    pub(super) instance: u64,
    spend: Arc<Generation<Cells>>,
    booked: Mutex<Booked>,
    closed: ClosedBytes,
}

#[derive(Default)]
struct Booked {
    /// The orders of conversions that are provisional. Some may be final by now, or not known any more.
    orders: Vec<u64>,
    postings: Vec<Arc<Posting>>,
    /// The place of the next posting. There may be fewer before it where some did not survive a restart.
    place: u64,
    bytes: usize,
}

/// The rows of spend of a window that is being restored, to be added to.
pub(super) type Spending = Current<Generation<Cells>>;

/// Touches and their cost, of some dimensions and a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// How many touches.
    pub touches: i128,
    /// What they have cost, in micros.
    pub cost: i128,
}

impl Window {
    /// One in which nothing has happened.
    pub(super) fn new(
        number: u64,
        instance: u64,
        kinds: usize,
        max_keys: usize,
        seed: &Seed,
        closed: Arc<AtomicUsize>,
    ) -> Self {
        let spend = spend(METRICS * kinds, max_keys, seed);
        Self { number, instance, spend, booked: Mutex::default(), closed: ClosedBytes::none(closed) }
    }

    /// Rows of spend of so many metrics, without any.
    pub(super) fn spending(metrics: usize, max_keys: usize, seed: &Seed) -> Spending {
        Current::new(spend(metrics, max_keys, seed))
    }

    /// One that there was before a restart. Postings come by their places.
    pub(super) fn restored(
        number: u64,
        instance: u64,
        spend: Arc<Generation<Cells>>,
        postings: Vec<(u64, Arc<Posting>)>,
        closed: Arc<AtomicUsize>,
    ) -> Self {
        let mut booked = Booked::default();
        for (place, posting) in postings {
            booked.place = place;
            booked.push(posting);
        }
        Self { number, instance, spend, booked: booked.into(), closed: ClosedBytes::none(closed) }
    }

    /// The row of some dimensions, if there is one, and their number.
    #[inline(always)]
    pub(super) fn find(&self, key: HashedKey<'_>, dimensions: &Dimensions) -> (Option<RowRef<'_>>, u32) {
        let row = self.spend.keyed.find(key);
        match row.map_or(0, |row| self.spend.link(row).load(Relaxed)) {
            0 => (row, self.number(row, key, dimensions)),
            link => (row, (link - 1) as u32),
        }
    }

    /// The number of dimensions whose row has not noted it: there is none yet, or it was there before a restart.
    fn number(&self, row: Option<RowRef<'_>>, key: HashedKey<'_>, dimensions: &Dimensions) -> u32 {
        let number = dimensions.number(key.words);
        if let Some(row) = row {
            self.spend.link(row).store(u64::from(number) + 1, Relaxed);
        }
        number
    }

    /// Asks for the line of the index where some dimensions belong.
    #[inline(always)]
    pub(super) fn fetch_line(&self, key: HashedKey<'_>) -> Option<&Line> {
        self.spend.keyed.fetch_line(key.hash)
    }

    /// Asks for the row of some dimensions, once their line is near.
    #[inline(always)]
    pub(super) fn fetch_row(&self, line: Option<&Line>, key: HashedKey<'_>) {
        line.and_then(|line| self.spend.keyed.fetch_row(line, key.hash, key.words.len()));
    }

    /// Adds a touch to a row that was looked for just now. Into the row, unless its dimensions have no number: what is credited
    /// without dimensions is spent without them too. What went into the overflow.
    ///
    /// # Safety
    /// The row is of this window, and `slot` is the id of a hazard slot that the calling thread has claimed.
    #[inline(always)]
    pub(super) unsafe fn spend(&self, row: Option<RowRef<'_>>, number: u32, touch: &Touch<'_>, slot: usize) -> Spilled {
        let metric = METRICS as u32 * u32::from(touch.kind);
        let amounts = [Add { metric, amount: 1 }, Add { metric: metric + 1, amount: touch.cost }];
        if row.is_none() && number == NO_DIMENSIONS {
            // SAFETY: this function's contract.
            return unsafe { self.spend.add_to_overflow(&amounts, slot) };
        }
        // SAFETY: this function's contract.
        let spilled = unsafe { self.spend.add(row, touch.dimensions, &amounts, slot) };
        if row.is_none() {
            self.link(touch.dimensions, number);
        }
        spilled
    }

    /// Notes the number of some dimensions in their row.
    #[cold]
    fn link(&self, key: HashedKey<'_>, number: u32) {
        if let Some(row) = self.spend.keyed.find(key) {
            self.spend.link(row).store(u64::from(number) + 1, Relaxed);
        }
    }

    /// Notes a provisional conversion.
    pub(super) fn push_order(&self, order: u64) {
        self.booked.lock().orders.push(order);
    }

    /// All conversions that were noted.
    pub(super) fn orders(&self) -> Vec<u64> {
        self.booked.lock().orders.clone()
    }

    /// Forgets all conversions that were noted, once each of them is booked.
    pub(super) fn forget_orders(&self) {
        self.booked.lock().orders = Vec::new();
    }

    /// The conversions that were noted, of which some may be booked by now, and what is booked.
    pub(super) fn snapshot(&self) -> (Vec<u64>, Vec<Arc<Posting>>) {
        let booked = self.booked.lock();
        (booked.orders.clone(), booked.postings.clone())
    }

    /// Books something: at which place.
    pub(super) fn post(&self, posting: Arc<Posting>) -> u64 {
        self.booked.lock().push(posting)
    }

    /// What is booked from a place on, so many postings at most.
    #[must_use]
    pub fn postings(&self, from: usize, most: usize) -> Vec<Arc<Posting>> {
        let booked = self.booked.lock();
        booked.postings.get(from..).unwrap_or_default().iter().take(most).cloned().collect()
    }

    /// The rows of spend: touches and cost of each kind, by dimensions.
    #[must_use]
    pub fn spend_rows(&self) -> SpendRows {
        SpendRows(Rows::new(self.spend.clone()))
    }

    /// Touches and cost of each kind that had no row.
    #[must_use]
    pub fn spend_overflow(&self) -> Vec<Spend> {
        by_kind(&self.spend.value.overflow()).collect()
    }

    /// How many rows of spend and how many postings it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.spend.keyed.keys() + self.booked.lock().postings.len()
    }

    /// Whether nothing has happened in it.
    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0
            && self.booked.lock().orders.is_empty()
            && self.spend_overflow().iter().all(|of| of.touches == 0)
    }

    /// Has what it takes be counted among closed windows, until it is dropped. Once, when nothing happens in it any more.
    pub(super) fn note_closed(&self) {
        self.closed.note(self.bytes());
    }

    /// Memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let booked = self.booked.lock();
        size_of::<Self>() + self.spend.bytes() + booked.bytes + booked.orders.capacity() * size_of::<u64>()
    }
}

impl Booked {
    /// At which place.
    fn push(&mut self, posting: Arc<Posting>) -> u64 {
        self.bytes += posting.bytes() + size_of::<[usize; 3]>();
        self.postings.push(posting);
        self.place += 1;
        self.place - 1
    }
}

fn spend(metrics: usize, max_keys: usize, seed: &Seed) -> Arc<Generation<Cells>> {
    Arc::new(Generation::undivided(&counters::Config { metrics, linked: true }, max_keys, seed.clone()))
}

/// Rows of spend, read from front to end.
pub struct SpendRows(Rows<Cells>);

impl SpendRows {
    /// Shows rows from where the last call stopped, with touches and cost by kind, until `show` breaks or there are no more.
    /// Whether there may be more.
    pub fn walk(&mut self, mut show: impl FnMut(KeyRef<'_>, &[Spend]) -> ControlFlow<()>) -> bool {
        let mut kinds = Vec::new();
        self.0.walk(|key, totals| {
            kinds.clear();
            kinds.extend(by_kind(totals));
            // A row may be there for a touch that turned out to be a copy.
            if kinds.iter().all(|of| of.touches == 0) { ControlFlow::Continue(()) } else { show(key, &kinds) }
        })
    }
}

fn by_kind(totals: &[i128]) -> impl Iterator<Item = Spend> {
    totals.chunks_exact(METRICS).map(|of| Spend { touches: of[0], cost: of[1] })
}
