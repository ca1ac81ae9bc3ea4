//! A conversion: known by its order, with the path of its user, and provisional until its window is closed.

use super::Attribution;
use super::journal::Writing;
use super::orders::{Journaled, Locked, Record, State};
use super::place::Place;
use super::posting::Net;
use super::ring::Begun;
use super::stats::Kind;
use super::types::{Conversion, Outcome};
use super::window::Window;
use crate::error::{Error, check_time};
use crate::journal::Busy;
use crate::sync::hazard::Protected;
use crate::windows::OpenWindows;

/// What became of a conversion that is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Now,
    /// Its order was known.
    Before,
    /// The journal has no room.
    Not,
}

/// A conversion that has begun: its record, the conversion of its user that was forgotten for it, and what is written of it.
pub(super) struct Started<'j> {
    pub(super) record: Record,
    pub(super) forgotten: Option<u64>,
    pub(super) writing: Option<Writing<'j>>,
}

/// How many orders a full shard is looked through for one that can go.
const LOOKED_THROUGH: usize = 64;

impl Attribution {
    /// Takes a conversion. The system's time is asked for where it matters.
    ///
    /// # Errors
    /// [`Error::Time`], with nothing changed.
    ///
    /// # Panics
    /// If there is no such action.
    pub fn convert(&self, conversion: &Conversion<'_>, now: impl Fn() -> u64) -> Result<Outcome, Error> {
        check_time(conversion.at)?;
        assert!(usize::from(conversion.action) < self.config.actions.len(), "an action of conversions");
        let is_future = self.windows.is_newest(conversion.at) && self.windows.is_future(conversion.at, &now);
        let outcome = if is_future {
            self.unless_known(conversion, Outcome::Future, &now)
        } else {
            self.in_place(conversion.at, &now, |place, open| match place {
                Some(place) => self.convert_in(&place, open, conversion, &now),
                None => self.unless_known(conversion, Outcome::Late, &now),
            })
        };
        self.stats.count_conversion(outcome, conversion.at);
        Ok(outcome)
    }

    fn unless_known(&self, conversion: &Conversion<'_>, outcome: Outcome, now: impl Fn() -> u64) -> Outcome {
        let orders = self.orders.lock(conversion.order.hash);
        self.known(&orders, conversion.order.hash, now).map_or(outcome, |_| Outcome::Duplicate)
    }

    /// The conversion of an order, if that is known. One that may not be adjusted any more is not.
    pub(super) fn known<'o>(&self, orders: &'o Locked<'_>, order: u64, now: impl Fn() -> u64) -> Option<&'o Record> {
        orders.get(order).filter(|record| record.is_provisional() || !self.is_past(record, now))
    }

    /// Whether a final conversion may not be adjusted any more.
    pub(super) fn is_past(&self, record: &Record, now: impl Fn() -> u64) -> bool {
        record.at.saturating_add(self.config.adjustable_for) < self.windows.time(now)
    }

    fn convert_in(
        &self,
        place: &Place<'_>,
        open: &Protected<'_, OpenWindows<Window>>,
        conversion: &Conversion<'_>,
        now: impl Fn() -> u64,
    ) -> Outcome {
        match self.keep(place, open, conversion.order.hash, now, || self.begin(conversion, place.is_late)) {
            Kept::Now => {}
            Kept::Before => return Outcome::Duplicate,
            Kept::Not => return Outcome::Busy,
        }
        if place.is_late {
            return Outcome::Late;
        }
        if self.windows.is_newest(conversion.at) {
            self.windows.note_newest(conversion.at);
        }
        Outcome::Applied
    }

    /// Keeps a conversion, unless its order is known: provisional or, if it is late, final at once and booked. `begin` makes it
    /// pending in the ring, unless the journal has no room.
    pub(super) fn keep<'j>(
        &self,
        place: &Place<'_>,
        open: &Protected<'_, OpenWindows<Window>>,
        order: u64,
        now: impl Fn() -> u64,
        begin: impl FnOnce() -> Option<Started<'j>>,
    ) -> Kept {
        let mut orders = self.orders.lock(order);
        if self.known(&orders, order, now).is_some() {
            return Kept::Before;
        }
        self.make_room(&mut orders, open);
        // Before the lock is let go of: a touch that finds the conversion in the ring waits for it here.
        let Some(Started { mut record, forgotten, writing }) = begin() else { return Kept::Not };
        if writing.is_some() {
            let version = orders.next_version();
            record.journaled = Journaled { born: version, used: version, instance: place.window.instance };
        }
        orders.insert(order, record);
        if place.is_late {
            self.settle_order(&mut orders, order, place.window);
        } else {
            place.window.push_order(order);
            self.write_order(&mut orders, order);
        }
        // What is done with another order is written by itself, under the lock of that one.
        drop(writing);
        drop(orders);
        if let Some(forgotten) = forgotten {
            self.end_early(forgotten, open);
        }
        Kept::Now
    }

    /// A conversion with the path that its user has now. `None` if the journal has no room.
    fn begin(&self, conversion: &Conversion<'_>, is_late: bool) -> Option<Started<'_>> {
        let Conversion { order, user, at, action, value } = *conversion;
        let (begun, writing) = self.begin_in_ring(user, order.hash, at, is_late, || self.begin_writing())?;
        if let Some(writing) = &writing {
            writing.converted(user, at, !is_late);
        }
        let Begun { path: steps, evicted, forgotten } = begun;
        // One that is late may have had a touch that was too old for all that come in time.
        let gone = evicted.max(self.ring.newest_dropped());
        let record = Record {
            words: order.words.into(),
            user: Some(user),
            at,
            action,
            state: State::Provisional,
            truncated: self.is_within_reach(gone, at),
            revision: 1,
            steps,
            value,
            net: Net { value, counts: true },
            adjusted_at: None,
            adjustments: Vec::new(),
            journaled: Journaled::default(),
        };
        Some(Started { record, forgotten, writing })
    }

    /// Begins a conversion in the ring and, under the lock there, to write of it: whatever was brought by a touch that it finds there
    /// is in the same interval or an older one.
    pub(super) fn begin_in_ring<'j>(
        &self,
        user: u64,
        order: u64,
        at: u64,
        is_late: bool,
        begin_writing: impl FnOnce() -> Result<Option<Writing<'j>>, Busy>,
    ) -> Option<(Begun, Option<Writing<'j>>)> {
        let mut writing = Err(Busy);
        let begun = self.ring.begin_if(user, order, at, is_late, || {
            writing = begin_writing();
            writing.is_ok()
        })?;
        Some((begun, writing.ok()?))
    }

    /// Makes a provisional conversion final before its time, because touches are not told of it any more.
    #[cold]
    pub(super) fn end_early(&self, order: u64, open: &Protected<'_, OpenWindows<Window>>) {
        let mut orders = self.orders.lock(order);
        let record = orders.get(order).filter(|record| record.is_provisional());
        // One whose window is being closed is being made final.
        if let Some(window) = record.and_then(|record| open.find_at(record.at)) {
            self.settle_order(&mut orders, order, window);
            self.stats.count(Kind::FinalEarly);
        }
    }

    /// Makes room for an order: the one goes that was used longest ago, and a provisional one becomes final before.
    pub(super) fn make_room(&self, orders: &mut Locked<'_>, open: &Protected<'_, OpenWindows<Window>>) {
        if !orders.is_full() {
            return;
        }
        // One whose window is being closed is being made final, which it has to be there for.
        let window_of = |at: u64| open.find_at(at);
        let can_go = |record: &Record| !record.is_provisional() || window_of(record.at).is_some();
        let gone = orders.iter().take(LOOKED_THROUGH).find(|(_, record)| can_go(record));
        let Some((order, at, is_provisional)) = gone.map(|(order, record)| (order, record.at, record.is_provisional()))
        else {
            return;
        };
        if is_provisional && let Some(window) = window_of(at) {
            self.settle_order(orders, order, window);
            self.stats.count(Kind::FinalEarly);
        }
        orders.remove(order);
        if let Some(writing) = self.write_anyway() {
            writing.removed(order, orders.next_version());
        }
        self.stats.count(Kind::EvictedOrder);
    }
}
