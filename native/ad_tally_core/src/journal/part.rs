//! What a part needs to write into a journal.
//!
//! A part ends while callers may still have it, who have found a moment ago that it runs. So whoever begins to write looks again, within
//! the epoch: it has begun before the part's last cut, which waits for it, or it sees that the part has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::{Busy, Journal, Scribe};
use crate::sync::AtomicU8;
use crate::sync::hazard::HazardSlot;
#[cfg(not(loom))]
use crate::sync::hazard::{Current, Protected};

/// The journal that a part writes what it does into, and the number it does so under. Clones are of the same part.
#[derive(Clone)]
pub struct Part {
    /// Where it writes.
    pub journal: Arc<Journal>,
    /// The number in its records.
    pub number: u16,
    state: Arc<State>,
}

/// Everybody reads it for every event, so it has lines of its own.
#[repr(align(128))]
struct State(AtomicU8);

const RUNS: u8 = 0;
/// Whoever begins is refused.
const ENDS: u8 = 1;
/// What is begun anyway is thrown away.
const IS_OVER: u8 = 2;

impl Part {
    /// A part that begins, of that number.
    #[must_use]
    pub fn new(journal: Arc<Journal>, number: u16) -> Self {
        Self { journal, number, state: Arc::new(State(AtomicU8::new(RUNS))) }
    }

    /// Has whoever begins in a later interval than the current one be refused. What is begun anyway is still written.
    pub fn end(&self) {
        self.state.0.store(ENDS, Release);
    }

    /// Has what is begun anyway in a later interval than the current one be thrown away as well: another one may have the number then.
    pub fn end_for_good(&self) {
        self.state.0.store(IS_OVER, Release);
    }

    /// Goes on after all, unless it has ended for good: by then records may have been thrown away.
    pub fn go_on(&self) {
        debug_assert!(!self.is_over(), "it has ended for good");
        self.state.0.store(RUNS, Release);
    }

    /// Whether it has ended. A caller that asks before it begins must ask again inside the epoch, as `begin` does.
    #[inline(always)]
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.0.load(Acquire) != RUNS
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state.0.load(Acquire) == IS_OVER
    }

    #[inline(always)]
    fn unless_ended<'a>(&self, scribe: Scribe<'a>) -> Result<Scribe<'a>, Busy> {
        if self.has_ended() { Err(Busy) } else { Ok(scribe) }
    }

    /// [`Self::begin`] by `slot`.
    ///
    /// # Errors
    /// [`Busy`].
    ///
    /// # Safety
    /// As of [`Journal::begin_by`].
    pub unsafe fn begin_by<'a>(&'a self, slot: &'a HazardSlot) -> Result<Scribe<'a>, Busy> {
        // SAFETY: this function's contract.
        self.unless_ended(unsafe { self.journal.begin_by(slot) }?)
    }
}

#[cfg(not(loom))]
impl Part {
    /// Begins to write what is to be done, also within what the thread is writing.
    ///
    /// # Errors
    /// [`Busy`] as of the journal, or where the part has ended: then nothing may be done.
    #[inline(always)]
    pub fn begin(&self) -> Result<Scribe<'_>, Busy> {
        self.unless_ended(self.journal.begin()?)
    }

    /// The same, but what the thread is writing already was begun for this part as well, and goes on.
    ///
    /// # Errors
    /// As [`Self::begin`].
    #[inline(always)]
    pub fn begin_or_go_on(&self) -> Result<Scribe<'_>, Busy> {
        let scribe = self.journal.begin()?;
        if scribe.goes_on() { Ok(scribe) } else { self.unless_ended(scribe) }
    }

    /// [`Self::begin`], and protects the structure that it is done to.
    #[inline(always)]
    pub fn begin_and_protect<'a, S: Send + Sync>(
        &'a self,
        current: &'a Current<S>,
    ) -> (Result<Scribe<'a>, Busy>, Protected<'a, S>) {
        let (scribe, protected) = self.journal.begin_and_protect(current);
        (scribe.and_then(|scribe| self.unless_ended(scribe)), protected)
    }

    /// Begins to write what must not fail. Where the part has ended for good, it is thrown away.
    pub fn begin_anyway(&self) -> Scribe<'_> {
        let scribe = self.journal.begin_anyway();
        if !self.is_over() || scribe.goes_on() {
            return scribe;
        }
        drop(scribe);
        nowhere().begin_anyway()
    }
}

#[cfg(not(loom))]
impl Part {
    /// Whether what was begun anyway is written. Otherwise it is thrown away.
    pub fn takes(&self, scribe: &Scribe<'_>) -> bool {
        scribe.writes_into(&self.journal.pool)
    }
}

/// A journal that throws everything away.
#[cfg(not(loom))]
fn nowhere() -> &'static Journal {
    static NOWHERE: std::sync::LazyLock<Arc<Journal>> = std::sync::LazyLock::new(|| {
        let journal = Journal::with_slots(super::Config::default(), 0, 0);
        journal.close();
        drop(journal.cut());
        journal
    });
    &NOWHERE
}
