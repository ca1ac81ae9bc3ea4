//! Forgetting a user: nothing that it had, and nothing that names it, is left.

use super::entry::kind;
use super::table::Ring;
use super::unite::Owned;

/// A user who was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// The hashes that were the user's, each once.
    pub(crate) users: Vec<u64>,
    /// The provisional conversions that it had, each an order and its time.
    pub(crate) pending: Vec<(u64, u64)>,
}

impl Ring {
    /// Removes all that a user has, or whoever it is an alias of, and all aliases of that one.
    ///
    /// Aliases lie in other buckets and go one after the other. What comes for one of them meanwhile still is the user's.
    pub(crate) fn forget(&self, user: u64) -> Forgotten {
        let mut locked = self.locked(user, 0, |owned: &mut Owned, _, entry| owned.push(entry));
        let Owned { pending, mut aliases, .. } = std::mem::take(&mut locked.seen);
        locked.remove(|_| true);
        let found = locked.user;
        locked.unlock();
        if found != user {
            aliases.push(user);
        }
        for alias in &aliases {
            // While its user is being united with this one it may lead to that one still.
            self.lock::<()>(*alias).remove(|entry| {
                entry.kind() == kind::ALIAS
                    && (self.are_one(entry.id(), found) || aliases.iter().any(|alias| self.are_one(entry.id(), *alias)))
            });
        }
        aliases.push(found);
        aliases.sort_unstable();
        aliases.dedup();
        Forgotten { users: aliases, pending }
    }
}
