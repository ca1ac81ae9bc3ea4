//! Conversions become final: those of a window that is closed, from old to new, and single ones before their time.

use std::collections::HashSet;
use std::sync::Arc;

use ahash::RandomState;

use super::Attribution;
use super::orders::{Locked, Record, State};
use super::posting::{Net, Posting};
use super::stats::Kind;
use super::types::{Counting, Step};
use super::window::Window;
use crate::windows;
use crate::windows::WindowRef;

/// Windows that were closed together, as of [`crate::meter::Closed`]: all that is booked in them is final.
pub struct Closed {
    /// From old to new. Those in which nothing has happened are not among them.
    pub windows: Vec<WindowRef<Window>>,
    /// Whether that was all that was to be closed.
    pub is_all: bool,
}

impl Attribution {
    /// Closes the windows whose time has passed, as [`crate::Meter::close`] does.
    pub fn close(&self, now: u64) -> Closed {
        let closed = self.settle_closed(|windows| windows.close(now));
        if closed.is_all {
            self.forget_past_orders(now);
        }
        closed
    }

    /// Closes the window of a time and those before.
    pub fn close_through(&self, at: u64) -> Closed {
        self.settle_closed(|windows| windows.close_through(at))
    }

    /// Closes all windows, those that are to come as well: whatever comes afterwards is late, and is not taken.
    pub fn stop(&self) -> Closed {
        self.settle_closed(windows::Windows::stop)
    }

    fn settle_closed(&self, close: impl FnOnce(&windows::Windows<Window>) -> windows::Closed<Window>) -> Closed {
        let _alone = self.settling.lock();
        let windows::Closed { mut windows, is_all } = close(&self.windows);
        windows.iter().for_each(|window| self.settle(window));
        windows.retain(|window| !window.is_empty());
        windows.iter().for_each(|window| window.note_closed());
        Closed { windows, is_all }
    }

    /// Makes the conversions of a closed window final in the order of their times, so that the first one of several counts.
    fn settle(&self, window: &Window) {
        let mut orders: Vec<(u64, u64)> = window
            .orders()
            .into_iter()
            .filter_map(|order| Some((self.orders.lock(order).get(order)?.at, order)))
            .filter(|(at, _order)| self.windows.number_of(*at) == window.number)
            .collect();
        orders.sort_unstable();
        for (_at, order) in orders {
            self.settle_order(&mut self.orders.lock(order), order, window);
        }
        // Not before: whoever reads the window meanwhile finds each of them either noted or booked.
        window.forget_orders();
    }

    /// Makes a conversion final, unless it is, and books it in a window.
    pub(super) fn settle_order(&self, orders: &mut Locked<'_>, order: u64, window: &Window) {
        let postings = orders.update(order, |record| {
            if !record.is_provisional() {
                return Vec::new();
            }
            record.steps = self.eligible(&record.steps, record.at);
            record.steps.shrink_to_fit();
            let counts = self.claim(record, order);
            record.state = State::Final { counts };
            if let Some(user) = record.user.take() {
                self.ring.end(user, order);
            }
            let postings = if counts { record.postings() } else { Vec::new() };
            record.words = Box::default();
            record.adjustments = Vec::new();
            self.stats.count(match (counts, record.steps.is_empty()) {
                (false, _) => Kind::Repeated,
                (true, true) => Kind::Unattributed,
                (true, false) => Kind::Attributed,
            });
            postings
        });
        postings.into_iter().flatten().for_each(|posting| window.post(posting));
    }

    /// Whether a conversion counts, and no later one of which only one does will.
    fn claim(&self, record: &Record, order: u64) -> bool {
        let touch = match self.config.actions[usize::from(record.action)] {
            Counting::Every => return true,
            Counting::OncePerUser => None,
            Counting::OncePerTouch => match record.steps.last() {
                Some(last) => Some(last.id),
                None => return true,
            },
        };
        record.user.is_none_or(|user| self.ring.mark(user, record.action, touch, order, record.at))
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
    /// What it books once it is final: its credits, and each change of them.
    fn postings(&self) -> Vec<Posting> {
        self.postings_with(&self.steps)
    }

    /// The same, credited to these steps.
    pub(super) fn postings_with(&self, steps: &[Step]) -> Vec<Posting> {
        let posting = |adjusted_at, before, after| Posting {
            order: self.words.clone(),
            at: self.at,
            adjusted_at,
            action: self.action,
            steps: steps.into(),
            before,
            after,
            truncated: self.truncated,
            revision: self.revision,
        };
        let first = Net { value: self.value, counts: true };
        let mut postings = vec![posting(None, Net::default(), first)];
        let mut before = first;
        for adjustment in &self.adjustments {
            postings.push(posting(Some(adjustment.at), before, adjustment.net));
            before = adjustment.net;
        }
        postings
    }
}
