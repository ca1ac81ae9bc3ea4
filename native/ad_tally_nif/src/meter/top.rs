//! Totals of the largest values of a dimension, for metrics.

use ad_tally_core::KeyRef;
use ad_tally_core::meter::{Top, Words};
use rustler::{Env, NifResult, Term};

use super::Table;
use crate::atoms;
use crate::decode::{BadArgument, keys};
use crate::encode;
use crate::metered::named;
use crate::resource;

/// Has totals be kept of values of a dimension, by its place, in the order of a metric, by its place: of that many values, among them
/// those of the list, each a tuple of one. They begin with the next window that is closed.
#[rustler::nif]
fn meter_top<'a>(
    env: Env<'a>,
    table: Term<'a>,
    place: usize,
    order: usize,
    most: usize,
    values: Vec<Term<'a>>,
) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let words = |value: Term<'a>| -> Result<Words, BadArgument> {
        keys::with_key(env, table.meter.seed(), value.into(), |key| key.words.into())
    };
    let values: Vec<Words> = values.into_iter().map(words).collect::<Result<_, _>>()?;
    let begin = || Top::new(place, order, table.metrics.len());
    table.meter.with_top(begin, |top| {
        top.allow(most);
        top.keep(values);
    });
    Ok(atoms::ok().to_term(env))
}

/// What values have, and all others together, if anybody wants it.
pub fn totals<'a>(env: Env<'a>, table: &Table) -> Option<Term<'a>> {
    table.meter.if_top(|top| {
        let row = |sums: &[i128]| encode::row(env, &table.metrics, sums);
        let values: Vec<(Term<'a>, Term<'a>)> =
            top.values().map(|(value, sums)| (encode::key(env, KeyRef::new(value)), row(sums))).collect();
        // The keys differ, so there is always a map.
        let values = Term::map_from_pairs(env, &values).unwrap_or_else(|_| named(env, &[]));
        named(env, &[("values", values), ("others", row(top.others()))])
    })
}
