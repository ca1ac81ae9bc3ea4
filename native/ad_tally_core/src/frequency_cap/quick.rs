//! The short way to a decision: in tables of one tier with short fingerprints, which are nearly all, and for pairs that have
//! one slot or none there, which are nearly all too. Whoever gets no answer here takes the long way.
//!
//! Most events of a pair that is capped are denied, and a denial changes nothing: it is decided on what is seen without the
//! line's lock, so that it writes to no memory that another core reads. Only who is to be counted takes the lock, looks again,
//! and decides again if that is not what it saw before.

use super::cap::{FrequencyCap, Tier};
use super::decide::{Compiled, Moment};
use super::glance::{Glance, Judge, Quick, Spot};
use super::rules::Rules;

/// A moment at which events are decided in the short way.
#[derive(Clone, Copy)]
pub struct Quickly<'a> {
    caps: &'a FrequencyCap,
    tier: &'a Tier,
    moment: Moment,
}

impl FrequencyCap {
    /// To decide events of a moment in the short way, if the table and the moment have one.
    #[inline(always)]
    #[must_use]
    pub fn quickly(&self, at: u64) -> Option<Quickly<'_>> {
        if !self.is_simple || !self.is_near(at) {
            return None;
        }
        let tier = self.tables.first()?;
        Some(Quickly { caps: self, tier, moment: Moment::new(at, tier.granularity) })
    }
}

impl<'a> Quickly<'a> {
    /// Where to look for a pair.
    #[inline(always)]
    #[must_use]
    pub fn spot(&self, pair: u64) -> Spot<'a> {
        self.tier.table.spot(pair)
    }

    /// [`FrequencyCap::admit`].
    #[inline(always)]
    #[must_use]
    pub fn admit(&self, pair: u64, rules: &Rules) -> Quick {
        let Some(rules) = rules.fitted(&self.caps.tiers) else { return Quick::Undecided };
        self.caps.note_newest(self.moment.at);
        self.tier.table.admit(self.spot(pair), self.moment.tick, &Asking::<true> { at: self, rules })
    }

    /// [`FrequencyCap::check`].
    #[inline(always)]
    #[must_use]
    pub fn check(&self, spot: Spot<'_>, rules: &Rules) -> Quick {
        let Some(rules) = rules.fitted(&self.caps.tiers) else { return Quick::Undecided };
        self.tier.table.check(spot, &Asking::<false> { at: self, rules })
    }
}

/// Rules that are asked about an event. Whether denials are counted is known when it is compiled.
struct Asking<'a, const COUNTED: bool> {
    at: &'a Quickly<'a>,
    rules: &'a [Compiled],
}

impl<const COUNTED: bool> Judge for Asking<'_, COUNTED> {
    #[inline(always)]
    fn block(&self, seen: Glance) -> Option<u32> {
        let Quickly { caps, tier, moment } = self.at;
        if seen.is_empty(moment.tick, tier.spare) {
            return None;
        }
        let (ages, end) = seen.ages(moment.tick);
        for (number, rule) in self.rules.iter().enumerate() {
            if let Some(block) = rule.blocks(moment, end, &[ages], false) {
                if COUNTED {
                    caps.note_block(block);
                }
                return Some(number as u32);
            }
        }
        None
    }
}
