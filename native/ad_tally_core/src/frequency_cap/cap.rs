//! The table of all tiers.

use std::sync::atomic::Ordering::Relaxed;

use super::decide::{Block, Compiled, Kind, Moment};
use super::entry::{Format, TICKS};
use super::locked::{Added, Known, LockedBucket};
use super::rules::{Rule, Rules, Tiers, Window};
use super::seen::Seen;
use super::table::{Size, Table};
use super::{HORIZON_TICKS, decide};
use crate::bucket::Full;
use crate::error::Error;
use crate::key::Seed;
use crate::sync::AtomicU64;
use crate::sync::sharded_counter::ShardedCounter;

/// Tiers of ticks at most.
const MOST_TIERS: usize = 3;
/// The most pairs.
const MOST_CAPACITY: usize = 1_000_000_000;
/// How often a table may double its capacity: every time, one bit of the fingerprints no longer tells pairs apart.
const MOST_GROWTH: usize = 16;
/// Scopes that are admitted together at most.
const MOST_SCOPES: usize = 64;
const GRANULARITIES: std::ops::RangeInclusive<u64> = 1_000..=decide::DAY;
/// Times below this, some 4,400 years after 1970.
const TIMES: u64 = 1 << 47;
/// The newest time seen is noted in steps of this many milliseconds, so that threads do not all write one line.
const NEWEST_STEP: u64 = 1_000;
/// Ticks that a line is set ahead at least when it is looked through for old ones.
const LEAST_AHEAD: u64 = TICKS - 2 - HORIZON_TICKS;
/// Lines that are swept at once.
const SWEPT_AT_ONCE: usize = 1_024;

/// What a table is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Pairs of scope and user that have live events, as the table is laid out for.
    pub capacity: usize,
    /// The most of them, up to which it grows.
    pub max_capacity: usize,
    /// Granularity and horizon of each tier in milliseconds, from fine to coarse.
    pub tiers: Vec<(u64, u64)>,
    /// Whether all events of a pair are counted for ever besides.
    pub lifetime: bool,
    /// Whether pairs are told apart by 64 bits instead of 16.
    pub strict: bool,
    /// How many milliseconds ahead of the system's time an event is believed: the smaller of a day and a quarter of the
    /// shortest horizon unless it is given.
    pub max_ahead: Option<u64>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is admitted (and counted, where that was asked for).
    Admitted,
    /// The rule of that number blocks (of the scope of that number); nothing is counted.
    Capped {
        /// Which scope, 0 where there is one.
        scope: usize,
        /// Which of its rules.
        rule: usize,
    },
    /// It cannot be decided; nothing is counted.
    Refused(Reason),
}

/// Why an event cannot be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Further ahead of the system's time than events are believed.
    Future,
    /// Further back from the newest time seen than the shortest horizon.
    TooOld,
    /// There is no room for another pair.
    Full,
}

/// Why an event was not admitted, as it is counted.
#[derive(Clone, Copy)]
enum Why {
    Rule,
    Rounding,
    Future,
    TooOld,
    Full,
}

const WHYS: usize = 5;

/// A tier's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierInfo {
    /// Granularity and horizon in milliseconds, `None` for the lifetime.
    pub tier: Option<(u64, u64)>,
    /// Pairs with events, words that hold them, and words there are.
    pub pairs: usize,
    /// Words in use.
    pub words: usize,
    /// Words there are in lines.
    pub slots: usize,
    /// Lines that went on in an overflow line.
    pub stash: usize,
    /// Doublings so far.
    pub grown: u32,
    /// Memory of its lines.
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
    /// Events refused because they were too far ahead, too old, or had no room.
    pub refused: [u64; 3],
    /// All memory.
    pub memory_bytes: usize,
}

pub(super) struct Tier {
    pub(super) granularity: u64,
    /// How many ticks more than a rule counts a line can tell apart.
    pub(super) spare: u64,
    pub(super) table: Table,
}

/// Caps on how often pairs of scope and user are admitted.
pub struct FrequencyCap {
    seed: Seed,
    pub(super) tiers: Tiers,
    /// Whether there is one tier, of ticks beside short fingerprints: nearly all tables, which have a shorter way.
    pub(super) is_simple: bool,
    pub(super) tables: Vec<Tier>,
    /// The shortest horizon in milliseconds.
    horizon: u64,
    newest: AtomicU64,
    max_ahead: u64,
    /// Up to which time events are believed without asking for the system's time again: `max_ahead` past what that was when it
    /// was asked for last.
    believed: AtomicU64,
    pub(super) tally: ShardedCounter<WHYS>,
}

/// The lines of a pair, one a tier.
type Homes<'t> = [Option<LockedBucket<'t>>; MOST_TIERS + 1];
type Moments = [Moment; MOST_TIERS + 1];

impl FrequencyCap {
    /// An empty table.
    ///
    /// # Errors
    /// What is wrong with the configuration, or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        let Config { capacity, max_capacity, ref tiers, lifetime, strict, max_ahead } = *config;
        if capacity == 0 || capacity > MOST_CAPACITY {
            return Err(Error::Capacity(capacity));
        }
        let most = capacity.saturating_mul(MOST_GROWTH).min(MOST_CAPACITY);
        if max_capacity < capacity || max_capacity > most {
            return Err(Error::MaxCapacity { max_capacity, least: capacity, most });
        }
        if tiers.len() > MOST_TIERS || tiers.is_empty() && !lifetime {
            return Err(Error::Tiers(tiers.len()));
        }
        for (granularity, horizon) in tiers.iter().copied() {
            let ticks = horizon.div_ceil(granularity.max(1));
            if !GRANULARITIES.contains(&granularity) || horizon < granularity || ticks > HORIZON_TICKS {
                return Err(Error::Tier { granularity, horizon });
            }
        }
        if tiers.windows(2).any(|pair| pair[0].0 >= pair[1].0 || pair[0].1 >= pair[1].1) {
            return Err(Error::TierOrder);
        }
        let horizon = tiers.first().map_or(u64::MAX, |tier| tier.1);
        let max_ahead = max_ahead.unwrap_or((horizon / 4).min(decide::DAY));
        if max_ahead >= TIMES {
            return Err(Error::MaxAhead(max_ahead));
        }
        let format = if strict { Format::Strict } else { Format::Ticks };
        let ticks = tiers.iter().map(|(granularity, horizon)| {
            let ticks = horizon.div_ceil(*granularity);
            // A window of the whole horizon may reach one tick further back than it is long. Of what is left, up to a quarter
            // of the horizon is kept besides, for events that are late.
            let spare = TICKS - 2 - ticks;
            (*granularity, format, spare, spare - (ticks / 4).min(spare.saturating_sub(LEAST_AHEAD)))
        });
        let tables = ticks
            .chain(lifetime.then_some((1, Format::Count, 0, 0)))
            .map(|(granularity, format, spare, ahead)| {
                let table = Table::new(format, capacity, max_capacity, ahead).map_err(Error::Memory)?;
                Ok(Tier { granularity, spare, table })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            seed: Seed::random(),
            tiers: Tiers::new(tiers.clone(), lifetime),
            is_simple: tiers.len() == 1 && !lifetime && !strict,
            tables,
            horizon,
            newest: AtomicU64::new(0),
            max_ahead,
            believed: AtomicU64::new(0),
            tally: ShardedCounter::new(),
        })
    }

    /// The seed that scopes and users are hashed under.
    #[inline]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The hash of a pair, of its parts' hashes.
    #[inline(always)]
    #[must_use]
    pub fn pair(scope: u64, user: u64) -> u64 {
        // Both are hashes under the table's seed already. The product mixes them, so that neither order nor equality of
        // parts shows.
        let product = u128::from(scope ^ 0x9e37_79b9_7f4a_7c15) * u128::from(user.rotate_left(32) | 1);
        product as u64 ^ (product >> 64) as u64
    }

    /// Asks every rule about an event of a pair at a time, and counts it if none blocks: as one step. The system's time is
    /// asked for where it matters.
    ///
    /// # Errors
    /// For rules that the table's tiers do not cover, and a time that ticks cannot tell.
    pub fn admit(&self, pair: u64, rules: &Rules, at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        rules.with(&self.tiers, |rules| {
            if let Some(refused) = self.refuse(at, now)? {
                return Ok(refused);
            }
            self.note_newest(at);
            Ok(self.admit_in_tiers(pair, rules, at))
        })?
    }

    #[inline(never)]
    fn admit_in_tiers(&self, pair: u64, rules: &[Compiled], at: u64) -> Decision {
        let moments = self.moments(at);
        let mut homes = self.lock(pair, &moments);
        match self.first_block(&homes, pair, rules, &moments) {
            Some(rule) => Decision::Capped { scope: 0, rule },
            None => self.count_in(&mut homes, pair, &moments),
        }
    }

    /// Asks every rule, and counts nothing.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    pub fn check(&self, pair: u64, rules: &Rules, at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        rules.with(&self.tiers, |rules| {
            Ok(self.refuse(at, now)?.unwrap_or_else(|| self.check_in_tiers(pair, rules, at)))
        })?
    }

    #[inline(never)]
    fn check_in_tiers(&self, pair: u64, rules: &[Compiled], at: u64) -> Decision {
        let moments = self.moments(at);
        let rule = self.look(pair, &moments, |seen| self.block_among(rules, &moments, seen).map(|(rule, _)| rule));
        rule.map_or(Decision::Admitted, |rule| Decision::Capped { scope: 0, rule })
    }

    /// Counts an event that happened anyway.
    ///
    /// # Errors
    /// For a time that ticks cannot tell.
    pub fn record(&self, pair: u64, at: u64, now: impl FnOnce() -> u64) -> Result<Decision, Error> {
        if let Some(refused) = self.refuse(at, now)? {
            return Ok(refused);
        }
        self.note_newest(at);
        let moments = self.moments(at);
        let mut homes = self.lock(pair, &moments);
        Ok(self.count_in(&mut homes, pair, &moments))
    }

    /// Takes an event of that time back, in all tiers, or changes nothing: whether there was one for sure. The finest tier says
    /// that. It cannot be known where that tier no longer keeps the time (or the pair has had more events since than it
    /// keeps), or where its tick lies across two ticks of another tier. A table without ticks takes any event back.
    ///
    /// # Errors
    /// For a time that ticks cannot tell.
    pub fn release(&self, pair: u64, at: u64) -> Result<bool, Error> {
        if at >= TIMES {
            return Err(Error::Time(at));
        }
        let moments = self.moments(at);
        if self.is_across_ticks(&moments) {
            return Ok(false);
        }
        let mut homes = self.lock_as_is(pair);
        let known: [Known; MOST_TIERS + 1] = std::array::from_fn(|tier| {
            homes[tier].as_ref().map_or(Known::Lost, |home| home.known(pair, moments[tier].tick))
        });
        if known[0] != Known::Kept || known.contains(&Known::Absent) {
            return Ok(false);
        }
        let kept = homes.iter_mut().flatten().enumerate().filter(|(tier, _)| known[*tier] == Known::Kept);
        kept.for_each(|(tier, home)| home.take_back(pair, moments[tier].tick));
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
        if at >= TIMES {
            return Err(Error::Time(at));
        }
        let rule = Rule { max: 1, window }.fit(&self.tiers)?;
        let moments = self.moments(at);
        Ok(self.look(pair, &moments, |seen| {
            let (seen, end) = &seen[rule.tier];
            match rule.kind {
                Kind::Lifetime => seen.count as usize,
                _ => rule.count(&moments[rule.tier], *end, seen.ages()),
            }
        }))
    }

    /// The first time from `at` on at which every rule would let an event through if there were none before: `None` if
    /// there is no such time.
    ///
    /// # Errors
    /// As [`FrequencyCap::admit`].
    pub fn opens_at(&self, pair: u64, rules: &Rules, at: u64) -> Result<Option<u64>, Error> {
        if at >= TIMES {
            return Err(Error::Time(at));
        }
        rules.with(&self.tiers, |rules| {
            let begin = self.moments(at);
            self.look(pair, &begin, |seen| {
                let mut at = at;
                let mut seen = seen.to_vec();
                loop {
                    let moments = self.moments(at);
                    for ((seen, end), moment) in seen.iter_mut().zip(&moments) {
                        if moment.tick > *end {
                            seen.later(moment.tick - *end);
                            *end = moment.tick;
                        }
                    }
                    let Some((rule, _)) = self.block_among(rules, &moments, &seen) else { return Some(at) };
                    let rule = &rules[rule];
                    let (seen, end) = &seen[rule.tier];
                    at = rule.next(&moments[rule.tier], *end, seen.ages())?;
                    if at >= TIMES {
                        return None;
                    }
                }
            })
        })
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
        for (_, rules) in pairs {
            rules.with(&self.tiers, |_| ())?;
        }
        if let Some(refused) = self.refuse(at, now)? {
            return Ok(refused);
        }
        self.note_newest(at);
        let moments = self.moments(at);
        let mut lines = self.lock_all(&hashes);
        lines.iter_mut().for_each(|(tier, home)| home.reach(moments[*tier].tick));
        for (scope, (pair, rules)) in pairs.iter().enumerate() {
            let seen = self.tables.iter().enumerate().map(|(tier, _)| {
                let home = home_of(&mut lines, tier, self.place_in(tier, *pair));
                (home.seen(*pair), home.end())
            });
            let seen: Vec<(Seen, u64)> = seen.collect();
            let block = rules.with(&self.tiers, |rules| self.block_among(rules, &moments, &seen))?;
            if let Some((rule, block)) = block {
                self.note_block(block);
                return Ok(Decision::Capped { scope, rule });
            }
        }
        let mut counted = Vec::new();
        for (pair, _) in pairs {
            for (tier, moment) in moments.iter().enumerate().take(self.tables.len()) {
                match home_of(&mut lines, tier, self.place_in(tier, *pair)).add(*pair, moment.tick) {
                    Ok(added) => counted.push((*pair, tier, added)),
                    Err(Full) => {
                        for (pair, tier, added) in counted {
                            home_of(&mut lines, tier, self.place_in(tier, pair)).undo(pair, moments[tier].tick, added);
                        }
                        return Ok(self.note_refusal(Reason::Full));
                    }
                }
            }
        }
        Ok(Decision::Admitted)
    }

    /// Removes what is too old at a time from some lines, and from where to go on: `None` at the end. How many words became
    /// empty.
    ///
    /// # Errors
    /// For a time that ticks cannot tell.
    pub fn sweep(&self, from: (usize, usize), at: u64) -> Result<(Option<(usize, usize)>, usize), Error> {
        if at >= TIMES {
            return Err(Error::Time(at));
        }
        // Nothing is too old because of a time that nobody has seen.
        let at = at.min(self.newest.load(Relaxed));
        let (tier, line) = from;
        let Some(Tier { granularity, table, .. }) = self.tables.get(tier) else { return Ok((None, 0)) };
        let (next, removed) = table.sweep(line, SWEPT_AT_ONCE, at / granularity);
        let next = next.map(|line| (tier, line)).or_else(|| (tier + 1 < self.tables.len()).then_some((tier + 1, 0)));
        Ok((next, removed))
    }

    /// The table's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        let tiers: Vec<TierInfo> = self
            .tables
            .iter()
            .enumerate()
            .map(|(at, tier)| {
                let Size { pairs, entries, overflow_buckets, places, level, bytes, huge_bytes } = tier.table.size();
                TierInfo {
                    tier: self.tiers.ticks.get(at).copied(),
                    pairs,
                    words: entries,
                    slots: places,
                    stash: overflow_buckets,
                    grown: level,
                    memory_bytes: bytes,
                    huge_bytes,
                }
            })
            .collect();
        let memory_bytes =
            tiers.iter().map(|tier| tier.memory_bytes).sum::<usize>() + size_of::<Self>() + self.tally.bytes();
        Info {
            memory_bytes,
            tiers,
            denied_by_rule: self.tally.get(Why::Rule as usize),
            denied_by_rounding: self.tally.get(Why::Rounding as usize),
            refused: [Why::Future, Why::TooOld, Why::Full].map(|why| self.tally.get(why as usize)),
        }
    }

    /// Whether a time of a table with ticks is one that can be decided, without a second look: from the horizon before the
    /// newest one to what is believed.
    #[inline(always)]
    pub(super) fn is_near(&self, at: u64) -> bool {
        at <= self.believed.load(Relaxed) && at.wrapping_add(self.horizon) >= self.newest.load(Relaxed)
    }

    /// What cannot be decided because of its time.
    #[inline(always)]
    fn refuse(&self, at: u64, now: impl FnOnce() -> u64) -> Result<Option<Decision>, Error> {
        if at >= TIMES {
            return Err(Error::Time(at));
        }
        if at > self.believed.load(Relaxed) || self.is_too_old(at) {
            return Ok(self.refuse_at(at, now()));
        }
        Ok(None)
    }

    /// The same after a look at the system's time.
    #[cold]
    fn refuse_at(&self, at: u64, now: u64) -> Option<Decision> {
        let most = now.saturating_add(self.max_ahead).min(TIMES - 1);
        if self.newest.load(Relaxed) > most {
            // The system's time was set back: what was seen before is no longer the newest.
            self.newest.fetch_min(most, Relaxed);
            self.believed.fetch_min(most, Relaxed);
        } else {
            self.believed.fetch_max(most, Relaxed);
        }
        if at > most {
            return Some(self.note_refusal(Reason::Future));
        }
        self.is_too_old(at).then(|| self.note_refusal(Reason::TooOld))
    }

    fn is_too_old(&self, at: u64) -> bool {
        self.newest.load(Relaxed).saturating_sub(at) > self.horizon
    }

    /// Notes that a time was seen.
    #[inline(always)]
    pub(super) fn note_newest(&self, at: u64) {
        if at >= self.newest.load(Relaxed) + NEWEST_STEP {
            self.newest.fetch_max(at, Relaxed);
        }
    }

    #[cold]
    fn note_refusal(&self, reason: Reason) -> Decision {
        let why = match reason {
            Reason::Future => Why::Future,
            Reason::TooOld => Why::TooOld,
            Reason::Full => Why::Full,
        };
        self.tally.add(why as usize);
        Decision::Refused(reason)
    }

    #[inline(always)]
    pub(super) fn note_block(&self, block: Block) {
        let why = if block == Block::Rule { Why::Rule } else { Why::Rounding };
        self.tally.add(why as usize);
    }

    #[inline(always)]
    fn moments(&self, at: u64) -> Moments {
        let mut moments = [Moment { at, granularity: 1, tick: 0, rest: 0 }; MOST_TIERS + 1];
        for (moment, (granularity, _)) in moments.iter_mut().zip(&self.tiers.ticks) {
            *moment = Moment::new(at, *granularity);
        }
        moments
    }

    /// Locks a pair's lines, so that they reach to a moment.
    #[inline(always)]
    fn lock(&self, pair: u64, moments: &Moments) -> Homes<'_> {
        let mut homes = self.lock_as_is(pair);
        homes.iter_mut().flatten().zip(moments).for_each(|(home, moment)| home.reach(moment.tick));
        homes
    }

    #[inline(always)]
    fn lock_as_is(&self, pair: u64) -> Homes<'_> {
        // In the order of tiers, as everybody does.
        std::array::from_fn(|tier| self.tables.get(tier).map(|tier| tier.table.lock(pair)))
    }

    /// The first rule that blocks on what a pair has in locked lines.
    #[inline(always)]
    fn first_block(&self, homes: &Homes<'_>, pair: u64, rules: &[Compiled], moments: &Moments) -> Option<usize> {
        let mut seen: [Option<(Seen, u64)>; MOST_TIERS + 1] = Default::default();
        for (at, rule) in rules.iter().enumerate() {
            let Some(home) = &homes[rule.tier] else { continue };
            let (seen, end) = seen[rule.tier].get_or_insert_with(|| (home.seen(pair), home.end()));
            if let Some(block) = block(rule, moments, seen, *end) {
                self.note_block(block);
                return Some(at);
            }
        }
        None
    }

    fn block_among(&self, rules: &[Compiled], moments: &Moments, seen: &[(Seen, u64)]) -> Option<(usize, Block)> {
        rules.iter().enumerate().find_map(|(at, rule)| {
            let (seen, end) = &seen[rule.tier];
            block(rule, moments, seen, *end).map(|block| (at, block))
        })
    }

    /// Counts an event in all tiers, or in none if one has no room.
    #[inline(always)]
    fn count_in(&self, homes: &mut Homes<'_>, pair: u64, moments: &Moments) -> Decision {
        let mut counted = [Added::NotKept; MOST_TIERS + 1];
        for tier in 0..self.tables.len() {
            let Some(home) = &mut homes[tier] else { continue };
            match home.add(pair, moments[tier].tick) {
                Ok(added) => counted[tier] = added,
                Err(Full) => {
                    let before = homes.iter_mut().flatten().zip(moments).zip(counted).take(tier);
                    before.for_each(|((home, moment), added)| home.undo(pair, moment.tick, added));
                    return self.note_refusal(Reason::Full);
                }
            }
        }
        Decision::Admitted
    }

    /// Looks at what a pair has in all tiers, without locks unless its lines change all the time.
    #[inline(always)]
    fn look<R>(&self, pair: u64, moments: &Moments, look: impl FnOnce(&[(Seen, u64)]) -> R) -> R {
        let seen: [(Seen, u64); MOST_TIERS + 1] = std::array::from_fn(|tier| {
            let Some(Tier { table, .. }) = self.tables.get(tier) else { return (Seen::new(), 0) };
            let tick = moments[tier].tick;
            table.read(pair, tick).unwrap_or_else(|| {
                let mut home = table.lock(pair);
                home.reach(tick);
                (home.seen(pair), home.end())
            })
        });
        look(&seen[..self.tables.len()])
    }

    fn place_in(&self, tier: usize, pair: u64) -> usize {
        self.tables[tier].table.buckets.find(pair)
    }

    /// Locks the lines of several pairs, each once, in the order of tiers and lines.
    fn lock_all(&self, pairs: &[u64]) -> Vec<(usize, LockedBucket<'_>)> {
        'again: loop {
            let mut wanted = Vec::with_capacity(pairs.len() * self.tables.len());
            for (tier, of) in self.tables.iter().enumerate() {
                for pair in pairs {
                    of.table.buckets.split_for(*pair);
                    wanted.push((tier, of.table.buckets.find(*pair), *pair));
                }
            }
            wanted.sort_unstable();
            let mut locked: Vec<(usize, LockedBucket<'_>)> = Vec::with_capacity(wanted.len());
            for (tier, at, pair) in &wanted {
                let last = locked.last().filter(|(of, locked)| of == tier && locked.chain.at == *at);
                let is_its = match last {
                    Some((_, locked)) => locked.is_of(*pair),
                    None => self.tables[*tier]
                        .table
                        .lock_at(*at, *pair)
                        .map(|bucket| locked.push((*tier, bucket)))
                        .is_some(),
                };
                if !is_its {
                    continue 'again;
                }
            }
            return locked;
        }
    }
}

#[inline(always)]
fn block(rule: &Compiled, moments: &Moments, seen: &Seen, end: u64) -> Option<Block> {
    match rule.kind {
        Kind::Lifetime => (seen.count >= u64::from(rule.max)).then_some(Block::Rule),
        _ => rule.blocks(&moments[rule.tier], end, seen.ages(), seen.is_full()),
    }
}

/// A locked line.
fn home_of<'h, 't>(lines: &'h mut [(usize, LockedBucket<'t>)], tier: usize, at: usize) -> &'h mut LockedBucket<'t> {
    let found = lines.iter_mut().find(|(of, home)| *of == tier && home.chain.at == at);
    found.map(|(_, home)| home).unwrap_or_else(|| unreachable!("all lines of the pairs are locked"))
}
