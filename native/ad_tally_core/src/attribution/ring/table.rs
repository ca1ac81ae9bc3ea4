//! The buckets of all users, and how many there are.

use std::sync::atomic::Ordering::Relaxed;

use super::entry::{Bucket, ENTRIES, Fingerprint, Format, WORDS};
use crate::bucket::Buckets;
use crate::bucket::population::Population;
use crate::sync::AtomicU64;
use crate::sync::hazard::thread_number;
use crate::sync::sharded_counter::{ShardedCounter, THREADS};

/// Touches that a user is expected to have.
const EXPECTED: usize = 3;
/// Touches that a bucket is laid out for, in tenths. How many buckets there are is part of the frames' format, because exported
/// users are known by their buckets: with another number frames of before are refused.
///
/// Of ten million users with three touches on average, sent at random, the last of 30 million took (`AdTally.Attribution.touch/2`
/// and, by 100, `touch_many/3`; `:ets.update_counter/3` on ten million rows took 800 ns beside it; a touch reads 1.65, 1.8 or 2
/// buckets of a chain):
///
/// ```text
/// 80    534 ns, 366 ns    42.3 bytes a touch
/// 100   553 ns, 367 ns    38.1 bytes a touch
/// 120   621 ns, 393 ns    35.6 bytes a touch
/// ```
const LOAD: usize = 100;
/// Overflow buckets of any table: of few buckets all may have more than their share.
const LEAST_OVERFLOW: usize = 128;

/// What is counted by each thread for itself.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Touches that came to be there, and that are no more.
    Added,
    Removed,
    EvictedTouches,
    EvictedUsers,
}

const KINDS: usize = Kind::EvictedUsers as usize + 1;

/// The touches of users.
pub(crate) struct Ring {
    pub(super) buckets: Buckets<Format, WORDS>,
    /// Users by buckets.
    pub(super) users: Population,
    pub(super) tally: ShardedCounter<KINDS>,
    /// The time of the newest touch that was dropped because it was too old.
    dropped: AtomicU64,
    pub(super) touches_per_user: usize,
    pub(super) collapse: bool,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Info {
    /// Users of whom something is remembered. Their aliases are none.
    pub(crate) users: usize,
    /// Touches of all users.
    pub(crate) touches: usize,
    /// Touches that had to go for others, beside those of users that had to go.
    pub(crate) evicted_touches: u64,
    /// Users that had to go for others.
    pub(crate) evicted_users: u64,
    /// Bytes of memory.
    pub(crate) bytes: usize,
}

impl Ring {
    /// Of nobody. `Err` is how many bytes the system did not give.
    pub(crate) fn new(users: usize, touches_per_user: usize, collapse: bool) -> Result<Self, usize> {
        let first = (users.saturating_mul(EXPECTED * 10)).div_ceil(LOAD).max(1);
        // Every user may have all touches: then half an overflow bucket of each bucket is empty.
        let overflow = (users.saturating_mul(touches_per_user) / ENTRIES)
            .saturating_add(first / 2 + LEAST_OVERFLOW)
            .min(u32::MAX as usize);
        let bytes = first.saturating_add(overflow).saturating_mul(size_of::<Bucket>());
        if bytes > isize::MAX as usize {
            return Err(bytes);
        }
        let mut buckets = Buckets::new(Format, first, 0, overflow)?;
        // Users spread over all of them at once, and whoever brings the first ones should not have to wait.
        buckets.touch();
        let (users, tally) = (Population::new(users, users), ShardedCounter::new());
        Ok(Self { buckets, users, tally, dropped: AtomicU64::new(0), touches_per_user, collapse })
    }

    /// The number of a user's bucket.
    #[inline(always)]
    pub(super) fn place(&self, user: u64) -> usize {
        self.buckets.place(user, 0)
    }

    /// Asks for the memory of a user's bucket.
    #[inline(always)]
    pub(crate) fn fetch(&self, user: u64) {
        self.buckets.bucket(self.place(user)).fetch();
    }

    /// Asks for the memory of the overflow bucket that a user's bucket is linked to, if it is, once that has come: sooner, this
    /// waits for it.
    #[inline(always)]
    pub(crate) fn fetch_overflow(&self, user: u64) {
        self.buckets.fetch_overflow(self.place(user));
    }

    /// By what a user's entries are found.
    pub(super) fn key(&self, user: u64) -> (usize, Fingerprint) {
        (self.place(user), Fingerprint::of(user))
    }

    /// Whether two hashes are one user's: that of a user who came by an import stands for its own.
    pub(super) fn are_one(&self, one: u64, other: u64) -> bool {
        self.key(one) == self.key(other)
    }

    /// Counts touches that came to be there, and that are no more.
    #[inline(always)]
    pub(super) fn count(&self, added: usize, removed: usize) {
        self.tally(Kind::Added, added);
        self.tally(Kind::Removed, removed);
    }

    #[inline(always)]
    pub(super) fn tally(&self, kind: Kind, more: usize) {
        if more > 0 {
            self.tally.add_in(thread_number().unwrap_or(THREADS), kind as usize, more as u64);
        }
    }

    /// Notes a touch that was dropped because no conversion that comes in time can have it.
    pub(crate) fn note_dropped(&self, at: u64) {
        // Mostly there was a newer one, and the line is not written.
        if at > self.dropped.load(Relaxed) {
            self.dropped.fetch_max(at, Relaxed);
        }
    }

    /// The time of the newest touch of all users that was dropped because it was too old, 0 if none was: one that is late
    /// enough may have had it. Of each user that would be an entry, in place of what was to be freed.
    pub(crate) fn newest_dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// How much there is. Beside threads that change it, of different moments.
    pub(crate) fn info(&self) -> Info {
        let removed = self.tally.get(Kind::Removed as usize);
        Info {
            users: self.users.count().1,
            touches: self.tally.get(Kind::Added as usize).saturating_sub(removed) as usize,
            evicted_touches: self.tally.get(Kind::EvictedTouches as usize),
            evicted_users: self.tally.get(Kind::EvictedUsers as usize),
            bytes: self.buckets.bytes() + self.users.bytes() + self.tally.bytes() + size_of::<Self>(),
        }
    }
}
