//! What is known of campaigns beside their rows: plans, books, how much they use. Only who reports, grants or edits asks, one at a time.

use std::collections::HashMap;

use ahash::RandomState;

use super::book::{Book, Totals};
use super::usage::Usage;
use crate::pacer::plan::{PeriodOf, Plan};

/// All campaigns that were ever installed.
#[derive(Default)]
pub(super) struct Campaigns {
    numbers: HashMap<u64, usize, RandomState>,
    pub(super) all: Vec<Campaign>,
    /// How many of them have a plan.
    pub(super) with_plan: usize,
    /// Books that nobody has any more, and how many were ever used. Number 0 is no book.
    free: Vec<u32>,
    used: u32,
    /// What of a book was pending and is not any more, in all: see [`Campaigns::freed`].
    freed: HashMap<u32, u64, RandomState>,
}

/// A campaign.
pub(super) struct Campaign {
    pub(super) hash: u64,
    pub(super) key: Box<[u64]>,
    /// The version that its plan came with.
    pub(super) version: u32,
    /// None: it was removed.
    pub(super) plan: Option<Plan>,
    /// The period that it is in.
    pub(super) period: Option<PeriodOf>,
    pub(super) books: Vec<OfBook>,
    pub(super) usage: Usage,
}

/// A book of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OfBook {
    pub(super) number: u32,
    pub(super) period: u32,
    /// When its period ends.
    pub(super) end: u64,
    /// Since when it is not the current one.
    pub(super) closed: Option<u64>,
    /// What the coordinator knows of it: granted, spent, returned.
    pub(super) told: [u64; 3],
    /// What is written of `returned` and of `passed`.
    pub(super) written: [u64; 2],
    /// Requests that took part in it, and how many its campaign's row had counted when that was last asked.
    pub(super) passed: u64,
    pub(super) counted: u64,
}

impl OfBook {
    pub(super) fn new(number: u32, period: u32, end: u64, counted: u64) -> Self {
        Self { number, period, end, closed: None, told: [0; 3], written: [0; 2], passed: 0, counted }
    }

    /// Whether the coordinator knows all of it, and nothing of it may change but by a late confirm.
    pub(super) fn is_settled(&self, totals: &Totals) -> bool {
        self.told == [totals.granted, totals.spent, totals.returned] && totals.pending == 0 && totals.reserved() == 0
    }
}

impl Campaign {
    pub(super) fn new(hash: u64, key: &[u64]) -> Self {
        Self { hash, key: key.into(), version: 0, plan: None, period: None, books: Vec::new(), usage: Usage::default() }
    }

    /// What an impression costs by its plan.
    pub(super) fn price(&self) -> u64 {
        self.plan.as_ref().map_or(0, |plan| plan.price)
    }

    /// The book of a period.
    pub(super) fn book(&mut self, period: u32) -> Option<&mut OfBook> {
        self.books.iter_mut().find(|book| book.period == period)
    }
}

impl Campaigns {
    /// How many campaigns have a plan, and the memory of all and their books, without keys and plans.
    pub(super) fn seen(&self) -> (usize, usize) {
        let bytes = (self.used as usize + 1) * size_of::<Book>()
            + self.all.capacity() * size_of::<Campaign>()
            + self.numbers.capacity() * size_of::<(u64, usize)>()
            + self.freed.capacity() * size_of::<(u32, u64)>();
        (self.with_plan, bytes)
    }

    pub(super) fn get(&mut self, hash: u64) -> Option<&mut Campaign> {
        self.all.get_mut(*self.numbers.get(&hash)?)
    }

    /// The campaign of a hash, made if it is not there.
    pub(super) fn put(&mut self, hash: u64, key: &[u64]) -> &mut Campaign {
        let next = self.all.len();
        let number = *self.numbers.entry(hash).or_insert(next);
        if number == next {
            self.all.push(Campaign::new(hash, key));
        }
        &mut self.all[number]
    }

    /// A campaign by its number, and what books are taken from.
    pub(super) fn with_books(&mut self, number: usize) -> (&mut Campaign, Numbers<'_>) {
        (&mut self.all[number], Numbers { free: &mut self.free, used: &mut self.used })
    }

    pub(super) fn number(&self, hash: u64) -> Option<usize> {
        self.numbers.get(&hash).copied()
    }

    /// How much of a book was pending and is not any more, in all of the books that ever had that number.
    pub(super) fn freed(&mut self) -> &mut HashMap<u32, u64, RandomState> {
        &mut self.freed
    }

    /// Numbers of books that were ever taken.
    pub(super) fn used_books(&self) -> std::ops::RangeInclusive<u32> {
        1..=self.used
    }
}

/// Numbers of books.
pub(super) struct Numbers<'c> {
    free: &'c mut Vec<u32>,
    used: &'c mut u32,
}

impl Numbers<'_> {
    /// One that nobody has, of so many.
    pub(super) fn take(&mut self, books: usize) -> Option<u32> {
        self.free.pop().or_else(|| {
            let next = *self.used + 1;
            ((next as usize) < books).then(|| {
                *self.used = next;
                next
            })
        })
    }

    pub(super) fn give_back(&mut self, number: u32) {
        self.free.push(number);
    }
}
