//! A meter that a store has: made, loaded, and its closed windows that are not delivered.

use std::sync::Arc;

use ad_tally_core::Meter;
use ad_tally_core::journal::Fold;
use ad_tally_core::meter::Shape;
use ad_tally_core::windows::Numbered;
use rustler::{Env, NifResult, Term};

use super::in_store::{InStore, Old};
use super::{Ids, Names, Period, Sketches, Table, Times, Touches, config, reach, table};
use crate::clock::now;
use crate::decode::BadArgument;
use crate::resource;
use crate::store::{self, Durable, Given, KeepsWindows, Load, Place, PlaceTerm, Refusal, Stored};

/// A configuration of before, as Elixir gives it: its text, the milliseconds of a window, names, sketches.
type OldTerm<'a> = (String, u64, Names, Sketches<'a>);

fn in_store(stored: Stored, olds: Vec<OldTerm<'_>>) -> Box<InStore> {
    let old = |(text, window, (metrics, _dimensions, max_keys), sketches): OldTerm<'_>| {
        let shape = Shape { window, metrics: metrics.len(), max_keys, reach: sketches.map(reach) };
        Some((stored.config_number(&text)?, Old { metrics: metrics.into(), shape }))
    };
    let olds = olds.into_iter().filter_map(old).collect();
    Box::new(InStore { stored, olds })
}

/// The meter that is a part of a store: that of a process which has crashed, or one that is made, see [`Place::table`].
#[rustler::nif(schedule = "DirtyIo")]
#[expect(clippy::too_many_arguments, reason = "those of `meter_new`, which part it is, and what it was")]
fn meter_new_in<'a>(
    env: Env<'a>,
    place: PlaceTerm<'a>,
    olds: Vec<OldTerm<'a>>,
    times: Times,
    names: Names,
    sketches: Sketches<'a>,
    ids: Ids,
    touches: Touches,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    let config = config(times, &names, sketches, ids);
    Place::read(place)?.table(env, seed, |Given { seed, config: number, stored, .. }| {
        let meter = Meter::stored(&config, seed, stored.part.clone(), number).map_err(BadArgument::from)?;
        Ok(table(meter, names.0, names.1, touches, Some(in_store(stored, olds))))
    })
}

impl Durable for Table {
    const PART: &'static str = "meter";

    fn stored(&self) -> Option<&Stored> {
        self.in_store.as_ref().map(|in_store| &in_store.stored)
    }

    fn fold(&self) -> Arc<dyn Fold> {
        self.meter.fold()
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        let olds = self.in_store.iter().flat_map(|in_store| &in_store.olds);
        let restoring = self.meter.restoring(olds.map(|(number, old)| (*number, old.shape.clone())));
        load.take(&restoring)?;
        restoring.finish(now());
        Ok(())
    }
}

impl KeepsWindows for Table {
    fn closed(&self, window: Term<'_>, numbered: Numbered) -> Result<(), BadArgument> {
        let Period { window, .. } = resource::expect(window)?;
        self.meter.closed(window, numbered);
        Ok(())
    }

    fn gone(&self, window: Term<'_>) -> Result<(), BadArgument> {
        let Period { window, .. } = resource::expect(window)?;
        self.meter.delivered(window);
        Ok(())
    }

    fn undelivered<'a>(&self, env: Env<'a>) -> Vec<Term<'a>> {
        let in_store = self.in_store.as_ref();
        let all = self.meter.undelivered().into_iter().map(|undelivered| {
            let config = undelivered.config;
            let old = in_store.and_then(|in_store| in_store.olds.get(&config));
            let metrics = old.map_or(&self.metrics, |old| &old.metrics).clone();
            let text = in_store.and_then(|in_store| in_store.stored.config_text(config));
            let bounds = (undelivered.begin, undelivered.end);
            let rows = undelivered.window.keys();
            let window = resource::make(env, Period { window: undelivered.window, metrics });
            store::undelivered(env, bounds, rows, window, text, undelivered.numbered.as_ref())
        });
        all.collect()
    }

    fn sequence(&self) -> u64 {
        self.meter.sequence()
    }
}
