//! Marks: which conversions of a user were counted, for actions of which only one counts.

use super::entry::{Entry, Mark, kind};
use super::locked::Place;
use super::table::Ring;

#[derive(Default)]
struct Seen<'t> {
    /// The mark that there is.
    own: Option<Mark>,
    /// Of the action.
    of_touches: usize,
    oldest: Option<(Place<'t>, Mark)>,
}

impl Ring {
    /// Marks a user or one of its touches with a conversion of an action. Whether there was no mark of another order: that one
    /// stays. Of touches as many are marked for each action as are kept of a user, those of the newest conversions.
    pub(crate) fn mark(&self, user: u64, action: u8, touch: Option<i64>, order: u64, at: u64) -> bool {
        let mark = Mark::new(action, touch, order, at);
        let mut locked = self.locked(user, at, |seen: &mut Seen<'_>, place, entry| {
            if entry.kind() != kind::MARK {
                return;
            }
            let other = entry.as_mark();
            if other.key() == mark.key() {
                seen.own = Some(other);
            }
            if other.touch.is_some() && other.action == action {
                seen.of_touches += 1;
                if seen.oldest.is_none_or(|(_, oldest)| other.order() < oldest.order()) {
                    seen.oldest = Some((place, other));
                }
            }
        });
        let other = locked.seen.own;
        if other.is_none() {
            let entry = Entry::mark(locked.fingerprint, &mark);
            match locked.seen.oldest {
                Some((place, oldest)) if touch.is_some() && locked.seen.of_touches >= self.touches_per_user => {
                    if oldest.at <= at {
                        locked.chain.set(place, entry);
                    }
                }
                _ => locked.put(entry, 0),
            }
        }
        locked.unlock();
        other.is_none_or(|other| other.order == mark.order)
    }

    /// Whether a user or one of its touches has a mark of another order.
    pub(crate) fn is_marked(&self, user: u64, action: u8, touch: Option<i64>, order: u64) -> bool {
        let own = Mark::new(action, touch, order, 0);
        let locked = self.locked(user, 0, |is_marked: &mut bool, _, entry| {
            if entry.kind() == kind::MARK {
                let mark = entry.as_mark();
                *is_marked |= mark.key() == own.key() && mark.order != own.order;
            }
        });
        locked.seen
    }
}
