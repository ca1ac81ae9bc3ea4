//! Windows of event time: each is found by a time, begins with the first event that needs it, and is closed exactly.
//!
//! ```text
//! Windows ── open ──> OpenWindows: first window that is not closed, and those that are there
//!          └ by number: those that are not handed over yet
//! ```
//!
//! What a window holds is the matter of whoever uses this: `W` is anything that threads may share.
//!
//! Who writes to a window protects the set of open windows by a hazard pointer meanwhile. To close windows is to put another set in
//! place and to wait until no hazard pointer names the old one: what was written to a window is in it then, whole and for good,
//! and what comes later finds the window closed and is late.
//!
//! * `open_windows`, `by_number`: those that can be written to; those that are not handed over yet
//! * `begin`: whether a time is too late or too early for a window, and windows that begin
//! * `undelivered`: windows that are closed and not delivered
//! * `restored`, `resume`, `standing`: windows taken back after a restart, those of them that are open again, and the clock after it
//! * `early`: which windows were closed before their time
//! * `close`, `window_ref`: windows that are closed, and those that are open, handed out as shares

mod begin;
mod by_number;
mod close;
mod early;
mod open_windows;
mod restored;
mod resume;
mod standing;
mod undelivered;
mod window_ref;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

pub use self::begin::NotBegun;
use self::by_number::ByNumber;
pub use self::close::Closed;
use self::early::Early;
pub use self::open_windows::OpenWindows;
pub(crate) use self::restored::{Restored, RestoredWindows, check_number};
use self::standing::Standing;
pub(crate) use self::undelivered::Kept;
pub use self::undelivered::{Numbered, Undelivered};
pub(crate) use self::window_ref::ClosedBytes;
pub use self::window_ref::WindowRef;
use crate::error::{Error, TIMES};
use crate::journal::{Busy, Part, Scribe};
use crate::memory::free;
use crate::sync::AtomicU64;
use crate::sync::hazard::{Current, Protected};

/// What windows are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Milliseconds of a window.
    pub window: u64,
    /// Milliseconds that a window stays open past its end.
    pub lateness: u64,
    /// How many milliseconds past the system's time an event may be; `None` where time is that of the events.
    pub max_ahead: Option<u64>,
    /// The most windows that are open at a time.
    pub max_open_windows: usize,
}

/// Windows of equal length, each known by its number: it begins at that many times the length.
pub struct Windows<W: Send + Sync + 'static> {
    open: Current<OpenWindows<W>>,
    length: u64,
    lateness: u64,
    max_ahead: Option<u64>,
    newest: AtomicU64,
    /// The system's time when windows were last closed by it.
    clock: AtomicU64,
    /// The system's time after a restart.
    standing: Standing,
    early: Early,
    /// Those that are open, and those that are closed and still to be handed over. Locked by whoever opens or closes some.
    by_number: Mutex<ByNumber<Arc<W>>>,
    max_open_windows: usize,
}

impl<W: Send + Sync> Drop for Windows<W> {
    /// There may be many, and whoever drops them has not asked to free them.
    fn drop(&mut self) {
        let none = Arc::new(OpenWindows::none(u64::MAX, self.length));
        let open = std::mem::replace(&mut self.open, Current::new(none));
        free::later((open, std::mem::take(self.by_number.get_mut())));
    }
}

impl<W: Send + Sync> Windows<W> {
    /// None yet.
    ///
    /// # Errors
    /// [`Error::MeterWindow`] or [`Error::Lateness`].
    pub fn new(config: Config) -> Result<Self, Error> {
        let Config { window, lateness, max_ahead, max_open_windows } = config;
        if window == 0 || window >= TIMES {
            return Err(Error::MeterWindow(window));
        }
        if lateness >= TIMES {
            return Err(Error::Lateness(lateness));
        }
        Ok(Self {
            open: Current::new(Arc::new(OpenWindows::none(0, window))),
            length: window,
            lateness,
            max_ahead,
            newest: AtomicU64::new(0),
            clock: AtomicU64::new(0),
            standing: Standing::default(),
            early: Early::default(),
            by_number: Mutex::default(),
            max_open_windows,
        })
    }

    /// Protects those that are open: whoever closes windows waits until this is dropped.
    #[inline(always)]
    pub fn protect(&self) -> Protected<'_, OpenWindows<W>> {
        self.open.protect()
    }

    /// The same, and begins to write down what is done to them.
    #[inline(always)]
    pub fn begin_and_protect<'a>(
        &'a self,
        part: &'a Part,
    ) -> (Result<Scribe<'a>, Busy>, Protected<'a, OpenWindows<W>>) {
        part.begin_and_protect(&self.open)
    }

    /// The number of the window of a time.
    #[inline(always)]
    #[must_use]
    pub fn number_of(&self, at: u64) -> u64 {
        at / self.length
    }

    /// When a window of that number begins and ends.
    #[must_use]
    pub fn bounds(&self, number: u64) -> (u64, u64) {
        (number * self.length, (number + 1) * self.length)
    }

    /// Milliseconds that a window stays open past its end.
    #[must_use]
    pub fn lateness(&self) -> u64 {
        self.lateness
    }

    /// The newest time that was noted.
    #[inline(always)]
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Relaxed)
    }

    /// Notes the time of an event that was taken.
    #[inline(always)]
    pub fn note_newest(&self, at: u64) {
        self.newest.fetch_max(at, Relaxed);
    }

    /// How many there are that are open, or closed and still to be handed over.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_number.lock().len()
    }

    /// Memory of these themselves beyond the struct, without what the windows hold.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of::<OpenWindows<W>>()
    }

    /// The first window whose time has not passed, by the system's time or, where that is not asked for, the newest event's.
    fn first_in_time(&self, now: impl Fn() -> u64) -> u64 {
        self.time(now).saturating_sub(self.lateness) / self.length
    }

    /// The time that windows are closed by: the system's, which may stand still after a restart, or, where that is not asked for, the
    /// newest event's.
    pub fn time(&self, now: impl Fn() -> u64) -> u64 {
        if self.max_ahead.is_some() { self.standing.time(now()) } else { self.newest() }
    }
}
