//! An event that is recorded while it is decoded.

use std::mem::MaybeUninit;

use ad_tally_core::HashedKey;
use ad_tally_core::counters::MAX_METRICS;
use ad_tally_core::journal::{Busy, Scribe};
use ad_tally_core::key::{MAX_ARITY, SHORT_KEY_WORDS};
use ad_tally_core::meter::{Event, Outcome};
use rustler::{Env, Term};

use super::Table;
use super::event::{Fault, Long, decode_again};
use crate::atoms;
use crate::attribution;
use crate::clock::now;
use crate::decode::{
    self, BadArgument, Layout, Raw, bad_argument,
    events::EventTerm,
    keys::{self, Parts, Place},
    with_layout,
};
use crate::hot::hot;
use crate::resource;

hot! {
    /// Counts an event. In a meter that is stopped meanwhile it is refused instead of late: it is not lost then, and whoever has
    /// it brings it again.
    fn meter_record(env, table: &Table, event: Raw<'a>) {
        unless_left(env, table, table.record(env, event)?)
    }

    /// The same. What was counted and is a touch the attribution is told of as well.
    fn meter_record(env, table: &Table, attribution: &attribution::Table, event: Raw<'a>) {
        let recorded = table.record_with(env, attribution, event)?;
        if recorded == Outcome::Busy {
            resource::check_owner_again(env, attribution)?;
        }
        unless_left(env, table, recorded)
    }
}

#[inline(always)]
fn unless_left<'a>(env: Env<'a>, table: &Table, recorded: Outcome) -> Result<Term<'a>, BadArgument> {
    // Whoever found the windows closed sees that the meter was left before.
    if recorded == Outcome::Late && table.owner.has_left() {
        return Err(table.owner.not_running(env));
    }
    if recorded == Outcome::Busy {
        resource::check_owner_again(env, table)?;
    }
    Ok(encode(env, recorded))
}

fn encode(env: Env<'_>, outcome: Outcome) -> Term<'_> {
    let atom = match outcome {
        Outcome::Applied => atoms::ok(),
        Outcome::Duplicate => atoms::duplicate(),
        Outcome::Late => atoms::late(),
        Outcome::Future => atoms::future(),
        Outcome::NoWindow => atoms::no_window(),
        Outcome::Overflow => atoms::overflow(),
        Outcome::Busy => atoms::busy(),
    };
    atom.to_term(env)
}

impl Table {
    #[inline(always)]
    fn record<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Result<Outcome, BadArgument> {
        let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
        let recorded = match EventTerm::read(term) {
            Some(event) => with_layout!(L => self.try_record::<L>(env, event, &mut room, &mut Long::default())),
            None => Err(Fault::Event(term)),
        };
        match recorded {
            Ok(outcome) => Ok(outcome),
            Err(fault) => self.record_again(env, term, fault),
        }
    }

    #[inline(always)]
    fn try_record<'a, L: Layout>(
        &self,
        env: Env<'a>,
        term: EventTerm<'a>,
        room: &mut [MaybeUninit<u64>],
        long: &mut Long,
    ) -> Result<Outcome, Fault<'a>> {
        let mut amounts = [MaybeUninit::uninit(); MAX_METRICS];
        let (at, id) = self.time_and_id::<L>(env, &term, long)?;
        let recording = self.meter.protect_for(id);
        let mut lookup = recording.begin(at, id).map_err(|_| Fault::At(term.at))?;
        let (hash, length) = self.write_key::<L>(env, room, term.dimensions, long)?;
        lookup.fetch_line(hash);
        let user = self.user::<L>(env, term.user, long)?;
        // SAFETY: they were written.
        let key = HashedKey { hash, words: unsafe { keys::written(room, length) } };
        lookup.fetch_row(key);
        let count = self.write_amounts::<L>(env, term.metrics, &mut amounts)?;
        // SAFETY: they were written.
        let event = Event { at, id, key, amounts: unsafe { keys::written(&amounts, count) }, user };
        match lookup.record(&event, now) {
            Some(outcome) => Ok(outcome),
            None => {
                // Whoever begins its window waits until nobody is recording.
                drop(recording);
                self.meter.record(&event, now).map_err(|_| Fault::At(term.at))
            }
        }
    }

    /// Records an event, and tells the attribution of it if it was counted and is a touch. What is wrong with the touch is found
    /// before anything is counted.
    #[inline(always)]
    fn record_with<'a>(
        &self,
        env: Env<'a>,
        attribution: &attribution::Table,
        term: Raw<'a>,
    ) -> Result<Outcome, BadArgument> {
        let event = EventTerm::read(term).or_else(|| EventTerm::read_by_call(env, term));
        match event.filter(|event| !decode::is_nil(event.touch)) {
            Some(event) => with_layout!(L => self.record_touch::<L>(env, attribution, &event, term)),
            None => self.record(env, term),
        }
    }

    #[inline(always)]
    fn record_touch<'a, L: Layout>(
        &self,
        env: Env<'a>,
        attribution: &attribution::Table,
        event: &EventTerm<'a>,
        term: Raw<'a>,
    ) -> Result<Outcome, BadArgument> {
        if attribution.owner.has_left() {
            return Err(attribution.owner.not_running(env));
        }
        let refuse = |error| {
            self.meter.refuse(1);
            self.bad_touch(error)
        };
        let parts = self.touch_parts::<L>(env, attribution, event, &mut 0).map_err(refuse)?;
        attribution.attribution.fetch(parts.user);
        let mut room = [term; MAX_ARITY];
        let elements = self.touch_elements::<L>(env, attribution, event.dimensions, &mut room).map_err(refuse)?;
        let record = |dimensions: HashedKey<'_>| {
            // The event and its touch are in one interval, or refused together.
            let Ok(_scribe) = self.begin_writing(attribution) else { return Ok(self.busy(1)) };
            let outcome = self.record(env, term)?;
            if matches!(outcome, Outcome::Applied | Outcome::Overflow) {
                attribution.attribution.touch(&parts.of(dimensions), now)?;
            }
            Ok(outcome)
        };
        let (seed, elements) = (attribution.attribution.seed(), Parts::of_tuple(elements));
        let recorded = keys::with_parts::<L, Place, _>(env, seed, elements, record);
        recorded.map_err(|fault| refuse(bad_argument::key(event.dimensions.in_env(env), fault)))?
    }

    /// Begins to write what an event does, and the touch that it is, where the meter is a store's part.
    #[inline(always)]
    pub(super) fn begin_writing(&self, attribution: &attribution::Table) -> Result<Option<Scribe<'_>>, Busy> {
        let Some(part) = self.meter.part() else { return Ok(None) };
        let scribe = part.begin()?;
        // The touch goes on with what was begun for the event.
        if attribution.has_ended() { Err(Busy) } else { Ok(Some(scribe)) }
    }

    /// Counts events that the store has no room for.
    #[cold]
    pub(super) fn busy(&self, events: u64) -> Outcome {
        self.meter.count_busy(events);
        Outcome::Busy
    }

    #[cold]
    fn record_again<'a>(&self, env: Env<'a>, term: Raw<'a>, fault: Fault<'a>) -> Result<Outcome, BadArgument> {
        let mut long = Long::default();
        let recorded = decode_again(env, term, fault, |event, words| {
            let mut room = vec![MaybeUninit::uninit(); words];
            with_layout!(L => self.try_record::<L>(env, event, &mut room, &mut long))
        });
        recorded.map_err(|fault| {
            self.meter.refuse(1);
            self.bad_event(env, fault)
        })
    }
}
