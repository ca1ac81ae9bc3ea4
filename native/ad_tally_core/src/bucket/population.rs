//! How many entries and owners there are, and when that is too many.
//!
//! An *owner* (a pair of a frequency cap) may have several entries. Buckets are counted by stripes, so that threads seldom meet
//! in one count.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicI64;

/// How many stripes there are, so that threads seldom meet in one.
const STRIPES: usize = 64;
/// Below this capacity there is one, so that small tables are full exactly at theirs.
const STRIPED_CAPACITY: usize = 1 << 16;

/// Entries and owners of a table's buckets.
pub(crate) struct Population {
    stripes: Box<[Stripe]>,
    /// Owners at which a stripe is full.
    most_owners: i64,
    /// Entries of a stripe, for each bucket that the first ones are split into, at which buckets are split once more.
    entries_before_split: i64,
}

#[repr(align(64))]
#[derive(Default)]
struct Stripe {
    entries: AtomicI64,
    /// All entries of an owner but one.
    extra: AtomicI64,
}

impl Population {
    /// Nobody, of at most so many owners. Buckets are laid out for `capacity` entries.
    pub(crate) fn new(capacity: usize, max_capacity: usize) -> Self {
        let stripes = if capacity < STRIPED_CAPACITY { 1 } else { STRIPES };
        let average = max_capacity.div_ceil(stripes);
        // Owners spread at random: with four standard deviations more than the average, hardly any stripe is full before
        // the table is.
        let most_owners = if stripes == 1 { average } else { average + 4 * average.isqrt() };
        Self {
            stripes: (0..stripes).map(|_| Stripe::default()).collect(),
            most_owners: most_owners as i64,
            // One in four more than they are meant to hold.
            entries_before_split: (capacity * 5 / 4).div_ceil(stripes).max(8) as i64,
        }
    }

    fn stripe(&self, bucket: usize) -> &Stripe {
        &self.stripes[bucket & (self.stripes.len() - 1)]
    }

    /// Whether a bucket may have another owner.
    pub(crate) fn has_room(&self, bucket: usize) -> bool {
        let stripe = self.stripe(bucket);
        stripe.entries.load(Relaxed) - stripe.extra.load(Relaxed) < self.most_owners
    }

    /// Counts one more entry of a bucket, which is or is not its owner's first one. Whether there are more than buckets of
    /// that level are meant to hold.
    pub(crate) fn add(&self, bucket: usize, is_first: bool, level: u32) -> bool {
        let stripe = self.stripe(bucket);
        stripe.entries.fetch_add(1, Relaxed);
        if !is_first {
            stripe.extra.fetch_add(1, Relaxed);
        }
        stripe.entries.load(Relaxed) > self.entries_before_split << level
    }

    /// Counts entries of a bucket that are no more, of which `extra` were not the last of their owner.
    pub(crate) fn remove(&self, bucket: usize, entries: usize, extra: usize) {
        let stripe = self.stripe(bucket);
        stripe.entries.fetch_sub(entries as i64, Relaxed);
        stripe.extra.fetch_sub(extra as i64, Relaxed);
    }

    /// How many entries and owners there are.
    pub(crate) fn count(&self) -> (usize, usize) {
        let sum =
            |of: fn(&Stripe) -> &AtomicI64| self.stripes.iter().map(|stripe| of(stripe).load(Relaxed)).sum::<i64>();
        let (entries, extra) = (sum(|stripe| &stripe.entries), sum(|stripe| &stripe.extra));
        (entries.max(0) as usize, (entries - extra).max(0) as usize)
    }

    /// Memory beside itself.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.stripes)
    }
}
