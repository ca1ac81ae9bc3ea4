//! What a node writes to a journal.
//!
//! ```text
//! RESERVED   hash, version, amount, instance of its book                                a reservation is live
//! SETTLED    the same, spent, overspent, presumed, confirms                             it is not any more, and what that changed
//! BOOK       instance, campaign, period, its end                                        a book begins
//! SUMS       instance, granted, returned, spent, presumed, passed                       what else has changed in it
//! GONE       instance                                                                   a book is not needed any more
//! CAMPAIGN   campaign, version, words of the key, bytes of the plan; none: removed
//! META       name, number                                                               the greatest one stays
//! ```
//!
//! A version is when the reservation expires and its state: so of one reservation the later state is the greater version, and one
//! that is made later with the same hash expires later.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::entry::{Entry, State};
use super::till::{Change, Note};
use crate::journal::{self, Busy, Scribe, words_of_bytes};

pub(super) const RESERVED: u8 = 1;
pub(super) const SETTLED: u8 = 2;
pub(super) const BOOK: u8 = 3;
pub(super) const SUMS: u8 = 4;
pub(super) const GONE: u8 = 5;
pub(super) const CAMPAIGN: u8 = 6;
pub(super) const META: u8 = 7;

/// What a book's sums are of, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sums {
    pub(super) granted: i64,
    pub(super) returned: i64,
    pub(super) spent: i64,
    pub(super) presumed: i64,
    pub(super) passed: i64,
}

/// The journal that a node writes to.
pub(super) struct Journal {
    pub(super) part: journal::Part,
    /// By a book's number its instance, which no other book of any start has.
    instances: Box<[AtomicU64]>,
}

/// What a caller writes who has begun to.
pub(super) struct Writing<'j> {
    scribe: Scribe<'j>,
    journal: &'j Journal,
}

impl Journal {
    pub(super) fn new(part: journal::Part, books: usize) -> Self {
        Self { part, instances: (0..books).map(|_| AtomicU64::new(0)).collect() }
    }

    #[inline(always)]
    pub(super) fn begin(&self) -> Result<Writing<'_>, Busy> {
        Ok(Writing { scribe: self.part.begin()?, journal: self })
    }

    /// Begins to write what must not fail.
    pub(super) fn begin_anyway(&self) -> Writing<'_> {
        Writing { scribe: self.part.begin_anyway(), journal: self }
    }

    pub(super) fn instance(&self, book: u32) -> u64 {
        self.instances[book as usize].load(Relaxed)
    }

    pub(super) fn set_instance(&self, book: u32, instance: u64) {
        self.instances[book as usize].store(instance, Relaxed);
    }
}

impl Note for Option<Writing<'_>> {
    #[inline(always)]
    fn note(&self, entry: &Entry, change: Change) {
        if let Some(writing) = self {
            writing.reservation(entry, change);
        }
    }
}

impl Writing<'_> {
    #[inline(always)]
    pub(super) fn reservation(&self, entry: &Entry, change: Change) {
        self.reservation_of(self.journal.instance(entry.book), entry, change);
    }

    /// The same of a book's instance.
    #[inline(never)]
    pub(super) fn reservation_of(&self, instance: u64, entry: &Entry, change: Change) {
        let words = [entry.hash, entry.version(), entry.amount, instance];
        if entry.state == State::Live {
            return self.words(RESERVED, &words);
        }
        let Change { spent, overspent, presumed, confirms } = change;
        self.scribe.record(self.journal.part.number, SETTLED, 8, |room| {
            room.extend(&words);
            room.extend(&[spent, overspent, presumed as u64, confirms]);
        });
    }

    pub(super) fn book(&self, book: u32, campaign: u64, period: u32, end: u64) {
        self.words(BOOK, &[self.journal.instance(book), campaign, period.into(), end]);
    }

    pub(super) fn sums(&self, book: u32, sums: &Sums) {
        self.sums_of(self.journal.instance(book), sums);
    }

    /// The same of a book's instance.
    pub(super) fn sums_of(&self, instance: u64, sums: &Sums) {
        let Sums { granted, returned, spent, presumed, passed } = *sums;
        if *sums != Sums::default() {
            let words = [granted, returned, spent, presumed, passed].map(|sum| sum as u64);
            let [granted, returned, spent, presumed, passed] = words;
            self.words(SUMS, &[instance, granted, returned, spent, presumed, passed]);
        }
    }

    pub(super) fn gone(&self, book: u32) {
        self.gone_of(self.journal.instance(book));
    }

    /// The same of a book's instance.
    pub(super) fn gone_of(&self, instance: u64) {
        self.words(GONE, &[instance]);
    }

    pub(super) fn campaign(&self, campaign: u64, version: u32, key: &[u64], plan: &[u8]) {
        let length = 3 + key.len() + words_of_bytes(plan.len());
        self.scribe.record(self.journal.part.number, CAMPAIGN, length, |words| {
            words.extend(&[campaign, version.into(), key.len() as u64]);
            words.extend(key);
            words.bytes(plan);
        });
    }

    pub(super) fn meta(&self, name: u8, value: u64) {
        self.words(META, &[name.into(), value]);
    }

    fn words(&self, kind: u8, all: &[u64]) {
        self.scribe.record(self.journal.part.number, kind, all.len(), |words| words.extend(all));
    }
}
