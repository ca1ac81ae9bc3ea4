//! What two users have, as that of one.

use std::cmp::Reverse;

use super::convert::MOST_PENDING;
use super::entry::{Entry, Fingerprint, Mark, kind};
use super::run;
use crate::attribution::Step;

/// Aliases of a user at most. Of more some are users of their own again.
const MOST_ALIASES: usize = 255;

/// All that one user has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Owned {
    pub(crate) touches: Vec<Step>,
    /// Orders and their times.
    pub(crate) pending: Vec<(u64, u64)>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) aliases: Vec<u64>,
    /// 0 if none was evicted.
    pub(crate) evicted: u64,
    pub(crate) converted: Option<u64>,
}

/// What had to go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Gone {
    pub(super) touches: usize,
    pub(super) pending: Vec<u64>,
    pub(super) aliases: Vec<u64>,
}

impl Owned {
    /// Takes an entry of the user, which is not one by which it is an alias.
    pub(super) fn push(&mut self, entry: Entry) {
        match entry.kind() {
            1..=kind::LAST_TOUCH => self.touches.push(entry.step()),
            kind::EVICTED => self.evicted = self.evicted.max(entry.at()),
            kind::ALIASED => self.aliases.push(entry.id()),
            kind::MARK => self.marks.push(entry.as_mark()),
            kind::PENDING => self.pending.push((entry.id(), entry.at())),
            kind::CONVERTED => self.converted = self.converted.max(Some(entry.at())),
            _ => {}
        }
    }

    /// As entries of a user.
    pub(super) fn entries(&self, of: Fingerprint) -> impl Iterator<Item = Entry> + '_ {
        let evicted = (self.evicted > 0).then(|| Entry::new(of, kind::EVICTED, 0, self.evicted));
        let touches = self.touches.iter().map(move |step| Entry::touch(of, step));
        let pending = self.pending.iter().map(move |(order, at)| Entry::new(of, kind::PENDING, *order, *at));
        let marks = self.marks.iter().map(move |mark| Entry::mark(of, mark));
        let aliases = self.aliases.iter().map(move |alias| Entry::new(of, kind::ALIASED, *alias, 0));
        let converted = self.converted.map(|at| Entry::new(of, kind::CONVERTED, 0, at));
        touches.chain(pending).chain(marks).chain(aliases).chain(evicted).chain(converted)
    }

    /// Takes all that another user has, as far as there may be as much. What had to go.
    pub(super) fn unite(&mut self, other: Self, touches_per_user: usize, collapse: bool) -> Gone {
        let mut gone = Gone::default();
        self.evicted = self.evicted.max(other.evicted);
        self.converted = self.converted.max(other.converted);
        add(&mut self.touches, other.touches, |step| step.id);
        self.touches.sort_unstable_by_key(Step::order);
        if collapse {
            run::collapse(&mut self.touches);
        }
        gone.touches = self.touches.len().saturating_sub(touches_per_user);
        if gone.touches > 0 {
            self.evicted = self.evicted.max(self.touches[gone.touches - 1].at);
            self.touches.drain(..gone.touches);
        }
        add(&mut self.pending, other.pending, |(order, _)| *order);
        self.pending.sort_unstable_by_key(|(order, at)| (*at, *order));
        let surplus = self.pending.len().saturating_sub(MOST_PENDING);
        gone.pending = self.pending.drain(..surplus).map(|(order, _)| order).collect();
        // Of two marks that of the first conversion stays.
        self.marks.extend(other.marks);
        self.marks.sort_unstable_by_key(|mark| (mark.key(), mark.at, mark.order));
        self.marks.dedup_by_key(|mark| mark.key());
        // Of those of touches as many stay for each action as of touches, the newest ones.
        self.marks.sort_unstable_by_key(|mark| (mark.touch.is_some(), mark.action, Reverse(mark.order())));
        let (mut action, mut of_action) = (None, 0);
        self.marks.retain(|mark| {
            let same = mark.touch.map(|_| mark.action);
            of_action = if same == action { of_action + 1 } else { 1 };
            action = same;
            same.is_none() || of_action <= touches_per_user
        });
        add(&mut self.aliases, other.aliases, |alias| *alias);
        let surplus = self.aliases.len().saturating_sub(MOST_ALIASES);
        gone.aliases = self.aliases.drain(..surplus).collect();
        gone
    }
}

/// Adds those of others whose like is not there.
fn add<T, K: Ord>(all: &mut Vec<T>, others: Vec<T>, key: impl Fn(&T) -> K) {
    if all.is_empty() {
        *all = others;
        return;
    }
    all.sort_unstable_by_key(&key);
    let own = all.len();
    for other in others {
        if all[..own].binary_search_by_key(&key(&other), &key).is_err() {
            all.push(other);
        }
    }
}
