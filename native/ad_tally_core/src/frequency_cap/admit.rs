//! Events are admitted, checked and recorded.

use std::borrow::Cow;

use super::caps::FrequencyCap;
use super::decide::{Block, Compiled, Decision, Reason};
use super::fast::{At, BucketRef, FastDecision};
use super::locked::{Added, LockedBucket};
use super::rules::Rules;
use super::tiers::{ALL_TIERS, Moments, first_block};
use crate::error::Error;

/// Scopes that are admitted together at most.
const MOST_SCOPES: usize = 64;

/// A rule that blocks an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denial {
    /// Its number.
    pub rule: usize,
    block: Block,
}

impl FrequencyCap {
    /// Asks every rule about an event of a pair at a time, and counts it if none blocks: as one step. The system's time is
    /// asked for where it matters.
    ///
    /// # Errors
    /// For rules that the table's tiers do not cover, and a time that ticks cannot tell.
    #[inline(always)]
    pub fn admit(&self, pair: u64, rules: &Rules, at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        let moment = self.at(at);
        if let FastDecision::Capped(rule, block) = moment.decide_fast(moment.find(pair), rules) {
            self.times.note(at);
            self.note_block(block);
            return Ok(Decision::Capped { scope: 0, rule: rule as usize });
        }
        self.admit_locked(pair, rules, at, now)
    }

    /// The same without the fast way.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    #[inline(never)]
    pub fn admit_locked(
        &self,
        pair: u64,
        rules: &Rules,
        at: u64,
        now: impl FnOnce() -> u64,
    ) -> Result<Decision, Error> {
        let rules = rules.fit(&self.tiers)?;
        self.count_unless_blocked(pair, &rules, at, now)
    }

    /// Counts an event that happened anyway.
    ///
    /// # Errors
    /// For a time that ticks cannot tell.
    pub fn record(&self, pair: u64, at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        self.count_unless_blocked(pair, &[], at, now)
    }

    #[inline(always)]
    fn count_unless_blocked(
        &self,
        pair: u64,
        rules: &[Compiled],
        at: u64,
        now: impl FnOnce() -> u64,
    ) -> Result<Decision, Error> {
        if let Some(reason) = self.times.refuse(at, now)? {
            return Ok(self.refuse(reason));
        }
        self.times.note(at);
        let moments = self.moments(at);
        let mut buckets = self.lock(pair);
        buckets.iter_mut().flatten().zip(&moments).for_each(|(bucket, moment)| bucket.reach(moment.tick));
        let (places, mut added) = (std::array::from_fn::<_, ALL_TIERS, _>(|tier| tier), [Added::NotKept; ALL_TIERS]);
        Ok(self.decide(&[(pair, rules)], &mut buckets, &places, &mut added, &moments))
    }

    /// Asks every rule, and counts nothing.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    #[inline(always)]
    pub fn check(&self, pair: u64, rules: &Rules, at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        let moment = self.at(at);
        moment.check(moment.find(pair), rules, now)
    }

    /// Whether the table's tiers cover rules. That is known of rules that were asked before.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    #[inline(always)]
    pub fn check_fit(&self, rules: &Rules) -> Result<(), Error> {
        if rules.fitted(&self.tiers).is_some() {
            return Ok(());
        }
        rules.fit(&self.tiers).map(drop)
    }

    /// Asks every rule as [`FrequencyCap::admit`] does, and counts neither an event nor that one of them blocks: which one, or why it
    /// cannot be decided.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    #[inline(always)]
    pub fn denial(
        &self,
        pair: u64,
        rules: &Rules,
        at: u64,
        now: impl FnOnce() -> u64,
    ) -> Result<Result<Option<Denial>, Reason>, Error> {
        let moment = self.at(at);
        match moment.decide_fast(moment.find(pair), rules) {
            FastDecision::Open => Ok(Ok(None)),
            FastDecision::Capped(rule, block) => Ok(Ok(Some(Denial { rule: rule as usize, block }))),
            FastDecision::Undecided => self.ask_slowly(pair, rules, at, now),
        }
    }

    /// Counts that a rule has blocked an event of that time.
    pub fn note_denial(&self, denial: &Denial, at: u64) {
        self.times.note(at);
        self.note_block(denial.block);
    }

    /// Asks the rules of several scopes about one event of a user, and counts it in all of them or in none: as one step.
    ///
    /// # Errors
    /// [`Error::Scopes`] unless there are 1 to 64, [`Error::DuplicateScope`], and as [`FrequencyCap::admit`].
    pub fn admit_all(&self, pairs: &[(u64, &Rules)], at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        if pairs.is_empty() || pairs.len() > MOST_SCOPES {
            return Err(Error::Scopes(pairs.len()));
        }
        let mut hashes: Vec<u64> = pairs.iter().map(|(pair, _)| *pair).collect();
        hashes.sort_unstable();
        if hashes.windows(2).any(|two| two[0] == two[1]) {
            return Err(Error::DuplicateScope);
        }
        let rules: Vec<Cow<'_, [Compiled]>> =
            pairs.iter().map(|(_, rules)| rules.fit(&self.tiers)).collect::<Result<_, _>>()?;
        let pairs: Vec<(u64, &[Compiled])> =
            pairs.iter().zip(&rules).map(|((pair, _), rules)| (*pair, &**rules)).collect();
        if let Some(reason) = self.times.refuse(at, now)? {
            return Ok(self.refuse(reason));
        }
        self.times.note(at);
        let moments = self.moments(at);
        let mut added = vec![Added::NotKept; pairs.len() * self.tables.len()];
        let (mut buckets, places) = self.lock_all(&pairs, &moments);
        Ok(self.decide(&pairs, &mut buckets, &places, &mut added, &moments))
    }

    /// Locks the buckets of several pairs, each once, in the order of tiers and buckets, so that they reach to a moment. And
    /// which of them that of each pair in each tier is.
    fn lock_all(&self, pairs: &[(u64, &[Compiled])], moments: &Moments) -> (Vec<Option<LockedBucket<'_>>>, Vec<usize>) {
        'again: loop {
            let mut wanted = Vec::with_capacity(pairs.len() * self.tables.len());
            for (number, (pair, _)) in pairs.iter().enumerate() {
                for (tier, of) in self.tables.iter().enumerate() {
                    of.buckets.split_for(*pair);
                    wanted.push((tier, of.buckets.find(*pair), number));
                }
            }
            wanted.sort_unstable();
            let mut places = vec![0; wanted.len()];
            let mut locked: Vec<Option<LockedBucket<'_>>> = Vec::with_capacity(wanted.len());
            let mut last = None;
            for (tier, at, number) in wanted {
                let (table, pair) = (&self.tables[tier], pairs[number].0);
                if last == Some((tier, at)) {
                    if !locked.last().into_iter().flatten().all(|bucket| bucket.is_of(pair)) {
                        continue 'again;
                    }
                } else {
                    let Some(mut bucket) = table.lock_at(at, pair) else { continue 'again };
                    bucket.reach(moments[tier].tick);
                    locked.push(Some(bucket));
                    last = Some((tier, at));
                }
                places[number * self.tables.len() + tier] = locked.len() - 1;
            }
            return (locked, places);
        }
    }
}

impl<'a> At<'a> {
    /// Asks every rule, and counts nothing.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    #[inline(always)]
    pub fn check(&self, at: BucketRef<'a>, rules: &Rules, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        match self.decide_fast(at, rules) {
            FastDecision::Open => Ok(Decision::Admitted),
            FastDecision::Capped(rule, _) => Ok(Decision::Capped { scope: 0, rule: rule as usize }),
            FastDecision::Undecided => self.caps.check_slowly(at.pair, rules, self.at, now),
        }
    }
}

impl FrequencyCap {
    /// [`FrequencyCap::check`] without the fast way.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    #[inline(never)]
    pub fn check_slowly(
        &self,
        pair: u64,
        rules: &Rules,
        at: u64,
        now: impl FnOnce() -> u64,
    ) -> Result<Decision, Error> {
        Ok(match self.ask_slowly(pair, rules, at, now)? {
            Ok(None) => Decision::Admitted,
            Ok(Some(Denial { rule, .. })) => Decision::Capped { scope: 0, rule },
            Err(reason) => Decision::Refused(reason),
        })
    }

    #[inline(never)]
    fn ask_slowly(
        &self,
        pair: u64,
        rules: &Rules,
        at: u64,
        now: impl FnOnce() -> u64,
    ) -> Result<Result<Option<Denial>, Reason>, Error> {
        let rules = rules.fit(&self.tiers)?;
        if let Some(reason) = self.times.refuse(at, now)? {
            self.refuse(reason);
            return Ok(Err(reason));
        }
        let moments = self.moments(at);
        let block = first_block(&rules, &moments, |tier| self.read(pair, tier, &moments));
        Ok(Ok(block.map(|(rule, block)| Denial { rule, block })))
    }
}
