//! What was refused, and changes of orders that were not made.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use ad_tally_core::attribution::Unchanged;
use parking_lot::Mutex;

use crate::decode::BadArgument;

/// Why the last touch or conversion was refused.
#[derive(Default)]
pub struct Refusals(Mutex<Option<String>>);

impl Refusals {
    /// Notes what is raised.
    #[cold]
    pub fn note(&self, error: BadArgument) -> BadArgument {
        self.replace(Some(error.message().to_owned()));
        error
    }

    /// Notes another reason, if there is one.
    pub fn replace(&self, reason: Option<String>) {
        if reason.is_some() {
            *self.0.lock() = reason;
        }
    }

    /// The last reason.
    pub fn last(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// Changes of orders that were not made.
#[derive(Default)]
pub struct Adjustments {
    unknown: AtomicU64,
    retracted: AtomicU64,
    future: AtomicU64,
    refused: AtomicU64,
}

impl Adjustments {
    pub fn note(&self, why: Unchanged) {
        let count = match why {
            Unchanged::Unknown => &self.unknown,
            Unchanged::Retracted => &self.retracted,
            Unchanged::Future => &self.future,
            // The store counts those.
            Unchanged::Busy => return,
        };
        count.fetch_add(1, Relaxed);
    }

    #[cold]
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// How many were of orders that are unknown, of retracted ones, too far ahead, and refused.
    pub fn counts(&self) -> [u64; 4] {
        [&self.unknown, &self.retracted, &self.future, &self.refused].map(|count| count.load(Relaxed))
    }
}
