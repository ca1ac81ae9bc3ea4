//! Many events at once: decoded first, then recorded by groups.
//!
//! An event waits for the lines of its id, of its keys in the index, and then of its rows. So the first ones of a group are
//! asked for while the group before it is recorded, and its rows before the first event of it is.

use std::mem::MaybeUninit;

use super::window::{Places, Window};
use super::{Event, Meter, OUTCOMES, Open, Outcome, Step, check_time};
use crate::counters::Add;
use crate::error::Error;
use crate::key::HashedKey;
use crate::keyed::Words;
use crate::pin::Pinned;
use crate::sketch::Coupon;

/// Events whose lines are asked for together.
const GROUP: usize = 16;

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

    fn behind(self, words: u32) -> Self {
        Self { begin: self.begin + words, ..self }
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
    /// As in [`Event`]. It may be the same words as `key`.
    pub reach: Option<(Written, Coupon)>,
}

impl Draft {
    /// The event, of those words and amounts.
    ///
    /// # Panics
    /// If the words do not reach as far as the keys do.
    #[inline(always)]
    #[must_use]
    pub fn event<'a>(&self, words: &'a [u64], amounts: &'a [Add]) -> Event<'a> {
        let reach = self.reach.map(|(key, user)| (key.key(words), user));
        Event { at: self.at, id: self.id, key: self.key.key(words), amounts, reach }
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
    }

    /// Room for the next event's keys, of `words` words at least, and of two keys without long binaries.
    #[inline]
    pub fn room(&mut self, words: usize) -> &mut [MaybeUninit<u64>] {
        self.words.room(words, 2)
    }

    /// Appends an event whose keys were written into [`Batch::room`], from its beginning on.
    ///
    /// # Errors
    /// [`Error::Time`], and it is not appended.
    ///
    /// # Safety
    /// The first `words` words of the room were written since it was last asked for, and the draft's keys are finished ones
    /// among them.
    #[inline]
    pub unsafe fn push(&mut self, draft: Draft, words: usize, amounts: &[Add]) -> Result<(), Error> {
        check_time(draft.at)?;
        // SAFETY: this function's contract.
        let begin = unsafe { self.words.keep(words) } as u32;
        let key = draft.key.behind(begin);
        let reach = draft.reach.map(|(key, user)| (key.behind(begin), user));
        let from = self.amounts.len() as u32;
        // One by one: a copy of all in wide words would wait for the narrow ones that were just written.
        self.amounts.extend(amounts.iter().copied());
        let draft = Draft { key, reach, ..draft };
        self.entries.push(Entry { draft, amounts: (from, self.amounts.len() as u32) });
        Ok(())
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

    /// Records events until some groups are done: how many, and how it ended.
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
        /// Groups that windows are pinned for: who closes them waits meanwhile.
        const TURN: usize = 4;
        let before = outcomes.counts;
        let mut recorded = 0;
        let mut end = End::Done;
        let mut groups = entries.chunks(GROUP).take(TURN);
        let (mut windows, mut places) = ([None; GROUP], [Places::default(); GROUP]);
        let mut next = groups.next().unwrap_or_default();
        self.fetch_lines(open, batch, next, &mut windows);
        'groups: while !next.is_empty() {
            let group = next;
            let of_group = windows;
            for ((places, window), entry) in places.iter_mut().zip(of_group).zip(group) {
                *places = window.map_or_else(Places::default, |window| window.fetch_rows(&batch.event(entry)));
            }
            next = groups.next().unwrap_or_default();
            self.fetch_lines(open, batch, next, &mut windows);
            for ((places, window), entry) in places.iter().zip(of_group).zip(group) {
                match self.record_in(open, window, *places, &batch.event(entry), now) {
                    Step::Done(outcome) => outcomes.add(outcome),
                    Step::Begin(number) => {
                        end = End::Begin(number);
                        break 'groups;
                    }
                }
                recorded += 1;
            }
            // After each group: new keys take microseconds each where memory is fresh.
            if recorded < entries.len() && !go_on() {
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

    /// Looks for the windows of a group's events, and asks for the lines of their ids and those of the index where their
    /// keys belong.
    #[inline(always)]
    fn fetch_lines<'o>(
        &self,
        open: &'o Open,
        batch: &Batch,
        group: &[Entry],
        windows: &mut [Option<&'o Window>; GROUP],
    ) {
        let mut last: Option<&Window> = None;
        for (window, entry) in windows.iter_mut().zip(group) {
            let at = entry.draft.at;
            // Mostly that of the one before: a division takes as long as all of the rest.
            let is_last = |window: &&Window| at.wrapping_sub(window.number * self.window) < self.window;
            *window = last.filter(is_last).or_else(|| open.find(at / self.window));
            last = *window;
            if let Some(id) = entry.draft.id {
                self.fetch_id(id);
            }
            if let Some(window) = window {
                window.fetch(&batch.event(entry));
            }
        }
    }
}
