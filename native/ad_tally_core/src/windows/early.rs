//! Windows that were closed before their time, which do not open again: neither when the clock is set back, nor after a restart.
//!
//! Whoever closes some closes all before them as well, so that one number tells which they are.

use parking_lot::Mutex;

/// Which windows were closed before their time.
#[derive(Default)]
pub(super) struct Early(Mutex<State>);

#[derive(Default)]
struct State {
    /// Those before this number.
    first: u64,
    /// Whether that is to be written down.
    is_changed: bool,
}

impl State {
    fn set(&mut self, first: u64) {
        *self = Self { first, is_changed: true };
    }
}

impl Early {
    /// Windows before this number were.
    pub(super) fn first(&self) -> u64 {
        self.0.lock().first
    }

    /// Notes that windows before a number are closed, whether or not their time has passed.
    pub(super) fn close(&self, first: u64) {
        let mut state = self.0.lock();
        if first > state.first {
            state.set(first);
        }
    }

    /// Notes that windows from a number on are open again. If some of them were closed before their time, none counts as such any more.
    pub(super) fn open(&self, first: u64) {
        let mut state = self.0.lock();
        if first < state.first {
            state.set(0);
        }
    }

    /// Tells which they are, if that has changed since it was told. What is written last is what is so: others wait meanwhile.
    pub(super) fn write(&self, write: impl FnOnce(u64)) {
        let mut state = self.0.lock();
        if std::mem::take(&mut state.is_changed) {
            write(state.first);
        }
    }

    /// Takes back what was written.
    pub(super) fn restore(&self, first: u64) {
        self.0.lock().first = first;
    }
}
