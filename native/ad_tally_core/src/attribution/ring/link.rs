//! Two users are one: all that the alias has goes to the user, and so does what comes for it from then on.
//!
//! ```text
//! alias's bucket   alias -> user          user's bucket   aliased by alias, and all that both had
//! ```
//!
//! The locks of both buckets are held, in the order of their numbers, so a touch comes to the alias either before and is moved,
//! or after and goes on to the user. Aliases that the alias had lie in other buckets and are led to the user afterwards, one
//! lock at a time. A touch that comes for one of them meanwhile is led to the alias and from there to the user: one hop more.
//!
//! Only somebody who is no alias is made one, of somebody who is none, and that is made sure under both locks: so aliases
//! never lead in a circle.

use std::cmp::Ordering;

use super::entry::{Entry, Fingerprint, kind};
use super::locked::Loose;
use super::side::Side;
use super::table::{Kind, Ring};
use crate::attribution::Step;

/// How often it is begun anew at most because somebody was united with others meanwhile.
const TRIES: usize = 1_000;

/// Two users that were united.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Linked {
    /// Who has become an alias, if anybody has.
    pub(crate) alias: Option<u64>,
    /// Whose all is now.
    pub(crate) user: u64,
    /// The provisional conversions of both, each an order and its time.
    pub(crate) pending: Vec<(u64, u64)>,
    /// The touches of both, in their order: those too that were evicted with this, which conversions before newer ones may be
    /// credited to.
    pub(crate) steps: Vec<Step>,
    /// The time of the newest touch that was evicted before, 0 if none was.
    pub(crate) evicted: u64,
    /// Provisional conversions that were forgotten because there were too many: they are told of no further touches.
    pub(crate) forgotten: Vec<u64>,
}

impl Ring {
    /// Who a user is: itself, or whom it is an alias of.
    pub(crate) fn user_of(&self, user: u64) -> u64 {
        self.locked::<()>(user, 0, |_, _, _| {}).user
    }

    /// Makes `alias`, or whom that is an alias of, an alias of `user`, or of whom that is one of. `None` if they were one before.
    pub(crate) fn link(&self, alias: u64, user: u64) -> Option<Linked> {
        for _ in 0..TRIES {
            let (from, to) = (self.user_of(alias), self.user_of(user));
            if self.are_one(from, to) {
                return None;
            }
            if let Some((linked, moved)) = self.unite(from, to) {
                self.lead(moved, from, to);
                return Some(linked);
            }
        }
        None
    }

    /// Unites two users. `None` if one of them has become an alias.
    fn unite(&self, from: u64, to: u64) -> Option<(Linked, Moved)> {
        let (at_from, at_to) = (self.place(from), self.place(to));
        let lock = |user| Side::new(self.lock(user));
        let (mut other, mut side) = match at_from.cmp(&at_to) {
            Ordering::Equal => (None, lock(to)),
            Ordering::Less => {
                let other = lock(from);
                (Some(other), lock(to))
            }
            Ordering::Greater => {
                let side = lock(to);
                (Some(lock(from)), side)
            }
        };
        let (of_from, of_to) = (Fingerprint::of(from), Fingerprint::of(to));
        if other.as_ref().unwrap_or(&side).alias(of_from).or(side.alias(of_to)).is_some() {
            return None;
        }
        let mut moved = other.as_mut().unwrap_or(&mut side).take(of_from);
        let mut owned = side.take(of_to);
        let aliases = moved.aliases.clone();
        moved.aliases.push(from);
        let mut steps = [owned.touches.as_slice(), moved.touches.as_slice()].concat();
        // Of a touch that both have that of the user is first.
        steps.sort_by_key(Step::order);
        let evicted = owned.evicted.max(moved.evicted);
        let gone = owned.unite(moved, self.touches_per_user, self.collapse);
        self.count(0, steps.len() - owned.touches.len());
        self.tally(Kind::EvictedTouches, gone.touches);
        side.entries.extend(owned.entries(of_to));
        let newest = owned.touches.last().map_or(0, |step| step.at);
        let alias = Entry::new(of_from, kind::ALIAS, to, newest);
        other.as_mut().unwrap_or(&mut side).entries.push(alias);
        // Both locks are let go before anything is done elsewhere.
        let other = other.map(Side::store);
        let later = [Some(side.store()), other];
        later.into_iter().flatten().for_each(|(at, later)| self.settle(at, later));
        let linked =
            Linked { alias: Some(from), user: to, pending: owned.pending, steps, evicted, forgotten: gone.pending };
        Some((linked, Moved { aliases, surplus: gone.aliases }))
    }

    /// Leads aliases of somebody to whom that one is an alias of now. One that leads elsewhere was led there meanwhile by
    /// whoever has united the user with another one, or was forgotten.
    fn lead(&self, moved: Moved, from: u64, to: u64) {
        for alias in &moved.aliases {
            let mut locked = self.lock::<()>(*alias);
            let is_old = |id: u64| self.are_one(id, from) || moved.aliases.iter().any(|alias| self.are_one(id, *alias));
            let mut found = None;
            locked.chain.visit(|place, entry| {
                if entry.kind() == kind::ALIAS && entry.of_user() == locked.fingerprint && is_old(entry.id()) {
                    found = Some((place, entry.with_id(to)));
                }
            });
            if let Some((place, entry)) = found {
                locked.chain.set(place, entry);
            }
        }
        let gone = self.key(to);
        moved.surplus.into_iter().for_each(|of| self.untie(&Loose { of, kind: kind::ALIAS, gone }));
    }
}

/// The aliases of somebody who has become one.
struct Moved {
    aliases: Vec<u64>,
    /// Aliases of either that are too many.
    surplus: Vec<u64>,
}
