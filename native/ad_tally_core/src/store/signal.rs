//! What is asked of the store's thread: by whom, and how that thread waits for it.
//!
//! The lock is held for a few instructions only, never over a call of the disk, so a scheduler may ask.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::error::SyncError;

/// Who is told once it is done.
pub(super) type Done = Box<dyn FnOnce(Result<(), SyncError>) + Send>;

/// What is asked.
#[derive(Default)]
pub(super) struct Wanted {
    /// By those who wait until what was recorded is on disk.
    pub syncs: Vec<Done>,
    /// By those who wait until the interval is ended.
    pub barriers: Vec<Done>,
    /// There are many bytes of records.
    pub is_full: bool,
    /// The segment is to be ended.
    pub ends_segment: bool,
    /// The store is to stop.
    pub stops: bool,
}

impl Wanted {
    fn is_urgent(&self) -> bool {
        !self.syncs.is_empty() || !self.barriers.is_empty() || self.is_full || self.ends_segment || self.stops
    }
}

#[derive(Default)]
struct State {
    wanted: Wanted,
    /// Nobody listens any more.
    is_ended: bool,
}

/// Where it is asked.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

impl Signal {
    /// Asks for something. Where nobody listens any more the waiters are told so.
    pub(super) fn ask(&self, ask: impl FnOnce(&mut Wanted)) {
        let mut state = self.state.lock();
        ask(&mut state.wanted);
        if state.is_ended {
            let wanted = std::mem::take(&mut state.wanted);
            drop(state);
            answer(wanted.syncs.into_iter().chain(wanted.barriers), &Err(SyncError::Stopped));
        } else {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until something is asked for, but not before `earliest`, or until `latest`. To stop is asked for at any time.
    pub(super) fn wait(&self, earliest: Instant, latest: Instant) -> Wanted {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            if state.wanted.stops || now >= latest || now >= earliest && state.wanted.is_urgent() {
                return std::mem::take(&mut state.wanted);
            }
            let until = if state.wanted.is_urgent() { earliest } else { latest };
            self.changed.wait_until(&mut state, until);
        }
    }

    /// From now on nobody listens.
    pub(super) fn end(&self) {
        self.state.lock().is_ended = true;
        self.ask(|_| {});
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state.lock().is_ended
    }
}

/// Tells waiters how it went. One that panics is none of the others' business.
pub(super) fn answer(waiters: impl IntoIterator<Item = Done>, result: &Result<(), SyncError>) {
    for done in waiters {
        let result = result.clone();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || done(result)));
    }
}

/// What a panic says.
pub(super) fn text_of(panic: &dyn std::any::Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a text")
}
