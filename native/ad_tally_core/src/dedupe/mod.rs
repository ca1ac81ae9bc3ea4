//! Dedupe: whether an id is seen for the first time, for at least a window of time.
//!
//! An id belongs to the line that the high bits of its hash name, its *home*. There it has an entry with other bits of the hash,
//! 28 of them or, where it is wide, 61. The *generation* in which it came is told by the entry or by its place: a quarter of the
//! window, counted modulo 8. The present one and the four before it are remembered, so an id is for at least the window after it
//! last came. Whoever looks for an id has its line's lock and puts the id there before letting go: of several that come at once,
//! one is first.
//!
//! ```text
//! narrow   home, a ring of 31 entries ── 12 of their bits (`home`)     ──> overflow line of 15 entries (`line`)
//!          rests of that home         ── 16 more of each
//! wide     home of 7 entries (`line`)                                  ──> overflow line of 7 entries
//! ```
//!
//! A line that is full goes on in an overflow line, under the same lock. Entries that are too old are removed when their line
//! gets its first id of a generation (of wide ones, its first new id), and not before: an id may be remembered for longer than
//! the window. When there is no room, an entry of the home is forgotten early, one of the oldest, which is counted: then a copy
//! of it may pass.

#![allow(dead_code, reason = "a list of events fetches no rests any more")]

mod home;
mod later;
mod line;
mod narrow;
mod wide;

use std::ops::Add;
use std::sync::atomic::Ordering::Relaxed;

use self::later::Later;
use self::line::{Format, GENERATION_BITS, Line, Live, MOST_NUMBERS, Narrow, Wide, places};
use crate::bucket::free_list::FreeList;
use crate::error::Error;
use crate::key::Seed;
use crate::memory::Lines;
use crate::sync::AtomicU64;
use crate::sync::hazard::thread_number;
use crate::sync::sharded_counter::{ShardedCounter, THREADS};

/// The most ids.
const MOST_CAPACITY: usize = 1_000_000_000;
/// Generations of a window.
const OF_A_WINDOW: u64 = 4;
/// Generations that are remembered: the present one has only begun.
const REMEMBERED: u64 = OF_A_WINDOW + 1;
const GENERATIONS: u64 = 1 << GENERATION_BITS;
const _: () = assert!(OF_A_WINDOW == home::OLDER as u64);
/// Overflow lines of any table: of few lines a larger share is full by chance.
const LEAST_OVERFLOW: usize = 32;
/// Times below this, some 4,400 years after 1970.
const TIMES: u64 = 1 << 47;

/// What a table is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// For how many milliseconds an id is remembered at least.
    pub window: u64,
    /// Different ids of a window, new ones and copies of older ones, that there is room for. One that comes again in a later
    /// quarter of the window may count once more.
    pub capacity: usize,
    /// Whether ids are told apart by 61 bits beside their line instead of 28.
    pub wide: bool,
}

/// A table's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Ids that are remembered.
    pub ids: usize,
    /// Entries that are in use: one of each id, and others of ids that came again since.
    pub taken: usize,
    /// Entries of all lines.
    pub entries: usize,
    /// Lines that full ones go on in.
    pub overflow_lines: usize,
    /// Ids that were not the first.
    pub duplicates: u64,
    /// Ids that were forgotten before their window had passed.
    pub forgotten: u64,
    /// Times too far ahead to believe.
    pub future: u64,
    /// All memory.
    pub memory_bytes: usize,
    /// Memory in huge pages, where the system tells.
    pub huge_bytes: Option<usize>,
}

/// Ids that were seen.
pub struct Dedupe {
    seed: Seed,
    window: u64,
    /// Milliseconds of a generation.
    granule: u64,
    /// The newest generation, not modulo anything.
    generation: AtomicU64,
    /// Homes, then as many lines of rests where ids are narrow, then overflow lines.
    lines: Lines<Line>,
    homes: u64,
    /// Lines from a home to its rests, where it has some.
    to_rests: usize,
    /// Where those end that are there from the beginning.
    overflow_begin: usize,
    overflow: FreeList,
    later: Later,
    wide: bool,
    tally: ShardedCounter<KINDS>,
}

/// An id that is looked for: the hash, the line where it belongs, and that of the rests of those.
#[derive(Clone, Copy)]
pub(crate) struct Id<'t> {
    hash: u64,
    home: &'t Line,
    rests: &'t Line,
}

/// When a home's quad that has become whole is copied to the rests. (By an id that is put anew it is not: whoever puts the next one
/// there does.)
#[derive(Clone, Copy)]
pub(crate) enum Quads<T> {
    /// At once: [`Dedupe::fetch_rests`] has asked for that line some time ago.
    Now,
    /// When the line has come, which is asked for then: by the calling thread, whose number this is, or that of a slot it has
    /// claimed.
    Later(T),
}

/// What lines are used for.
#[derive(Clone, Copy, Default)]
struct Used {
    /// Ids that are remembered.
    ids: usize,
    /// Entries in use.
    taken: usize,
}

impl Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { ids: self.ids + other.ids, taken: self.taken + other.taken }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Duplicate,
    Forgotten,
    Future,
}

const KINDS: usize = 3;

/// What is remembered at a generation.
#[inline(always)]
fn live_at(generation: u64) -> Live {
    Live::new(generation.wrapping_sub(OF_A_WINDOW), REMEMBERED)
}

impl Dedupe {
    /// An empty table.
    ///
    /// # Errors
    /// [`Error::DedupeCapacity`], [`Error::DedupeWindow`], or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_seed(config, Seed::random())
    }

    /// The same with a seed of the caller's.
    ///
    /// # Errors
    /// As [`Dedupe::new`].
    pub fn with_seed(config: &Config, seed: Seed) -> Result<Self, Error> {
        let Config { window, capacity, wide } = *config;
        if capacity == 0 || capacity > MOST_CAPACITY {
            return Err(Error::DedupeCapacity(capacity));
        }
        if window == 0 || window >= TIMES {
            return Err(Error::DedupeWindow(window));
        }
        let (meant, overflow) = if wide { (Wide::MEANT, Wide::OVERFLOW) } else { (home::MEANT, home::OVERFLOW) };
        // Of a capacity a window, the generation before it is remembered as well.
        let most = capacity * REMEMBERED as usize / OF_A_WINDOW as usize + 1;
        let homes = (most * 10).div_ceil(meant);
        let overflow = (homes * overflow / 100 + LEAST_OVERFLOW).min(MOST_NUMBERS);
        let overflow_begin = if wide { homes } else { 2 * homes };
        let count = overflow_begin + overflow;
        let mut lines = Lines::new(count).ok_or(count * size_of::<Line>()).map_err(Error::Memory)?;
        // Ids spread over all of them at once, and whoever brings the first ones should not have to wait.
        lines.touch(overflow_begin);
        Ok(Self {
            seed,
            window,
            granule: window.div_ceil(OF_A_WINDOW),
            generation: AtomicU64::new(0),
            lines,
            homes: homes as u64,
            to_rests: if wide { 0 } else { homes },
            overflow_begin,
            overflow: FreeList::new(overflow as u32),
            later: Later::new(if wide { 0 } else { THREADS }),
            wide,
            tally: ShardedCounter::new(),
        })
    }

    /// The seed that ids are hashed under.
    #[inline]
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Whether an id of that hash, under [`Dedupe::seed`], is seen for the first time, at a time. The system's time is asked for where
    /// it matters.
    ///
    /// # Errors
    /// [`Error::Time`].
    #[inline(always)]
    pub fn first(&self, hash: u64, at: u64, now: impl Fn() -> u64) -> Result<bool, Error> {
        if at >= TIMES {
            return Err(Error::Time(at));
        }
        Ok(self.first_at(self.id(hash), at, Quads::Later(thread_number), &now))
    }

    /// The same of an id of this table, at a time that was checked.
    #[inline(always)]
    pub(crate) fn first_at(
        &self,
        id: Id<'_>,
        at: u64,
        quads: Quads<impl Fn() -> Option<usize>>,
        now: &impl Fn() -> u64,
    ) -> bool {
        // That is whether its generation is a later one, for which there would be a division.
        if at >= (self.generation.load(Relaxed) + 1) * self.granule {
            self.advance(at, now);
        }
        if self.wide { self.first_wide(id) } else { self.first_narrow(id, quads) }
    }

    /// Whether an id of this table is remembered. If so it is from now on, as if it were seen for the first time; if not it is not
    /// put there. Time does not move.
    #[cold]
    pub(crate) fn is_known(&self, id: Id<'_>) -> bool {
        if self.wide { self.is_known_wide(id) } else { self.is_known_narrow(id) }
    }

    /// Moves on to the generation of a time, unless that is more than a window past the system's: one time that is wrong must
    /// not have all ids forgotten.
    #[cold]
    fn advance(&self, at: u64, now: &impl Fn() -> u64) {
        if at > now().saturating_add(self.window) {
            self.tally.add(Kind::Future as usize);
        } else {
            self.generation.fetch_max(at / self.granule, Relaxed);
        }
    }

    /// Asks for what an id is going to be written to beside its line, which is near: [`Quads::Now`].
    #[inline(always)]
    pub(crate) fn fetch_rests(&self, id: Id<'_>) {
        if !self.wide {
            Self::fetch_rests_if_due(id);
        }
    }

    /// An id of that hash, as it is looked for.
    #[inline(always)]
    pub(crate) fn id(&self, hash: u64) -> Id<'_> {
        // The highest bits; those of fingerprints are the lowest.
        let at = (u128::from(hash) * u128::from(self.homes)) >> 64;
        let from_home = &self.lines.all()[at as usize..];
        Id { hash, home: &from_home[0], rests: &from_home[self.to_rests] }
    }

    /// The same, its line asked for.
    #[inline(always)]
    pub(crate) fn fetch_id(&self, hash: u64) -> Id<'_> {
        let id = self.id(hash);
        crate::sync::prefetch::fetch(id.home);
        id
    }

    /// Which home that is.
    #[inline(always)]
    fn number(&self, home: &Line) -> usize {
        (std::ptr::from_ref(home).addr() - self.lines.all().as_ptr().addr()) / size_of::<Line>()
    }

    fn overflow_line(&self, number: u32) -> Option<&Line> {
        self.lines.all().get(self.overflow_begin + number as usize)
    }

    /// The lines that one goes on in.
    fn overflow_lines(&self, home: &Line) -> impl Iterator<Item = &Line> {
        let next = |line: &Line| line.link().and_then(|number| self.overflow_line(number));
        std::iter::successors(next(home), move |line| next(line))
    }

    /// A line and those it goes on in.
    fn chain<'t>(&'t self, home: &'t Line) -> impl Iterator<Item = &'t Line> {
        std::iter::once(home).chain(self.overflow_lines(home))
    }

    /// The line behind this one that has a fingerprint.
    #[inline(never)]
    fn find_further<F: Format>(&self, home: &Line, fingerprint: u64) -> Option<&Line> {
        self.overflow_lines(home).find(|line| F::has(&line.words(), fingerprint))
    }

    /// Has the lines of a chain, from the `first` on, have these entries and no others. What is no longer needed of them is given
    /// back.
    fn rewrite<F: Format>(&self, home: &Line, first: usize, entries: &[u64]) {
        let numbers: Vec<u32> = self.chain(home).filter_map(Line::link).collect();
        let mut entries = entries.iter();
        for line in self.chain(home).skip(first) {
            places::<F>().for_each(|at| F::set(line, at, entries.next().copied().unwrap_or(0)));
        }
        let mut last = home;
        for number in numbers {
            let Some(line) = self.overflow_line(number) else { continue };
            let is_needed = F::get(line, 1) != 0;
            last.set_link(is_needed.then_some(number));
            if is_needed {
                last = line;
            } else {
                line.set_link(None);
                self.overflow.give_back([number]);
            }
        }
    }

    /// Whether the entry of that fingerprint is too old to be remembered. From now on it is remembered anew: it may be that of
    /// another id that looks alike, and then this one's copies must not pass when the other one is forgotten.
    #[inline(never)]
    fn is_first_again<F: Format>(&self, line: &Line, entry: u64, live: Live) -> bool {
        let fingerprint = entry - entry % GENERATIONS;
        // Any fingerprint is once in a line and those it goes on in.
        let at = places::<F>().find(|at| F::get(line, *at) & !(GENERATIONS - 1) == fingerprint);
        let Some(at) = at else { return true };
        let is_first = !live.has(F::get(line, at));
        if F::get(line, at) != entry {
            F::set(line, at, entry);
        }
        if !is_first {
            self.tally.add(Kind::Duplicate as usize);
        }
        is_first
    }

    /// Puts an entry into one of the lines that one goes on in, or into another one that it goes on in from now on. Whether
    /// there was room.
    fn put_in_overflow<F: Format>(&self, home: &Line, entry: u64) -> bool {
        let place = self.overflow_lines(home).find_map(|line| F::free(&line.words()).map(|at| (line, at)));
        if let Some((line, at)) = place {
            F::set(line, at, entry);
            return true;
        }
        let Some((number, line)) = self.overflow.take().and_then(|number| Some((number, self.overflow_line(number)?)))
        else {
            return false;
        };
        line.set_link(home.link());
        F::set(line, 1, entry);
        home.set_link(Some(number));
        true
    }

    /// Its memory: that of all lines but the overflow lines that were never needed.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let touched = self.overflow_begin + self.overflow.touched();
        touched * size_of::<Line>() + size_of::<Self>() + self.tally.bytes() + self.later.bytes()
    }

    /// The table's numbers now. It looks at every line, one after the other.
    #[must_use]
    pub fn info(&self) -> Info {
        let (homes, overflow) = (self.homes as usize, self.overflow.touched());
        let (Used { ids, taken }, entries) = if self.wide {
            (self.count_wide(), (homes + overflow) * Wide::ENTRIES)
        } else {
            (self.count_narrow(), homes * home::ENTRIES + overflow * Narrow::ENTRIES)
        };
        Info {
            ids,
            taken,
            entries,
            overflow_lines: self.overflow.taken(),
            duplicates: self.tally.get(Kind::Duplicate as usize),
            forgotten: self.tally.get(Kind::Forgotten as usize),
            future: self.tally.get(Kind::Future as usize),
            memory_bytes: self.memory_bytes(),
            huge_bytes: self.lines.huge_bytes(),
        }
    }

    fn homes(&self) -> &[Line] {
        &self.lines.all()[..self.homes as usize]
    }

    /// What of lines is used that one that is held goes on in.
    fn used_further<F: Format>(&self, home: &Line, live: Live) -> Used {
        self.overflow_lines(home).fold(Used::default(), |used, line| used + used_in::<F>(line, live))
    }
}

fn used_in<F: Format>(line: &Line, live: Live) -> Used {
    let ids = entries_in::<F>(line, live).count();
    Used { ids, taken: ids }
}

/// The entries of a line that are remembered.
fn entries_in<F: Format>(line: &Line, live: Live) -> impl Iterator<Item = u64> {
    places::<F>().map(|at| F::get(line, at)).filter(move |entry| live.has(*entry))
}
