//! A locked bucket that is written anew, with all that somebody has in it taken out and put back.

use super::entry::{Entry, Fingerprint, kind};
use super::locked::{Later, Locked};
use super::room::users;
use super::unite::Owned;

/// The entries of a bucket, whose lock is held.
pub(super) struct Side<'t> {
    locked: Locked<'t, ()>,
    pub(super) entries: Vec<Entry>,
    /// Users when it was locked.
    users: usize,
}

impl<'t> Side<'t> {
    pub(super) fn new(locked: Locked<'t, ()>) -> Self {
        let entries = locked.chain.entries();
        Self { users: users(&entries), locked, entries }
    }

    /// Whom somebody is an alias of.
    pub(super) fn alias(&self, of: Fingerprint) -> Option<u64> {
        let alias = self.entries.iter().find(|entry| entry.kind() == kind::ALIAS && entry.of_user() == of);
        alias.map(|entry| entry.id())
    }

    /// Takes out all that a user has.
    pub(super) fn take(&mut self, of: Fingerprint) -> Owned {
        let mut owned = Owned::default();
        self.entries.retain(|entry| {
            let is_other = entry.of_user() != of;
            if !is_other {
                owned.push(*entry);
            }
            is_other
        });
        owned
    }

    /// Writes the entries, as many as there is room for, and lets go of the lock. What is left to be done elsewhere, and the
    /// number of the bucket.
    pub(super) fn store(self) -> (usize, Later) {
        let Self { mut locked, mut entries, users: before } = self;
        let (ring, at) = (locked.ring, locked.chain.at);
        if users(&entries) > before && !ring.users.has_room(at) && !locked.evict_user(&mut entries, true) {
            locked.later.is_over = true;
        }
        while locked.chain.replace(&entries).is_err() {
            if !locked.evict_user(&mut entries, false) {
                locked.evict_own(&mut entries);
            }
        }
        let after = users(&entries);
        (before..after).for_each(|_| {
            ring.users.add(at, true, 0);
        });
        if before > after {
            ring.users.remove(at, before - after, 0);
        }
        locked.release()
    }
}
