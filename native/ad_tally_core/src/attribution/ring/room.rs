//! Room for an entry, and for a user: where there is none, what matters least goes.
//!
//! In this order: touches that are too old for any conversion to come; the least recently touched user of the bucket, if
//! another one can not one with pending conversions; the user's own oldest touches, marks, pending conversions and aliases.

use super::entry::{Entry, Fingerprint, kind};
use super::locked::{Later, Locked, Loose};
use super::table::{Kind, Ring};

/// Overflow buckets of a bucket at most: 2,560 entries are read in a few microseconds.
const DEEPEST: usize = 256;
/// Other buckets that are asked at most for a user that can go.
const ASKED: usize = 64;

/// Somebody who has entries in a bucket.
struct Owner {
    fingerprint: Fingerprint,
    /// Aliases are none.
    is_user: bool,
    has_pending: bool,
    /// The newest of its entries.
    newest: u64,
}

fn owners(entries: &[Entry]) -> Vec<Owner> {
    let mut owners: Vec<Owner> = Vec::new();
    for entry in entries {
        let fingerprint = entry.of_user();
        let at = owners.iter().position(|owner| owner.fingerprint == fingerprint).unwrap_or_else(|| {
            owners.push(Owner { fingerprint, is_user: false, has_pending: false, newest: 0 });
            owners.len() - 1
        });
        let owner = &mut owners[at];
        owner.is_user |= entry.kind() != kind::ALIAS;
        owner.has_pending |= entry.kind() == kind::PENDING;
        owner.newest = owner.newest.max(entry.at());
    }
    owners
}

pub(super) fn users(entries: &[Entry]) -> usize {
    owners(entries).iter().filter(|owner| owner.is_user).count()
}

fn is_dead(entry: &Entry, oldest: u64) -> bool {
    entry.is_touch() && entry.at() < oldest
}

impl<'t, S> Locked<'t, S> {
    /// Puts an entry of the user in an empty place, which is made if there is none. Touches before `oldest` are too old.
    #[inline(always)]
    pub(super) fn put(&mut self, entry: Entry, oldest: u64) {
        let (ring, at) = (self.ring, self.chain.at);
        if !self.is_known && !ring.users.has_room(at) {
            self.make_room_for_user(oldest);
        }
        match self.empty.take() {
            Some(place) => self.chain.set(place, entry),
            None => self.put_without_room(entry, oldest),
        }
        if !self.is_known {
            self.is_known = true;
            ring.users.add(at, true, 0);
        }
    }

    #[cold]
    #[inline(never)]
    fn put_without_room(&mut self, entry: Entry, oldest: u64) {
        let (mut empty, mut has_dead) = (None, false);
        self.chain.visit(|place, other| {
            if other.kind() == kind::EMPTY {
                empty = empty.or(Some(place));
            }
            has_dead |= is_dead(&other, oldest);
        });
        if let Some(place) = empty {
            return self.chain.set(place, entry);
        }
        if !has_dead && self.buckets <= DEEPEST && self.chain.push_overflow(entry).is_ok() {
            self.buckets += 1;
            return;
        }
        let mut entries = self.chain.entries();
        let before = users(&entries);
        if self.drop_dead(&mut entries, oldest) == 0 && !self.evict_user(&mut entries, false) {
            self.evict_own(&mut entries);
        }
        // One of the user's that is known may be gone with all that it had: it comes back with this one.
        let is_own_gone = self.is_known && !entries.iter().any(|entry| self.is_own(*entry));
        self.count_gone(before - users(&entries) - usize::from(is_own_gone));
        entries.push(entry);
        self.chain.rewrite(&entries);
    }

    /// Has another user go, if there is one.
    #[cold]
    #[inline(never)]
    fn make_room_for_user(&mut self, oldest: u64) {
        let mut entries = self.chain.entries();
        let before = users(&entries);
        self.drop_dead(&mut entries, oldest);
        if users(&entries) == before {
            self.later.is_over |= !self.evict_user(&mut entries, true);
        }
        self.count_gone(before - users(&entries));
        self.chain.rewrite(&entries);
        self.empty = None;
    }

    fn count_gone(&self, users: usize) {
        if users > 0 {
            self.ring.users.remove(self.chain.at, users, 0);
        }
    }

    /// Drops touches that are too old. How many.
    fn drop_dead(&mut self, entries: &mut Vec<Entry>, oldest: u64) -> usize {
        let before = entries.len();
        entries.retain(|entry| {
            let is_dead = is_dead(entry, oldest);
            if is_dead {
                self.ring.note_dropped(entry.at());
            }
            !is_dead
        });
        let dead = before - entries.len();
        self.ring.count(0, dead);
        dead
    }

    /// Drops the entries of the least recently touched one of all others. Whether there was any.
    pub(super) fn evict_user(&mut self, entries: &mut Vec<Entry>, is_to_be_user: bool) -> bool {
        let own = self.fingerprint;
        let can_go = |owner: &Owner| owner.fingerprint != own && (owner.is_user || !is_to_be_user);
        self.ring.evict_from(self.chain.at, entries, can_go, &mut self.later.loose)
    }

    /// Drops what matters least of the user's own, which is all that there is.
    pub(super) fn evict_own(&mut self, entries: &mut Vec<Entry>) {
        let rank = |entry: &Entry| match entry.kind() {
            1..=kind::LAST_TOUCH => 0,
            kind::MARK => 1,
            kind::PENDING => 2,
            kind::ALIASED => 3,
            _ => 4,
        };
        let Some(least) = (0..entries.len()).min_by_key(|at| (rank(&entries[*at]), entries[*at].order())) else {
            return;
        };
        let gone = entries.swap_remove(least);
        self.later.loose.extend(Loose::of(gone, self.chain.at));
        if gone.is_touch() {
            self.ring.count(0, 1);
            self.ring.tally(Kind::EvictedTouches, 1);
            let evicted = entries.iter_mut().find(|entry| entry.kind() == kind::EVICTED);
            if let Some(evicted) = evicted {
                *evicted = evicted.with_at(evicted.at().max(gone.at()));
            }
        }
    }
}

impl Loose {
    /// The other half of an entry that is gone, if it had one.
    pub(super) fn of(gone: Entry, at: usize) -> Option<Self> {
        let other = match gone.kind() {
            kind::ALIAS => kind::ALIASED,
            kind::ALIASED => kind::ALIAS,
            _ => return None,
        };
        Some(Self { of: gone.id(), kind: other, gone: (at, gone.of_user()) })
    }
}

impl Ring {
    /// Does what was left to be done elsewhere after the bucket of this number.
    #[inline(always)]
    pub(super) fn settle(&self, at: usize, later: Later) {
        if later.is_over || !later.loose.is_empty() {
            self.settle_any(at, later);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle_any(&self, at: usize, later: Later) {
        later.loose.iter().for_each(|loose| self.untie(loose));
        if later.is_over {
            self.evict_elsewhere(at);
        }
    }

    /// Removes an entry that names somebody who is gone. Who has come back meanwhile, and is named by it again, has to be united
    /// anew.
    pub(super) fn untie(&self, loose: &Loose) {
        self.lock::<()>(loose.of).remove(|entry| entry.kind() == loose.kind && self.key(entry.id()) == loose.gone);
    }

    /// Drops the entries of the least recently touched one of those that can go. Whether there was any.
    fn evict_from(
        &self,
        at: usize,
        entries: &mut Vec<Entry>,
        can_go: impl Fn(&Owner) -> bool,
        loose: &mut Vec<Loose>,
    ) -> bool {
        let owners = owners(entries).into_iter().filter(can_go);
        let Some(least) = owners.min_by_key(|owner| (owner.has_pending, owner.newest)) else { return false };
        let mut touches = 0;
        entries.retain(|entry| {
            if entry.of_user() != least.fingerprint {
                return true;
            }
            touches += usize::from(entry.is_touch());
            loose.extend(Loose::of(*entry, at));
            false
        });
        self.count(0, touches);
        if least.is_user {
            self.tally(Kind::EvictedUsers, 1);
        }
        true
    }

    /// Evicts a user of a bucket that is counted together with this one, if a few of them have one that can go.
    fn evict_elsewhere(&self, at: usize) {
        let buckets = self.buckets.in_use();
        // Large tables count users in 64 parts, each of every 64th bucket.
        let step = if buckets < 1 << 12 { 1 } else { 64 };
        for asked in 1..=ASKED.min(buckets - 1) {
            let mut loose = Vec::new();
            let mut chain = self.buckets.lock_bucket((at + asked * step) % buckets);
            let mut entries = chain.entries();
            let can_go = |owner: &Owner| owner.is_user && !owner.has_pending;
            if self.evict_from(chain.at, &mut entries, can_go, &mut loose) {
                self.users.remove(chain.at, 1, 0);
                chain.rewrite(&entries);
                drop(chain);
                loose.iter().for_each(|loose| self.untie(loose));
                return;
            }
        }
    }
}
