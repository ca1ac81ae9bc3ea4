//! Users: two that turn out to be one, and those that are to be forgotten.

use std::sync::Arc;

use super::Attribution;
use super::journal::Writing;
use super::linking::Linking;
use super::ring::{Forgotten, Linked};
use super::stats::Kind;

impl Attribution {
    /// Notes that an alias is a user, by the hashes of both: their touches are united, and whatever comes for the alias is of the
    /// user from now on. What is left to be done by [`Attribution::go_on`], unless they were one before.
    pub fn link(&self, alias: u64, user: u64) -> Option<Arc<Linking>> {
        let writing = self.write_anyway();
        let linked = self.ring.link(alias, user)?;
        self.write_link(&linked, writing.as_ref(), false);
        drop(writing);
        let linked_users = (linked.alias, linked.user);
        let Linked { pending, steps, evicted, forgotten, .. } = linked;
        self.stats.count(Kind::Linked);
        let pending = pending.into_iter().map(|(order, _at)| (order, false));
        let orders: Vec<(u64, bool)> = pending.chain(forgotten.into_iter().map(|order| (order, true))).collect();
        let linking = Arc::new(Linking::new(linked_users, steps, evicted, orders));
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
        if let (Some(alias), user) = work.users
            && let Some(writing) = self.write_anyway()
        {
            writing.alias(alias, user, true);
        }
        self.linking.lock().retain(|other| !Arc::ptr_eq(other, linking));
        false
    }

    /// Does what is left of all links.
    pub(super) fn finish_links(&self) {
        let linking = self.linking.lock().clone();
        linking.iter().for_each(|linking| _ = self.go_on(linking, || true));
    }

    /// Writes who has become whose alias, and whether conversions are credited to the touches of both already.
    pub(super) fn write_link(&self, linked: &Linked, writing: Option<&Writing<'_>>, is_whole: bool) {
        if let Some(writing) = writing {
            linked.alias.iter().for_each(|alias| writing.alias(*alias, linked.user, is_whole));
        }
    }

    /// Forgets a user, by its hash: touches, aliases, and which conversions it had. What they are credited to stays.
    ///
    /// Where there is a journal: by which hashes it has written of the user. They are to be given to [`Attribution::erase`], once the
    /// interval of all that was written before is ended.
    pub fn forget(&self, user: u64) -> Vec<u64> {
        let mut users = self.forget_one(user);
        // Of whom nobody knows any more that they are the user.
        let unerased = self.unerased.lock().remove(&user).unwrap_or_default();
        unerased.into_iter().for_each(|other| users.extend(self.forget_one(other)));
        self.stats.count(Kind::Forgotten);
        if self.journal.is_none() {
            return Vec::new();
        }
        // What came by an import was written under another hash of the same key.
        let imported: Vec<u64> = users.iter().filter_map(|user| self.ring.hash_of(self.ring.key_of(*user))).collect();
        users.extend(imported);
        users.sort_unstable();
        users.dedup();
        users
    }

    fn forget_one(&self, user: u64) -> Vec<u64> {
        let Forgotten { users, pending } = self.ring.forget(user);
        for (order, _at) in pending {
            let mut orders = self.orders.lock(order);
            let is_changed = orders.update(order, |record| record.user.take().is_some());
            if is_changed == Some(true) {
                self.write_order(&mut orders, order);
            }
        }
        users
    }

    /// Keeps what [`Attribution::forget`] has answered of a user, because the disk refused to end the interval: the next time that the
    /// user is forgotten it is among the answer.
    pub fn keep_unerased(&self, user: u64, users: Vec<u64>) {
        self.unerased.lock().entry(user).or_default().extend(users);
    }

    /// Has a journal forget all that older intervals than the current one have of users.
    pub fn erase(&self, users: &[u64]) {
        if let Some(writing) = self.write_anyway() {
            writing.forgotten(users);
        }
    }
}
