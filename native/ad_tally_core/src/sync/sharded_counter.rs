//! How often something happened, by what it was: counted by many threads at once.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;
use crate::sync::hazard::thread_number;

/// Threads that have counts of their own: more than a machine has schedulers, nearly always.
pub(crate) const THREADS: usize = 64;

#[repr(align(64))]
struct Counts<const KINDS: usize>([AtomicU64; KINDS]);

/// Counts of every thread, so that they do not meet in one line.
pub(crate) struct ShardedCounter<const KINDS: usize> {
    /// One of each thread, and the last one of all others.
    counts: Box<[Counts<KINDS>; THREADS + 1]>,
}

impl<const KINDS: usize> ShardedCounter<KINDS> {
    pub(crate) fn new() -> Self {
        Self { counts: Box::new(std::array::from_fn(|_| Counts(std::array::from_fn(|_| AtomicU64::new(0))))) }
    }

    /// Counts one more.
    #[inline(always)]
    pub(crate) fn add(&self, kind: usize) {
        self.add_in(thread_number().unwrap_or(THREADS), kind, 1);
    }

    /// Counts several more, for a thread that knows its number, or that of a slot it has claimed.
    #[inline(always)]
    pub(crate) fn add_in(&self, number: usize, kind: usize, more: u64) {
        if number < THREADS {
            // No other thread has the number, and who had it before has stored before it gave it back.
            let count = &self.counts[number].0[kind];
            count.store(count.load(Relaxed) + more, Relaxed);
        } else {
            self.counts[THREADS].0[kind].fetch_add(more, Relaxed);
        }
    }

    /// How many there were.
    pub(crate) fn get(&self, kind: usize) -> u64 {
        self.counts.iter().map(|counts| counts.0[kind].load(Relaxed)).sum()
    }

    /// Memory beside itself.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.counts)
    }
}
