//! A meter's numbers.

use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::{Refused, Table};
use crate::atoms;
use crate::encode;
use crate::resource;

/// Notes that so many events of a list were refused, and why, if that is not the reason of one of them.
#[rustler::nif]
fn meter_refuse<'a>(env: Env<'a>, table: Term<'a>, events: u64, reason: Option<String>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    if let Some(reason) = reason {
        *table.refused.lock() = Some(Refused { at: None, reason });
    }
    table.meter.refuse(events);
    Ok(atoms::ok().to_term(env))
}

/// Examples of events that were not counted: the time of the last late one, of the last one too far ahead, and of the last one
/// refused, if there is one, the time if it was wrong, or nil, and the reason.
#[rustler::nif]
fn meter_examples<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let (late, future) = table.meter.last_late_and_future();
    let refused = table.refused.lock();
    Ok((late, future, refused.as_ref().map(|Refused { at, reason }| (at, reason))).encode(env))
}

/// The meter's numbers.
#[rustler::nif]
fn meter_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let info = table.meter.info();
    let events = info.events;
    let counts = [
        (atoms::applied(), events.applied),
        (atoms::duplicate(), events.duplicate),
        (atoms::late(), events.late),
        (atoms::future(), events.future),
        (atoms::no_window(), events.no_window),
        (atoms::overflow(), events.overflow),
        (atoms::refused(), events.refused),
    ];
    // Only where there is a store.
    let busy = table.in_store.as_ref().map(|_| (atoms::busy(), events.busy));
    let counts = counts.into_iter().chain(busy).map(|(name, count)| (name, count.encode(env)));
    let excluded = [atoms::duplicate(), atoms::late(), atoms::future(), atoms::no_window()];
    let excluded: Vec<(Atom, Term<'a>)> = excluded
        .into_iter()
        .zip(&info.left_out)
        .map(|(why, amounts)| (why, encode::row(env, &table.metrics, amounts)))
        .collect();
    let pairs = [
        (atoms::events(), encode::map(env, counts)),
        (atoms::excluded(), Term::map_from_pairs(env, &excluded)?),
        (atoms::open_windows(), info.open_windows.encode(env)),
        (atoms::newest(), info.newest.encode(env)),
        (atoms::id_bytes(), info.id_bytes.encode(env)),
        (atoms::closed_bytes(), info.closed_bytes.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}
