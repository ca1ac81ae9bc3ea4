//! What is asked of the thread that merges: by whom, and how that thread waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::error::SyncError;
use super::signal::{Done, answer};

/// Where it is asked.
#[derive(Default)]
pub(super) struct CompactionSignal {
    state: Mutex<CompactionWanted>,
    changed: Condvar,
    stops: AtomicBool,
}

#[derive(Default)]
struct CompactionWanted {
    is_woken: bool,
    /// By those who wait until everything is in bases.
    all: Vec<Done>,
    /// Why nobody listens any more.
    ended: Option<SyncError>,
}

impl CompactionSignal {
    pub(super) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.changed.notify_one();
    }

    pub(super) fn all(&self, done: Done) {
        let mut state = self.state.lock();
        if let Some(why) = state.ended.clone() {
            drop(state);
            return answer([done], &Err(why));
        }
        state.all.push(done);
        drop(state);
        self.wake();
    }

    /// From now on nobody listens: whoever asks is told why.
    pub(super) fn end(&self, why: SyncError) {
        let mut state = self.state.lock();
        state.ended = Some(why.clone());
        let all = std::mem::take(&mut state.all);
        drop(state);
        answer(all, &Err(why));
    }

    /// Waits for a wish or a moment, and takes those who want all of it.
    pub(super) fn wait(&self, until: Instant) -> Vec<Done> {
        let mut state = self.state.lock();
        while !state.is_woken && !self.stops() {
            if self.changed.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.is_woken = false;
        std::mem::take(&mut state.all)
    }

    pub(super) fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
        self.wake();
    }

    pub(super) fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}
