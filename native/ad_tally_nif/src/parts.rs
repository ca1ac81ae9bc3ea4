//! Tables that are parts of a store, of whatever kind: loaded, and left; and their closed windows, until they are delivered.

use ad_tally_core::windows::Numbered;
use rustler::{Atom, Env, NifResult, Term};

use crate::atoms;
use crate::decode::{BadArgument, bad_argument};
use crate::resource;
use crate::store::{Durable, KeepsWindows, PartTable, answer};
use crate::{attribution, counters, dedupe, frequency_cap, meter, pacer, reach};

/// A table of a kind that may be a part, whatever became of its owner.
fn part<'a>(env: Env<'a>, table: Term<'a>) -> Result<&'a dyn PartTable, BadArgument> {
    fn of<'a, T: Durable>(env: Env<'a>, table: Term<'a>) -> Result<&'a dyn PartTable, BadArgument> {
        let table: &T = resource::of_type(env, table.into())?;
        Ok(table)
    }
    of::<meter::Table>(env, table)
        .or_else(|_| of::<attribution::Table>(env, table))
        .or_else(|_| of::<counters::Table>(env, table))
        .or_else(|_| of::<reach::Table>(env, table))
        .or_else(|_| of::<frequency_cap::Table>(env, table))
        .or_else(|_| of::<dedupe::Table>(env, table))
        .or_else(|_| of::<pacer::Table>(env, table))
        .map_err(|_| bad_argument::not_a("a table that a store may have", table))
}

/// Has a table have all that its store has of it: `:ok`, or why not.
#[rustler::nif(schedule = "DirtyIo")]
fn table_load<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    Ok(answer(env, part(env, table)?.load_all().map(|()| atoms::ok())))
}

/// Leaves a table in order: it is refused from now on, and its store lets go of it once all that was recorded is on disk. `:ok`, or
/// why it is not: then the store keeps the table.
#[rustler::nif(schedule = "DirtyIo")]
fn table_leave<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    Ok(answer(env, part(env, table)?.leave().map(|()| atoms::ok())))
}

/// A meter or an attribution, whatever became of its owner.
fn keeper<'a>(env: Env<'a>, table: Term<'a>) -> Result<&'a dyn KeepsWindows, BadArgument> {
    if let Ok(meter) = resource::of_type::<meter::Table>(env, table.into()) {
        return Ok(meter);
    }
    match resource::of_type::<attribution::Table>(env, table.into()) {
        Ok(attribution) => Ok(attribution),
        Err(_) => Err(bad_argument::not_a("a meter or an attribution", table)),
    }
}

/// Gives closed windows, each `{window, sequence}`, their numbers, which are durable once the store is synced.
#[rustler::nif(schedule = "DirtyCpu")]
fn windows_closed<'a>(
    env: Env<'a>,
    table: Term<'a>,
    windows: Vec<(Term<'a>, u64)>,
    partial: bool,
    node: &str,
    closed_at: u64,
) -> NifResult<Atom> {
    let table = keeper(env, table)?;
    for (window, sequence) in windows {
        table.closed(window, Numbered { sequence, partial, node: node.into(), closed_at })?;
    }
    Ok(atoms::ok())
}

/// Lets go of closed windows: everybody has them who is to have them.
#[rustler::nif(schedule = "DirtyCpu")]
fn windows_gone<'a>(env: Env<'a>, table: Term<'a>, windows: Vec<Term<'a>>) -> NifResult<Atom> {
    let table = keeper(env, table)?;
    for window in windows {
        table.gone(window)?;
    }
    Ok(atoms::ok())
}

/// The windows that are closed and not gone, see [`KeepsWindows::undelivered`].
#[rustler::nif(schedule = "DirtyCpu")]
fn windows_undelivered<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Vec<Term<'a>>> {
    Ok(keeper(env, table)?.undelivered(env))
}

/// The greatest number that a closed window was given, 0 if none was.
#[rustler::nif]
fn windows_sequence<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<u64> {
    Ok(keeper(env, table)?.sequence())
}
