//! How many events were not admitted, and why.

use std::sync::atomic::Ordering::Relaxed;

use crate::pin::thread_number;
use crate::sync::AtomicU64;

/// Why an event was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Rule,
    Rounding,
    Future,
    TooOld,
    Full,
}

const REASONS: usize = 5;
/// Threads that have counts of their own: more than a machine has schedulers, nearly always.
const THREADS: usize = 64;

/// Counts of each reason.
#[repr(align(64))]
#[derive(Default)]
struct Counts([AtomicU64; REASONS]);

/// The counts of every thread, so that those who deny do not meet in one line.
pub(super) struct Tally {
    /// One of each thread, and the last one of all others.
    counts: Box<[Counts; THREADS + 1]>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { counts: Box::new(std::array::from_fn(|_| Counts::default())) }
    }

    /// Counts an event.
    #[inline(always)]
    pub(super) fn add(&self, why: Why) {
        let number = thread_number().unwrap_or(THREADS);
        if number < THREADS {
            // No other thread has the number, and who had it before has stored before it gave it back.
            let count = &self.counts[number].0[why as usize];
            count.store(count.load(Relaxed) + 1, Relaxed);
        } else {
            self.counts[THREADS].0[why as usize].fetch_add(1, Relaxed);
        }
    }

    /// How many there were.
    pub(super) fn get(&self, why: Why) -> u64 {
        self.counts.iter().map(|counts| counts.0[why as usize].load(Relaxed)).sum()
    }

    /// Memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.counts)
    }
}
