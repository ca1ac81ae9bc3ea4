//! A book: the money of one campaign in one period, as this node has it.
//!
//! ```text
//! available   what may be reserved; the highest bit: the book is closed, and there is nothing
//! spent       all that was booked, by confirms
//! pending     may be used again once what made it pending is on disk
//! confirms    how many there were
//! presumed    may have been spent by what a crash has lost: counts as spent
//! overspent   the part of `spent` that was in no grant
//! granted     what the coordinator gave, in all
//! returned    what it got back, in all
//! ```
//!
//! Money only moves from one of these to another, or is held by a live reservation, so without anybody at work
//! `granted + overspent = available + reserved + spent + pending + presumed + returned`. What a book pays out it takes from
//! `available` in one atomic step, so no more is ever reserved or spent than was granted, but for `overspent`.
//!
//! What is reserved is what the others leave over. [`Book::totals`] reads the place that money moves to before the one that it comes
//! from, so money on its way is missed and not read twice, and what is reserved is never read as less than it is. But money that was
//! available may be reserved and pending before that is read: at most the smaller one of both is read twice.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::memory::ZeroIsEmpty;
#[cfg(not(loom))]
use crate::pacer::message::Report;
use crate::sync::AtomicU64;

const CLOSED: u64 = 1 << 63;
/// What is booked beyond grants is counted up to here, so that no sum overflows.
const MOST_OVERSPENT: u64 = 1 << 62;

/// One cache line: whoever reserves or confirms writes to it, and to no other line of its campaign.
#[repr(C, align(64))]
pub(crate) struct Book {
    available: AtomicU64,
    spent: AtomicU64,
    pending: AtomicU64,
    confirms: AtomicU64,
    presumed: AtomicU64,
    overspent: AtomicU64,
    granted: AtomicU64,
    returned: AtomicU64,
}

// SAFETY: atomics that are zero are an open book without money.
unsafe impl ZeroIsEmpty for Book {
    #[cfg(any(loom, not(unix)))]
    fn empty() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            available: zero(),
            spent: zero(),
            pending: zero(),
            confirms: zero(),
            presumed: zero(),
            overspent: zero(),
            granted: zero(),
            returned: zero(),
        }
    }
}

/// What a book says, in micros. Where others are at work the numbers are of different moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// What may be reserved.
    pub available: u64,
    /// All that was booked.
    pub spent: u64,
    /// What may be used again once it is on disk.
    pub pending: u64,
    /// How many confirms there were.
    pub confirms: u64,
    /// What may have been spent by what a crash has lost.
    pub presumed: u64,
    /// The part of `spent` that was in no grant.
    pub overspent: u64,
    /// What the coordinator gave.
    pub granted: u64,
    /// What it got back.
    pub returned: u64,
}

impl Totals {
    /// What live reservations hold.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        let sum = |parts: &[u64]| parts.iter().map(|part| u128::from(*part)).sum::<u128>();
        let all = sum(&[self.granted, self.overspent]);
        let known = sum(&[self.available, self.spent, self.pending, self.presumed, self.returned]);
        all.saturating_sub(known) as u64
    }

    /// What a coordinator is told of a campaign's period, without a wish.
    #[cfg(not(loom))]
    #[must_use]
    pub fn report(&self, campaign: u64, period: u32) -> Report {
        let Self { spent, confirms, presumed, granted, returned, .. } = *self;
        let reserved = self.reserved();
        // It is read later, and is a part of what is spent.
        let overspent = self.overspent.min(spent);
        Report {
            campaign,
            period,
            granted,
            spent,
            returned,
            reserved,
            presumed,
            overspent,
            wanted: 0,
            confirms,
            passed: 0,
        }
    }
}

/// How a price was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Booked {
    pub(crate) spent: u64,
    /// The part of it that was in no grant.
    pub(crate) overspent: u64,
    /// The part of it that was presumed before.
    pub(crate) presumed: u64,
}

/// What a node had forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Learned {
    pub(crate) spent: u64,
    pub(crate) returned: u64,
    /// The part of both that was presumed.
    pub(crate) presumed: u64,
}

/// The value that a loop of compare-exchanges begins with.
///
/// Models get it by a change that changes nothing. loom compares a change with the last access of the word only. If that is a load by
/// the same thread, it does not try what happens if another thread's earlier load comes later.
#[inline(always)]
fn to_change(word: &AtomicU64) -> u64 {
    if cfg!(loom) { word.fetch_add(0, Relaxed) } else { word.load(Relaxed) }
}

impl Book {
    /// Asks for it, to take money of it.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn fetch(&self) {
        crate::sync::prefetch::fetch_to_write(self);
    }

    /// Takes money to be reserved: whether there was enough. After a reservation is made `Row::clear_denied` is called. `SeqCst`, so
    /// that this change comes before the load there.
    #[inline(always)]
    pub(crate) fn take(&self, amount: u64) -> bool {
        let mut available = to_change(&self.available);
        // Both bounds: a closed book is a large number.
        while available & CLOSED == 0 && available >= amount {
            match self.available.compare_exchange(available, available - amount, SeqCst, Relaxed) {
                Ok(_) => return true,
                Err(now) => available = now,
            }
        }
        false
    }

    /// The smallest amount that it cannot pay, or none while something is reserved or pending. It stays right until a grant:
    /// reservations make `available` smaller, and give back no more than they took.
    pub(crate) fn least_denied(&self) -> Option<u64> {
        let totals = self.totals();
        (totals.reserved() == 0 && totals.pending == 0).then_some(totals.available + 1)
    }

    /// Puts money back that may be used at once. Of a closed book it is returned.
    #[inline(always)]
    pub(crate) fn give(&self, amount: u64) {
        let mut available = to_change(&self.available);
        while available & CLOSED == 0 {
            match self.available.compare_exchange(available, available + amount, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(now) => available = now,
            }
        }
        self.returned.fetch_add(amount, Release);
    }

    /// Puts money aside until what made it so is on disk.
    #[inline(always)]
    pub(crate) fn put_aside(&self, amount: u64) {
        self.pending.fetch_add(amount, Release);
    }

    /// Frees money that was put aside, no more than that.
    pub(crate) fn free(&self, amount: u64) {
        self.pending.fetch_sub(amount, Release);
        self.give(amount);
    }

    /// Ends its time: nothing can be taken from it from now on. How much is returned by that.
    pub(crate) fn close(&self) -> u64 {
        let available = self.available.swap(CLOSED, AcqRel) & !CLOSED;
        self.returned.fetch_add(available, Release);
        available
    }

    /// Begins its time again.
    pub(crate) fn reopen(&self) {
        // Whatever it is if it is open, that stays.
        let _ = self.available.compare_exchange(CLOSED, 0, AcqRel, Relaxed);
    }

    /// Returns what it has available above `keep`: how much that is.
    pub(crate) fn return_above(&self, keep: u64) -> u64 {
        let mut available = to_change(&self.available);
        while available & CLOSED == 0 && available > keep {
            match self.available.compare_exchange(available, keep, AcqRel, Relaxed) {
                Ok(_) => {
                    self.returned.fetch_add(available - keep, Release);
                    return available - keep;
                }
                Err(now) => available = now,
            }
        }
        0
    }

    /// Whether there is anything that may be reserved.
    #[inline(always)]
    pub(crate) fn has_money(&self) -> bool {
        let available = self.available.load(Relaxed);
        available & CLOSED == 0 && available > 0
    }

    /// Books the price of a reservation of so much in time. The rest of it is the caller's to put somewhere.
    #[inline(always)]
    pub(crate) fn confirm(&self, reserved: u64, price: u64) -> Booked {
        self.confirms.fetch_add(1, Relaxed);
        if price > reserved {
            let overspent = self.overspend(price - reserved);
            self.spent.fetch_add(reserved + overspent, Release);
            return Booked { spent: reserved + overspent, overspent, presumed: 0 };
        }
        self.spent.fetch_add(price, Release);
        Booked { spent: price, overspent: 0, presumed: 0 }
    }

    /// Books a price for which nothing is reserved any more: from what is presumed, as far as that goes.
    #[cold]
    pub(crate) fn confirm_late(&self, price: u64) -> Booked {
        self.confirms.fetch_add(1, Relaxed);
        let presumed = self.take_presumed(price);
        let overspent = self.overspend(price - presumed);
        self.spent.fetch_add(presumed + overspent, Release);
        Booked { spent: presumed + overspent, overspent, presumed }
    }

    /// Books the price of a reservation that a crash has lost, if all that it had reserved is presumed.
    #[cold]
    pub(crate) fn confirm_lost(&self, reserved: u64, price: u64) -> Option<Booked> {
        let from = price.min(reserved);
        let mut presumed = to_change(&self.presumed);
        loop {
            if presumed < reserved {
                return None;
            }
            match self.presumed.compare_exchange(presumed, presumed - from, AcqRel, Relaxed) {
                Ok(_) => break,
                Err(now) => presumed = now,
            }
        }
        self.confirms.fetch_add(1, Relaxed);
        let overspent = self.overspend(price - from);
        self.spent.fetch_add(from + overspent, Release);
        Some(Booked { spent: from + overspent, overspent, presumed: from })
    }

    #[cold]
    fn overspend(&self, amount: u64) -> u64 {
        let mut overspent = to_change(&self.overspent);
        loop {
            let more = amount.min(MOST_OVERSPENT.saturating_sub(overspent));
            match self.overspent.compare_exchange(overspent, overspent + more, Relaxed, Relaxed) {
                Ok(_) => return more,
                Err(now) => overspent = now,
            }
        }
    }

    /// Takes what is presumed, up to so much.
    fn take_presumed(&self, most: u64) -> u64 {
        let mut presumed = to_change(&self.presumed);
        loop {
            let part = presumed.min(most);
            match self.presumed.compare_exchange(presumed, presumed - part, AcqRel, Relaxed) {
                Ok(_) => return part,
                Err(now) => presumed = now,
            }
        }
    }

    /// Presumes that money was spent which a reservation of before a crash has held.
    pub(crate) fn presume(&self, amount: u64) {
        self.presumed.fetch_add(amount, Release);
    }

    /// Notes a larger total of grants.
    pub(crate) fn grant(&self, more: u64) {
        self.granted.fetch_add(more, Release);
    }

    /// What the coordinator knows to be spent or returned that is forgotten here: it comes out of what is presumed. Where that is
    /// too little this node's store is an older one, and it comes out of what is available, so that it is not spent again.
    pub(crate) fn learn(&self, spent: u64, returned: u64) -> Learned {
        let mut learned = Learned::default();
        for (total, known, part) in
            [(&self.spent, spent, &mut learned.spent), (&self.returned, returned, &mut learned.returned)]
        {
            let forgotten = known.saturating_sub(total.load(Relaxed));
            let presumed = self.take_presumed(forgotten);
            *part = presumed + self.take_up_to(forgotten - presumed);
            learned.presumed += presumed;
            total.fetch_add(*part, Release);
        }
        learned
    }

    /// Takes what is available, up to so much.
    fn take_up_to(&self, most: u64) -> u64 {
        let mut available = to_change(&self.available);
        while available & CLOSED == 0 {
            let part = available.min(most);
            match self.available.compare_exchange(available, available - part, AcqRel, Relaxed) {
                Ok(_) => return part,
                Err(now) => available = now,
            }
        }
        0
    }

    /// What it says.
    #[inline(always)]
    pub(crate) fn totals(&self) -> Totals {
        let load = |word: &AtomicU64| word.load(Acquire);
        // In this order, see above.
        let confirms = load(&self.confirms);
        let [spent, returned, presumed] = [&self.spent, &self.returned, &self.presumed].map(load);
        let available = load(&self.available);
        let [pending, overspent, granted] = [&self.pending, &self.overspent, &self.granted].map(load);
        let available = if available & CLOSED == 0 { available } else { 0 };
        Totals { available, spent, pending, confirms, presumed, overspent, granted, returned }
    }

    /// Sets all of it. Nobody else has the book, and no reservation is of it.
    pub(crate) fn set(&self, totals: &Totals, is_closed: bool) {
        let available = if is_closed { CLOSED } else { totals.available };
        let words = [
            (&self.available, available),
            (&self.spent, totals.spent),
            (&self.pending, totals.pending),
            (&self.confirms, totals.confirms),
            (&self.presumed, totals.presumed),
            (&self.overspent, totals.overspent),
            (&self.granted, totals.granted),
            (&self.returned, totals.returned),
        ];
        words.iter().for_each(|(word, value)| word.store(*value, Relaxed));
    }
}
