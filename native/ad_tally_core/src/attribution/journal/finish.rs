//! All entries are read: what depends on several of them is done.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use super::super::Attribution;
use super::super::place::Place;
use super::super::ring::{Linked, Owned};
use super::super::window::Window;
use super::restore::{Alias, Restoring, Told};
use crate::windows::{Restored, WindowRef};

impl Restoring<'_> {
    /// Opens the windows that were open. Those that were closed, or were begun with another configuration, are among the
    /// undelivered: what was not final in them yet is now.
    ///
    /// The system's time is `now`: what was not late and not closed before the restart is not for as long as windows stay open past
    /// their end, because what was sent before comes again only now.
    pub fn finish(self, now: u64) {
        let Self { of, windows, aliases, told, last_order, last_alias, closed_by } = self;
        let Some(journal) = &of.journal else { return };
        let last_order = last_order.into_inner();
        (0..of.orders.shards()).for_each(|shard| of.orders.lock_shard(shard).resume(last_order));
        journal.pass_alias(last_alias.load(Relaxed));
        of.merge_told(told.into_inner());
        let windows = windows.into_sorted().into_iter();
        let windows: Vec<_> = windows.map(|(instance, own)| (own.window.window(instance, of), own)).collect();
        let by_instance: HashMap<u64, &Window> =
            windows.iter().map(|(window, _)| (window.instance, &**window)).collect();
        let (mut surplus, homeless) = of.pend_all(&by_instance);
        drop(by_instance);
        surplus.extend(of.lead_aliases(aliases.into_inner()));
        let (mut open, mut closing) = (HashMap::new(), Vec::new());
        for (window, Restored { window: own, config, numbered }) in windows {
            let shape = (config, own.length);
            if numbered.is_some() {
                of.keep_window(&WindowRef::new(window), shape, numbered);
            } else if own.is_closing.into_inner() || config != journal.config {
                closing.push((shape, window));
            } else if let Some(older) = open.insert(window.number, window) {
                // Of two of a number the older one was closed when the clock was set back, which was not written any more.
                closing.push((shape, older));
            }
        }
        let clock = closed_by.into_inner().max(of.windows.newest());
        of.windows.resume(open, clock, now.saturating_add(of.config.lateness), now);
        homeless.into_iter().for_each(|order| of.find_home(order, now));
        let protected = of.windows.protect();
        surplus.into_iter().for_each(|order| of.end_early(order, &protected));
        drop(protected);
        closing.sort_unstable_by_key(|(_, window)| (window.number, window.instance));
        for (shape, window) in closing {
            of.settle(&window);
            of.keep_window(&WindowRef::new(window), shape, None);
        }
        of.make_room_for_none();
    }
}

impl Attribution {
    /// Merges touches into the paths that they came into.
    fn merge_told(&self, told: Vec<Told>) {
        for Told { order, born, revision, step } in told {
            self.orders.lock(order).update(order, |record| {
                if record.is_provisional() && record.journaled.born == born {
                    let revision = revision.max(record.revision);
                    self.merge(record, &[step]);
                    record.revision = revision;
                }
            });
        }
    }

    /// Has provisional conversions be pending again, and be noted in their windows. Those of users that have too many, and those
    /// whose window there is not.
    fn pend_all(&self, windows: &HashMap<u64, &Window>) -> (Vec<u64>, Vec<u64>) {
        let (mut surplus, mut homeless) = (Vec::new(), Vec::new());
        for shard in 0..self.orders.shards() {
            let orders = self.orders.lock_shard(shard);
            let provisional = orders.iter().filter(|(_, record)| record.is_provisional());
            for (order, record) in provisional {
                match windows.get(&record.journaled.instance) {
                    Some(window) => window.push_order(order),
                    None => homeless.push(order),
                }
                if let Some(user) = record.user {
                    let owned = Owned { pending: vec![(order, record.at)], ..Owned::default() };
                    let linked = self.ring.restore(self.ring.key_of(user), owned);
                    surplus.extend(linked.into_iter().flat_map(|linked| linked.forgotten));
                }
            }
        }
        (surplus, homeless)
    }

    /// Unites aliases with their users. Conversions of users that have too many.
    fn lead_aliases(&self, aliases: HashMap<u64, Alias>) -> Vec<u64> {
        let mut surplus = Vec::new();
        // Those that nobody has ended to unite come when all others are done.
        let (whole, others): (Vec<_>, Vec<_>) = aliases.into_iter().partition(|(_, alias)| alias.is_whole);
        for (alias, Alias { user, is_whole }) in whole.into_iter().chain(others) {
            let Some(Linked { pending, steps, evicted, forgotten, .. }) = self.ring.link(alias, user) else { continue };
            if !is_whole {
                let orders = pending.iter().map(|(order, _at)| order).chain(&forgotten);
                orders.for_each(|order| self.amend(*order, &steps, evicted));
                self.write_anyway().into_iter().for_each(|writing| writing.alias(alias, user, true));
            }
            surplus.extend(forgotten);
        }
        surplus
    }

    /// Notes a provisional conversion in the window that takes it now, because there is none that it was noted in.
    fn find_home(&self, order: u64, now: u64) {
        let at = self.orders.lock(order).get(order).map(|record| record.at);
        let Some(at) = at else { return };
        self.in_place(
            at,
            || now,
            |place, _open| {
                let mut orders = self.orders.lock(order);
                match place {
                    Some(Place { window, is_late: true }) => self.settle_order(&mut orders, order, window),
                    Some(Place { window, is_late: false }) => {
                        orders.update(order, |record| record.journaled.instance = window.instance);
                        window.push_order(order);
                        self.write_order(&mut orders, order);
                    }
                    None => {}
                }
            },
        );
    }

    /// Has orders go that are more than there may be now.
    fn make_room_for_none(&self) {
        let open = self.windows.protect();
        for shard in 0..self.orders.shards() {
            let mut orders = self.orders.lock_shard(shard);
            let mut is_over = orders.is_over();
            while is_over {
                let before = orders.iter().count();
                self.make_room(&mut orders, &open);
                is_over = orders.is_over() && orders.iter().count() < before;
            }
        }
    }
}
