//! One key's counters: a cell a metric, and once threads collide on them, a lane for every thread.
//!
//! ```text
//! head       bit 63: locked; and how often threads have met so far (at most MEETINGS), or the address of the row's stripes
//! cells      one a metric, a signed 64-bit total
//!
//! stripes    lane 0 | lane 1 | ...   128 bytes each: sixteen cells, written by one thread only
//! ```
//!
//! A row begins without stripes, and a key that is seen once pays for no scheduler but its own. It is added to in one of two ways,
//! never in both:
//!
//! * one amount at a time ([`Row::add`]), by a compare-and-swap on its cell, and without a lock. One that fails has met another
//!   thread. Why not `fetch_add`: its failure is the signal, and it lets an add that would leave the 64-bit range be refused
//!   before anything has changed.
//! * several amounts at once ([`Row::add_at_once`]), under the row's lock, which is held for the few instructions that takes.
//!   Who has to wait has met another thread. One locked instruction instead of one for each amount: an event of two amounts in
//!   a list took 55 ns and takes 50.
//!
//! After `MEETINGS` of those the row gets a lane for every thread that has a slot (see `pin`), and from then on a thread adds
//! with a plain load and store in its lane: no other thread writes there, and nobody takes the lock any more. A total is the sum
//! of the cell and the lanes.
//!
//! Why no plain cells for the thread that made the row: it was tried with single amounts, and an add took as long as before,
//! because by itself it waits for memory.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::sync::{AtomicU64, AtomicUsize, Mutex, wait};

/// The most metrics a row has, and a lane has room for.
pub const MAX_METRICS: usize = 16;

/// Meetings after which a row gets stripes. Two threads on one key meet in one of two to ten adds, so a hot key is striped within
/// microseconds; keys on which threads meet by chance a few times in a window are not.
const MEETINGS: u64 = 16;
const LOCKED: u64 = 1 << 63;

/// A cell would leave the signed 64-bit range; nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

/// A view of one row.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// 0 in a new row.
    pub head: &'a AtomicU64,
    /// The metrics' cells.
    pub cells: &'a [AtomicU64],
}

/// A row's lock, held until this is dropped: a panic in the middle must not leave others waiting for ever.
struct Held<'a> {
    head: &'a AtomicU64,
    /// What the head is afterwards.
    then: u64,
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.head.store(self.then, Release);
    }
}

impl<'a> Row<'a> {
    /// Adds `amount` to a metric on behalf of the thread that has the slot of number `slot`.
    ///
    /// # Errors
    /// [`OutOfRange`] when the cell that would take it cannot.
    ///
    /// # Panics
    /// If there is no such metric.
    ///
    /// # Safety
    /// `slot` is the id of a slot that the calling thread has claimed, `stripes` is where this row's stripes come
    /// from, and it outlives the row's use. Nobody adds to the row by [`Row::add_at_once`].
    #[inline]
    pub unsafe fn add(self, metric: usize, amount: i64, slot: usize, stripes: &Stripes) -> Result<(), OutOfRange> {
        let head = self.head.load(Acquire);
        let cell = &self.cells[metric];
        if head > MEETINGS {
            // SAFETY: this function's contract. Nobody locks the row, so it is an address that `Stripes::give` has made.
            return unsafe { add_in_lane(head, cell, metric, amount, slot) };
        }
        let old = cell.load(Relaxed);
        let new = (old as i64).checked_add(amount).ok_or(OutOfRange)?;
        if cell.compare_exchange(old, new as u64, Relaxed, Relaxed).is_ok() {
            return Ok(());
        }
        self.add_after_a_race(cell, amount, stripes)
    }

    /// The cell's loop, for a thread that lost a race.
    #[cold]
    fn add_after_a_race(self, cell: &AtomicU64, amount: i64, stripes: &Stripes) -> Result<(), OutOfRange> {
        let races = 1 + add_shared(cell, amount)?;
        let head = self.head.load(Relaxed);
        if head < MEETINGS {
            let counted = (head + races).min(MEETINGS);
            // A lost update loses a hint. It must not be an addition: the head may have become an address.
            let has_counted = self.head.compare_exchange(head, counted, Relaxed, Relaxed).is_ok();
            if has_counted && counted == MEETINGS {
                self.stripe(stripes);
            }
        }
        Ok(())
    }

    /// Adds several amounts, each to a metric, up to one that does not fit: how many were added. `None`, and nothing is added, if
    /// that takes waiting or lanes: then they are added one by one by [`Row::add_waiting`].
    ///
    /// # Panics
    /// As [`Row::add`].
    ///
    /// # Safety
    /// Nobody adds to the row by [`Row::add`].
    #[inline(always)]
    pub unsafe fn add_at_once(self, amounts: impl Iterator<Item = (usize, i64)>) -> Option<usize> {
        let _held = self.try_lock(self.head.load(Acquire))?;
        let mut added = 0;
        for (metric, amount) in amounts {
            if add_to(&self.cells[metric], amount).is_err() {
                break;
            }
            added += 1;
        }
        Some(added)
    }

    /// Adds an amount to a row that is added to by [`Row::add_at_once`], for a thread that may have met another one there.
    ///
    /// # Errors
    /// As [`Row::add`].
    ///
    /// # Panics
    /// As [`Row::add`].
    ///
    /// # Safety
    /// As [`Row::add`] in what it says of `slot` and `stripes`, and as [`Row::add_at_once`].
    #[cold]
    pub unsafe fn add_waiting(
        self,
        metric: usize,
        amount: i64,
        slot: usize,
        stripes: &Stripes,
        mut has_met: bool,
    ) -> Result<(), OutOfRange> {
        let cell = &self.cells[metric];
        let mut looks = 0;
        loop {
            let head = self.head.load(Acquire);
            if is_address(head) {
                // SAFETY: this function's contract, and `Stripes::give` has made it.
                return unsafe { add_in_lane(head, cell, metric, amount, slot) };
            }
            let Some(mut held) = self.try_lock(head) else {
                has_met = true;
                wait(&mut looks);
                continue;
            };
            let result = add_to(cell, amount);
            if has_met {
                held.then = (head + 1).min(MEETINGS);
            }
            drop(held);
            if has_met && head + 1 == MEETINGS {
                self.stripe(stripes);
            }
            return result;
        }
    }

    /// The lock of a row that is not striped, if its head still is that and nobody else has it.
    #[inline(always)]
    fn try_lock(self, head: u64) -> Option<Held<'a>> {
        // Above that are addresses, and what has the bit of the lock.
        if head > MEETINGS || self.head.compare_exchange(head, head | LOCKED, Acquire, Relaxed).is_err() {
            return None;
        }
        Some(Held { head: self.head, then: head })
    }

    /// Has all threads add in lanes from now on, if there are lanes left. For the one thread that has counted the last meeting.
    /// Others go on meanwhile: memory takes a while.
    #[cold]
    fn stripe(self, stripes: &Stripes) {
        let Some(address) = stripes.give() else { return };
        let mut looks = 0;
        // Release: the lanes' zeros are seen by whoever sees the address. It fails while somebody has the lock.
        while self.head.load(Relaxed) != MEETINGS
            || self.head.compare_exchange(MEETINGS, address, AcqRel, Relaxed).is_err()
        {
            wait(&mut looks);
        }
    }

    /// The total of a metric, everybody's adds taken together.
    pub fn total(self, metric: usize) -> i128 {
        let value = |cell: &AtomicU64| i128::from(cell.load(Relaxed) as i64);
        let head = self.head.load(Acquire);
        let mut total = value(&self.cells[metric]);
        if is_address(head) {
            // SAFETY: `Stripes::give` wrote it.
            total += unsafe { lanes(head) }.iter().map(|Lane(cells)| value(&cells[metric])).sum::<i128>();
        }
        total
    }
}

#[inline(always)]
fn is_address(head: u64) -> bool {
    head & LOCKED == 0 && head > MEETINGS
}

/// Adds to a cell that no other thread writes meanwhile.
#[inline(always)]
fn add_to(cell: &AtomicU64, amount: i64) -> Result<(), OutOfRange> {
    let new = (cell.load(Relaxed) as i64).checked_add(amount).ok_or(OutOfRange)?;
    cell.store(new as u64, Relaxed);
    Ok(())
}

/// Adds to a cell that other threads add to as well: how many races were lost.
#[cold]
fn add_shared(cell: &AtomicU64, amount: i64) -> Result<u64, OutOfRange> {
    let mut races = 0;
    let mut old = cell.load(Relaxed);
    loop {
        let new = (old as i64).checked_add(amount).ok_or(OutOfRange)?;
        match cell.compare_exchange(old, new as u64, Relaxed, Relaxed) {
            Ok(_) => return Ok(races),
            Err(now) => {
                old = now;
                races += 1;
            }
        }
    }
}

/// Adds in the lane of a thread, or to the shared cell if it came after the lanes were handed out.
///
/// # Safety
/// As in [`Row::add`], and the address is one that `Stripes::give` has made for the row.
#[inline(always)]
unsafe fn add_in_lane(
    address: u64,
    shared: &AtomicU64,
    metric: usize,
    amount: i64,
    slot: usize,
) -> Result<(), OutOfRange> {
    // SAFETY: this function's contract.
    match unsafe { lanes(address) }.get(slot) {
        // What is loaded is what this thread stored, or the slot's former owner before it released the slot.
        Some(Lane(cells)) => add_to(&cells[metric], amount),
        None => add_shared(shared, amount).map(|_races| ()),
    }
}

/// One thread's cells of a row: a pair of cache lines, which is what the prefetcher moves.
#[repr(align(128))]
struct Lane([AtomicU64; MAX_METRICS]);

type Lanes = Box<[Lane]>;

/// # Safety
/// `Stripes::give` has made the address, and that `Stripes` is alive.
unsafe fn lanes<'a>(address: u64) -> &'a [Lane] {
    // SAFETY: it is the address of a `Lanes` that its `Stripes` keeps boxed until it is dropped.
    unsafe { &*std::ptr::with_exposed_provenance::<Lanes>(address as usize) }
}

/// The stripes of a table's hot rows, a limited number of them.
pub struct Stripes {
    // Boxed twice: a row's head has room for a thin address only.
    #[expect(clippy::vec_box, reason = "a row's head holds the address of the inner box")]
    owned: Mutex<Vec<Box<Lanes>>>,
    limit: usize,
    threads: fn() -> usize,
    bytes: AtomicUsize,
}

impl Stripes {
    /// Stripes for at most `limit` rows, with as many lanes as `threads` says when a row gets its own.
    pub fn new(limit: usize, threads: fn() -> usize) -> Self {
        Self { owned: Mutex::new(Vec::new()), limit, threads, bytes: AtomicUsize::new(0) }
    }

    /// How many rows are striped.
    pub fn rows(&self) -> usize {
        self.owned.lock().len()
    }

    /// The memory all stripes take.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Lanes for one more row: their address, if there are any left.
    #[cold]
    fn give(&self) -> Option<u64> {
        if self.rows() >= self.limit {
            return None;
        }
        let lanes: Box<Lanes> =
            Box::new((0..(self.threads)()).map(|_| Lane(std::array::from_fn(|_| AtomicU64::new(0)))).collect());
        let mut owned = self.owned.lock();
        if owned.len() >= self.limit {
            return None;
        }
        self.bytes.fetch_add(size_of::<Lanes>() + size_of_val::<[Lane]>(&lanes), Relaxed);
        let address = std::ptr::from_ref::<Lanes>(&lanes).expose_provenance();
        owned.push(lanes);
        Some(address as u64)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn add(row: Row<'_>, amounts: &[(usize, i64)]) -> Option<usize> {
        // SAFETY: no row is added to in the other way here.
        unsafe { row.add_at_once(amounts.iter().copied()) }
    }

    #[test]
    fn a_row_is_free_after_a_panic_and_after_an_amount_that_does_not_fit() {
        let (head, cells) = (AtomicU64::new(0), [0, i64::MAX as u64].map(AtomicU64::new));
        let stripes = Stripes::new(1, || 1);
        let row = Row { head: &head, cells: &cells };
        let panicked = catch_unwind(AssertUnwindSafe(|| add(row, &[(0, 1), (2, 1)])));
        assert!(panicked.is_err());
        for _ in 0..2 * MEETINGS {
            assert_eq!(add(row, &[(0, 1), (1, 1), (0, 1)]), Some(1));
            // SAFETY: no other thread has the slot, and those are the row's stripes.
            assert_eq!(unsafe { row.add_waiting(1, 1, 0, &stripes, false) }, Err(OutOfRange));
        }
        assert_eq!((row.total(0), row.total(1)), (i128::from(1 + 2 * MEETINGS), i128::from(i64::MAX)));
        // However often an amount does not fit, nobody has met anybody.
        assert_eq!((stripes.rows(), head.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_row_where_threads_have_met_often_has_lanes() {
        let (head, cells) = (AtomicU64::new(0), [AtomicU64::new(0)]);
        let stripes = Stripes::new(1, || 2);
        let row = Row { head: &head, cells: &cells };
        for _ in 0..MEETINGS {
            assert_eq!(stripes.rows(), 0);
            assert_eq!(add(row, &[(0, 1)]), Some(1));
            // SAFETY: no other thread has the slot, and those are the row's stripes.
            assert_eq!(unsafe { row.add_waiting(0, 1, 0, &stripes, true) }, Ok(()));
        }
        assert_eq!(stripes.rows(), 1);
        assert_eq!(add(row, &[(0, 1)]), None);
        for slot in 0..3 {
            // SAFETY: as above. The last one has no lane.
            assert_eq!(unsafe { row.add_waiting(0, 1, slot, &stripes, true) }, Ok(()));
        }
        let beside = 2 * MEETINGS + 1;
        assert_eq!((row.total(0), cells[0].load(Relaxed)), (i128::from(beside + 2), beside));
    }
}
