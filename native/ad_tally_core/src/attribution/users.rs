//! Users: two that turn out to be one, and those that are to be forgotten.

use super::Attribution;
use super::ring::Linked;
use super::stats::Kind;

impl Attribution {
    /// Notes that an alias is a user: their touches are united, and whatever comes for the alias is of the user from now on.
    /// Provisional conversions of both are credited to the touches of both. By the hashes of both.
    pub fn link(&self, alias: u64, user: u64) {
        let open = self.windows.protect();
        let Some(Linked { pending, steps, evicted, forgotten, .. }) = self.ring.link(alias, user) else { return };
        for (order, at) in pending {
            self.amend(order, &steps);
            if self.is_within_reach(evicted, at) {
                self.orders.lock(order).update(order, |record| record.truncated |= record.is_provisional());
            }
        }
        for order in forgotten {
            self.amend(order, &steps);
            self.end_early(order, &open);
        }
        self.stats.count(Kind::Linked);
    }

    /// Forgets a user, by its hash: touches, aliases, and which conversions it had. What they are credited to stays.
    pub fn forget(&self, user: u64) {
        for (order, _at) in self.ring.forget(user) {
            self.orders.lock(order).update(order, |record| record.user = None);
        }
        self.stats.count(Kind::Forgotten);
    }
}
