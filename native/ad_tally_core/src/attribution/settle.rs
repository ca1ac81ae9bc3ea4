//! Conversions become final: those of a window that is closed, from old to new, and single ones before their time.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::RandomState;

use super::Attribution;
use super::orders::{Locked, Record, State};
use super::posting::{Net, Posting};
use super::stats::Kind;
use super::types::Step;
use super::window::Window;
use crate::windows::{self, WindowRef, Windows};

/// Windows that were closed together, see [`windows::Closed`]: all that is booked in them is final. Those in which nothing has
/// happened are not among them.
pub type Closed = windows::Closed<Window>;

impl Attribution {
    /// Closes the windows whose time has passed, as [`crate::Meter::close`] does.
    pub fn close(&self, now: u64) -> Closed {
        let closed = self.settle_closed(|windows| windows.close(now), true);
        if closed.is_all {
            self.forget_past_orders(now);
        }
        closed
    }

    /// Closes the window of a time and those before.
    pub fn close_through(&self, at: u64) -> Closed {
        self.settle_closed(|windows| windows.close_through(at), false)
    }

    /// Closes all windows, those that are to come as well: whatever comes afterwards is late, and is not taken.
    pub fn stop(&self) -> Closed {
        self.settle_closed(Windows::stop, false)
    }

    fn settle_closed(&self, close: impl FnOnce(&Windows<Window>) -> Closed, is_in_time: bool) -> Closed {
        let _alone = self.settling.lock();
        let mut closed = close(&self.windows);
        // Nobody writes to them any more, so it is not in an older interval than what was written.
        if let Some(writing) = self.write_anyway() {
            closed.windows.iter().for_each(|window| writing.closing(window, is_in_time));
        }
        self.windows.write_early(|until| {
            self.write_anyway().into_iter().for_each(|writing| writing.closed_early(until));
        });
        self.finish_links();
        closed.windows.iter().for_each(|window| self.settle(window));
        closed.windows.retain(|window| self.keep_closed(window));
        closed
    }

    /// Makes the conversions of a closed window final in the order of their times, so that the first one of several counts.
    pub(super) fn settle(&self, window: &Window) {
        let mut orders: Vec<(u64, u64)> = window
            .orders()
            .into_iter()
            .filter_map(|order| {
                let orders = self.orders.lock(order);
                orders.get(order).filter(|record| self.is_own(record, window)).map(|record| (record.at, order))
            })
            .collect();
        orders.sort_unstable();
        for (_at, order) in orders {
            self.settle_order(&mut self.orders.lock(order), order, window);
        }
        // Not before: whoever reads the window meanwhile finds each of them either noted or booked.
        window.forget_orders();
    }

    /// Whether a conversion is one of a window. An order that was forgotten may have come again, in any window.
    pub(super) fn is_own(&self, record: &Record, window: &Window) -> bool {
        match window.instance {
            0 => self.windows.number_of(record.at) == window.number,
            instance => record.journaled.instance == instance,
        }
    }

    /// Makes a conversion final, unless it is, and books it in a window.
    pub(super) fn settle_order(&self, orders: &mut Locked<'_>, order: u64, window: &Window) {
        let writing = self.write_anyway();
        let postings = orders.update(order, |record| {
            if !record.is_provisional() {
                return None;
            }
            record.steps = self.eligible(&record.steps, record.at);
            record.steps.shrink_to_fit();
            let counts = self.claim(order, record, writing.as_ref());
            record.state = State::Final { counts };
            if let Some(user) = record.user.take() {
                self.ring.end(user, order);
            }
            let postings = if counts { record.postings(&record.steps) } else { Vec::new() };
            record.words = Box::default();
            record.adjustments = Vec::new();
            self.stats.count(match (counts, record.steps.is_empty()) {
                (false, _) => Kind::Repeated,
                (true, true) => Kind::Unattributed,
                (true, false) => Kind::Attributed,
            });
            Some(postings)
        });
        let Some(postings) = postings.flatten() else { return };
        postings.into_iter().for_each(|posting| self.post(window, posting));
        self.write_order(orders, order);
    }

    /// Books something in a window, by whoever holds the lock of its order.
    pub(super) fn post(&self, window: &Window, posting: Posting) {
        let posting = Arc::new(posting);
        let place = window.post(posting.clone());
        if let Some(writing) = self.write_anyway() {
            writing.posting(window.instance, window.number, place, &posting);
        }
    }

    /// Writes what a conversion is now, by whoever holds the lock of its order.
    pub(super) fn write_order(&self, orders: &mut Locked<'_>, order: u64) {
        let Some(writing) = self.write_anyway() else { return };
        let version = orders.next_version();
        if let Some(record) = orders.get(order) {
            writing.order(order, version, self.windows.number_of(record.at), record);
        }
    }

    /// Forgets orders that may not be adjusted any more.
    fn forget_past_orders(&self, now: u64) {
        for shard in 0..self.orders.shards() {
            let mut orders = self.orders.lock_shard(shard);
            let is_past = |record: &Record| !record.is_provisional() && self.is_past(record, || now);
            loop {
                let past = orders.iter().next().filter(|(_, record)| is_past(record)).map(|(order, _)| order);
                let Some(order) = past else { break };
                orders.remove(order);
            }
        }
    }

    /// Windows that are open, from the one of a number on: the first ones of them from old to new.
    #[must_use]
    pub fn open_windows(&self, from: u64, most: usize) -> Vec<WindowRef<Window>> {
        self.windows.open_windows(from, most)
    }

    /// The number of the first window that begins at a time or later.
    #[must_use]
    pub fn first_from(&self, at: u64) -> u64 {
        self.windows.first_from(at)
    }

    /// The number of the last window that is open, if there is any.
    #[must_use]
    pub fn last_open(&self) -> Option<u64> {
        self.windows.last_open()
    }

    /// What a window has booked, and would book if it were closed now.
    pub(super) fn postings_of(&self, window: &Window) -> Vec<Arc<Posting>> {
        let (mut orders, mut postings) = window.snapshot();
        let seen = postings.len();
        // One that was forgotten and came again is noted twice.
        orders.sort_unstable();
        orders.dedup();
        let mut settled = HashSet::<u64, RandomState>::default();
        for order in orders {
            match self.provisional(order, window) {
                Some(provisional) => postings.extend(provisional.into_iter().map(Arc::new)),
                None => drop(settled.insert(order)),
            }
        }
        // One that is not provisional any more was booked before it could be seen to be final: above or, if it was since, here.
        let since = window.postings(seen, usize::MAX).into_iter();
        postings.extend(since.filter(|posting| settled.contains(&self.seed.key(&posting.order).hash)));
        postings
    }
}

impl Record {
    /// What it books once it is final, credited to these steps: its value, and each change of it.
    pub(super) fn postings(&self, steps: &[Step]) -> Vec<Posting> {
        let first = Net { value: self.value, counts: true };
        let mut postings = vec![self.posting(&self.words, steps, None, Net::default(), first)];
        let mut before = first;
        for adjustment in &self.adjustments {
            postings.push(self.posting(&self.words, steps, Some(adjustment.at), before, adjustment.net));
            before = adjustment.net;
        }
        postings
    }

    /// One booking of it, under the words of its order's key: a final one does not have them any more.
    pub(super) fn posting(
        &self,
        order: &[u64],
        steps: &[Step],
        adjusted_at: Option<u64>,
        before: Net,
        after: Net,
    ) -> Posting {
        Posting {
            order: order.into(),
            at: self.at,
            adjusted_at,
            action: self.action,
            steps: steps.into(),
            before,
            after,
            truncated: self.truncated,
            revision: self.revision,
        }
    }
}
