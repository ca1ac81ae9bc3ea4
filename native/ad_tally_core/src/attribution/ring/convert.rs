//! A conversion comes to its user, and is provisional for a while: touches that come meanwhile are told of it.

use super::entry::{Entry, kind};
use super::locked::{Locked, Place};
use super::table::Ring;
use crate::attribution::Step;

/// Provisional conversions of a user at most. Of more the oldest ones are forgotten, so that no user's entries are too many
/// to be read under a lock.
pub(super) const MOST_PENDING: usize = 255;

/// What a conversion finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The user's touches up to its time, in their order.
    pub(crate) path: Vec<Step>,
    /// The time of the newest touch that was evicted, 0 if none was.
    pub(crate) evicted: u64,
    /// A provisional conversion of the user that was forgotten for this one: it is told of no further touches.
    pub(crate) forgotten: Option<u64>,
}

#[derive(Default)]
struct Seen<'t> {
    path: Vec<Step>,
    evicted: u64,
    own: Option<Place<'t>>,
    /// Other provisional conversions.
    others: usize,
    /// The time and the order of the oldest of them.
    oldest: Option<(u64, u64)>,
    converted: Option<(Place<'t>, Entry)>,
}

impl Ring {
    /// Begins a conversion, if it may begin, which is asked under the lock of its user's bucket: `None` if not, and nothing has
    /// changed. Unless it is late the order is pending from then on, until [`Ring::end`].
    pub(crate) fn begin_if(
        &self,
        user: u64,
        order: u64,
        at: u64,
        is_late: bool,
        may_begin: impl FnOnce() -> bool,
    ) -> Option<Begun> {
        let mut locked = self.locked(user, at, |seen: &mut Seen<'_>, place, entry| match entry.kind() {
            1..=kind::LAST_TOUCH if entry.at() <= at => seen.path.push(entry.step()),
            kind::EVICTED => seen.evicted = entry.at(),
            kind::PENDING if entry.id() == order => seen.own = Some(place),
            kind::PENDING => {
                let other = (entry.at(), entry.id());
                seen.others += 1;
                seen.oldest = Some(seen.oldest.map_or(other, |oldest| oldest.min(other)));
            }
            kind::CONVERTED => seen.converted = Some((place, entry)),
            _ => {}
        });
        if !may_begin() {
            locked.unlock();
            return None;
        }
        let forgotten = locked.note(order, at, is_late);
        let Seen { mut path, evicted, .. } = std::mem::take(&mut locked.seen);
        locked.unlock();
        path.sort_unstable_by_key(Step::order);
        Some(Begun { path, evicted, forgotten })
    }

    /// Begins one that may.
    #[cfg(test)]
    pub(crate) fn begin(&self, user: u64, order: u64, at: u64, is_late: bool) -> Begun {
        self.begin_if(user, order, at, is_late, || true).unwrap()
    }

    /// Ends what an order's conversion was pending for, if it was.
    pub(crate) fn end(&self, user: u64, order: u64) {
        let mut locked = self.locked(user, 0, |is_pending: &mut bool, _, entry| {
            *is_pending |= entry.kind() == kind::PENDING && entry.id() == order;
        });
        if locked.seen {
            locked.remove(|entry| entry.kind() == kind::PENDING && entry.id() == order);
        }
        locked.unlock();
    }

    /// A user's provisional conversions, each an order and its time.
    pub(crate) fn pending(&self, user: u64) -> Vec<(u64, u64)> {
        self.locked::<()>(user, 0, |_, _, _| {}).pending(0)
    }
}

impl<S> Locked<'_, S> {
    /// The provisional conversions at or after a time.
    #[cold]
    #[inline(never)]
    pub(super) fn pending(&self, at: u64) -> Vec<(u64, u64)> {
        let mut pending = Vec::new();
        self.visit(|_, entry| {
            if entry.kind() == kind::PENDING && entry.at() >= at {
                pending.push((entry.id(), entry.at()));
            }
        });
        pending
    }
}

impl<'t> Locked<'t, Seen<'t>> {
    /// Notes that the user has converted, and for which order it is pending. The order that is forgotten for it.
    fn note(&mut self, order: u64, at: u64, is_late: bool) -> Option<u64> {
        let is_new = !is_late && self.seen.own.is_none();
        let pending = Entry::new(self.fingerprint, kind::PENDING, order, at);
        let (own, converted) = (self.seen.own, self.seen.converted);
        // Places are true until something is put.
        if let Some(place) = own.filter(|_| !is_late) {
            self.chain.set(place, pending);
        }
        if let Some((place, entry)) = converted
            && at > entry.at()
        {
            self.chain.set(place, entry.with_at(at));
        }
        if converted.is_none() {
            self.put(Entry::new(self.fingerprint, kind::CONVERTED, 0, at), 0);
        }
        let mut forgotten = None;
        if is_new {
            if self.seen.others >= MOST_PENDING {
                forgotten = self.seen.oldest.map(|(_at, order)| order);
                self.remove(|entry| entry.kind() == kind::PENDING && Some(entry.id()) == forgotten);
            }
            self.put(pending, 0);
        }
        forgotten
    }
}
