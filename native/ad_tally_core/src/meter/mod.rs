//! The meter: dedupe, counters and reach of an event in one step, in windows of event time that are closed exactly.
//!
//! ```text
//! Meter ── open ──> OpenWindows: first window that is not closed, and those that have events
//!        └─ dedupe
//! Window ── counters ──> rows by key
//!         └─ reach ────> sketches by key
//! ```
//!
//! `record` pins the set of open windows while it works, as `counters` pins its table. To close windows is to put another
//! set in place and to wait for the pins on the old one to end: what was recorded in a window is in its tables then, whole and
//! for good, and what comes later finds the window closed and is late.

mod ahead;
mod batch;
mod open;
mod window;
mod windows;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

pub use self::ahead::Ahead;
pub use self::batch::{Batch, Draft, Outcomes, Written};
use self::open::OpenWindows;
use self::window::Places;
pub use self::window::{Window, WindowRef};
use self::windows::Windows;
use crate::counters::{self, MAX_METRICS};
use crate::dedupe::{self, Dedupe, Id, Quads};
use crate::error::Error;
use crate::key::{HashedKey, MAX_ARITY, Seed};
use crate::memory::free;
use crate::sketch::{Coupon, Secret, Sketch};
use crate::sync::hazard::{Current, Protected, REGISTRY};
use crate::sync::sharded_counter::ShardedCounter;
use crate::sync::{AtomicU64, AtomicUsize};
use crate::table::{Added, check_max_keys};

/// Times are below this, some 4,400 years after 1970.
pub const TIMES: u64 = 1 << 47;

fn check_time(at: u64) -> Result<(), Error> {
    if at < TIMES { Ok(()) } else { Err(Error::Time(at)) }
}

/// What a meter is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Milliseconds of a window.
    pub window: u64,
    /// Milliseconds that a window stays open past its end.
    pub lateness: u64,
    /// How many milliseconds past the system's time an event may be; `None` where time is that of the events.
    pub max_ahead: Option<u64>,
    /// How many metrics a key has.
    pub metrics: usize,
    /// The most keys of a window.
    pub max_keys: usize,
    /// The most windows that are open at a time.
    pub max_open_windows: usize,
    /// Sketches of users, if wanted.
    pub reach: Option<ReachConfig>,
    /// Ids of events, if wanted.
    pub dedupe: Option<dedupe::Config>,
}

/// What a meter's sketches are to be.
#[derive(Debug, Clone)]
pub struct ReachConfig {
    /// Which elements of an event's key make the key of its sketch, a tuple. All keys have them.
    pub by: Vec<usize>,
    /// Their precision.
    pub precision: u8,
    /// The most keys of a window that have one.
    pub max_keys: usize,
    /// What users are hidden under.
    pub secret: Option<Secret>,
}

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// When.
    pub at: u64,
    /// The hash of its id, under [`dedupe::seed`].
    pub id: Option<u64>,
    /// What is counted, under [`Meter::seed`].
    pub key: HashedKey<'a>,
    /// What is added to its metrics.
    pub amounts: &'a [counters::Add],
    /// Who is shown to its sketch, if the meter has any.
    pub user: Option<Coupon>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was counted.
    Applied,
    /// It was counted before.
    Duplicate,
    /// Its window is closed, or would be if it had begun.
    Late,
    /// It is too far ahead of the system's time.
    Future,
    /// Its window has not begun, and as many are open as may be.
    NoWindow,
    /// Its key, or the key of its sketch, is new and there is no room for it: it is counted in the window's overflow instead.
    Overflow,
}

impl From<Added> for Outcome {
    #[inline(always)]
    fn from(added: Added) -> Self {
        match added {
            Added::Row => Self::Applied,
            Added::Overflow => Self::Overflow,
        }
    }
}

const OUTCOMES: usize = 6;
/// Those of events that are in no window: `Duplicate`, `Late`, `Future` and `NoWindow`.
const LEFT_OUT: usize = 4;
/// What is counted of events: outcomes, and those that are none.
const KINDS: usize = OUTCOMES + 1;
const REFUSED: usize = OUTCOMES;

/// How many events had an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// [`Outcome::Applied`].
    pub applied: u64,
    /// [`Outcome::Duplicate`].
    pub duplicate: u64,
    /// [`Outcome::Late`].
    pub late: u64,
    /// [`Outcome::Future`].
    pub future: u64,
    /// [`Outcome::NoWindow`].
    pub no_window: u64,
    /// [`Outcome::Overflow`].
    pub overflow: u64,
    /// What [`Meter::refuse`] was told of.
    pub refused: u64,
}

/// A meter's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Events by outcome.
    pub events: Counts,
    /// What was not added to any window, by outcome ([`Outcome::Duplicate`], `Late`, `Future` and `NoWindow`) and metric.
    pub left_out: [Vec<i128>; LEFT_OUT],
    /// Windows that have events and are open.
    pub open_windows: usize,
    /// The newest time of an event that was counted.
    pub newest: u64,
    /// Memory of ids.
    pub id_bytes: usize,
    /// Memory of closed windows that somebody still refers to.
    pub closed_bytes: usize,
}

/// Windows that were closed together, from old to new: nothing is recorded in them any more. Those without events are not among
/// them.
pub struct Closed {
    /// Some at most, so that whoever begins a window meanwhile does not wait for long.
    pub windows: Vec<WindowRef>,
    /// Whether that was all that was to be closed: otherwise there is more to be asked for.
    pub is_all: bool,
}

/// Milliseconds that the system's time is earlier by than it was before, if it was set back. Less may be how it is read: whoever
/// records is told by another function than whoever closes windows.
const SET_BACK: u64 = 100;

/// Windows that are closed at once.
const CLOSED_AT_ONCE: usize = 64;

/// Events by window.
pub struct Meter {
    open: Current<OpenWindows>,
    window: u64,
    lateness: u64,
    max_ahead: Option<u64>,
    metrics: usize,
    max_keys: usize,
    reach: Option<ReachConfig>,
    seed: Seed,
    dedupe: Option<Dedupe>,
    newest: AtomicU64,
    /// The system's time when windows were last closed by it.
    clock: AtomicU64,
    /// Those that are open, and those that are closed and still to be handed over, by number. Locked by whoever opens or closes
    /// some.
    windows: Mutex<Windows<Arc<Window>>>,
    max_open_windows: usize,
    /// Of closed windows that somebody still refers to.
    closed_bytes: Arc<AtomicUsize>,
    events: ShardedCounter<KINDS>,
    left_out: [Mutex<Vec<i128>>; LEFT_OUT],
    /// The times of the last events that were.
    last_left_out: [AtomicU64; LEFT_OUT],
}

/// Whether an event is to be counted.
enum Check<'w> {
    /// In this window.
    Counts(&'w Window),
    LeftOut(Outcome),
    /// There is no window of that number yet.
    Begin(u64),
}

/// What comes of trying to record an event.
enum Step {
    Done(Outcome),
    /// There is no window of that number yet.
    Begin(u64),
}

impl Drop for Meter {
    /// There may be many windows, and whoever drops a meter has not asked to free them.
    fn drop(&mut self) {
        let open = std::mem::replace(&mut self.open, Current::new(Arc::new(OpenWindows::none(u64::MAX))));
        free::later((open, std::mem::take(self.windows.get_mut())));
    }
}

/// The windows of a meter that are open, pinned for an event.
pub struct Recording<'m> {
    meter: &'m Meter,
    open: Protected<'m, OpenWindows>,
}

impl Recording<'_> {
    /// What the event that is being read can be looked for with.
    #[inline(always)]
    pub fn ahead(&self) -> Ahead<'_> {
        Ahead::new(self.meter, &self.open)
    }

    /// As [`Meter::record`]. `None`, with nothing counted, when its window is still to begin: [`Meter::record`] does that,
    /// once this is dropped.
    ///
    /// # Errors
    /// [`Error::Time`], with nothing counted.
    ///
    /// # Panics
    /// If a metric is not below [`Meter::metrics`].
    #[inline(always)]
    pub fn record(&self, event: &Event<'_>, ahead: Ahead<'_>, now: impl Fn() -> u64) -> Result<Option<Outcome>, Error> {
        check_time(event.at)?;
        Ok(match self.try_record(event, ahead, &now) {
            Step::Done(outcome) => Some(outcome),
            Step::Begin(_number) => None,
        })
    }

    #[inline(always)]
    fn try_record(&self, event: &Event<'_>, ahead: Ahead<'_>, now: &impl Fn() -> u64) -> Step {
        let Self { meter, open } = self;
        let (window, likely) = ahead.found(meter, open, event.at);
        // The line of the id is on its way meanwhile.
        let places = match window {
            Some(window) => window.find(event.key, event.user, likely),
            None => Places::default(),
        };
        let step = meter.record_in(open, window, places, event, now);
        if let Step::Done(outcome) = step {
            meter.events.add_in(open.slot().id(), outcome as usize);
        }
        step
    }
}

impl Meter {
    /// A meter without events.
    ///
    /// # Errors
    /// What is wrong with the configuration, or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        let Config { window, lateness, max_ahead, metrics, max_keys, max_open_windows, .. } = *config;
        if window == 0 || window >= TIMES {
            return Err(Error::MeterWindow(window));
        }
        if lateness >= TIMES {
            return Err(Error::Lateness(lateness));
        }
        if metrics == 0 || metrics > MAX_METRICS {
            return Err(Error::Metrics(metrics));
        }
        check_max_keys(max_keys)?;
        if let Some(reach) = &config.reach {
            check_max_keys(reach.max_keys)?;
            Sketch::new(reach.precision, None)?;
            if reach.by.is_empty() || reach.by.len() > MAX_ARITY {
                return Err(Error::ReachBy(reach.by.len()));
            }
        }
        Ok(Self {
            open: Current::new(Arc::new(OpenWindows::none(0))),
            window,
            lateness,
            max_ahead,
            clock: AtomicU64::new(0),
            metrics,
            max_keys,
            reach: config.reach.clone(),
            seed: Seed::random(),
            dedupe: config.dedupe.as_ref().map(Dedupe::new).transpose()?,
            newest: AtomicU64::new(0),
            windows: Mutex::default(),
            max_open_windows,
            closed_bytes: Arc::default(),
            events: ShardedCounter::new(),
            left_out: std::array::from_fn(|_| Mutex::new(vec![0; metrics])),
            last_left_out: Default::default(),
        })
    }

    /// The seed that keys are hashed under.
    #[inline(always)]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Whether ids are asked for.
    #[inline(always)]
    pub fn has_dedupe(&self) -> bool {
        self.dedupe.is_some()
    }

    /// What its sketches are, if it has any.
    #[inline(always)]
    pub fn reach(&self) -> Option<&ReachConfig> {
        self.reach.as_ref()
    }

    /// How many metrics a key has.
    #[inline(always)]
    pub fn metrics(&self) -> usize {
        self.metrics
    }

    /// Asks for the line of an id, to be looked at soon.
    #[inline(always)]
    pub fn fetch_id(&self, id: u64) {
        if let Some(dedupe) = &self.dedupe {
            dedupe.fetch_id(id);
        }
    }

    /// Where an id is looked for, if it is.
    #[inline(always)]
    fn id(&self, hash: Option<u64>) -> Option<Id<'_>> {
        Some(self.dedupe.as_ref()?.id(hash?))
    }

    /// Counts an event in its window, unless it is a copy, late or too far ahead. The system's time is asked for where it
    /// matters.
    ///
    /// # Errors
    /// [`Error::Time`], with nothing counted.
    ///
    /// # Panics
    /// If a metric is not below [`Meter::metrics`].
    #[inline(always)]
    pub fn record(&self, event: &Event<'_>, now: impl Fn() -> u64) -> Result<Outcome, Error> {
        check_time(event.at)?;
        let recording = self.protect();
        match recording.try_record(event, Ahead::nothing(), &now) {
            Step::Done(outcome) => Ok(outcome),
            Step::Begin(number) => {
                drop(recording);
                Ok(self.record_in_new(number, event, &now))
            }
        }
    }

    /// Pins the windows that are open, so that an event can be looked for while it is being read. Who closes windows waits
    /// meanwhile.
    #[inline(always)]
    pub fn protect(&self) -> Recording<'_> {
        Recording { meter: self, open: self.open.protect() }
    }

    /// Counts an event in a window that is still to begin.
    #[cold]
    fn record_in_new(&self, mut number: u64, event: &Event<'_>, now: &impl Fn() -> u64) -> Outcome {
        loop {
            let begun = self.begin(number, now);
            let open = self.open.protect();
            let step = match begun {
                Ok(()) => {
                    let window = open.find(number);
                    let places = window.map_or_else(Places::default, |window| window.find(event.key, event.user, None));
                    self.record_in(&open, window, places, event, now)
                }
                Err(outcome) => Step::Done(self.leave_out(event.at, event.amounts, outcome)),
            };
            match step {
                Step::Done(outcome) => {
                    self.events.add_in(open.slot().id(), outcome as usize);
                    return outcome;
                }
                Step::Begin(again) => number = again,
            }
        }
    }

    /// Counts an event whose time was checked in its window, which was looked for, as were its rows. Not among
    /// [`Info::events`], which is the caller's to do.
    #[inline(always)]
    fn record_in<'w>(
        &self,
        open: &Protected<'_, OpenWindows>,
        window: Option<&'w Window>,
        places: Places<'w>,
        event: &Event<'_>,
        now: &impl Fn() -> u64,
    ) -> Step {
        let quads = Quads::Later(|| Some(open.slot().id()));
        match self.check(open, window, event.at, self.id(event.id), quads, now) {
            Check::Counts(window) => {
                let key = || event.key;
                // SAFETY: this thread has pinned the windows in that slot.
                let added = unsafe { window.add(places, event.amounts, event.user, key, open.slot().id()) };
                Step::Done(added.into())
            }
            Check::LeftOut(outcome) => Step::Done(self.leave_out(event.at, event.amounts, outcome)),
            Check::Begin(number) => Step::Begin(number),
        }
    }

    /// Whether an event is to be counted, whose time was checked and whose window was looked for. If so its id is known from now
    /// on.
    #[inline(always)]
    fn check<'w>(
        &self,
        open: &Protected<'_, OpenWindows>,
        window: Option<&'w Window>,
        at: u64,
        id: Option<Id<'_>>,
        quads: Quads<impl Fn() -> Option<usize>>,
        now: &impl Fn() -> u64,
    ) -> Check<'w> {
        let is_newest = at > self.newest.load(Relaxed);
        if is_newest && self.max_ahead.is_some_and(|ahead| at > now().saturating_add(ahead)) {
            return Check::LeftOut(self.unless_known(id, Outcome::Future));
        }
        let Some(window) = window else {
            return self.check_without_window(open, at, id, now);
        };
        if let (Some(id), Some(dedupe)) = (id, &self.dedupe)
            && !dedupe.first_at(id, at, quads, now)
        {
            return Check::LeftOut(Outcome::Duplicate);
        }
        if is_newest {
            self.newest.fetch_max(at, Relaxed);
        }
        Check::Counts(window)
    }

    /// The same of an event whose window is not open.
    #[cold]
    fn check_without_window<'w>(
        &self,
        open: &OpenWindows,
        at: u64,
        id: Option<Id<'_>>,
        now: &impl Fn() -> u64,
    ) -> Check<'w> {
        let number = at / self.window;
        if self.is_known(id) {
            Check::LeftOut(Outcome::Duplicate)
        } else if number < open.first && !self.opens_again(open, number, now) {
            Check::LeftOut(Outcome::Late)
        } else {
            Check::Begin(number)
        }
    }

    /// Whether a window that is closed is to open again: the system's time was set back since windows were last closed by it,
    /// and that of the window has not passed.
    #[cold]
    fn opens_again(&self, open: &OpenWindows, number: u64, now: &impl Fn() -> u64) -> bool {
        // Not after `stop`.
        if self.max_ahead.is_none() || open.first == u64::MAX {
            return false;
        }
        // Read before the clock: whoever waits in between does not take a later time for one that was set back.
        let closed_by = self.clock.load(Relaxed);
        let now = now();
        now.saturating_add(SET_BACK) < closed_by && number >= self.first_in_time(|| now)
    }

    /// That outcome, which an event has unless its id is known.
    #[cold]
    fn unless_known(&self, id: Option<Id<'_>>, outcome: Outcome) -> Outcome {
        if self.is_known(id) { Outcome::Duplicate } else { outcome }
    }

    fn is_known(&self, id: Option<Id<'_>>) -> bool {
        matches!((id, &self.dedupe), (Some(id), Some(dedupe)) if dedupe.is_known(id))
    }

    /// Notes that so many events were none that could be recorded.
    pub fn refuse(&self, events: u64) {
        let open = self.open.protect();
        self.events.add_many_in(open.slot().id(), REFUSED, events);
    }

    #[cold]
    fn leave_out(&self, at: u64, amounts: &[counters::Add], outcome: Outcome) -> Outcome {
        let why = outcome as usize - Outcome::Duplicate as usize;
        // Of copies nobody asks.
        if outcome != Outcome::Duplicate {
            self.last_left_out[why].store(at, Relaxed);
        }
        let mut left_out = self.left_out[why].lock();
        for add in amounts {
            left_out[add.metric as usize] += i128::from(add.amount);
        }
        outcome
    }

    /// Makes a window that there is none of, unless it is closed by now or there are too many. Not one that would be closed as
    /// soon as somebody looks: events of all times in any order would begin windows without bound until then.
    ///
    /// # Errors
    /// [`Outcome::Late`] or [`Outcome::NoWindow`]: what becomes of an event that would be in it.
    #[cold]
    fn begin(&self, number: u64, now: &impl Fn() -> u64) -> Result<(), Outcome> {
        let mut windows = self.windows.lock();
        let mut open = self.open.protect().to_arc();
        let is_again = number < open.first && self.opens_again(&open, number, now);
        if number < open.first && !is_again || open.find(number).is_some() {
            return Ok(());
        }
        let first_in_time = self.first_in_time(now);
        if number < first_in_time {
            return Err(Outcome::Late);
        }
        // By the events' time a replay has many pass at once: those are not in the way of others until somebody looks.
        if windows.len() >= self.max_open_windows
            && (self.max_ahead.is_some() || windows.in_time(first_in_time) >= self.max_open_windows)
        {
            return Err(Outcome::NoWindow);
        }
        if is_again {
            open = Arc::new(open.without(first_in_time, std::iter::empty()));
            self.newest.fetch_min(now(), Relaxed);
        }
        let closed = self.closed_bytes.clone();
        let window = Window::new(number, self.metrics, self.max_keys, self.reach.as_ref(), &self.seed, closed);
        let window = Arc::new(window);
        windows.insert(number, window.clone());
        self.open.replace(Arc::new(open.with(window, self.window)), &REGISTRY);
        Ok(())
    }

    /// The first window whose time has not passed, by the system's time or, where that is not asked for, the newest event's.
    fn first_in_time(&self, now: impl Fn() -> u64) -> u64 {
        let time = if self.max_ahead.is_some() { now() } else { self.newest.load(Relaxed) };
        time.saturating_sub(self.lateness) / self.window
    }

    /// Closes the windows whose time has passed: whose end is not after the system's time or, where that is not asked for, the
    /// newest event's, less the lateness.
    ///
    /// Where the system's time is earlier than it was the last time, windows open again: an event is late only by the clock
    /// that there is. What was closed of them stays closed, and they are closed once more with what comes now. An event that
    /// comes before somebody looks opens them as well.
    pub fn close(&self, now: u64) -> Closed {
        let first = self.first_in_time(|| now);
        if let Some(max_ahead) = self.max_ahead {
            if now < self.clock.swap(now, Relaxed) {
                self.open_again(first, now);
            }
            // Counted by a clock that was wrong for a moment: times up to it would not be compared with the clock any more.
            if self.newest.load(Relaxed) > now.saturating_add(max_ahead) {
                self.newest.fetch_min(now, Relaxed);
            }
        }
        self.close_before(first)
    }

    #[cold]
    fn open_again(&self, first: u64, now: u64) {
        let _windows = self.windows.lock();
        let open = self.open.protect().to_arc();
        // Not after `stop`.
        if first < open.first && open.first < u64::MAX {
            self.open.replace(Arc::new(open.without(first, std::iter::empty())), &REGISTRY);
        }
        // So that times are compared with the clock again.
        self.newest.fetch_min(now, Relaxed);
    }

    /// Closes the window of a time and those before, whether or not their time has passed.
    pub fn close_through(&self, at: u64) -> Closed {
        self.close_before(at / self.window + 1)
    }

    /// Closes all windows, those that are to come as well: whatever is recorded afterwards is late.
    pub fn stop(&self) -> Closed {
        self.close_before(u64::MAX)
    }

    fn close_before(&self, first: u64) -> Closed {
        let mut windows = self.windows.lock();
        let open = self.open.protect().to_arc();
        // Of more than a step closes the others are closed by the next one; but where nothing stays open all at once.
        let beyond = windows.numbers_before(first).nth(CLOSED_AT_ONCE);
        let first = if first == u64::MAX { first } else { beyond.unwrap_or(first) };
        if first > open.first {
            let fresh = if first == u64::MAX {
                OpenWindows::none(first)
            } else {
                open.without(first, windows.numbers_before(first))
            };
            self.open.replace(Arc::new(fresh), &REGISTRY);
        }
        let mut closed = Vec::new();
        while closed.len() < CLOSED_AT_ONCE
            && let Some(window) = windows.take_first_before(first)
        {
            closed.push(WindowRef::new(window));
        }
        // One may have begun for an event that turned out to be a copy.
        closed.retain(|window| !window.is_empty());
        closed.iter().for_each(|window| window.note_closed());
        Closed { windows: closed, is_all: beyond.is_none() }
    }

    /// Windows that are open and have events, from the one of a number on: the first ones of them from old to new, as they are
    /// now.
    #[must_use]
    pub fn open_windows(&self, from: u64, most: usize) -> Vec<WindowRef> {
        self.windows.lock().from(from).take(most).map(|window| WindowRef::new(window.clone())).collect()
    }

    /// Memory of the meter itself, without ids and windows.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of::<Self>() + size_of::<OpenWindows>() + self.events.bytes()
    }

    /// The number of the first window that is not closed.
    #[must_use]
    pub fn first_open(&self) -> u64 {
        self.open.protect().first
    }

    /// The number of the last window that is open and has events, if there is any. It may be newer than the newest event, where
    /// the clock was set back.
    #[must_use]
    pub fn last_open(&self) -> Option<u64> {
        self.windows.lock().last_number()
    }

    /// The number of the first window that begins at a time or later.
    #[must_use]
    pub fn first_from(&self, at: u64) -> u64 {
        at.div_ceil(self.window)
    }

    /// When a window of that number begins and ends.
    #[must_use]
    pub fn bounds(&self, number: u64) -> (u64, u64) {
        (number * self.window, (number + 1) * self.window)
    }

    /// The meter's numbers now.
    #[must_use]
    pub fn info(&self) -> Info {
        let count = |outcome: Outcome| self.events.get(outcome as usize);
        let open_windows = self.windows.lock().len();
        Info {
            events: Counts {
                applied: count(Outcome::Applied),
                duplicate: count(Outcome::Duplicate),
                late: count(Outcome::Late),
                future: count(Outcome::Future),
                no_window: count(Outcome::NoWindow),
                overflow: count(Outcome::Overflow),
                refused: self.events.get(REFUSED),
            },
            left_out: std::array::from_fn(|outcome| self.left_out[outcome].lock().clone()),
            open_windows,
            newest: self.newest.load(Relaxed),
            id_bytes: self.dedupe.as_ref().map_or(0, Dedupe::memory_bytes),
            closed_bytes: self.closed_bytes.load(Relaxed),
        }
    }

    /// The time of the last event that was late, and of the last one that was too far ahead; 0 if none was.
    #[must_use]
    pub fn last_late_and_future(&self) -> (u64, u64) {
        let [_duplicate, late, future, _no_window] = &self.last_left_out;
        (late.load(Relaxed), future.load(Relaxed))
    }

    /// What is known about ids, if they are asked for.
    #[must_use]
    pub fn dedupe_info(&self) -> Option<dedupe::Info> {
        self.dedupe.as_ref().map(Dedupe::info)
    }
}
