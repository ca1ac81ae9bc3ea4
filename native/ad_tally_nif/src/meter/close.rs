//! Windows of a meter: those that are closed, those that are open, and what is in one.

use ad_tally_core::meter::{Closed, WindowRef};
use rustler::{Encoder, Env, NifResult, Term};

use super::{Period, Table};
use crate::atoms;
use crate::counters;
use crate::encode;
use crate::reach;
use crate::resource;
use crate::sketch;

/// Closes windows whose time has passed, by the system's time, which is given, or where the clock is that of the events by
/// theirs: `{begin, end, rows, window}` of each, and whether there are more to close.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_close<'a>(env: Env<'a>, table: Term<'a>, now: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(closed(env, table, table.meter.close(now)))
}

/// Closes the window of a time and those before. Returns as `meter_close`.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_close_through<'a>(env: Env<'a>, table: Term<'a>, at: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(closed(env, table, table.meter.close_through(at)))
}

/// Closes all windows, and those that are to come. It is left in order: lists of somebody who still has it are refused, but for
/// the rest of one of which some was counted, which is late. Returns as `meter_close`.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_stop<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    table.owner.leave();
    Ok(closed(env, table, table.meter.stop()))
}

fn closed<'a>(env: Env<'a>, table: &Table, closed: Closed) -> Term<'a> {
    (periods(env, table, closed.windows), !closed.is_all).encode(env)
}

/// When the last window begins that is open and has events, or nil.
#[rustler::nif]
fn meter_last_open<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(table.meter.last_open().map(|number| table.meter.bounds(number).0).encode(env))
}

/// Windows that one call lists at most.
const LISTED: usize = 64;

/// Windows that are open and have events, as they are now: the first ones that begin at that time or later.
#[rustler::nif]
fn meter_open<'a>(env: Env<'a>, table: Term<'a>, from: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(periods(env, table, table.meter.open_windows(table.meter.first_from(from), LISTED)))
}

fn periods<'a>(env: Env<'a>, table: &Table, windows: Vec<WindowRef>) -> Term<'a> {
    let period = |window: WindowRef| {
        let (begin, end) = table.meter.bounds(window.number);
        let rows = window.keys();
        (begin, end, rows, resource::make(env, Period { window, metrics: table.metrics.clone() })).encode(env)
    };
    windows.into_iter().map(period).collect::<Vec<Term<'a>>>().encode(env)
}

/// Memory that a window takes.
#[rustler::nif]
fn meter_window_bytes<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, .. } = resource::expect(period)?;
    Ok(window.bytes().encode(env))
}

/// Memory of the meter itself and of open windows, the first ones that begin at that time or later, and where the next ones
/// begin; or nil if there are none.
#[rustler::nif]
fn meter_open_bytes<'a>(env: Env<'a>, table: Term<'a>, from: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let windows = table.meter.open_windows(table.meter.first_from(from), LISTED);
    let next = windows.last().map(|window| table.meter.bounds(window.number).1);
    let own = if from == 0 { table.meter.own_bytes() } else { 0 };
    Ok((own + windows.iter().map(|window| window.bytes()).sum::<usize>(), next).encode(env))
}

/// A walk over the rows of a window, for `walk_rows`, and what had no row.
#[rustler::nif]
fn meter_counters<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, metrics } = resource::expect(period)?;
    let walk = counters::walk(env, metrics, window.counters());
    Ok((walk, encode::row(env, metrics, &window.overflow())).encode(env))
}

/// A walk over the sketches of a window, for `walk_rows`, and the sketch of users who had none, or nil.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_reach<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, .. } = resource::expect(period)?;
    Ok(match (window.reach(), window.reach_overflow()) {
        (Some(rows), Some(overflow)) => (reach::walk(env, rows), sketch::term(env, &overflow)).encode(env),
        _ => atoms::nil().to_term(env),
    })
}

/// A window's numbers: rows, totals by metric of all that was counted in it and of what had no row, and bytes. Reads every row.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_totals<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, metrics } = resource::expect(period)?;
    let [totals, overflow] = [window.totals(), window.overflow()].map(|amounts| encode::row(env, metrics, &amounts));
    Ok((window.keys(), totals, overflow, window.bytes()).encode(env))
}
