//! Functions that measure and try the boundary itself.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use rustler::{Encoder, Env, Term};

use crate::atoms;
use crate::clock;
use crate::counters::Table;
use crate::decode;
use crate::hot::hot;

hot! {
    /// Does nothing: what a call costs before any work.
    fn floor(env) {
        Ok(atoms::ok().encode(env))
    }

    /// Panics in the middle of an add, to see that the caller gets an exception and the table goes on.
    fn counters_panic(_env, table: &Table) {
        table.counters.while_protected(|| panic!("on request"))
    }
}

/// Reads terms in place, where their layout is known, or all by the VM's functions: whether it was in place before.
/// Results must be the same.
#[rustler::nif]
fn read_in_place(env: Env<'_>, wanted: bool) -> bool {
    let was = decode::in_place() == (true, true);
    if wanted {
        decode::calibrate(env)
    } else {
        decode::forget_layout()
    }
    was
}

/// The version of this library, and what it reads in place: terms, events.
#[rustler::nif]
fn library_info() -> (&'static str, bool, bool) {
    let (terms, events) = decode::in_place();
    (env!("CARGO_PKG_VERSION"), terms, events)
}

/// A term as messages show it.
#[rustler::nif]
fn shown(term: Term<'_>) -> String {
    crate::decode::shown::shown(term)
}

/// The system's time as functions without a time argument have it, in milliseconds.
#[rustler::nif]
fn clock_now() -> u64 {
    clock::now()
}

/// The same on a dirty scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn dirty_clock_now() -> u64 {
    clock::now()
}

/// Which thread of a scheduler this is, and the nanoseconds it has worked: what others do meanwhile is not in them.
#[rustler::nif]
fn thread_time() -> (u64, u64) {
    worked()
}

/// The same of a dirty scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn dirty_thread_time() -> (u64, u64) {
    worked()
}

fn worked() -> (u64, u64) {
    thread_local!(static MARK: u8 = const { 0 });
    let thread = MARK.with(|mark| std::ptr::from_ref(mark).addr() as u64);
    (thread, ThreadTime::now().as_duration().as_nanos() as u64)
}

/// Keeps a dirty scheduler busy for some microseconds: what a machine makes of a call there that does nothing else.
#[rustler::nif(schedule = "DirtyCpu")]
fn busy_dirty_scheduler(microseconds: u64) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(microseconds) {
        std::hint::spin_loop();
    }
}
