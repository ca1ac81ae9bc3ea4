//! A table's figures, and the removal of what is too old.

use super::caps::FrequencyCap;
use super::decide::{Block, Reason};
use super::table::Table;
use crate::bucket::Content;
use crate::error::{Error, check_time};

/// Buckets that are swept at once.
const SWEPT_AT_ONCE: usize = 1_024;

/// A tier's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierInfo {
    /// Granularity and horizon in milliseconds, `None` for the lifetime.
    pub tier: Option<(u64, u64)>,
    /// Pairs with events.
    pub pairs: usize,
    /// Entries in use.
    pub words: usize,
    /// Entries there are beside overflow buckets.
    pub slots: usize,
    /// Overflow buckets in use.
    pub stash: usize,
    /// Doublings so far.
    pub grown: u32,
    /// Memory of its buckets.
    pub memory_bytes: usize,
    /// Memory in huge pages, where the system tells.
    pub huge_bytes: Option<usize>,
}

/// A table's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The tiers, from fine to coarse, the lifetime last.
    pub tiers: Vec<TierInfo>,
    /// Events denied by a rule for sure.
    pub denied_by_rule: u64,
    /// Events denied because the oldest tick that counted may lie before the window or in it.
    pub denied_by_rounding: u64,
    /// Events refused because they were too far ahead, too old, had no room, or because the store was busy.
    pub refused: [u64; 4],
    /// All memory.
    pub memory_bytes: usize,
}

/// How full a table is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Pairs with events, of the tier that has most.
    pub pairs: usize,
    /// The part of its entries that is in use, of the fullest tier.
    pub load: f64,
    /// Overflow buckets in use.
    pub stash: usize,
    /// All memory.
    pub memory_bytes: usize,
}

impl FrequencyCap {
    /// Events that were not admitted: denied by a rule, denied by rounding, too far ahead, too old, without room, and with a store
    /// that was busy.
    #[must_use]
    pub fn not_admitted(&self) -> [u64; 6] {
        let blocks = [Block::Rule, Block::Rounding].map(|block| self.not_admitted.get(block as usize));
        let reasons = [Reason::Future, Reason::TooOld, Reason::Full, Reason::Busy];
        let [rule, rounding] = blocks;
        let [future, too_old, full, busy] = reasons.map(|reason| self.not_admitted.get(reason as usize));
        [rule, rounding, future, too_old, full, busy]
    }

    /// How full it is. Unlike [`FrequencyCap::info`] it does not ask the system for huge pages, which takes milliseconds.
    #[must_use]
    pub fn load(&self) -> Load {
        let none = Load { pairs: 0, load: 0.0, stash: 0, memory_bytes: size_of::<Self>() + self.not_admitted.bytes() };
        self.tables.iter().fold(none, |load, table| {
            let (buckets, (words, pairs)) = (&table.buckets, table.population.count());
            let slots = buckets.in_use() * table.format().entries(false);
            Load {
                pairs: load.pairs.max(pairs),
                load: load.load.max(words as f64 / slots as f64),
                stash: load.stash + buckets.overflow.taken(),
                memory_bytes: load.memory_bytes + buckets.bytes() + table.population.bytes(),
            }
        })
    }

    /// Removes what is too old at a time from some buckets, and from where to go on: `None` at the end. How many entries
    /// became empty.
    ///
    /// # Errors
    /// For a time that ticks cannot tell.
    pub fn sweep(&self, from: (usize, usize), at: u64) -> Result<(Option<(usize, usize)>, usize), Error> {
        check_time(at)?;
        // Nothing is too old because of a time that nobody has seen.
        let at = at.min(self.times.newest());
        let (tier, bucket) = from;
        let Some(table) = self.tables.get(tier) else { return Ok((None, 0)) };
        let (next, removed) = table.sweep(bucket, SWEPT_AT_ONCE, at / table.granularity);
        let next =
            next.map(|bucket| (tier, bucket)).or_else(|| (tier + 1 < self.tables.len()).then_some((tier + 1, 0)));
        Ok((next, removed))
    }

    /// The table's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        let tier = |(at, table): (usize, &Table)| {
            let (buckets, (words, pairs)) = (&table.buckets, table.population.count());
            TierInfo {
                tier: self.tiers.ticks.get(at).copied(),
                pairs,
                words,
                slots: buckets.in_use() * table.format().entries(false),
                stash: buckets.overflow.taken(),
                grown: buckets.level(),
                memory_bytes: buckets.bytes() + table.population.bytes(),
                huge_bytes: buckets.huge_bytes(),
            }
        };
        let tiers: Vec<TierInfo> = self.tables.iter().enumerate().map(tier).collect();
        let of_tiers: usize = tiers.iter().map(|tier| tier.memory_bytes).sum();
        Info {
            memory_bytes: of_tiers + size_of::<Self>() + self.not_admitted.bytes(),
            tiers,
            denied_by_rule: self.not_admitted.get(Block::Rule as usize),
            denied_by_rounding: self.not_admitted.get(Block::Rounding as usize),
            refused: [Reason::Future, Reason::TooOld, Reason::Full, Reason::Busy]
                .map(|reason| self.not_admitted.get(reason as usize)),
        }
    }
}
