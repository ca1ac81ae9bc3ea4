//! Refunds and restatements: bookings of their own, by the steps and weights that the conversion was booked with.

use super::Attribution;
use super::orders::{Adjustment, Changed, State};
use super::stats::Kind;
use super::types::{Change, Unchanged};
use super::window::Window;
use crate::error::{Error, check_time};
use crate::key::HashedKey;

impl Attribution {
    /// Changes what a conversion is worth, at a time. The system's time is asked for where it matters.
    ///
    /// # Errors
    /// [`Error::Time`]; and why there is nothing to be changed. Nothing has changed then.
    pub fn adjust(
        &self,
        order: HashedKey<'_>,
        change: Change,
        at: u64,
        now: impl Fn() -> u64,
    ) -> Result<Result<(), Unchanged>, Error> {
        check_time(at)?;
        let adjusted = if self.windows.is_newest(at) && self.windows.is_future(at, &now) {
            Err(Unchanged::Future)
        } else {
            // By the events' time a change of a later one would open a window that nothing closes.
            let at_most = at.min(self.windows.time(&now).max(self.windows.newest()));
            self.in_place(at_most, &now, |place, _open| match place {
                Some(place) => self.adjust_in(place.window, order, change, at, &now),
                None => Err(Unchanged::Unknown),
            })
        };
        if adjusted.is_ok() {
            self.stats.count(Kind::Adjusted);
        }
        Ok(adjusted)
    }

    fn adjust_in(
        &self,
        window: &Window,
        order: HashedKey<'_>,
        change: Change,
        at: u64,
        now: impl Fn() -> u64,
    ) -> Result<(), Unchanged> {
        let mut orders = self.orders.lock(order.hash);
        if self.known(&orders, order.hash, now).is_none() {
            return Err(Unchanged::Unknown);
        }
        let Ok(writing) = self.begin_writing() else { return Err(Unchanged::Busy) };
        let used = if writing.is_some() { orders.next_version() } else { 0 };
        let posting = orders.update(order.hash, |record| {
            let before = match record.change(change, at)? {
                Changed::Superseded => {
                    self.stats.count(Kind::Superseded);
                    return Ok(None);
                }
                Changed::From(before) => before,
            };
            record.journaled.used = used;
            let adjustment = Adjustment { at, net: record.net };
            let posting = match record.state {
                State::Provisional => {
                    record.adjustments.push(adjustment);
                    None
                }
                State::Final { counts: false } => None,
                State::Final { counts: true } => {
                    Some(record.posting(order.words, &record.steps, Some(at), before, record.net))
                }
            };
            Ok(Some(posting))
        });
        if let Some(posting) = posting.unwrap_or(Err(Unchanged::Unknown))? {
            // A change that changes nothing is no use of an order: it is not written, so a restart would not know of it.
            orders.touch(order.hash);
            posting.into_iter().for_each(|posting| self.post(window, posting));
            self.write_order(&mut orders, order.hash);
        }
        Ok(())
    }
}
