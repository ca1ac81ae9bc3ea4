//! Many events at once: decoded first, then recorded.
//!
//! An event waits for the line of its key in the index, then for its row, then for the register of its user, and all that time
//! for the line of its id. So it is taken in steps, each of them some events after the one before, and while others are taken
//! what the next step looks at is on its way. Not sooner than that: lines that a whole list has asked for push one another, and
//! the list, out of the nearest cache.

use std::mem::MaybeUninit;

use super::window::{Places, Window};
use super::{Event, Meter, OUTCOMES, Open, Outcome, Step, check_time};
use crate::counters::Add;
use crate::error::Error;
use crate::key::HashedKey;
use crate::keyed::{Found, Line, Words};
use crate::pin::Pinned;
use crate::row::MAX_METRICS;
use crate::sketch::Coupon;

/// Events between the steps in which an event's lines of ids and of the index are asked for, then its row, then the register of
/// its user, and it is recorded.
const AHEAD: usize = 5;
/// Events after which whoever waits for them is asked whether to go on.
const LOOK: usize = 32;
/// Events that windows are pinned for: who closes them waits meanwhile.
const TURN: usize = 64;

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

    /// Room for the next event's key, of `words` words at least, and of one without long binaries; and for its amounts.
    #[inline]
    pub fn rooms(&mut self, words: usize) -> (&mut [MaybeUninit<u64>], &mut [MaybeUninit<Add>; MAX_METRICS]) {
        self.amounts.reserve(MAX_METRICS);
        let amounts = self.amounts.spare_capacity_mut().first_chunk_mut();
        (self.words.room(words, 1), amounts.unwrap_or_else(|| unreachable!("reserved just now")))
    }

    /// Appends an event whose key and amounts were written into [`Batch::rooms`], from their beginnings on. Without `amounts`
    /// it has those of the one before.
    ///
    /// # Errors
    /// [`Error::Time`], and it is not appended.
    ///
    /// # Safety
    /// The words of the draft's key and the first `amounts` amounts of the rooms were written since those were last asked for.
    #[inline]
    pub unsafe fn push(&mut self, draft: Draft, amounts: Option<usize>) -> Result<(), Error> {
        check_time(draft.at)?;
        let key = draft.key;
        // SAFETY: this function's contract.
        let begin = unsafe { self.words.keep(key.length as usize) } as u32;
        let key = Written { begin, ..key };
        if let Some(amounts) = amounts {
            let from = self.amounts.len();
            // SAFETY: as many amounts after the end are written, by this function's contract.
            unsafe { self.amounts.set_len(from + amounts) };
            self.last = (from as u32, (from + amounts) as u32);
        }
        self.entries.push(Entry { draft: Draft { key, ..draft }, amounts: self.last });
        Ok(())
    }

    #[inline(always)]
    fn key(&self, entry: &Entry) -> HashedKey<'_> {
        entry.draft.key.key(self.words.all())
    }

    #[inline(always)]
    fn event(&self, entry: &Entry) -> Event<'_> {
        let (from, to) = entry.amounts;
        entry.draft.event(self.words.all(), &self.amounts[from as usize..to as usize])
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

    fn add(&mut self, outcome: Outcome) {
        if outcome == Outcome::Late {
            self.late.push(self.total());
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
        let mut done = 0;
        while done < batch.len() {
            let open = self.open.pin();
            let (recorded, end) = self.record_some(&open, batch, &batch.entries[done..], outcomes, &now, &mut go_on);
            done += recorded;
            drop(open);
            match end {
                End::Done => {}
                End::Stop => break,
                End::Begin(number) => {
                    if !self.begin(number) {
                        outcomes.add(self.leave_out(&batch.event(&batch.entries[done]), Outcome::Late));
                        self.events.add(Outcome::Late as usize);
                        done += 1;
                    }
                    // It has taken as long as many events.
                    if !go_on() {
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
        go_on: &mut impl FnMut() -> bool,
    ) -> (usize, End) {
        let is_last = entries.len() <= TURN;
        let entries = &entries[..entries.len().min(TURN)];
        let before = outcomes.counts;
        let mut sought = [Sought::default(); TURN];
        let mut last = None;
        let mut recorded = 0;
        let mut end = End::Done;
        for step in 0..entries.len() + 3 * AHEAD {
            if let Some(entry) = entries.get(step) {
                sought[step] = self.fetch_lines(open, &mut last, &entry.draft);
            }
            if let Some((at, entry)) = entry_at(entries, step, AHEAD) {
                sought[at].fetch_row(&entry.draft);
            }
            if let Some((at, entry)) = entry_at(entries, step, 2 * AHEAD) {
                sought[at].find(batch.key(entry), entry.draft.user);
            }
            let Some((at, entry)) = entry_at(entries, step, 3 * AHEAD) else { continue };
            let Sought { window, places, .. } = sought[at];
            match self.record_in(open, window, places, &batch.event(entry), now) {
                Step::Done(outcome) => outcomes.add(outcome),
                Step::Begin(number) => {
                    end = End::Begin(number);
                    break;
                }
            }
            recorded += 1;
            // Not only after a turn: new keys take microseconds each where memory is fresh.
            let is_over = is_last && recorded == entries.len();
            if !is_over && recorded % LOOK == 0 && !go_on() {
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

    /// Looks for the window of an event, and asks for the lines where its id belongs, and its key in the index.
    #[inline(always)]
    fn fetch_lines<'o>(&self, open: &'o Open, last: &mut Option<&'o Window>, draft: &Draft) -> Sought<'o> {
        if let Some(id) = draft.id {
            self.fetch_id(id);
        }
        // Mostly that of the one before: a division takes as long as all of the rest.
        let is_last = |window: &&Window| draft.at.wrapping_sub(window.number * self.window) < self.window;
        *last = last.filter(is_last).or_else(|| open.find(draft.at / self.window));
        let line = last.and_then(|window| window.fetch_line(draft.key.hash));
        Sought { window: *last, line, ..Sought::default() }
    }
}

/// The event that is `behind` behind a step, if there is one, and which one that is.
#[inline(always)]
fn entry_at(entries: &[Entry], step: usize, behind: usize) -> Option<(usize, &Entry)> {
    let at = step.wrapping_sub(behind);
    Some((at, entries.get(at)?))
}

/// What was found so far of an event that is to be recorded.
#[derive(Clone, Copy, Default)]
struct Sought<'o> {
    window: Option<&'o Window>,
    /// The line of the index where its key belongs.
    line: Option<&'o Line>,
    /// Where the row of its counters most likely is.
    row: Option<Found<'o>>,
    places: Places<'o>,
}

impl<'o> Sought<'o> {
    /// Asks for the row of the event's counters: its line of the index is near.
    #[inline(always)]
    fn fetch_row(&mut self, draft: &Draft) {
        if let (Some(window), Some(line)) = (self.window, self.line) {
            self.row = window.fetch_row(line, draft.key.hash, draft.key.length as usize);
        }
    }

    /// Looks for the event's rows, and asks for its user's register: that row is near.
    #[inline(always)]
    fn find(&mut self, key: HashedKey<'_>, user: Option<Coupon>) {
        if let Some(window) = self.window {
            self.places = window.find(key, user, self.row);
        }
    }
}
