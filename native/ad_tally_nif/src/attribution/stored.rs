//! An attribution that a store has: made, loaded, and its closed windows that are not delivered.

use std::sync::Arc;

use ad_tally_core::attribution::{Attribution, Shape};
use ad_tally_core::journal::Fold;
use ad_tally_core::windows::Numbered;
use rustler::{Env, NifResult, Term};

use super::in_store::InStore;
use super::{Names, Options, Period, Table, Times, config, table};
use crate::atoms;
use crate::clock::now;
use crate::decode::{BadArgument, Raw, with_layout};
use crate::resource;
use crate::store::{self, Durable, Given, KeepsWindows, Load, Place, PlaceTerm, Refusal, Stored};

/// A configuration of before, as Elixir gives it: its text, the milliseconds of a window, names.
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
    Place::read(place)?.table(env, seed, |Given { seed, config: number, stored, .. }| {
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

impl Table {
    /// Whether it is a store's part that has ended.
    #[inline(always)]
    pub fn has_ended(&self) -> bool {
        self.in_store.as_ref().is_some_and(|in_store| in_store.stored.part.has_ended())
    }
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

impl KeepsWindows for Table {
    fn closed(&self, window: Term<'_>, numbered: Numbered) -> Result<(), BadArgument> {
        let Period { window, .. } = resource::expect(window)?;
        self.attribution.closed(window, numbered);
        Ok(())
    }

    fn gone(&self, window: Term<'_>) -> Result<(), BadArgument> {
        let Period { window, .. } = resource::expect(window)?;
        self.attribution.delivered(window);
        Ok(())
    }

    fn undelivered<'a>(&self, env: Env<'a>) -> Vec<Term<'a>> {
        let all = self.attribution.undelivered().into_iter().map(|undelivered| {
            let text = self.stored().and_then(|stored| stored.config_text(undelivered.config));
            let bounds = (undelivered.begin, undelivered.end);
            let rows = undelivered.window.rows();
            let period = Period { window: undelivered.window, labels: self.labels.clone() };
            let window = resource::make(env, period);
            store::undelivered(env, bounds, rows, window, text, undelivered.numbered.as_ref())
        });
        all.collect()
    }

    fn sequence(&self) -> u64 {
        self.attribution.sequence()
    }
}

/// Forgets a user of an attribution that a store has. What is then written erases what older intervals have of the user, so the
/// one that goes on is ended first.
#[rustler::nif(schedule = "DirtyIo")]
fn attribution_forget_stored<'a>(env: Env<'a>, table: Term<'a>, user: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let user = with_layout!(L => table.user::<L>(env, Raw::from(user), &mut 0))?;
    let users = table.attribution.forget(user);
    store::unless_over(env, table)?;
    let ended = table.stored().map_or(Ok(()), |stored| store::wait_for_barrier(&stored.core));
    match &ended {
        Ok(()) => table.attribution.erase(&users),
        Err(_) => table.attribution.keep_unerased(user, users),
    }
    Ok(store::answer(env, ended.map(|()| atoms::ok())))
}
