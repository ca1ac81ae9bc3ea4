//! A conversion: known by its order, with the path of its user, and provisional until its window is closed.

use super::Attribution;
use super::orders::{Locked, Record, State};
use super::place::Place;
use super::posting::Net;
use super::ring::Begun;
use super::stats::Kind;
use super::types::{Conversion, Outcome};
use super::window::Window;
use crate::error::{Error, check_time};
use crate::sync::hazard::Protected;
use crate::windows::OpenWindows;

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
            self.in_place(conversion.at, false, &now, |place, open| match place {
                Place::Own(window) => self.convert_in(window, open, conversion, &now),
                Place::Later(window) => self.convert_late(window, open, conversion, &now),
                Place::Nowhere => self.unless_known(conversion, Outcome::Late, &now),
            })
        };
        self.stats.count_conversion(outcome, conversion.at);
        Ok(outcome)
    }

    fn unless_known(&self, conversion: &Conversion<'_>, outcome: Outcome, now: impl Fn() -> u64) -> Outcome {
        let orders = self.orders.lock(conversion.order.hash);
        if self.is_known(&orders, conversion.order.hash, now) { Outcome::Duplicate } else { outcome }
    }

    /// Whether an order is known. One that may not be adjusted any more is not.
    pub(super) fn is_known(&self, orders: &Locked<'_>, order: u64, now: impl Fn() -> u64) -> bool {
        orders.get(order).is_some_and(|record| record.is_provisional() || !self.is_past(record, now))
    }

    /// Whether a final conversion may not be adjusted any more.
    pub(super) fn is_past(&self, record: &Record, now: impl Fn() -> u64) -> bool {
        record.at.saturating_add(self.config.adjustable_for) < self.windows.time(now)
    }

    fn convert_in(
        &self,
        window: &Window,
        open: &Protected<'_, OpenWindows<Window>>,
        conversion: &Conversion<'_>,
        now: impl Fn() -> u64,
    ) -> Outcome {
        let order = conversion.order.hash;
        let mut orders = self.orders.lock(order);
        if self.is_known(&orders, order, &now) {
            return Outcome::Duplicate;
        }
        self.make_room(&mut orders, open);
        // Before the lock is let go of: a touch that finds the conversion in the ring waits for it here.
        let forgotten = self.insert_record(&mut orders, conversion, false);
        drop(orders);
        window.push_order(order);
        if let Some(forgotten) = forgotten {
            self.end_early(forgotten, open);
        }
        if self.windows.is_newest(conversion.at) {
            self.windows.note_newest(conversion.at);
        }
        Outcome::Applied
    }

    /// Takes a conversion whose window is closed: it is final at once, and booked in a window that is open.
    #[cold]
    fn convert_late(
        &self,
        window: &Window,
        open: &Protected<'_, OpenWindows<Window>>,
        conversion: &Conversion<'_>,
        now: impl Fn() -> u64,
    ) -> Outcome {
        let order = conversion.order.hash;
        let mut orders = self.orders.lock(order);
        if self.is_known(&orders, order, &now) {
            return Outcome::Duplicate;
        }
        self.make_room(&mut orders, open);
        self.insert_record(&mut orders, conversion, true);
        self.settle_order(&mut orders, order, window);
        Outcome::Late
    }

    /// Adds a conversion with the path that its user has now. A provisional one of the user for which there is no room beside it,
    /// if there is any: touches are not told of it any more.
    fn insert_record(&self, orders: &mut Locked<'_>, conversion: &Conversion<'_>, is_late: bool) -> Option<u64> {
        let Conversion { order, user, at, action, value } = *conversion;
        let mut steps = Vec::new();
        let Begun { evicted, forgotten, .. } = self.ring.begin(user, order.hash, at, is_late, &mut steps);
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
        };
        orders.insert(order.hash, record);
        forgotten
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
        self.stats.count(Kind::EvictedOrder);
    }
}
