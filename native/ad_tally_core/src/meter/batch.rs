//! Many events at once: decoded first, then recorded in groups.
//!
//! The events of a group go through each stage of their lookups together, so that their cache misses overlap.

use std::mem::MaybeUninit;

use super::Meter;
use super::event::{Event, OUTCOMES, Outcome};
use super::lookup::{Lookup, Recording, Writing};
use crate::counters::{Add, MAX_METRICS};
use crate::error::{Error, check_time};
use crate::sketch::Coupon;
use crate::table;

/// Events that go through a stage together, and that windows are protected for: who closes them waits meanwhile. By 16 an event of
/// a list took 97 ns instead of 91: what is known of a group no longer fits beside its lines into the nearest cache.
const GROUP: usize = 8;
/// Groups after which whoever waits for them is asked whether to go on. A clock takes as long as half an event.
const GROUPS_BETWEEN_LOOKS: usize = 16;

/// What an event has beside its key.
#[derive(Clone, Copy)]
struct Rest {
    at: u64,
    id: Option<u64>,
    user: Option<Coupon>,
    amounts: (u32, u32),
}

/// Events that wait to be recorded. Its memory is kept for the next batch.
#[derive(Default)]
pub struct Batch {
    events: table::Batch<Rest>,
    amounts: Vec<Add>,
    /// Where those of the last event are.
    last: (u32, u32),
}

impl Batch {
    /// Events in it.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing is in it.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Empties it, and gives memory back that only an unusual batch needed.
    #[inline]
    pub fn clear(&mut self) {
        self.events.clear();
        self.amounts.clear();
        self.last = (0, 0);
    }

    /// Room for the next event's key, of `words` words at least, and of one without long binaries.
    #[inline(always)]
    pub fn room(&mut self, words: usize) -> &mut [MaybeUninit<u64>] {
        self.events.room(words)
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

    /// Appends an event for the key that was written into [`Batch::room`]. It has the amounts that were kept last.
    ///
    /// # Errors
    /// [`Error::Time`], and it is not appended.
    ///
    /// # Safety
    /// A key of that hash and of `length` words was finished at the start of the room since it was last asked for.
    #[inline(always)]
    pub unsafe fn push(
        &mut self,
        at: u64,
        id: Option<u64>,
        (hash, length): (u64, usize),
        user: Option<Coupon>,
    ) -> Result<(), Error> {
        check_time(at)?;
        // SAFETY: this function's contract.
        unsafe { self.events.push(hash, length, Rest { at, id, user, amounts: self.last }) };
        Ok(())
    }

    /// An event of it.
    #[inline(always)]
    fn event(&self, index: usize) -> Event<'_> {
        let (key, &Rest { at, id, user, amounts: (from, to) }) = self.events.get(index);
        Event { at, id, key, amounts: &self.amounts[from as usize..to as usize], user }
    }
}

/// What became of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcomes {
    /// How many had each outcome.
    pub counts: [u64; OUTCOMES],
    /// Which ones were late, counted from 0.
    pub late: Vec<u64>,
    /// Which ones were counted, in a row or in the overflow, where there is a list for them.
    pub counted: Option<Vec<u64>>,
}

impl Outcomes {
    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds that of the next one.
    #[inline(always)]
    fn add(&mut self, outcome: Outcome) {
        if outcome == Outcome::Late {
            self.late.push(self.total());
        }
        if let Some(counted) = &mut self.counted
            && matches!(outcome, Outcome::Applied | Outcome::Overflow)
        {
            counted.push(self.counts.iter().sum());
        }
        self.counts[outcome as usize] += 1;
    }
}

impl Meter {
    /// Records the events of a batch in turn, for as long as `go_on` says so, which is asked after each group. How many were
    /// recorded; what became of those is added to `outcomes`. It may be none when a window had to begin first.
    ///
    /// Where the journal has no room for an event, all those after it are busy as well, also in the batches that follow with the same
    /// outcomes: it is the end of a list that is to be sent again.
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
        let (mut done, mut groups) = (0, 0);
        while done < batch.len() {
            let recording = self.protect();
            if outcomes.counts[Outcome::Busy as usize] > 0 || matches!(recording.writing, Writing::Busy) {
                let left = (batch.len() - done) as u64;
                self.stats.count_busy(recording.open.slot().id(), left);
                outcomes.counts[Outcome::Busy as usize] += left;
                return batch.len();
            }
            let group = (batch.len() - done).min(GROUP);
            let recorded = recording.record_group(batch, done, group, outcomes, &now);
            drop(recording);
            done += recorded;
            groups += 1;
            let begins = recorded < group;
            if begins && let Err(outcome) = self.begin_window_of(&batch.event(done), &now) {
                outcomes.add(outcome);
                done += 1;
            }
            // To begin a window takes as long as many events.
            if (begins || groups % GROUPS_BETWEEN_LOOKS == 0) && !go_on() {
                break;
            }
        }
        done
    }
}

impl Recording<'_> {
    /// Records events of a batch, up to one whose window is still to begin: how many.
    #[inline(never)]
    fn record_group(
        &self,
        batch: &Batch,
        from: usize,
        count: usize,
        outcomes: &mut Outcomes,
        now: &impl Fn() -> u64,
    ) -> usize {
        let mut group: [Option<(Event<'_>, Lookup<'_>)>; GROUP] = [const { None }; GROUP];
        let group = &mut group[..count];
        for (place, index) in group.iter_mut().zip(from..) {
            let event = batch.event(index);
            let mut lookup = self.begin_checked(event.at, event.id);
            lookup.fetch_line(event.key.hash);
            *place = Some((event, lookup));
        }
        for (event, lookup) in group.iter_mut().flatten() {
            lookup.fetch_row(event.key);
        }
        for (event, lookup) in group.iter_mut().flatten() {
            lookup.find_rows(event);
        }
        let mut recorded = 0;
        for (event, lookup) in group.iter().flatten() {
            let Some(outcome) = lookup.finish(event, now) else { break };
            outcomes.add(outcome);
            recorded += 1;
        }
        recorded
    }
}
