//! An event that is recorded while it is decoded.

use std::mem::MaybeUninit;

use ad_tally_core::HashedKey;
use ad_tally_core::counters::MAX_METRICS;
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::meter::{Event, Outcome};
use rustler::{Env, Term};

use super::Table;
use super::event::{Fault, Long, decode_again};
use crate::atoms;
use crate::clock::now;
use crate::decode::{BadArgument, Layout, Raw, events::EventTerm, keys, with_layout};
use crate::hot::hot;

hot! {
    /// Counts an event. In a meter that is stopped meanwhile it is refused instead of late: it is not lost then, and whoever has
    /// it brings it again.
    fn meter_record(env, table: &Table, event: Raw<'a>) {
        let recorded = table.record(env, event)?;
        // Whoever found the windows closed sees that the meter was left before.
        if recorded == Outcome::Late && table.owner.has_left() {
            return Err(table.owner.not_running(env));
        }
        Ok(encode(env, recorded))
    }
}

fn encode(env: Env<'_>, outcome: Outcome) -> Term<'_> {
    let atom = match outcome {
        Outcome::Applied => atoms::ok(),
        Outcome::Duplicate => atoms::duplicate(),
        Outcome::Late => atoms::late(),
        Outcome::Future => atoms::future(),
        Outcome::NoWindow => atoms::no_window(),
        Outcome::Overflow => atoms::overflow(),
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
