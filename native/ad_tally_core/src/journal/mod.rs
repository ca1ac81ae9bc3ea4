//! What events do, written down by the threads that do it, to be made durable by another one.
//!
//! ```text
//! begin ── Scribe ── draft, record, finish ── drop   an event: it is in one interval, wholly
//!             └ into the buffer of its thread ─┐
//! Epochs ── current ──> Epoch: a buffer a thread, each a list of chunks
//! cut ── swap, wait for whoever is in the old one ──> Interval: all its records
//! ```
//!
//! Who writes holds a hazard pointer to the current epoch meanwhile ([`crate::sync::epochs`]), and no line that other threads write
//! to. To cut is to begin another epoch and to wait until nobody is in the old one.
//!
//! What one thread recorded because of what another one had done is never in an earlier interval than that, if it *began* after the
//! other one had done it. Of two that were at work at the same time while the epoch ended, one may see what the other does
//! in a later interval than its own; where that matters, it begins under the lock that both do their work under.
//!
//! A part knows its journal ([`Part`]). What its records mean only the part knows: it folds them into [`entries`].

mod buffer;
#[cfg(not(loom))]
mod entries;
mod epoch;
mod interval;
mod part;
mod pool;
mod record;
mod scribe;
mod words;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

#[cfg(not(loom))]
pub use self::entries::*;
use self::epoch::Epoch;
pub use self::interval::Interval;
pub use self::part::Part;
pub use self::pool::Config;
use self::pool::Pool;
pub use self::record::Record;
pub use self::scribe::{Draft, Scribe};
#[cfg(not(loom))]
pub(crate) use self::words::bytes_in_words;
pub use self::words::{Words, split_bytes, words_of_bytes};
use crate::sync::AtomicU64;
use crate::sync::epochs::{Entered, Epochs};
#[cfg(not(loom))]
use crate::sync::hazard::REGISTRY;
use crate::sync::hazard::{Current, HazardSlot, Protected, Registry};

/// The buffers are full, because what was written is not durable yet, or closed. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store's buffers are full, because what was recorded is not on disk yet, or it has been stopped")]
pub struct Busy;

/// A journal in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStats {
    /// Bytes that records take that are in no dropped interval. Zero if there is nothing to cut.
    pub waiting_bytes: usize,
    /// How often a writer was refused.
    pub refusals: u64,
    /// Records of all intervals that were cut.
    pub cut_records: u64,
}

/// Buffers of threads, which are cut into intervals.
pub struct Journal {
    epochs: Epochs<Epoch>,
    pool: Arc<Pool>,
    counts: Counts,
}

/// What is written to now and then, on lines of its own.
#[repr(align(128))]
struct Counts {
    next_instance: AtomicU64,
    refusals: AtomicU64,
    cut_records: AtomicU64,
}

/// Buffers of an epoch beyond the slots there are when it begins.
#[cfg(not(loom))]
const SPARE_BUFFERS: usize = 32;

impl Journal {
    /// An empty one whose first epoch has buffers for so many slots: all others share one.
    pub fn with_slots(config: Config, opened: u32, slots: usize) -> Arc<Self> {
        Arc::new(Self {
            epochs: Epochs::new(Epoch::new(slots)),
            pool: Arc::new(Pool::new(config)),
            counts: Counts {
                // Never 0, which is that of what has no journal.
                next_instance: AtomicU64::new(u64::from(opened) << 32 | 1),
                refusals: AtomicU64::new(0),
                cut_records: AtomicU64::new(0),
            },
        })
    }

    /// A number that nothing else has got, of this journal and of those before it that were opened less often.
    pub fn instance(&self) -> u64 {
        self.counts.next_instance.fetch_add(1, Relaxed)
    }

    /// Has `waker` be called when `wake_bytes` are reached, once an interval. A writer calls it, so it must neither wait nor cut.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.pool.set_waker(waker.into());
    }

    /// What it has in buffers, and what went through it.
    #[must_use]
    pub fn stats(&self) -> JournalStats {
        JournalStats {
            waiting_bytes: self.pool.taken(),
            refusals: self.counts.refusals.load(Relaxed),
            cut_records: self.counts.cut_records.load(Relaxed),
        }
    }

    /// [`Self::begin`] by `slot`.
    ///
    /// # Errors
    /// [`Busy`].
    ///
    /// # Safety
    /// The calling thread claimed `slot`, and writes to no other journal by it.
    pub unsafe fn begin_by<'a>(&'a self, slot: &'a HazardSlot) -> Result<Scribe<'a>, Busy> {
        // SAFETY: the slot is this thread's.
        let again = unsafe { self.epochs.enter_again(slot) };
        // SAFETY: the slot is this thread's, and names no epoch, neither of this journal nor of another one.
        self.admit(again.unwrap_or_else(|| unsafe { self.epochs.enter_by(slot) }))
    }

    /// [`Self::begin_and_protect`] by `slot`.
    ///
    /// # Safety
    /// The calling thread claimed `slot`, writes to no journal by it and protects nothing by it.
    pub unsafe fn begin_and_protect_by<'a, S: Send + Sync>(
        &'a self,
        current: &'a Current<S>,
        slot: &'a HazardSlot,
    ) -> (Result<Scribe<'a>, Busy>, Protected<'a, S>) {
        // SAFETY: this function's contract.
        let (epoch, protected) = unsafe { self.epochs.enter_and_protect_by(current, slot) };
        (self.admit(epoch), protected)
    }

    /// Whoever enters sees that the buffers are full, or closed, if the current epoch began after that.
    #[inline(always)]
    fn admit<'a>(&'a self, epoch: Entered<'a, Epoch>) -> Result<Scribe<'a>, Busy> {
        if self.pool.is_full() && !epoch.is_again() {
            return Err(self.refuse());
        }
        Ok(Scribe::new(epoch, &self.pool))
    }

    /// Refuses writers from now on. What they were let in for before that is in the next cut; what is begun anyway after that cut
    /// is thrown away.
    pub fn close(&self) {
        self.pool.close();
    }

    /// [`Self::cut`] for slots of `registry`, with buffers for so many of them in the next epoch.
    pub fn cut_in(&self, registry: &Registry, slots: usize) -> Interval {
        let was_closed = self.pool.begin_epoch();
        let buffers = self.epochs.end(Epoch::new(slots), registry).into_buffers();
        if was_closed {
            self.pool.end();
        }
        let interval = Interval::new(buffers, self.pool.clone());
        self.counts.cut_records.fetch_add(interval.len() as u64, Relaxed);
        interval
    }

    #[cold]
    fn refuse(&self) -> Busy {
        self.counts.refusals.fetch_add(1, Relaxed);
        Busy
    }
}

#[cfg(not(loom))]
impl Journal {
    /// An empty journal of what was opened so often: its instances are its own by that.
    #[must_use]
    pub fn new(config: Config, opened: u32) -> Arc<Self> {
        Self::with_slots(config, opened, REGISTRY.count() + SPARE_BUFFERS)
    }

    /// Begins to write down what an event does. Within what is being written to this journal by the same thread, that goes on.
    ///
    /// # Errors
    /// [`Busy`] where the buffers are full, or closed: then nothing may be done.
    #[inline]
    pub fn begin(&self) -> Result<Scribe<'_>, Busy> {
        self.admit(self.epochs.enter())
    }

    /// The same, and protects the structure that the event is done to: both together take little more than one of them.
    #[inline]
    pub fn begin_and_protect<'a, S: Send + Sync>(
        &'a self,
        current: &'a Current<S>,
    ) -> (Result<Scribe<'a>, Busy>, Protected<'a, S>) {
        let (epoch, protected) = self.epochs.enter_and_protect(current);
        (self.admit(epoch), protected)
    }

    /// [`Self::begin`] even where the buffers are full, for what is rare and must not fail.
    pub fn begin_anyway(&self) -> Scribe<'_> {
        Scribe::new(self.epochs.enter(), &self.pool)
    }

    /// Ends the interval: all that was written since the last cut, once nobody writes to it any more.
    ///
    /// # Panics
    /// If the calling thread is writing.
    pub fn cut(&self) -> Interval {
        self.cut_in(&REGISTRY, REGISTRY.count() + SPARE_BUFFERS)
    }
}
