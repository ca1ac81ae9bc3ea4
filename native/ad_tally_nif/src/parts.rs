//! Tables that are parts of a store, whatever they are: loaded, and left.

use rustler::{Env, NifResult, Term};

use crate::atoms;
use crate::decode::{BadArgument, bad_argument};
use crate::resource;
use crate::store::{self, Durable, Refusal, answer};
use crate::{attribution, counters, dedupe, frequency_cap, meter, reach};

/// Does something with a table of a kind that may be a part, whatever became of its owner.
fn with_table<'a>(env: Env<'a>, table: Term<'a>, load: Act) -> Result<Result<(), Refusal>, BadArgument> {
    fn of<'a, T: Durable>(env: Env<'a>, table: Term<'a>, act: Act) -> Result<Result<(), Refusal>, BadArgument> {
        let table = resource::of_type::<T>(env, table.into())?;
        Ok(match act {
            Act::Load => store::load_table(table),
            Act::Leave => store::leave_table(table),
        })
    }
    of::<meter::Table>(env, table, load)
        .or_else(|_| of::<attribution::Table>(env, table, load))
        .or_else(|_| of::<counters::Table>(env, table, load))
        .or_else(|_| of::<reach::Table>(env, table, load))
        .or_else(|_| of::<frequency_cap::Table>(env, table, load))
        .or_else(|_| of::<dedupe::Table>(env, table, load))
        .map_err(|_| bad_argument::not_a("a table that a store may have", table))
}

#[derive(Clone, Copy)]
enum Act {
    Load,
    Leave,
}

/// Has a table have all that its store has of it: `:ok`, or why not.
#[rustler::nif(schedule = "DirtyIo")]
fn table_load<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    Ok(answer(env, with_table(env, table, Act::Load)?.map(|()| atoms::ok())))
}

/// Leaves a table in order: it is refused from now on, and its store lets go of it once all that was recorded is on disk. `:ok`, or
/// why it is not: then the store keeps the table.
#[rustler::nif(schedule = "DirtyIo")]
fn table_leave<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    Ok(answer(env, with_table(env, table, Act::Leave)?.map(|()| atoms::ok())))
}
