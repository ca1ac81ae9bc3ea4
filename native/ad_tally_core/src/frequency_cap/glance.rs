//! Decisions about pairs with one slot or none, which is nearly every pair: found without a branch for each slot.
//!
//! Most events of a pair that is capped are denied, and a denial changes nothing: it is decided on what is seen without the
//! line's lock, so that it writes to no memory that another core reads. Only who is to be counted takes the lock, looks again,
//! and decides again if that is not what it saw before.

use super::line::{Header, Line, WORDS};
use super::slots::{self, Format, Lanes, Slot, TICKS};
use super::table::{Full, Home, Table};

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
        let lanes = slots::lanes(self.content, self.end % TICKS);
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
    line: &'t Line,
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
        crate::sync::prefetch::fetch(self.line);
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
        let at = self.home(pair);
        Spot { pair, at, line: self.line(at) }
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
        let Spot { pair, at, line } = spot;
        let Some(header) = line.begin_read() else { return Glance { content: CHANGING, end: 0 } };
        let content = self.content(line, header, pair);
        let is_whole = line.end_read(header) && self.is_home_by(header, at, pair);
        Glance { content: if is_whole { content } else { CHANGING }, end: header.end() }
    }

    /// What a pair's slot holds, 0 if it has none.
    #[inline(always)]
    fn content(&self, line: &Line, header: Header, pair: u64) -> u64 {
        let fingerprint = Format::Ticks.fingerprint(pair);
        let content = content_in(line, fingerprint);
        if fingerprint == LIKE_EMPTY || header.is_linked() {
            return self.content_further(line, content, fingerprint);
        }
        content
    }

    #[inline(never)]
    fn content_further(&self, line: &Line, content: u64, fingerprint: u64) -> u64 {
        let more = self.overflow_line(line.word(WORDS - 1)).filter(|more| !more.peek().is_linked());
        match (content, more.map(|more| content_in(more, fingerprint))) {
            _ if fingerprint == LIKE_EMPTY => NOT_ALL,
            (0, Some(content)) | (content, Some(0)) => content,
            _ => NOT_ALL,
        }
    }
}

/// What the slot of a line holds that has a fingerprint which no empty slot has: 0 if there is none. Neither has the number of
/// an overflow line.
#[inline(always)]
fn content_in(line: &Line, fingerprint: u64) -> u64 {
    let wanted = fingerprint << CONTENT_BITS;
    let (mut content, mut slots) = (0, 0);
    for at in 0..WORDS {
        // Without a branch: where in its line a pair has its slot is as good as random.
        let of_own = line.word(at) ^ wanted;
        let is_own = of_own < 1 << CONTENT_BITS;
        content |= if is_own { of_own } else { 0 };
        slots += u64::from(is_own);
    }
    if slots > 1 { NOT_ALL } else { content }
}

/// Below the fingerprint of a slot.
const CONTENT_BITS: u32 = 48;

impl<'t> Home<'t> {
    /// A glance at a pair.
    #[inline(always)]
    fn glance(&self, pair: u64) -> Glance {
        Glance { content: self.table.content(self.held.line, self.held.header, pair), end: self.end() }
    }

    /// Counts an event of a pair that was glanced at just now.
    fn add_at(&mut self, seen: Glance, pair: u64, tick: u64) -> Result<(), Full> {
        let kept = slots::kept(tick);
        let fingerprint = Format::Ticks.fingerprint(pair);
        if seen.content == 0 {
            return self.add_slot(0, self.place_of(0), Slot { fingerprint, content: kept });
        }
        let place = self.place_of(fingerprint << CONTENT_BITS | seen.content);
        match (place, slots::with(seen.content, Format::Ticks.ticks(), kept)) {
            (Some((line, slot)), Some(content)) => {
                self.held.change();
                Format::Ticks.set(line, slot, Slot { fingerprint, content });
                Ok(())
            }
            _ => self.add(pair, tick).map(|_| ()),
        }
    }

    /// The first slot that is a word, or that is empty, of a line that goes on in one overflow line at most.
    fn place_of(&self, word: u64) -> Option<(&'t Line, usize)> {
        let (line, is_linked) = (self.held.line, self.held.header.is_linked());
        let more = if is_linked { self.table.overflow_line(line.word(WORDS - 1)) } else { None };
        let here = (0..WORDS - usize::from(is_linked)).map(|at| (line, at));
        let there = more.into_iter().flat_map(|more| (0..WORDS).map(move |at| (more, at)));
        here.chain(there).find(|(line, at)| line.word(*at) == word)
    }
}
