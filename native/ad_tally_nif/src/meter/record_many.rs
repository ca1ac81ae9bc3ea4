//! Lists of events: decoded into a batch, and then recorded.

use std::cell::{Cell, RefCell};

use ad_tally_core::meter::{Batch, Outcome, Outcomes};
use rustler::{Encoder, Env, Term};

use super::Table;
use super::event::{Fault, Long, decode_again};
use super::touch::{Touches, with_touches};
use crate::attribution;
use crate::clock::now;
use crate::decode::{BadArgument, Layout, Raw, events::EventTerm, with_layout};
use crate::hot::{Index, hot};
use crate::resource;
use crate::sketch;
use crate::steps::{self, Load};

/// Events that one call reads at most. Long binaries fill a batch before it has many events.
const MOST_EVENTS: usize = 256;

hot! {
    /// Counts a list of events that one call can read.
    fn meter_record_many(env, table: &Table, events: Term<'a>) {
        unless_left(env, table, None, |load| steps::add_many(env, events, load))
    }

    /// The same. What was counted and is a touch the attribution is told of as well.
    fn meter_record_many(env, table: &Table, attribution: &attribution::Table, events: Term<'a>) {
        unless_left(env, table, Some(attribution), |load| steps::add_many(env, events, load))
    }

    /// Looks at events of a long list.
    fn meter_check_some(env, table: &Table, events: Term<'a>, from: Index) {
        unless_left(env, table, None, |load| steps::check_some(env, events, from, load))
    }

    /// The same. What was counted and is a touch the attribution is told of as well.
    fn meter_check_some(env, table: &Table, attribution: &attribution::Table, events: Term<'a>, from: Index) {
        unless_left(env, table, Some(attribution), |load| steps::check_some(env, events, from, load))
    }

    /// Looks which events of a list are refused.
    fn meter_refused_some(env, table: &Table, events: Term<'a>, from: Index) {
        unless_left(env, table, None, |load| steps::refused_some(env, events, from, load))
    }

    /// The same. What was counted and is a touch the attribution is told of as well.
    fn meter_refused_some(env, table: &Table, attribution: &attribution::Table, events: Term<'a>, from: Index) {
        unless_left(env, table, Some(attribution), |load| steps::refused_some(env, events, from, load))
    }

    /// Counts the first events of a long list.
    fn meter_record_first(env, table: &Table, events: Term<'a>) {
        unless_left(env, table, None, |load| steps::add_some(env, events, load))
    }

    /// The same. What was counted and is a touch the attribution is told of as well.
    fn meter_record_first(env, table: &Table, attribution: &attribution::Table, events: Term<'a>) {
        unless_left(env, table, Some(attribution), |load| steps::add_some(env, events, load))
    }

    /// Counts events of a long list, of which some were counted: in a meter that was stopped meanwhile the others are late.
    fn meter_record_some(env, table: &Table, events: Term<'a>) {
        with_events(table, None, |load| steps::add_some(env, events, load))
    }

    /// The same. What was counted and is a touch the attribution is told of as well.
    fn meter_record_some(env, table: &Table, attribution: &attribution::Table, events: Term<'a>) {
        with_events(table, Some(attribution), |load| steps::add_some(env, events, load))
    }
}

/// How many events of a list had each outcome, in their order, and which ones were late.
#[derive(Default)]
struct Recorded {
    outcomes: Outcomes,
    /// Only where there is a store some may be busy.
    is_stored: bool,
}

impl Encoder for Recorded {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let Outcomes { counts: [applied, duplicate, late, future, no_window, overflow, busy], late: which, .. } =
            &self.outcomes;
        if self.is_stored {
            ((applied, duplicate, late, future, no_window, overflow, busy), which).encode(env)
        } else {
            ((applied, duplicate, late, future, no_window, overflow), which).encode(env)
        }
    }
}

/// Events to record.
struct Events<'t> {
    table: &'t Table,
    batch: &'t mut Batch,
    long: Long,
    /// The word of the last one's list of amounts. Nothing is moved during a call, so a list with the same word is the same
    /// list: of events of a kind, whose amounts are a constant of the code that makes them, it is read once.
    metrics: Option<u64>,
    /// Whether any of them was counted.
    counted: Cell<bool>,
    /// Those that are touches, if an attribution is to be told of them.
    touches: Option<Touches<'t>>,
}

fn with_events<R>(
    table: &Table,
    attribution: Option<&attribution::Table>,
    act: impl FnOnce(&mut Events<'_>) -> R,
) -> R {
    thread_local! {
        static BATCH: RefCell<Batch> = RefCell::default();
    }
    BATCH.with_borrow_mut(|batch| {
        with_touches(attribution, |touches| {
            let counted = Cell::new(false);
            act(&mut Events { table, batch, long: Long::default(), metrics: None, counted, touches })
        })
    })
}

/// What is done with a list of which nothing was counted before. If nothing is, because the meter was stopped in order, it is
/// refused instead of late: nothing of it is lost then, and whoever has it brings it again.
fn unless_left<'a>(
    env: Env<'a>,
    table: &Table,
    attribution: Option<&attribution::Table>,
    act: impl FnOnce(&mut Events<'_>) -> Result<Term<'a>, BadArgument>,
) -> Result<Term<'a>, BadArgument> {
    if table.owner.has_left() {
        return Err(table.owner.not_running(env));
    }
    if let Some(attribution) = attribution.filter(|attribution| attribution.owner.has_left()) {
        return Err(attribution.owner.not_running(env));
    }
    with_events(table, attribution, |events| {
        let answer = act(events)?;
        // It may have been stopped since. Whoever found the windows closed sees that it was left before.
        if table.owner.has_left() && !events.counted.get() { Err(table.owner.not_running(env)) } else { Ok(answer) }
    })
}

impl Load for Events<'_> {
    const ITEM: &'static str = EventTerm::NAME;
    type Outcome = Recorded;

    fn clear(&mut self) {
        self.batch.clear();
        self.long = Long::default();
        self.metrics = None;
        if let Some(touches) = &mut self.touches {
            touches.clear();
        }
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.batch.len() >= MOST_EVENTS || self.long.bytes >= sketch::MOST_HASHED
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        if self.touches.is_some() {
            self.read_touch::<L>(env, item)?;
        }
        let read = match EventTerm::read(item) {
            Some(event) => self.try_read::<L>(env, event, 0),
            None => Err(Fault::Event(item)),
        };
        read.or_else(|fault| {
            decode_again(env, item, fault, |event, words| with_layout!(L => self.try_read::<L>(env, event, words)))
                .map_err(|fault| self.table.bad_event(env, fault))
        })
    }

    #[inline(always)]
    fn apply(&self, Recorded { outcomes, is_stored }: &mut Recorded, go_on: impl FnMut() -> bool) -> usize {
        *is_stored = self.table.in_store.is_some();
        let before = outcomes.total();
        // Events and their touches are in one interval, or refused together.
        let touches = self.touches.as_ref();
        let scribe = touches.map_or(Ok(None), |touches| self.table.begin_writing(touches.attribution));
        let Ok(_scribe) = scribe else {
            outcomes.counts[self.table.busy(self.batch.len() as u64) as usize] += self.batch.len() as u64;
            return self.batch.len();
        };
        outcomes.counted = self.touches.is_some().then(Vec::new);
        let recorded = self.table.meter.record_batch(self.batch, outcomes, now, go_on);
        if let (Some(touches), Some(counted)) = (&self.touches, outcomes.counted.take()) {
            touches.take(counted.into_iter().map(|event| event - before));
        }
        self.counted.set(outcomes.counts[Outcome::Applied as usize] + outcomes.counts[Outcome::Overflow as usize] > 0);
        recorded
    }

    #[inline(always)]
    fn check_owner(&self, env: Env<'_>, Recorded { outcomes, .. }: &Recorded) -> Result<(), BadArgument> {
        let busy = outcomes.counts[Outcome::Busy as usize];
        // Of a list of which some was counted, the outcomes say how much.
        if busy == 0 || busy < outcomes.total() {
            return Ok(());
        }
        resource::check_owner_again(env, self.table)?;
        self.touches.as_ref().map_or(Ok(()), |touches| resource::check_owner_again(env, touches.attribution))
    }
}

impl Events<'_> {
    /// Reads the touch that the next event is, if it is one.
    #[inline(always)]
    fn read_touch<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let event = EventTerm::read(item).or_else(|| EventTerm::read_by_call(env, item));
        let (Some(touches), Some(event)) = (&mut self.touches, event) else { return Ok(()) };
        let read = touches.read::<L>(env, self.table, &event, self.batch.len(), &mut self.long.bytes);
        read.map_err(|error| self.table.bad_touch(error))
    }

    /// Decodes an event whose key has so many words at most, or is short.
    #[inline(always)]
    fn try_read<'a, L: Layout>(&mut self, env: Env<'a>, event: EventTerm<'a>, words: usize) -> Result<(), Fault<'a>> {
        let Self { table, batch, long, metrics, .. } = self;
        let (at, id) = table.time_and_id::<L>(env, &event, long)?;
        let key = table.write_key::<L>(env, batch.room(words), event.dimensions, long)?;
        let user = table.user::<L>(env, event.user, long)?;
        if *metrics != Some(event.metrics.word()) {
            let count = table.write_amounts::<L>(env, event.metrics, batch.room_for_amounts())?;
            // SAFETY: they were written just now.
            unsafe { batch.keep_amounts(count) };
            *metrics = Some(event.metrics.word());
        }
        // SAFETY: the key was written into the room just now.
        unsafe { batch.push(at, id, key, user) }.map_err(|_| Fault::At(event.at))
    }
}
