//! The fast way to a decision: in tables of one tier with short fingerprints, which are nearly all, and for pairs that have one
//! entry or none there, which are nearly all too. Whoever gets no answer here takes the locks.
//!
//! Most events of a pair that is capped are denied, and a denial changes nothing: it is decided on what is read without the
//! bucket's lock, so that it writes to no memory that another core reads. Only who is to be counted takes the lock.

use super::caps::FrequencyCap;
use super::decide::{Block, Moment};
use super::entry::WORDS;
use super::rules::Rules;
use super::table::Table;
use crate::bucket::Bucket;

/// A moment at which events are decided.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub(super) caps: &'a FrequencyCap,
    pub(super) at: u64,
    /// What the fast way needs, if the table and the moment have one.
    fast: Option<(&'a Table, Moment)>,
}

/// A pair's bucket, as far as is known without reading it.
#[derive(Clone, Copy)]
pub struct BucketRef<'a> {
    pub(super) pair: u64,
    at: usize,
    bucket: &'a Bucket<WORDS>,
}

impl BucketRef<'_> {
    /// Asks for the bucket, to be read soon.
    #[inline(always)]
    pub fn fetch(&self) {
        crate::sync::prefetch::fetch(self.bucket);
    }
}

/// What is decided without a lock: little enough, to stay in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FastDecision {
    /// No rule blocks; nothing is counted.
    Open,
    /// The rule of that number blocks, for sure or by rounding.
    Capped(u32, Block),
    /// Nothing is decided.
    Undecided,
}

impl FrequencyCap {
    /// A moment at which events are decided.
    #[inline(always)]
    #[must_use]
    pub fn at(&self, at: u64) -> At<'_> {
        let is_fast = self.is_simple && self.times.is_near(at);
        let tier = if is_fast { self.tables.first() } else { None };
        At { caps: self, at, fast: tier.map(|tier| (tier, Moment::new(at, tier.granularity))) }
    }
}

impl<'a> At<'a> {
    /// Where a pair is, in the first tier.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, pair: u64) -> BucketRef<'a> {
        let buckets = &self.caps.tables[0].buckets;
        let at = buckets.find(pair);
        BucketRef { pair, at, bucket: buckets.bucket(at) }
    }

    /// Asks every rule without a lock.
    #[inline(always)]
    pub(super) fn decide_fast(&self, BucketRef { pair, at, bucket }: BucketRef<'a>, rules: &Rules) -> FastDecision {
        let Some((tier, moment)) = &self.fast else { return FastDecision::Undecided };
        let Some(rules) = rules.fitted(&self.caps.tiers) else { return FastDecision::Undecided };
        let Some(snapshot) = tier.snapshot(pair, at, bucket) else { return FastDecision::Undecided };
        if snapshot.is_empty(moment.tick, tier.spare) {
            return FastDecision::Open;
        }
        let (ages, end) = snapshot.ages(moment.tick);
        for (number, rule) in rules.iter().enumerate() {
            if let Some(block) = rule.blocks(moment, end, &[ages], false) {
                return FastDecision::Capped(number as u32, block);
            }
        }
        FastDecision::Open
    }
}
