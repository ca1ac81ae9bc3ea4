//! Many events at once: decoded first, then recorded.
//!
//! An event waits for the line of its key in the index, then for its row, then for the register of its user, and all that time
//! for the line of its id, and then perhaps for the rests of that. So events are taken in steps, some in a row that are of one
//! window at a time, and while others are taken what the next step looks at is on its way. Not sooner than that: lines that a whole
//! list has asked for push one another, and the list, out of the nearest cache.

use std::mem::MaybeUninit;

use super::open::OpenWindows;
use super::window::{Places, Window};
use super::{Check, Event, Meter, OUTCOMES, Outcome, check_time};
use crate::counters::{Add, MAX_METRICS};
use crate::dedupe::{Id, Quads};
use crate::error::Error;
use crate::key::HashedKey;
use crate::sketch::Coupon;
use crate::sync::hazard::Protected;
use crate::table::{Added, Line, RowRef, Words};

/// Events that are taken through a step together at most.
const RUN: usize = 8;
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
            let open = self.open.protect();
            let entries = &batch.entries[done..];
            let (recorded, end) = self.record_some(&open, batch, entries, outcomes, &now, &mut go_on);
            done += recorded;
            drop(open);
            match end {
                End::Done => {}
                End::Stop => break,
                End::Begin(number) => {
                    if let Err(outcome) = self.begin(number, &now) {
                        let entry = &batch.entries[done];
                        outcomes.add(self.leave_out(entry.draft.at, batch.amounts(entry), outcome));
                        self.events.add(outcome as usize);
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
        open: &Protected<'_, OpenWindows>,
        batch: &Batch,
        entries: &[Entry],
        outcomes: &mut Outcomes,
        now: &impl Fn() -> u64,
        go_on: &mut impl FnMut(usize) -> bool,
    ) -> (usize, End) {
        let is_last = entries.len() <= TURN;
        let entries = &entries[..entries.len().min(TURN)];
        let before = outcomes.counts;
        let mut begun = 0;
        let mut runs: [Run<'_, '_>; STEPS] = Default::default();
        let mut recorded = 0;
        let mut end = End::Done;
        let mut turn = 0;
        while recorded < entries.len() {
            // In the first turns the later steps find runs without events.
            let run = |step: usize| (turn + STEPS - step) % STEPS;
            let window = runs[run(1)].window;
            self.begin_run(open, window, &entries[begun..], &mut runs[run(0)]);
            begun += runs[run(0)].entries.len();
            fetch_rows(&mut runs[run(1)]);
            self.find(batch, &mut runs[run(2)]);
            let run = &mut runs[run(3)];
            let (ready, begin) = self.check_all(open, batch, run, outcomes, now);
            let slow = self.add_all(open, batch, run, outcomes);
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
            turn += 1;
        }
        for (kind, (now, before)) in outcomes.counts.iter().zip(before).enumerate() {
            if *now > before {
                self.events.add_many_in(open.slot().id(), kind, now - before);
            }
        }
        (recorded, end)
    }

    /// The first step: takes the next events that are of one window, and asks for the lines where their ids belong, and their
    /// keys in the index.
    #[inline(never)]
    fn begin_run<'o, 'b>(
        &'o self,
        open: &'o OpenWindows,
        before: Option<&'o Window>,
        entries: &'b [Entry],
        run: &mut Run<'o, 'b>,
    ) {
        run.entries = &[];
        let Some(Entry { draft: first, .. }) = entries.first() else { return };
        // Mostly that of the run before.
        let is_of = |window: &&Window| first.at.wrapping_sub(window.number * self.window) < self.window;
        let window = before.filter(is_of).or_else(|| open.find_at(first.at, self.window));
        let begin = window.map_or_else(|| first.at / self.window, |window| window.number) * self.window;
        let mut count = 0;
        for (Entry { draft, .. }, sought) in entries.iter().zip(&mut run.sought) {
            if draft.at.wrapping_sub(begin) >= self.window {
                break;
            }
            count += 1;
            sought.id = match (&self.dedupe, draft.id) {
                (Some(dedupe), Some(hash)) => Some(dedupe.fetch_id(hash)),
                _ => None,
            };
            sought.line = window.and_then(|window| window.fetch_line(draft.key.hash));
        }
        run.window = window;
        run.entries = &entries[..count];
    }

    /// The third step: looks for the events' rows, and asks for their users' registers and the rests of their ids: those rows and
    /// the ids' lines are near.
    #[inline(never)]
    fn find<'o>(&'o self, batch: &Batch, run: &mut Run<'o, '_>) {
        let Some(window) = run.window else { return };
        for (entry, sought) in run.entries.iter().zip(&mut run.sought) {
            if let (Some(id), Some(dedupe)) = (sought.id, &self.dedupe) {
                dedupe.fetch_rests(id);
            }
            sought.places = window.find(batch.key(entry), entry.draft.user, sought.row);
        }
    }

    /// The fourth step: looks which events are to be counted, up to one whose window is still to begin. How many are before that,
    /// and its number.
    #[inline(never)]
    fn check_all(
        &self,
        open: &Protected<'_, OpenWindows>,
        batch: &Batch,
        run: &mut Run<'_, '_>,
        outcomes: &mut Outcomes,
        now: &impl Fn() -> u64,
    ) -> (usize, Option<u64>) {
        let (mut left_out, mut begin) = (0_u32, None);
        let (mut counted, mut ready) = (0, 0);
        for (entry, sought) in run.entries.iter().zip(&run.sought) {
            match self.check(open, run.window, entry.draft.at, sought.id, Quads::<fn() -> Option<usize>>::Now, now) {
                Check::Counts(_window) => counted |= 1 << ready,
                Check::LeftOut(outcome) => {
                    // Those before it in its run that count are not among them yet.
                    outcomes.add_at(outcomes.total() + u64::from(ready - left_out), outcome);
                    left_out += 1;
                    self.leave_out(entry.draft.at, batch.amounts(entry), outcome);
                }
                Check::Begin(number) => {
                    begin = Some(number);
                    break;
                }
            }
            ready += 1;
        }
        run.counted = counted;
        (ready as usize, begin)
    }

    /// The last step: counts events, their amounts first and then their users. How many of them took long.
    #[inline(never)]
    fn add_all(
        &self,
        open: &Protected<'_, OpenWindows>,
        batch: &Batch,
        run: &Run<'_, '_>,
        outcomes: &mut Outcomes,
    ) -> usize {
        let Some(window) = run.window else { return 0 };
        let slot = open.slot().id();
        let (mut new, mut overflown) = (0, 0);
        let mut bit = 1;
        for (entry, sought) in run.entries.iter().zip(&run.sought) {
            if run.counted & bit != 0 {
                match sought.places.counters {
                    Some(row) => {
                        // SAFETY: this thread has pinned the windows in that slot, and the row was found in that one.
                        let added = unsafe { window.add_amounts(row, batch.amounts(entry), slot) };
                        if added == Added::Overflow {
                            overflown |= bit;
                        }
                    }
                    None => new |= bit,
                }
            }
            bit <<= 1;
        }
        let slow = run.counted & (new | run.unknown());
        if slow != 0 {
            // SAFETY: this thread has pinned the windows in that slot.
            overflown |= unsafe { Self::add_slowly(batch, window, run, slow, slot) };
        }
        let overflow = overflown.count_ones();
        outcomes.counts[Outcome::Overflow as usize] += u64::from(overflow);
        outcomes.counts[Outcome::Applied as usize] += u64::from(run.counted.count_ones() - overflow);
        slow.count_ones() as usize
    }

    /// Counts events whose key is new, and shows the users of the others: which had no room, as bits like those it is given.
    ///
    /// # Safety
    /// `slot` is the id of a slot that the calling thread has claimed.
    #[inline(never)]
    unsafe fn add_slowly(batch: &Batch, window: &Window, run: &Run<'_, '_>, events: u32, slot: usize) -> u32 {
        let mut overflown = 0;
        for at in (0..run.entries.len()).filter(|at| events & 1 << at != 0) {
            let (entry, places) = (&run.entries[at], run.sought[at].places);
            let user = entry.draft.user;
            let key = || batch.key(entry);
            let added = match places.counters {
                Some(row) => user.map_or(Added::Row, |user| window.show(row, places.sketch, user, key)),
                // SAFETY: this function's contract.
                None => unsafe { window.add_to_new(key(), batch.amounts(entry), user, slot) },
            };
            overflown |= u32::from(added == Added::Overflow) << at;
        }
        overflown
    }
}

/// The second step: asks for the rows of events' counters, whose lines of the index are near.
#[inline(never)]
fn fetch_rows(run: &mut Run<'_, '_>) {
    let Some(window) = run.window else { return };
    for (Entry { draft: Draft { key, .. }, .. }, sought) in run.entries.iter().zip(&mut run.sought) {
        sought.row = sought.line.and_then(|line| window.fetch_row(line, key.hash, key.length as usize));
    }
}

/// Events in a row that are of one window and are taken through the steps together.
#[derive(Default)]
struct Run<'o, 'b> {
    /// `None` if it is not open.
    window: Option<&'o Window>,
    entries: &'b [Entry],
    /// What was found of each of them.
    sought: [Sought<'o>; RUN],
    /// Those that are to be counted, as bits.
    counted: u32,
}

impl Run<'_, '_> {
    /// Events whose users may raise something, as bits.
    #[inline(always)]
    fn unknown(&self) -> u32 {
        let (mut unknown, mut bit) = (0, 1);
        for (entry, Sought { places, .. }) in self.entries.iter().zip(&self.sought) {
            if !places.know(entry.draft.user) {
                unknown |= bit;
            }
            bit <<= 1;
        }
        unknown
    }
}

/// What was found so far of an event that is to be recorded.
#[derive(Clone, Copy, Default)]
struct Sought<'o> {
    id: Option<Id<'o>>,
    /// The line of the index where its key belongs.
    line: Option<&'o Line>,
    /// Where the row of its counters most likely is.
    row: Option<RowRef<'o>>,
    places: Places<'o>,
}
