//! A meter's numbers.

use ad_tally_core::meter::{Counts, Info};
use rustler::{Encoder, Env, NifResult, Term};

use super::{Refused, Table, top};
use crate::atoms;
use crate::encode;
use crate::metered::{Metered, named, numbers};
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

/// Events by outcome.
fn counts<'a>(env: Env<'a>, table: &Table, events: &Counts) -> Term<'a> {
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
    encode::map(env, counts.into_iter().chain(busy).map(|(name, count)| (name, count.encode(env))))
}

/// Amounts of events that are in no window, by outcome and metric.
fn excluded<'a>(env: Env<'a>, table: &Table, info: &Info) -> Term<'a> {
    let excluded = [atoms::duplicate(), atoms::late(), atoms::future(), atoms::no_window()];
    let excluded = excluded.into_iter().zip(&info.left_out);
    encode::map(env, excluded.map(|(why, amounts)| (why, encode::row(env, &table.metrics, amounts))))
}

/// The meter's numbers.
#[rustler::nif]
fn meter_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let info = table.meter.info();
    let pairs = [
        (atoms::events(), counts(env, table, &info.events)),
        (atoms::excluded(), excluded(env, table, &info)),
        (atoms::open_windows(), info.open_windows.encode(env)),
        (atoms::newest(), info.newest.encode(env)),
        (atoms::id_bytes(), info.id_bytes.encode(env)),
        (atoms::closed_bytes(), info.closed_bytes.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        let (info, closed) = (self.meter.info(), self.meter.closed_totals());
        let mut pairs = vec![
            ("events", counts(env, self, &info.events)),
            ("excluded", excluded(env, self, &info)),
            ("metrics", encode::row(env, &self.metrics, &closed.added)),
            ("corrections", encode::row(env, &self.metrics, &closed.corrected)),
            ("closed_windows", closed.windows.encode(env)),
        ];
        pairs.extend(top::totals(env, self).map(|top| ("top", top)));
        named(env, &pairs)
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let info = self.meter.info();
        let memory = [("ids", info.id_bytes as u64), ("closed_windows", info.closed_bytes as u64)];
        let pairs = [
            ("open_windows", info.open_windows.encode(env)),
            ("newest", info.newest.encode(env)),
            ("memory", numbers(env, &memory)),
        ];
        named(env, &pairs)
    }
}
