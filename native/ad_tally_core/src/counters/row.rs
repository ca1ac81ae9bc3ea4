//! One key's counters: a cell a metric, and once threads collide on them, a lane for every thread.
//!
//! ```text
//! head       how often threads have collided so far (at most COLLISIONS), or the address of the row's stripes
//! cells      one a metric, a signed 64-bit total
//! ```
//!
//! A row begins without stripes, and a key that is seen once pays for no scheduler but its own. An amount is added by a
//! compare-and-swap on its cell, without a lock. One that fails has collided with another thread. Why not `fetch_add`: its failure
//! is the signal, and it lets an add that would leave the 64-bit range be refused before anything has changed.
//!
//! After `COLLISIONS` of those the row gets a lane for every thread that has a hazard slot, and from then on a thread adds with a
//! plain load and store in its lane, where no other thread writes. A total is the sum of the cell and the lanes.
//!
//! Why no plain cells for the thread that made the row: it was tried, and an add took as long as before, because by itself it waits
//! for memory. Why no lock of the row, under which several amounts are added with one locked instruction: it was there, and a
//! meter's `record` of two amounts took within a tenth as long, sometimes more and sometimes less.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::stripes::{Lane, Stripes, lanes};
use crate::sync::AtomicU64;

/// Collisions after which a row gets stripes. Two threads on one key collide in one of two to ten adds, so a hot key is striped
/// within microseconds; keys on which threads collide by chance a few times in a window are not.
const COLLISIONS: u64 = 16;

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
    /// # Panics
    /// If there is no such metric.
    ///
    /// # Safety
    /// `slot` is the id of a slot that the calling thread has claimed, `stripes` is where this row's stripes come
    /// from, and it outlives the row's use.
    #[inline(always)]
    pub unsafe fn add(self, metric: usize, amount: i64, slot: usize, stripes: &Stripes) -> Result<(), OutOfRange> {
        let head = self.head.load(Acquire);
        let cell = &self.cells[metric];
        if head > COLLISIONS {
            // SAFETY: this function's contract, and such a head is an address that `Stripes::give` has made.
            return unsafe { add_in_lane(head, cell, metric, amount, slot) };
        }
        let old = cell.load(Relaxed);
        let new = (old as i64).checked_add(amount).ok_or(OutOfRange)?;
        if cell.compare_exchange(old, new as u64, Relaxed, Relaxed).is_ok() {
            return Ok(());
        }
        self.add_after_a_collision(cell, amount, stripes)
    }

    /// The cell's loop, for a thread that has collided with another one.
    #[cold]
    fn add_after_a_collision(self, cell: &AtomicU64, amount: i64, stripes: &Stripes) -> Result<(), OutOfRange> {
        let collisions = 1 + add_shared(cell, amount)?;
        let head = self.head.load(Relaxed);
        if head < COLLISIONS {
            let counted = (head + collisions).min(COLLISIONS);
            // A lost update loses a hint. It must not be an addition: the head may have become an address.
            let has_counted = self.head.compare_exchange(head, counted, Relaxed, Relaxed).is_ok();
            if has_counted && counted == COLLISIONS {
                self.stripe(stripes);
            }
        }
        Ok(())
    }

    /// Has all threads add in lanes from now on, if there are lanes left. For the one thread that has counted the last collision:
    /// nobody else changes the head any more. Others go on adding meanwhile, because memory takes a while.
    #[cold]
    fn stripe(self, stripes: &Stripes) {
        if let Some(address) = stripes.give() {
            // Release: the lanes' zeros are seen by whoever sees the address.
            self.head.store(address, Release);
        }
    }

    /// The total of a metric, everybody's adds taken together.
    pub fn total(self, metric: usize) -> i128 {
        let value = |cell: &AtomicU64| i128::from(cell.load(Relaxed) as i64);
        let head = self.head.load(Acquire);
        let mut total = value(&self.cells[metric]);
        if head > COLLISIONS {
            // SAFETY: `Stripes::give` wrote it.
            total += unsafe { lanes(head) }.iter().map(|Lane(cells)| value(&cells[metric])).sum::<i128>();
        }
        total
    }
}

/// Adds to a cell that other threads add to as well: how many collisions there were.
#[cold]
fn add_shared(cell: &AtomicU64, amount: i64) -> Result<u64, OutOfRange> {
    let mut collisions = 0;
    let mut old = cell.load(Relaxed);
    loop {
        let new = (old as i64).checked_add(amount).ok_or(OutOfRange)?;
        match cell.compare_exchange(old, new as u64, Relaxed, Relaxed) {
            Ok(_) => return Ok(collisions),
            Err(now) => {
                old = now;
                collisions += 1;
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
    let Some(Lane(cells)) = (unsafe { lanes(address) }).get(slot) else {
        return add_shared(shared, amount).map(|_collisions| ());
    };
    // What is loaded is what this thread stored, or the slot's former owner before it released the slot.
    let cell = &cells[metric];
    let new = (cell.load(Relaxed) as i64).checked_add(amount).ok_or(OutOfRange)?;
    cell.store(new as u64, Relaxed);
    Ok(())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Adds one in a slot of that number, which no other thread has.
    fn add(row: Row<'_>, slot: usize, stripes: &Stripes) {
        // SAFETY: one thread only has all slots, and those are the row's stripes.
        unsafe { row.add(0, 1, slot, stripes) }.expect("it fits");
    }

    #[test]
    fn refuses_an_amount_that_leaves_the_64_bit_range_and_changes_nothing() {
        let (head, cells) = (AtomicU64::new(0), [i64::MAX, i64::MIN].map(|total| AtomicU64::new(total as u64)));
        let stripes = Stripes::new(1, || 1);
        let row = Row { head: &head, cells: &cells };
        for (metric, amount) in [(0, 1), (1, -1), (0, i64::MAX), (1, i64::MIN)] {
            // SAFETY: as in `add`.
            assert_eq!(unsafe { row.add(metric, amount, 0, &stripes) }, Err(OutOfRange));
        }
        assert_eq!((row.total(0), row.total(1)), (i128::from(i64::MAX), i128::from(i64::MIN)));
        assert_eq!((stripes.rows(), head.load(Relaxed)), (0, 0));
    }

    #[test]
    fn a_row_on_which_threads_have_collided_often_has_lanes() {
        let (head, cells) = (AtomicU64::new(COLLISIONS - 1), [AtomicU64::new(0)]);
        let stripes = Stripes::new(1, || 2);
        let row = Row { head: &head, cells: &cells };
        add(row, 0, &stripes);
        assert_eq!((stripes.rows(), head.load(Relaxed)), (0, COLLISIONS - 1));
        row.add_after_a_collision(&cells[0], 1, &stripes).expect("it fits");
        assert_eq!(stripes.rows(), 1);
        // The last one has no lane.
        (0..3).for_each(|slot| add(row, slot, &stripes));
        assert_eq!((row.total(0), cells[0].load(Relaxed)), (5, 3));
    }
}
