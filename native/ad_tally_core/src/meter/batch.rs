//! Many events at once: decoded first, then recorded.
//!
//! An event waits for the line of its key in the index, then for its row, then for the register of its user, and all that time
//! for the line of its id, and then perhaps for the rests of that. So events are taken in steps, a block of them after another, and
//! while others are taken what the next step looks at is on its way. Not sooner than that: lines that a whole list has asked for
//! push one another, and the list, out of the nearest cache.

use std::mem::MaybeUninit;

use super::window::{Places, Took, Window};
use super::{Check, Event, Meter, OUTCOMES, Open, Outcome, check_time};
use crate::counters::{Add, Added};
use crate::dedupe::{Id, Quads};
use crate::error::Error;
use crate::key::HashedKey;
use crate::keyed::{Found, Line, Words};
use crate::pin::Pinned;
use crate::row::MAX_METRICS;
use crate::sketch::Coupon;

/// Events that are taken through a step together.
const BLOCK: usize = 8;
/// The steps: the lines of an event's id and of the index are asked for, then its row, then the register of its user and the
/// rests of its id, and it is recorded.
const STEPS: usize = 4;
/// Events after which whoever waits for them is asked whether to go on. A clock takes as long as half an event.
const LOOK: usize = 128;
/// As how many more events one counts that took long.
const COST_OF_SLOW: usize = 3;
/// Events that windows are pinned for: who closes them waits meanwhile.
const TURN: usize = 128;

/// A key among the words of others.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Its hash.
    pub hash: u64,
    /// Where it begins, in words.
    pub begin: u32,
    /// How many words it has.
    pub length: u32,
}

impl Written {
    #[inline(always)]
    fn key(self, words: &[u64]) -> HashedKey<'_> {
        HashedKey { hash: self.hash, words: &words[self.begin as usize..][..self.length as usize] }
    }
}

/// An [`Event`] whose keys and amounts lie elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Draft {
    /// As in [`Event`].
    pub at: u64,
    /// As in [`Event`].
    pub id: Option<u64>,
    /// As in [`Event`].
    pub key: Written,
    /// As in [`Event`].
    pub user: Option<Coupon>,
}

impl Draft {
    /// The event, of those words and amounts.
    ///
    /// # Panics
    /// If the words do not reach as far as the keys do.
    #[inline(always)]
    #[must_use]
    pub fn event<'a>(&self, words: &'a [u64], amounts: &'a [Add]) -> Event<'a> {
        Event { at: self.at, id: self.id, key: self.key.key(words), amounts, user: self.user }
    }
}

struct Entry {
    draft: Draft,
    amounts: (u32, u32),
}

/// Events that wait to be recorded. Its memory is kept for the next batch.
#[derive(Default)]
pub struct Batch {
    entries: Vec<Entry>,
    words: Words,
    amounts: Vec<Add>,
    /// Where those of the last event are.
    last: (u32, u32),
}

impl Batch {
    /// Events in it.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Words that its keys take together.
    #[inline]
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Empties it, and gives memory back that only an unusual batch needed.
    #[inline]
    pub fn clear(&mut self) {
        self.entries.clear();
        self.amounts.clear();
        self.words.clear();
        self.last = (0, 0);
    }

    /// Room for the next event's key, of `words` words at least, and of one without long binaries.
    #[inline(always)]
    pub fn room(&mut self, words: usize) -> &mut [MaybeUninit<u64>] {
        self.words.room(words, 1)
    }

    /// Room for the amounts of the events that follow.
    #[inline]
    pub fn room_for_amounts(&mut self) -> &mut [MaybeUninit<Add>; MAX_METRICS] {
        self.amounts.reserve(MAX_METRICS);
        let amounts = self.amounts.spare_capacity_mut().first_chunk_mut();
        amounts.unwrap_or_else(|| unreachable!("reserved just now"))
    }

    /// The events that follow have those amounts.
    ///
    /// # Safety
    /// The first `count` amounts of the room were written since it was last asked for.
    #[inline]
    pub unsafe fn keep_amounts(&mut self, count: usize) {
        let from = self.amounts.len();
        // SAFETY: as many amounts after the end are written, by this function's contract.
        unsafe { self.amounts.set_len(from + count) };
        self.last = (from as u32, (from + count) as u32);
    }

    /// Appends an event whose key was written into [`Batch::room`], from its beginning on. It has the amounts that were kept
    /// last.
    ///
    /// # Errors
    /// [`Error::Time`], and it is not appended.
    ///
    /// # Safety
    /// The words of the draft's key were written since the room was last asked for.
    #[inline(always)]
    pub unsafe fn push(&mut self, draft: Draft) -> Result<(), Error> {
        check_time(draft.at)?;
        let key = draft.key;
        // SAFETY: this function's contract.
        let begin = unsafe { self.words.keep(key.length as usize) } as u32;
        let key = Written { begin, ..key };
        self.entries.push(Entry { draft: Draft { key, ..draft }, amounts: self.last });
        Ok(())
    }

    #[inline(always)]
    fn key(&self, entry: &Entry) -> HashedKey<'_> {
        entry.draft.key.key(self.words.all())
    }

    #[inline(always)]
    fn amounts(&self, entry: &Entry) -> &[Add] {
        let (from, to) = entry.amounts;
        &self.amounts[from as usize..to as usize]
    }
}

/// What became of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// How many had each outcome.
    pub counts: [u64; OUTCOMES],
    /// Which ones were late, counted from 0.
    pub late: Vec<u64>,
}

impl Outcomes {
    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds that of the next one.
    fn add(&mut self, outcome: Outcome) {
        self.add_at(self.total(), outcome);
    }

    /// Adds that of an event.
    fn add_at(&mut self, event: u64, outcome: Outcome) {
        if outcome == Outcome::Late {
            self.late.push(event);
        }
        self.counts[outcome as usize] += 1;
    }
}

/// How recording some events ended.
enum End {
    Done,
    /// There was no more time.
    Stop,
    /// The next one's window is still to begin.
    Begin(u64),
}

impl Meter {
    /// Records the events of a batch in turn, for as long as `go_on` says so, which is asked now and then. How many were
    /// recorded; what became of those is added to `outcomes`. It may be none when a window had to begin first.
    ///
    /// # Panics
    /// If a metric is not below [`Meter::metrics`].
    pub fn record_batch(
        &self,
        batch: &Batch,
        outcomes: &mut Outcomes,
        now: impl Fn() -> u64,
        mut go_on: impl FnMut() -> bool,
    ) -> usize {
        let (mut done, mut since_look) = (0, 0);
        let mut go_on = |more: usize| {
            since_look += more;
            since_look < LOOK || {
                since_look = 0;
                go_on()
            }
        };
        while done < batch.len() {
            let open = self.open.pin();
            let entries = &batch.entries[done..];
            let (recorded, end) = self.record_some(&open, batch, entries, outcomes, &now, &mut go_on);
            done += recorded;
            drop(open);
            match end {
                End::Done => {}
                End::Stop => break,
                End::Begin(number) => {
                    if !self.begin(number) {
                        outcomes.add(self.leave_out(batch.amounts(&batch.entries[done]), Outcome::Late));
                        self.events.add(Outcome::Late as usize);
                        done += 1;
                    }
                    // It has taken as long as many events.
                    if !go_on(LOOK) {
                        break;
                    }
                }
            }
        }
        done
    }

    /// Records events until a turn is over: how many, and how it ended.
    #[inline(never)]
    fn record_some(
        &self,
        open: &Pinned<'_, Open>,
        batch: &Batch,
        entries: &[Entry],
        outcomes: &mut Outcomes,
        now: &impl Fn() -> u64,
        go_on: &mut impl FnMut(usize) -> bool,
    ) -> (usize, End) {
        let is_last = entries.len() <= TURN;
        let entries = &entries[..entries.len().min(TURN)];
        let before = outcomes.counts;
        let mut sought = [[Sought::default(); BLOCK]; STEPS];
        let mut last = None;
        let mut recorded = 0;
        let mut end = End::Done;
        for step in 0..entries.len().div_ceil(BLOCK) + STEPS - 1 {
            self.fetch_lines(open, &mut last, block(entries, step), &mut sought[step % STEPS]);
            let Some(step) = step.checked_sub(1) else { continue };
            fetch_rows(block(entries, step), &mut sought[step % STEPS]);
            let Some(step) = step.checked_sub(1) else { continue };
            self.find(batch, block(entries, step), &mut sought[step % STEPS]);
            let Some(step) = step.checked_sub(1) else { continue };
            let block = block(entries, step);
            let sought = &mut sought[step % STEPS];
            let (ready, begin) = self.check_all(open, batch, block, sought, outcomes, now);
            let slow = self.add_all(open, batch, &block[..ready], sought, outcomes);
            recorded += ready;
            if let Some(number) = begin {
                end = End::Begin(number);
                break;
            }
            let is_over = is_last && recorded == entries.len();
            if !is_over && !go_on(ready + slow * COST_OF_SLOW) {
                end = End::Stop;
                break;
            }
        }
        for (kind, (now, before)) in outcomes.counts.iter().zip(before).enumerate() {
            if *now > before {
                self.events.add_many_in(open.slot().id(), kind, now - before);
            }
        }
        (recorded, end)
    }

    /// The first step: looks for the windows of events, and asks for the lines where their ids belong, and their keys in the index.
    #[inline(never)]
    fn fetch_lines<'o>(
        &'o self,
        open: &'o Open,
        last: &mut Option<&'o Window>,
        block: &[Entry],
        sought: &mut [Sought<'o>; BLOCK],
    ) {
        // Mostly an event's window is that of the one before. None begins so late that any time is within it.
        const NEVER: u64 = 1 << 63;
        let begin = |window: Option<&Window>| window.map_or(NEVER, |window| window.number * self.window);
        let (mut window, mut begins) = (*last, begin(*last));
        for (Entry { draft, .. }, sought) in block.iter().zip(sought) {
            sought.id = self.id(draft.id);
            if let Some(id) = sought.id {
                id.fetch();
            }
            if draft.at.wrapping_sub(begins) >= self.window {
                window = open.find_at(draft.at, self.window);
                begins = begin(window);
            }
            sought.window = window;
            sought.line = window.and_then(|window| window.fetch_line(draft.key.hash));
        }
        *last = window;
    }

    /// The third step: looks for the events' rows, and asks for their users' registers and the rests of their ids: those rows and
    /// the ids' lines are near.
    #[inline(never)]
    fn find(&self, batch: &Batch, block: &[Entry], sought: &mut [Sought<'_>; BLOCK]) {
        for (entry, sought) in block.iter().zip(sought) {
            if let (Some(id), Some(dedupe)) = (sought.id, &self.dedupe) {
                dedupe.fetch_rests(id);
            }
            if let Some(window) = sought.window {
                sought.places = window.find(batch.key(entry), entry.draft.user, sought.row);
            }
        }
    }

    /// The fourth step: looks which events are to be counted, up to one whose window is still to begin. How many are before that,
    /// and its number. Of those that are not to be counted the windows are forgotten.
    #[inline(never)]
    fn check_all(
        &self,
        open: &Pinned<'_, Open>,
        batch: &Batch,
        block: &[Entry],
        sought: &mut [Sought<'_>; BLOCK],
        outcomes: &mut Outcomes,
        now: &impl Fn() -> u64,
    ) -> (usize, Option<u64>) {
        let mut left_out = 0;
        for (at, (entry, sought)) in block.iter().zip(sought).enumerate() {
            match self.check(open, sought.window, entry.draft.at, sought.id, Quads::<fn() -> Option<usize>>::Now, now) {
                Check::Counts(_window) => {}
                Check::LeftOut(outcome) => {
                    sought.window = None;
                    // Those before it in its block that count are not among them yet.
                    outcomes.add_at(outcomes.total() - left_out + at as u64, outcome);
                    left_out += 1;
                    self.leave_out(batch.amounts(entry), outcome);
                }
                Check::Begin(number) => return (at, Some(number)),
            }
        }
        (block.len(), None)
    }

    /// The last step: counts events. How many of them took long.
    #[inline(never)]
    fn add_all(
        &self,
        open: &Pinned<'_, Open>,
        batch: &Batch,
        block: &[Entry],
        sought: &[Sought<'_>; BLOCK],
        outcomes: &mut Outcomes,
    ) -> usize {
        let slot = open.slot().id();
        let (mut applied, mut slow) = (0, 0);
        for (entry, sought) in block.iter().zip(sought) {
            let Some(window) = sought.window else { continue };
            let (amounts, user, key) = (batch.amounts(entry), entry.draft.user, || batch.key(entry));
            // SAFETY: this thread has pinned the windows in that slot.
            let (added, took) = unsafe { window.add(sought.places, amounts, user, key, slot) };
            slow += usize::from(took == Took::Long);
            match added {
                Added::Row => applied += 1,
                Added::Overflow => outcomes.counts[Outcome::Overflow as usize] += 1,
            }
        }
        outcomes.counts[Outcome::Applied as usize] += applied;
        slow
    }
}

/// The second step: asks for the rows of events' counters, whose lines of the index are near.
#[inline(never)]
fn fetch_rows(block: &[Entry], sought: &mut [Sought<'_>; BLOCK]) {
    for (Entry { draft, .. }, sought) in block.iter().zip(sought) {
        sought.row = match (sought.window, sought.line) {
            (Some(window), Some(line)) => window.fetch_row(line, draft.key.hash, draft.key.length as usize),
            _ => None,
        };
    }
}

/// The events of a block.
#[inline(always)]
fn block(entries: &[Entry], number: usize) -> &[Entry] {
    entries.chunks(BLOCK).nth(number).unwrap_or_default()
}

/// What was found so far of an event that is to be recorded.
#[derive(Clone, Copy, Default)]
struct Sought<'o> {
    id: Option<Id<'o>>,
    window: Option<&'o Window>,
    /// The line of the index where its key belongs.
    line: Option<&'o Line>,
    /// Where the row of its counters most likely is.
    row: Option<Found<'o>>,
    places: Places<'o>,
}
