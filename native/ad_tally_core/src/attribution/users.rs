//! Users: two that turn out to be one, and those that are to be forgotten.

use std::sync::Arc;

use super::Attribution;
use super::linking::Linking;
use super::ring::Linked;
use super::stats::Kind;

impl Attribution {
    /// Notes that an alias is a user, by the hashes of both: their touches are united, and whatever comes for the alias is of the
    /// user from now on. What is left to be done by [`Attribution::go_on`], unless they were one before.
    pub fn link(&self, alias: u64, user: u64) -> Option<Arc<Linking>> {
        let Linked { pending, steps, evicted, forgotten, .. } = self.ring.link(alias, user)?;
        self.stats.count(Kind::Linked);
        let pending = pending.into_iter().map(|(order, _at)| (order, false));
        let orders: Vec<(u64, bool)> = pending.chain(forgotten.into_iter().map(|order| (order, true))).collect();
        let linking = Arc::new(Linking::new(steps, evicted, orders));
        self.linking.lock().push(linking.clone());
        Some(linking)
    }

    /// Credits provisional conversions to the touches of both users for as long as `in_time` says so. Whether there are more.
    pub fn go_on(&self, linking: &Arc<Linking>, in_time: impl Fn() -> bool) -> bool {
        let mut work = linking.lock();
        while let Some((order, is_forgotten)) = work.orders.next() {
            self.amend(order, &work.steps, work.evicted);
            if is_forgotten {
                self.end_early(order, &self.windows.protect());
            }
            if !in_time() {
                return true;
            }
        }
        self.linking.lock().retain(|other| !Arc::ptr_eq(other, linking));
        false
    }

    /// Does what is left of all links.
    pub(super) fn finish_links(&self) {
        let linking = self.linking.lock().clone();
        linking.iter().for_each(|linking| _ = self.go_on(linking, || true));
    }

    /// Forgets a user, by its hash: touches, aliases, and which conversions it had. What they are credited to stays.
    pub fn forget(&self, user: u64) {
        for (order, _at) in self.ring.forget(user) {
            self.orders.lock(order).update(order, |record| record.user = None);
        }
        self.stats.count(Kind::Forgotten);
    }
}
