//! How pairs leave a table and come in again: place by place of a tier, while the table is in use.
//!
//! A tier's *places* are the buckets it has when its export begins ([`FrequencyCap::parts`]). Which pairs belong to a place
//! never changes, whatever is split meanwhile, and a place is read under its bucket's lock: so each pair of a place is in its
//! [`Part`] exactly once. What is counted beside the export is or is not in it.
//!
//! A table does not keep a pair's hash but what it is told apart by: its place among the first buckets, which is an interval of
//! hashes, and its fingerprint, which is the lowest bits. A table of as many first buckets (of the same capacity, however far it
//! may grow) takes a pair at just its place. One of another capacity takes it at each of its places that shares hashes with
//! that interval: there it is found whichever of them is the pair's. So a table of twice the capacity takes two or three entries
//! for a pair, of which one is the pair's and the others are found by those only that look alike. Room is needed for all of them:
//! for `1 + n` times the pairs, where the table has `n` times the capacity. A pair for which a place has no room is counted and
//! told, as an event is that finds none.
//!
//! The pairs of a place have their highest and their lowest bits in common, so they come to a few buckets of any table. A table
//! that takes them grows before to as many buckets as the other one had: else those few would take all overflow buckets while
//! the others are empty.
//!
//! Ticks are summed as multisets, of which a pair keeps the newest, and so are the counts of a lifetime: two tables have counted
//! different events, and to take one of two for the other would let a rule be passed. So the order of parts does not matter, and
//! a part that is taken twice counts twice. A pair of 29 ticks is full, which means that it may have had more: it is as full
//! where it is taken.

use super::caps::FrequencyCap;
use super::entry::{self, Format, MOST_COUNT, TICKS};
use super::seen::MOST_KEPT;
use super::table::{self, Table};
use super::written::Writing;
use crate::bucket::Full;

/// The places of a tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Buckets before any split.
    pub first: u64,
    /// How often each of them may have been split: at most 4.
    pub level: u32,
}

impl Parts {
    /// How many places there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.first << self.level
    }

    /// The hashes of a place, but for their lowest bits: from the first one to one past the last one.
    fn hashes(&self, number: u64) -> (u128, u128) {
        interval(number % self.first, self.first)
    }

    /// As many of the lowest bits of a place's hashes as there are levels.
    fn low_bits(&self, number: u64) -> u64 {
        number / self.first
    }
}

/// The pairs of one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The place, below [`Parts::count`].
    pub number: u64,
    /// The last tick that a tick of the place can be, 0 for a lifetime. It matters without pairs, too: events that come late
    /// are decided by how far back from it a bucket reaches.
    pub end: u64,
    /// Of each pair its fingerprint, from the smallest to the largest, and how many events it has: at most 29 ticks, or
    /// the count of a lifetime.
    pub pairs: Vec<(u64, u32)>,
    /// The ticks of all pairs, in the same order, of each from the newest to the oldest: a time divided by the tier's
    /// granularity. Of a lifetime there are none.
    pub ticks: Vec<u64>,
}

impl Part {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end == 0 && self.pairs.is_empty()
    }
}

/// How many times as many places a tier may have as one that pairs come from.
const MOST_GROWTH: u64 = 256;

/// Why a part was not taken. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// There is no such tier or place.
    Number,
    /// The end is that of no time which is believed.
    End,
    /// The pair of that index has a fingerprint that the place's pairs do not have.
    Fingerprint(usize),
    /// The pair of that index has no event or more than are kept, or another number of ticks.
    Events(usize),
    /// The tick of that index is not among those that its end can tell apart, or is that of no time which is believed.
    Tick(usize),
}

impl FrequencyCap {
    /// How many tiers there are: those of ticks, and the lifetime last, if it is counted.
    #[must_use]
    pub fn tier_count(&self) -> usize {
        self.tables.len()
    }

    /// The places of a tier, which an export of it goes through.
    ///
    /// # Panics
    /// If there is no such tier.
    #[must_use]
    pub fn parts(&self, tier: usize) -> Parts {
        let buckets = &self.tables[tier].buckets;
        Parts { first: buckets.first, level: buckets.level() }
    }

    /// How many of a hash's lowest bits a tier keeps: all 64 of a strict one.
    ///
    /// # Panics
    /// If there is no such tier.
    #[must_use]
    pub fn fingerprint_bits(&self, tier: usize) -> u32 {
        self.tables[tier].format().fingerprint_bits()
    }

    /// Puts what a place has into a part, instead of what that held.
    ///
    /// # Panics
    /// If there is no such tier, or no such place.
    pub fn export_part(&self, tier: usize, parts: Parts, number: u64, part: &mut Part) {
        assert!(number < parts.count());
        let table = &self.tables[tier];
        let mut entries = Vec::new();
        part.end = 0;
        table.buckets.visit_place(number as usize, parts.level, |chain| {
            let end = table::end(chain.header);
            part.end = part.end.max(end);
            entries.extend(chain.entries().into_iter().map(|entry| (entry.fingerprint, end, entry.value)));
        });
        entries.sort_unstable();
        part.number = number;
        part.pairs.clear();
        part.ticks.clear();
        for of_pair in entries.chunk_by(|one, other| one.0 == other.0) {
            let fingerprint = of_pair[0].0;
            if table.format() == Format::Count {
                let count: u64 = of_pair.iter().map(|(_, _, count)| count).sum();
                part.pairs.push((fingerprint, count.min(MOST_COUNT) as u32));
            } else {
                let begin = part.ticks.len();
                let ticks = of_pair
                    .iter()
                    .flat_map(|(_, end, value)| entry::ages(*value, end % TICKS).map(move |age| end - u64::from(age)));
                part.ticks.extend(ticks);
                let own = &mut part.ticks[begin..];
                own.sort_unstable_by(|one, other| other.cmp(one));
                part.pairs.push((fingerprint, own.len() as u32));
            }
        }
    }

    /// Merges a part of a table that has the same tiers, at a system's time. `parts` are that table's places. How many of its
    /// pairs found no room for all of their events: all others were taken.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn import_part(&self, tier: usize, parts: Parts, part: &Part, now: u64) -> Result<usize, NotTaken> {
        self.check_part(tier, parts, part, now)?;
        Ok(self.merge_part(tier, parts, part, self.write().as_ref()))
    }

    /// Whether the tier takes parts of so many places: of no less than a 256th of its own.
    pub(super) fn accepts(&self, tier: usize, parts: Parts) -> bool {
        let own = self.tables.get(tier).map_or(u64::MAX, |table| table.buckets.first);
        (1..1 << 32).contains(&parts.first) && parts.level <= 4 && own <= parts.first.saturating_mul(MOST_GROWTH)
    }

    /// Whether a table with the same tiers can have had a part, at a system's time.
    pub(super) fn check_part(&self, tier: usize, parts: Parts, part: &Part, now: u64) -> Result<(), NotTaken> {
        let Some(table) = self.tables.get(tier) else { return Err(NotTaken::Number) };
        if !self.accepts(tier, parts) {
            return Err(NotTaken::Number);
        }
        table.check(parts, part, self.times.latest(now) / table.granularity)
    }

    /// Merges a part that was checked, and writes what it puts where. How many of its pairs found no room: they are written
    /// too, since where they are restored there may be some.
    pub(super) fn merge_part(&self, tier: usize, parts: Parts, part: &Part, writing: Option<&Writing<'_>>) -> usize {
        let table = &self.tables[tier];
        if !part.pairs.is_empty() {
            table.buckets.grow_to(parts.count());
        }
        table.reach_in_place(parts, part);
        if let Some(writing) = writing.filter(|_| part.end > 0) {
            let (from, to) = parts.hashes(part.number);
            table
                .places(from, to)
                .for_each(|place| writing.reached(tier, interval(place, table.buckets.first).0 as u64, part.end));
        }
        let (mut ticks, mut without_room) = (&part.ticks[..], 0);
        for (fingerprint, events) in &part.pairs {
            let own = if table.format() == Format::Count { 0 } else { *events as usize };
            let (of_pair, others) = ticks.split_at(own);
            ticks = others;
            let mut has_room = true;
            for hash in table.hashes(parts.hashes(part.number), *fingerprint, table.format().fingerprint_bits()) {
                let mut bucket = table.lock(hash);
                bucket.reach_end(part.end);
                let merged = match table.format() {
                    Format::Count => bucket.add_count(hash, u64::from(*events)),
                    _ => of_pair.iter().try_for_each(|tick| bucket.add(hash, *tick).map(drop)),
                };
                has_room &= merged != Err(Full);
                if let Some(writing) = writing {
                    let events = [u64::from(*events)];
                    writing.imported(tier, hash, if table.format() == Format::Count { &events } else { of_pair });
                }
            }
            without_room += usize::from(!has_room);
        }
        without_room
    }

    /// Whether a tier is the lifetime.
    pub(super) fn is_lifetime(&self, tier: usize) -> bool {
        self.tables[tier].format() == Format::Count
    }

    /// The last time that is believed at a system's time.
    pub(super) fn latest(&self, now: u64) -> u64 {
        self.times.latest(now)
    }

    /// The newest time that was seen, from which it is told what is too old.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.times.newest()
    }

    /// Notes the newest time that another table had seen, at a system's time: whether it is believed.
    pub fn import_newest(&self, newest: u64, now: u64) -> bool {
        let is_believed = newest <= self.times.latest(now);
        if is_believed {
            self.merge_newest(newest, self.write().as_ref());
        }
        is_believed
    }

    /// The same of a time that is believed.
    pub(super) fn merge_newest(&self, newest: u64, writing: Option<&Writing<'_>>) {
        self.times.note_exactly(newest);
        if let Some(writing) = writing {
            writing.newest(newest);
        }
    }
}

impl Table {
    /// Whether a part can be one of a table like this, of whose ticks none is after the latest.
    fn check(&self, parts: Parts, part: &Part, latest: u64) -> Result<(), NotTaken> {
        let Part { number, end, pairs, ticks } = part;
        if *number >= parts.count() {
            return Err(NotTaken::Number);
        }
        let is_count = self.format() == Format::Count;
        let latest_end = if is_count { 0 } else { latest + self.ahead };
        if *end > latest_end {
            return Err(NotTaken::End);
        }
        let hashes = parts.hashes(*number);
        let (bits, mut left) = (self.format().fingerprint_bits(), ticks.len());
        for (at, (fingerprint, events)) in pairs.iter().enumerate() {
            let is_its = lowest_hash(hashes, *fingerprint, bits).is_some()
                && *fingerprint & mask(parts.level) == parts.low_bits(*number);
            if !is_its {
                return Err(NotTaken::Fingerprint(at));
            }
            let most = if is_count { MOST_COUNT as usize } else { MOST_KEPT.min(left) };
            if *events == 0 || *events as usize > most {
                return Err(NotTaken::Events(at));
            }
            left -= if is_count { 0 } else { *events as usize };
        }
        if left > 0 {
            return Err(NotTaken::Events(pairs.len()));
        }
        let is_told = |tick: &u64| *tick <= latest && *tick <= *end && end - tick < TICKS;
        ticks.iter().position(|tick| !is_told(tick)).map_or(Ok(()), |at| Err(NotTaken::Tick(at)))
    }

    /// Has all buckets that share hashes with a place reach to its end, those without pairs too.
    fn reach_in_place(&self, parts: Parts, part: &Part) {
        let level = parts.level.max(self.buckets.level());
        for more in 0..1 << (level - parts.level) {
            let low_bits = parts.low_bits(part.number) | more << parts.level;
            for hash in self.hashes(parts.hashes(part.number), low_bits, level) {
                self.lock(hash).reach_end(part.end);
            }
        }
    }

    /// A hash of each of the first buckets that share hashes with an interval, with these lowest bits.
    pub(super) fn hashes(&self, (from, to): (u128, u128), low_bits: u64, bits: u32) -> impl Iterator<Item = u64> {
        self.places(from, to).filter_map(move |place| {
            let (own_from, own_to) = interval(place, self.buckets.first);
            lowest_hash((from.max(own_from), to.min(own_to)), low_bits, bits)
        })
    }

    /// The first buckets that share hashes with an interval.
    fn places(&self, from: u128, to: u128) -> impl Iterator<Item = u64> + use<> {
        let first = u128::from(self.buckets.first);
        let place = move |hash: u128| ((hash * first) >> 64) as u64;
        place(from)..=place(to - 1)
    }
}

/// The hashes that belong to a place among so many: from the first one to one past the last one.
pub(super) fn interval(place: u64, of: u64) -> (u128, u128) {
    let begin = |place: u64| (u128::from(place) << 64).div_ceil(u128::from(of));
    (begin(place), begin(place + 1))
}

/// The lowest hash of an interval that has these lowest bits.
fn lowest_hash((from, to): (u128, u128), low_bits: u64, bits: u32) -> Option<u64> {
    let above = u128::from(mask(bits)) + 1;
    let hash = from / above * above + u128::from(low_bits);
    let hash = if hash < from { hash + above } else { hash };
    (u128::from(low_bits) < above && hash < to).then_some(hash as u64)
}

/// So many of the lowest bits.
fn mask(bits: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0)
}
