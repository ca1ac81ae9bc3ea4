//! The one place that knows what time it is: the VM's system time, that of `System.system_time/1`. The core is told.
//!
//! The operating system's clock is another one. When that is stepped, the VM follows within a minute, slowly or never, as its
//! time warp mode says, and whatever Elixir does goes by the VM's.
//!
//! The VM takes 50 ns to tell, so it is asked once a millisecond, and how far it is ahead of a clock that takes 20 ns is
//! remembered in between: `Dedupe.first?/2` takes 52 ns this way, where it took 50 by the operating system's clock, and 103
//! if the VM is always asked.

use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustler::sys::{ERL_NIF_TIME_ERROR, ErlNifTimeUnit, enif_monotonic_time, enif_time_offset};

/// In nanoseconds, as all times here.
const MILLISECOND: u64 = 1_000_000;

/// What is never stepped begins here.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// How far the VM's system time is ahead of the time since [`BEGIN`].
static AHEAD: AtomicU64 = AtomicU64::new(0);
/// Until when that holds, since [`BEGIN`].
static VALID_UNTIL: AtomicU64 = AtomicU64::new(0);

/// The VM's system time in milliseconds since 1970, 0 before that: as it is, or went on from what it was a millisecond ago.
#[inline]
pub fn now() -> u64 {
    let passed = BEGIN.elapsed().as_nanos() as u64;
    if passed < VALID_UNTIL.load(Acquire) {
        return AHEAD.load(Relaxed).wrapping_add(passed) / MILLISECOND;
    }
    let now = ask().unwrap_or_else(of_the_operating_system);
    AHEAD.store(now.wrapping_sub(passed), Relaxed);
    // Release, so that whoever sees this sees what is valid.
    VALID_UNTIL.store(passed + MILLISECOND, Release);
    now / MILLISECOND
}

/// The VM's system time. It tells only its own schedulers.
#[cold]
fn ask() -> Option<u64> {
    // In the finest unit, so that the sum is rounded once, as `System.system_time(:millisecond)` is.
    let unit = ErlNifTimeUnit::ERL_NIF_NSEC;
    // SAFETY: both take any unit, only read the VM's clock, and may be called from any thread.
    let (monotonic, offset) = unsafe { (enif_monotonic_time(unit), enif_time_offset(unit)) };
    let is_told = monotonic != ERL_NIF_TIME_ERROR && offset != ERL_NIF_TIME_ERROR;
    is_told.then(|| u64::try_from(monotonic + offset).unwrap_or(0))
}

/// For threads that are none of the VM's: nothing here is called from one so far.
#[cold]
fn of_the_operating_system() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_nanos() as u64)
}

/// A number that no other start of a meter or an attribution in this VM has: the system's time in microseconds, which is given, or
/// the next one that is free.
#[rustler::nif]
fn epoch(now: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let next = |last: u64| now.max(last + 1);
    match LAST.fetch_update(Relaxed, Relaxed, |last| Some(next(last))) {
        Ok(last) | Err(last) => next(last),
    }
}
