//! An attribution that a store has: made, loaded, and its windows that are closed and that not everybody has yet.

use std::sync::Arc;

use ad_tally_core::attribution::{Attribution, Shape};
use ad_tally_core::journal::Fold;
use ad_tally_core::windows::Numbered;
use rustler::{Atom, Env, NifResult, Term};

use super::in_store::InStore;
use super::{Names, Options, Period, Table, Times, config, table};
use crate::atoms;
use crate::clock::now;
use crate::decode::{BadArgument, Raw, with_layout};
use crate::resource;
use crate::store::{self, Durable, Given, Load, Place, PlaceTerm, Refusal, Stored};

/// A configuration as Elixir gives it: its text, the milliseconds of a window, names.
type OldTerm = (String, u64, Names);

/// The attribution that is a part of a store: that of a process which has crashed, or one that is made, see [`Place::table`].
#[rustler::nif(schedule = "DirtyIo")]
fn attribution_new_in<'a>(
    env: Env<'a>,
    place: PlaceTerm<'a>,
    olds: Vec<OldTerm>,
    times: Times,
    names: Names,
    options: Options,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    Place::read(place)?.table(env, seed, |Given { seed, config: number, stored }| {
        let old = |(text, window, (_dimensions, kinds, _actions, _models)): OldTerm| {
            Some((stored.config_number(&text)?, Shape { window, kinds: kinds.len() }))
        };
        let olds = olds.into_iter().filter_map(old).collect();
        let dimensions = names.0;
        let (config, names) = config(times, names, options);
        let attribution = Attribution::stored(&config, seed, stored.part.clone(), number).map_err(BadArgument::from)?;
        Ok(table(attribution, dimensions, names, Some(Box::new(InStore { stored, olds }))))
    })
}

impl Durable for Table {
    const PART: &'static str = "attribution";

    fn stored(&self) -> Option<&Stored> {
        self.in_store.as_ref().map(|in_store| &in_store.stored)
    }

    fn fold(&self) -> Arc<dyn Fold> {
        self.attribution.fold()
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        let olds = self.in_store.iter().flat_map(|in_store| &in_store.olds);
        let restoring = self.attribution.restoring(olds.copied());
        load.take(&restoring)?;
        restoring.finish(now());
        Ok(())
    }
}

/// Gives closed windows, each `{window, sequence}`, their numbers, which are durable once the store is synced. The owner may do so
/// when it has ended.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_closed<'a>(
    env: Env<'a>,
    table: Term<'a>,
    windows: Vec<(Term<'a>, u64)>,
    partial: bool,
    node: &str,
    at: u64,
) -> NifResult<Atom> {
    let table: &Table = resource::of_type(env, table.into())?;
    for (window, sequence) in windows {
        let Period { window, .. } = resource::read(env, window.into())?;
        table.attribution.closed(window, Numbered { sequence, partial, node: node.into(), closed_at: at });
    }
    Ok(atoms::ok())
}

/// Everybody has these closed windows who is to have them.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_gone<'a>(env: Env<'a>, table: Term<'a>, windows: Vec<Term<'a>>) -> NifResult<Atom> {
    let table: &Table = resource::of_type(env, table.into())?;
    for window in windows {
        let Period { window, .. } = resource::read(env, window.into())?;
        table.attribution.delivered(window);
    }
    Ok(atoms::ok())
}

/// The windows that are closed and not gone, as those of a meter.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_undelivered<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Vec<Term<'a>>> {
    let table: &Table = resource::expect(table)?;
    let all = table.attribution.undelivered().into_iter().map(|undelivered| {
        let text = table.stored().and_then(|stored| stored.config_text(undelivered.config));
        let bounds = (undelivered.begin, undelivered.end);
        let rows = undelivered.window.rows();
        let period = Period { window: undelivered.window, labels: table.labels.clone() };
        let window = resource::make(env, period);
        store::undelivered(env, bounds, rows, window, text, undelivered.numbered.as_ref())
    });
    Ok(all.collect())
}

/// The greatest number that a closed window was given, 0 if none was.
#[rustler::nif]
fn attribution_sequence(table: Term<'_>) -> NifResult<u64> {
    let table: &Table = resource::expect(table)?;
    Ok(table.attribution.sequence())
}

/// Forgets a user of an attribution that a store has. What was written of the user before is in an older interval than that it is to be
/// forgotten, so the interval is ended in between.
#[rustler::nif(schedule = "DirtyIo")]
fn attribution_forget_stored<'a>(env: Env<'a>, table: Term<'a>, user: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let user = with_layout!(L => table.user::<L>(env, Raw::from(user), &mut 0))?;
    let users = table.attribution.forget(user);
    let ended = table.stored().map_or(Ok(()), |stored| store::wait_for_barrier(&stored.core));
    Ok(store::answer(
        env,
        ended.map(|()| {
            table.attribution.erase(&users);
            atoms::ok()
        }),
    ))
}
