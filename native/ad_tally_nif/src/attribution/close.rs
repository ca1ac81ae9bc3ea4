//! Windows of an attribution: those that are closed, and those that are open.

use ad_tally_core::attribution::{Closed, Window};
use ad_tally_core::windows::WindowRef;
use rustler::{Encoder, Env, NifResult, Term};

use super::{Period, Table};
use crate::resource;

/// Closes windows whose time has passed, by the system's time, which is given, or where the clock is that of the events by
/// theirs: `{begin, end, rows, window}` of each, and whether there are more to close.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_close<'a>(env: Env<'a>, table: Term<'a>, now: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(closed(env, table, table.attribution.close(now)))
}

/// Closes the window of a time and those before. Returns as `attribution_close`.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_close_through<'a>(env: Env<'a>, table: Term<'a>, at: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(closed(env, table, table.attribution.close_through(at)))
}

/// Closes all windows, and those that are to come. It is left in order: see `meter_stop`. Returns as `attribution_close`.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_stop<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    table.owner.leave();
    Ok(closed(env, table, table.attribution.stop()))
}

fn closed<'a>(env: Env<'a>, table: &Table, closed: Closed) -> Term<'a> {
    (periods(env, table, closed.windows), !closed.is_all).encode(env)
}

/// When the last window begins that is open and in which something has happened, or nil.
#[rustler::nif]
fn attribution_last_open<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(table.attribution.last_open().map(|number| table.attribution.bounds(number).0).encode(env))
}

/// Windows that one call lists at most.
const LISTED: usize = 64;

/// Windows that are open and in which something has happened, as they are now: the first ones that begin at that time or later.
#[rustler::nif]
fn attribution_open<'a>(env: Env<'a>, table: Term<'a>, from: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let first = table.attribution.first_from(from);
    Ok(periods(env, table, table.attribution.open_windows(first, LISTED)))
}

fn periods<'a>(env: Env<'a>, table: &Table, windows: Vec<WindowRef<Window>>) -> Term<'a> {
    let period = |window: WindowRef<Window>| {
        let (begin, end) = table.attribution.bounds(window.number);
        let rows = window.rows();
        (begin, end, rows, resource::make(env, Period { window, labels: table.labels.clone() })).encode(env)
    };
    windows.into_iter().map(period).collect::<Vec<Term<'a>>>().encode(env)
}

/// Memory of open windows, the first ones that begin at that time or later, and where the next ones begin; or nil if there are
/// none.
#[rustler::nif]
fn attribution_open_bytes<'a>(env: Env<'a>, table: Term<'a>, from: u64) -> NifResult<Term<'a>> {
    let attribution = &resource::expect::<Table>(table)?.attribution;
    let windows = attribution.open_windows(attribution.first_from(from), LISTED);
    let next = windows.last().map(|window| attribution.bounds(window.number).1);
    Ok((windows.iter().map(|window| window.bytes()).sum::<usize>(), next).encode(env))
}
