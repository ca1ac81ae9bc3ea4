//! What a pair has in all tiers: read, or locked to be decided and counted as one step.

use super::caps::FrequencyCap;
use super::decide::{Block, Compiled, Decision, Kind, Moment, Reason};
use super::locked::{Added, LockedBucket};
use super::seen::Seen;
use super::table::MOST_TIERS;
use crate::bucket::Full;

/// All tiers of a table, the lifetime too.
pub(super) const ALL_TIERS: usize = MOST_TIERS + 1;

/// The moment of an event, as each tier sees it.
pub(super) type Moments = [Moment; ALL_TIERS];

/// The locked buckets of a pair, one a tier.
pub(super) type OfPair<'t> = [Option<LockedBucket<'t>>; ALL_TIERS];

impl FrequencyCap {
    #[inline(always)]
    pub(super) fn moments(&self, at: u64) -> Moments {
        let mut moments = [Moment { at, granularity: 1, tick: 0, rest: 0 }; ALL_TIERS];
        for (moment, (granularity, _)) in moments.iter_mut().zip(&self.tiers.ticks) {
            *moment = Moment::new(at, *granularity);
        }
        moments
    }

    /// Locks a pair's buckets, in the order of tiers, as everybody does.
    #[inline(always)]
    pub(super) fn lock(&self, pair: u64) -> OfPair<'_> {
        std::array::from_fn(|tier| self.tables.get(tier).map(|tier| tier.lock(pair)))
    }

    /// Asks the rules of some pairs whose buckets are locked, and counts an event of each if none blocks: in all tiers, or in
    /// none if one has no room. Each bucket is there once. `places` says which of them that of a pair in a tier is, pair by pair
    /// and tier by tier of each, and `added` is to be told in the same order what was done there.
    #[inline(always)]
    pub(super) fn decide(
        &self,
        pairs: &[(u64, &[Compiled])],
        buckets: &mut [Option<LockedBucket<'_>>],
        places: &[usize],
        added: &mut [Added],
        moments: &Moments,
    ) -> Decision {
        let tiers = self.tables.len();
        for (scope, (pair, rules)) in pairs.iter().enumerate() {
            let seen = |tier: usize| {
                let bucket = buckets[places[scope * tiers + tier]].as_ref();
                bucket.map_or_else(|| Seen::new(0), |bucket| bucket.seen(*pair))
            };
            if let Some((rule, block)) = first_block(rules, moments, seen) {
                self.note_block(block);
                return Decision::Capped { scope, rule };
            }
        }
        match &self.journal {
            None => self.add(pairs, buckets, places, added, moments),
            Some(part) => self.add_and_write(part, pairs, buckets, places, added, moments),
        }
    }

    /// Counts an event of each pair in all tiers, or in none if one has no room.
    #[inline(always)]
    pub(super) fn add(
        &self,
        pairs: &[(u64, &[Compiled])],
        buckets: &mut [Option<LockedBucket<'_>>],
        places: &[usize],
        added: &mut [Added],
        moments: &Moments,
    ) -> Decision {
        let tiers = self.tables.len();
        for at in 0..pairs.len() * tiers {
            let Some(bucket) = &mut buckets[places[at]] else { continue };
            match bucket.add(pairs[at / tiers].0, moments[at % tiers].tick) {
                Ok(did) => added[at] = did,
                Err(Full) => {
                    for before in 0..at {
                        let Some(bucket) = &mut buckets[places[before]] else { continue };
                        bucket.undo(pairs[before / tiers].0, moments[before % tiers].tick, added[before]);
                    }
                    return self.refuse(Reason::Full);
                }
            }
        }
        Decision::Admitted
    }

    /// Reads what a pair has in a tier, as of a moment.
    #[inline(always)]
    pub(super) fn read(&self, pair: u64, tier: usize, moments: &Moments) -> Seen {
        self.tables[tier].read(pair, moments[tier].tick)
    }
}

/// The first rule that blocks on what is seen in its tier, which is asked for once.
#[inline(always)]
pub(super) fn first_block(
    rules: &[Compiled],
    moments: &Moments,
    seen: impl Fn(usize) -> Seen,
) -> Option<(usize, Block)> {
    let mut known: [Option<Seen>; ALL_TIERS] = Default::default();
    rules.iter().enumerate().find_map(|(at, rule)| {
        let seen = known[rule.tier].get_or_insert_with(|| seen(rule.tier));
        let block = match rule.kind {
            Kind::Lifetime => (seen.count >= u64::from(rule.max)).then_some(Block::Rule),
            _ => rule.blocks(&moments[rule.tier], seen.end, seen.ages(), seen.is_full()),
        };
        block.map(|block| (at, block))
    })
}
