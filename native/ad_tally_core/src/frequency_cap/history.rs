//! What a pair's events are: counted over a window, taken back, and when they will let another one through.

use super::caps::FrequencyCap;
use super::decide::{Kind, Moment};
use super::locked::Known;
use super::rules::{Rule, Rules, Window};
use super::seen::Seen;
use super::tiers::{ALL_TIERS, Moments, first_block};
use crate::error::{Error, TIMES, check_time};

impl FrequencyCap {
    /// Takes an event of that time back, in all tiers, or changes nothing: whether there was one for sure. The finest tier says
    /// that. It cannot be known where that tier no longer keeps the time (or the pair has had more events since than it
    /// keeps), or where its tick lies across two ticks of another tier. A table without ticks takes any event back.
    ///
    /// # Errors
    /// For a time that ticks cannot tell.
    pub fn release(&self, pair: u64, at: u64) -> Result<bool, Error> {
        check_time(at)?;
        let moments = self.moments(at);
        if self.is_across_ticks(&moments) {
            return Ok(false);
        }
        let mut buckets = self.lock(pair);
        let known: [Known; ALL_TIERS] = std::array::from_fn(|tier| {
            buckets[tier].as_ref().map_or(Known::Lost, |bucket| bucket.known(pair, moments[tier].tick))
        });
        if known[0] != Known::Kept || known.contains(&Known::Absent) {
            return Ok(false);
        }
        // Within an admission that is taken back it was begun for the pacer, and nobody has asked for the caps.
        let writing = self.write().filter(|_| self.journal.as_ref().is_none_or(|part| !part.is_over()));
        let kept = buckets.iter_mut().flatten().enumerate().filter(|(tier, _)| known[*tier] == Known::Kept);
        kept.for_each(|(tier, bucket)| bucket.take_back(pair, moments[tier].tick));
        if let Some(writing) = writing {
            writing.released(pair, at, known.iter().map(|known| *known == Known::Kept));
        }
        Ok(true)
    }

    /// Whether the finest tier's tick has moments of two ticks of another tier.
    fn is_across_ticks(&self, moments: &Moments) -> bool {
        let Moment { granularity, tick, .. } = moments[0];
        let (first, last) = (tick * granularity, (tick + 1) * granularity - 1);
        self.tiers.ticks.iter().any(|(coarser, _)| first / coarser != last / coarser)
    }

    /// How many events a window counts at a time, at most 28 where ticks are counted.
    ///
    /// # Errors
    /// For a window that the table's tiers do not cover.
    pub fn count(&self, pair: u64, window: Window, at: u64) -> Result<usize, Error> {
        check_time(at)?;
        let moments = self.moments(at);
        let rule = Rule { max: 1, window }.fit(&self.tiers)?;
        let seen = self.read(pair, rule.tier, &moments);
        Ok(match rule.kind {
            Kind::Lifetime => seen.count as usize,
            _ => rule.count(&moments[rule.tier], seen.end, seen.ages()),
        })
    }

    /// The first time from `at` on at which every rule would let an event through if there were none before: `None` if
    /// there is no such time.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    pub fn opens_at(&self, pair: u64, rules: &Rules, mut at: u64) -> Result<Option<u64>, Error> {
        check_time(at)?;
        let rules = rules.fit(&self.tiers)?;
        let mut moments = self.moments(at);
        let mut seen: Vec<Seen> = (0..self.tables.len()).map(|tier| self.read(pair, tier, &moments)).collect();
        while let Some((rule, _)) = first_block(&rules, &moments, |tier| seen[tier].clone()) {
            let rule = &rules[rule];
            let of_tier = &seen[rule.tier];
            let next = rule.next(&moments[rule.tier], of_tier.end, of_tier.ages()).filter(|at| *at < TIMES);
            let Some(next) = next else { return Ok(None) };
            at = next;
            moments = self.moments(at);
            seen.iter_mut().zip(&moments).for_each(|(seen, moment)| seen.reach(moment.tick));
        }
        Ok(Some(at))
    }
}
