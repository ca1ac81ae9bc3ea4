//! One key's counters: a cell a metric, and once threads collide on them, a lane for every thread.
//!
//! ```text
//! head       lost races so far (at most RACES), or the address of the row's stripes
//! cells      one a metric, a signed 64-bit total
//!
//! stripes    lane 0 | lane 1 | ...   128 bytes each: sixteen cells, written by one thread only
//! ```
//!
//! A row begins without stripes: an add is one compare-and-swap on its cell, and a key that is seen once pays for no
//! scheduler but its own. A compare-and-swap that fails has met another thread. After `RACES` of those the row gets
//! a lane for every thread that has a slot (see `pin`), and from then on a thread adds with a plain load and store
//! in its lane: no other thread writes there. A total is the sum of the cell and the lanes.
//!
//! Why compare-and-swap and not `fetch_add`: its failure is the signal, and it lets an add that would leave the
//! 64-bit range be refused before anything has changed. Why no plain cells for the thread that made the row: it was
//! tried, and an add took as long as before, because it waits for memory and not for the locked instruction.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::sync::{AtomicU64, AtomicUsize, Mutex};

/// The most metrics a row has, and a lane has room for.
pub const MAX_METRICS: usize = 16;

/// Lost races after which a row gets stripes. Two threads on one key lose one in two to ten adds, so a hot key is
/// striped within microseconds; keys that meet by chance a few times in a window are not.
const RACES: u64 = 16;

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

impl Row<'_> {
    /// Adds `amount` to a metric on behalf of the thread that has the slot of number `slot`.
    ///
    /// # Errors
    /// [`OutOfRange`] when the cell that would take it cannot.
    ///
    /// # Safety
    /// `slot` is the id of a slot that the calling thread has claimed, `stripes` is where this row's stripes come
    /// from, and it outlives the row's use.
    #[inline]
    pub unsafe fn add(self, metric: usize, amount: i64, slot: usize, stripes: &Stripes) -> Result<(), OutOfRange> {
        let head = self.head.load(Acquire);
        let cell = &self.cells[metric];
        if head > RACES {
            // SAFETY: a head above RACES is an address that `Stripes::give` wrote.
            if let Some(Lane(cells)) = unsafe { lanes(head) }.get(slot) {
                let cell = &cells[metric];
                // What is loaded is what this thread stored, or the slot's former owner before it released the slot.
                let new = (cell.load(Relaxed) as i64).checked_add(amount).ok_or(OutOfRange)?;
                cell.store(new as u64, Relaxed);
                return Ok(());
            }
        }
        let old = cell.load(Relaxed);
        let new = (old as i64).checked_add(amount).ok_or(OutOfRange)?;
        if cell.compare_exchange(old, new as u64, Relaxed, Relaxed).is_ok() {
            return Ok(());
        }
        self.add_after_a_race(cell, amount, stripes)
    }

    /// The cell's loop, for a thread that lost a race or came after the lanes were handed out.
    #[cold]
    fn add_after_a_race(self, cell: &AtomicU64, amount: i64, stripes: &Stripes) -> Result<(), OutOfRange> {
        let mut races = 1;
        let mut old = cell.load(Relaxed);
        loop {
            let new = (old as i64).checked_add(amount).ok_or(OutOfRange)?;
            match cell.compare_exchange(old, new as u64, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(now) => {
                    old = now;
                    races += 1;
                }
            }
        }
        let head = self.head.load(Relaxed);
        if head < RACES {
            let counted = (head + races).min(RACES);
            // A lost update loses a hint. It must not be an addition: the head may have become an address.
            let _ = self.head.compare_exchange(head, counted, Relaxed, Relaxed);
            if counted == RACES {
                stripes.give(self.head);
            }
        }
        Ok(())
    }

    /// The total of a metric, everybody's adds taken together.
    pub fn total(self, metric: usize) -> i128 {
        let value = |cell: &AtomicU64| i128::from(cell.load(Relaxed) as i64);
        let head = self.head.load(Acquire);
        let mut total = value(&self.cells[metric]);
        if head > RACES {
            // SAFETY: as in `add`.
            total += unsafe { lanes(head) }.iter().map(|Lane(cells)| value(&cells[metric])).sum::<i128>();
        }
        total
    }
}

/// One thread's cells of a row: a pair of cache lines, which is what the prefetcher moves.
#[repr(align(128))]
struct Lane([AtomicU64; MAX_METRICS]);

type Lanes = Box<[Lane]>;

/// # Safety
/// `address` was linked to a row by `Stripes::give`, and that `Stripes` is alive.
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

    #[cold]
    fn give(&self, head: &AtomicU64) {
        let mut owned = self.owned.lock();
        if head.load(Relaxed) > RACES || owned.len() >= self.limit {
            return;
        }
        let lanes: Box<Lanes> =
            Box::new((0..(self.threads)()).map(|_| Lane(std::array::from_fn(|_| AtomicU64::new(0)))).collect());
        self.bytes.fetch_add(size_of::<Lanes>() + size_of_val::<[Lane]>(&lanes), Relaxed);
        let address = std::ptr::from_ref::<Lanes>(&lanes).expose_provenance();
        owned.push(lanes);
        // The lanes' zeros are visible to whoever sees the address. Nobody else writes an address: the lock is held.
        head.store(address as u64, Release);
    }
}
