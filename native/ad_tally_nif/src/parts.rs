//! Tables that are parts of a store, of whatever kind: loaded, and left.

use rustler::{Env, NifResult, Term};

use crate::atoms;
use crate::decode::{BadArgument, bad_argument};
use crate::resource;
use crate::store::{Durable, PartTable, answer};
use crate::{attribution, counters, dedupe, frequency_cap, meter, reach};

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
