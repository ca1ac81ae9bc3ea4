//! The functions of `AdTally.Metrics`.

use rustler::{Env, NifResult, Term};

use crate::decode::{BadArgument, bad_argument};
use crate::metered::Metered;
use crate::resource::{self, Resource};
use crate::{attribution, counters, dedupe, frequency_cap, meter, pacer, reach, store};

/// A table that metrics tell of, as `read` gets it.
fn metered<'a>(env: Env<'a>, table: Term<'a>, is_running: bool) -> Result<&'a dyn Metered, BadArgument> {
    fn of<'a, T: Resource + Metered>(
        env: Env<'a>,
        table: Term<'a>,
        is_running: bool,
    ) -> Option<Result<&'a dyn Metered, BadArgument>> {
        let value: &T = resource::of_type(env, table.into()).ok()?;
        Some(if is_running { resource::check_runs(env, value).map(|()| value as _) } else { Ok(value) })
    }
    of::<meter::Table>(env, table, is_running)
        .or_else(|| of::<store::Store>(env, table, is_running))
        .or_else(|| of::<attribution::Table>(env, table, is_running))
        .or_else(|| of::<counters::Table>(env, table, is_running))
        .or_else(|| of::<reach::Table>(env, table, is_running))
        .or_else(|| of::<frequency_cap::Table>(env, table, is_running))
        .or_else(|| of::<dedupe::Table>(env, table, is_running))
        .or_else(|| of::<pacer::Table>(env, table, is_running))
        .unwrap_or_else(|| Err(bad_argument::not_a("a table that has metrics", table)))
}

/// What was counted in a table since it was made, whatever became of its owner, see [`Metered::totals`].
#[rustler::nif]
fn table_totals<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    Ok(metered(env, table, false)?.totals(env))
}

/// How a table is now whose owner runs.
#[rustler::nif]
fn table_gauges<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    Ok(metered(env, table, true)?.gauges(env))
}
