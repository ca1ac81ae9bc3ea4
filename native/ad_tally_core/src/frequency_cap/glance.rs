//! Decisions about pairs with one slot or none, which is nearly every pair: found without a branch for each slot.
//!
//! Most events of a pair that is capped are denied, and a denial changes nothing: it is decided on what is seen without the
//! line's lock, so that it writes to no memory that another core reads. Only who is to be counted takes the lock, looks again,
//! and decides again if that is not what it saw before.

use super::ages::Lanes;
use super::entry::{self, Entry, Format, TICKS, TICKS_BITS, WORDS};
use super::locked::LockedBucket;
use super::table::{self, Table};
use crate::bucket::{Bucket, Full, Header, Place};

/// The ticks of a pair that has one slot or none, and the end of its line. Two words, so that they stay in registers: what is
/// returned through memory by halves and read whole makes the processor wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Glance {
    content: u64,
    end: u64,
}

/// A content that stands for more slots or lines than a glance shows.
const NOT_ALL: u64 = u64::MAX;
/// A content that stands for a line that somebody changes.
const CHANGING: u64 = u64::MAX - 1;

impl Glance {
    /// Whether that was enough to decide on.
    #[inline(always)]
    fn is_all(self) -> bool {
        self.content < CHANGING
    }

    /// Whether it has no events, and none has been given up that a rule counts: lines of the tier keep so many ticks more than
    /// a rule can count.
    #[inline(always)]
    pub(super) fn is_empty(self, tick: u64, spare: u64) -> bool {
        self.content == 0 && self.end <= tick + spare
    }

    /// The ages of its events as of a tick or the end, whichever is later: that one too.
    #[inline(always)]
    pub(super) fn ages(self, tick: u64) -> (Lanes, u64) {
        let lanes = Lanes::of(self.content, self.end % TICKS);
        if tick <= self.end { (lanes, self.end) } else { (lanes.later(tick - self.end), tick) }
    }
}

/// What became of an event, where that is decided in the short way: little enough, to stay in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quick {
    /// It is admitted (and counted, where that was asked for).
    Admitted,
    /// The rule of that number blocks; nothing is counted.
    Capped(u32),
    /// Nothing is decided, and nothing has changed: take the long way.
    Undecided,
}

/// A pair's line, as far as is known without looking at it.
#[derive(Clone, Copy)]
pub struct Spot<'t> {
    pair: u64,
    at: usize,
    bucket: &'t Bucket<WORDS>,
}

impl Spot<'_> {
    /// The pair.
    #[inline(always)]
    #[must_use]
    pub fn pair(&self) -> u64 {
        self.pair
    }

    /// Asks for the line, to be looked at soon.
    #[inline(always)]
    #[cfg(not(loom))]
    pub fn fetch(&self) {
        crate::sync::prefetch::fetch(self.bucket);
    }
}

/// Stands for a fingerprint that empty slots have too: those pairs go the long way.
const LIKE_EMPTY: u64 = 0;

/// Who knows the rules.
pub(super) trait Judge {
    /// The number of the first rule that blocks, given what a pair has.
    fn block(&self, seen: Glance) -> Option<u32>;
}

impl Table {
    /// Where to look for a pair.
    #[inline(always)]
    pub(super) fn spot(&self, pair: u64) -> Spot<'_> {
        let at = self.buckets.find(pair);
        Spot { pair, at, bucket: self.buckets.bucket(at) }
    }

    /// Counts an event at a tick unless the judge names a rule that blocks.
    #[inline(always)]
    pub(super) fn admit(&self, spot: Spot<'_>, tick: u64, judge: &impl Judge) -> Quick {
        let seen = self.glance(spot);
        if seen.content == NOT_ALL {
            return Quick::Undecided;
        }
        if seen.is_all()
            && let Some(rule) = judge.block(seen)
        {
            return Quick::Capped(rule);
        }
        self.count(spot.pair, tick, seen, judge)
    }

    /// Counts an event that nothing blocked when its pair was `seen` (or that nobody has looked at yet), if that still is so.
    #[inline(never)]
    fn count(&self, pair: u64, tick: u64, seen: Glance, judge: &impl Judge) -> Quick {
        let mut home = self.lock(pair);
        home.reach(tick);
        let now = home.glance(pair);
        if !now.is_all() {
            return Quick::Undecided;
        }
        if now != seen
            && let Some(rule) = judge.block(now)
        {
            return Quick::Capped(rule);
        }
        // Without room, the long way says so.
        if home.add_at(now, pair, tick).is_ok() { Quick::Admitted } else { Quick::Undecided }
    }

    /// Says what [`Table::admit`] would do, and counts nothing.
    #[inline(always)]
    pub(super) fn check(&self, spot: Spot<'_>, judge: &impl Judge) -> Quick {
        let seen = self.glance(spot);
        if !seen.is_all() {
            return Quick::Undecided;
        }
        judge.block(seen).map_or(Quick::Admitted, Quick::Capped)
    }

    /// A glance at a pair without a lock.
    #[inline(always)]
    fn glance(&self, spot: Spot<'_>) -> Glance {
        let Spot { pair, at, bucket } = spot;
        let Some(header) = bucket.begin_read() else { return Glance { content: CHANGING, end: 0 } };
        let content = self.content(bucket, header, pair);
        let is_whole = bucket.end_read(header) && self.buckets.is_place_of(at, header, pair);
        Glance { content: if is_whole { content } else { CHANGING }, end: table::end(header) }
    }

    /// What a pair's slot holds, 0 if it has none.
    #[inline(always)]
    fn content(&self, bucket: &Bucket<WORDS>, header: Header, pair: u64) -> u64 {
        let fingerprint = Format::Ticks.fingerprint(pair);
        let content = content_in(bucket, fingerprint);
        if fingerprint == LIKE_EMPTY || header.is_linked() {
            return self.content_further(bucket, content, fingerprint);
        }
        content
    }

    #[inline(never)]
    fn content_further(&self, bucket: &Bucket<WORDS>, content: u64, fingerprint: u64) -> u64 {
        let mut more = self.buckets.overflow_of(bucket);
        match (content, more.next().filter(|more| !more.1).map(|more| content_in(more.0, fingerprint))) {
            _ if fingerprint == LIKE_EMPTY => NOT_ALL,
            (0, Some(content)) | (content, Some(0)) => content,
            _ => NOT_ALL,
        }
    }
}

/// What the slot of a line holds that has a fingerprint which no empty slot has: 0 if there is none. Neither has the number of
/// an overflow line.
#[inline(always)]
fn content_in(bucket: &Bucket<WORDS>, fingerprint: u64) -> u64 {
    let wanted = fingerprint << TICKS_BITS;
    let (mut content, mut slots) = (0, 0);
    for word in bucket.words() {
        // Without a branch: where in its bucket a pair has its entry is as good as random.
        let of_own = word ^ wanted;
        let is_own = of_own < 1 << TICKS_BITS;
        content |= if is_own { of_own } else { 0 };
        slots += u64::from(is_own);
    }
    if slots > 1 { NOT_ALL } else { content }
}

impl<'t> LockedBucket<'t> {
    /// A glance at a pair.
    #[inline(always)]
    fn glance(&self, pair: u64) -> Glance {
        Glance { content: self.table.content(self.chain.guard.bucket, self.chain.guard.header, pair), end: self.end() }
    }

    /// Counts an event of a pair that was glanced at just now.
    fn add_at(&mut self, seen: Glance, pair: u64, tick: u64) -> Result<(), Full> {
        let kept = entry::kept(tick);
        let fingerprint = Format::Ticks.fingerprint(pair);
        if seen.content == 0 {
            return self.add_entry(0, self.place_of(0), Entry { fingerprint, value: kept });
        }
        let place = self.place_of(fingerprint << TICKS_BITS | seen.content);
        match (place, entry::with(seen.content, Format::Ticks.ticks(), kept)) {
            (Some(place), Some(value)) => {
                self.chain.set(place, Entry { fingerprint, value });
                Ok(())
            }
            _ => self.add(pair, tick).map(|_| ()),
        }
    }

    /// The first place that holds a word, or that is empty, of a bucket that goes on in one overflow bucket at most.
    fn place_of(&self, word: u64) -> Option<Place<'t>> {
        let mut found = None;
        self.chain.visit(|place, _| {
            if place.0.word(place.1) == word {
                found = Some(place);
            }
            found.is_none()
        });
        found
    }
}
