//! Lanes of the rows on which threads collide: one for each thread, which it alone writes to.
//!
//! ```text
//! stripes    lane 0 | lane 1 | ...   128 bytes each: sixteen cells
//! ```

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::{AtomicU64, AtomicUsize, Mutex};

/// The most metrics a row has: a lane has room for them.
pub const MAX_METRICS: usize = 16;

/// One thread's cells of a row: a pair of cache lines, which is what the prefetcher moves.
#[repr(align(128))]
pub(super) struct Lane(pub(super) [AtomicU64; MAX_METRICS]);

type Lanes = Box<[Lane]>;

/// The lanes at an address.
///
/// # Safety
/// `Stripes::give` has made the address, and that `Stripes` is alive.
#[inline(always)]
pub(super) unsafe fn lanes<'a>(address: u64) -> &'a [Lane] {
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
    pub(super) fn give(&self) -> Option<u64> {
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
