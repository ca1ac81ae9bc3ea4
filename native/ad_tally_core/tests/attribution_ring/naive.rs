//! The same as a ring does, in plain maps.

use std::collections::BTreeMap;

use crate::attribution::Step;

/// The touches of users, without budgets.
pub(super) struct Naive {
    pub(super) touches_per_user: usize,
    pub(super) collapse: bool,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) evicted: u64,
}

#[derive(Default, Debug, Clone, PartialEq)]
pub(super) struct User {
    pub(super) touches: Vec<Step>,
    pub(super) pending: BTreeMap<u64, u64>,
    pub(super) evicted: u64,
    pub(super) converted: Option<u64>,
}

impl Naive {
    pub(super) fn new(touches_per_user: usize, collapse: bool) -> Self {
        Self { touches_per_user, collapse, users: BTreeMap::new(), evicted: 0 }
    }

    /// Whether it was a duplicate, and the pending conversions it has to be told to.
    pub(super) fn insert(&mut self, user: u64, step: Step) -> (bool, Vec<(u64, u64)>) {
        let own = self.users.entry(user).or_default();
        if own.touches.iter().any(|touch| touch.id == step.id) {
            return (true, Vec::new());
        }
        let pending = own.pending.iter().filter(|(_, at)| **at >= step.at).map(|(order, at)| (*order, *at)).collect();
        own.touches.push(step);
        self.evicted += own.trim(self.touches_per_user, self.collapse);
        (false, pending)
    }

    pub(super) fn begin(&mut self, user: u64, order: u64, at: u64, is_late: bool) -> (Vec<Step>, u64) {
        let own = self.users.entry(user).or_default();
        own.converted = own.converted.max(Some(at));
        if !is_late {
            own.pending.insert(order, at);
        }
        (own.touches.iter().filter(|touch| touch.at <= at).copied().collect(), own.evicted)
    }

    pub(super) fn end(&mut self, user: u64, order: u64) {
        if let Some(own) = self.users.get_mut(&user) {
            own.pending.remove(&order);
        }
    }
}

impl User {
    /// Puts the touches in order, as few as there may be. How many were evicted.
    pub(super) fn trim(&mut self, most: usize, collapse: bool) -> u64 {
        self.touches.sort_by_key(Step::order);
        if collapse {
            self.touches = collapsed(&self.touches);
        }
        let gone = self.touches.len().saturating_sub(most);
        for touch in self.touches.drain(..gone) {
            self.evicted = self.evicted.max(touch.at);
        }
        gone as u64
    }
}

/// Of every run the first and the last one, which stands for those between.
fn collapsed(touches: &[Step]) -> Vec<Step> {
    let runs = touches.chunk_by(|one, other| (one.kind, one.dimensions) == (other.kind, other.dimensions));
    let mut all = Vec::new();
    for run in runs {
        all.push(run[0]);
        if let [_, between @ .., last] = run {
            let more: usize = between.iter().map(|touch| 1 + usize::from(touch.repeats)).sum();
            let repeats = (usize::from(last.repeats) + more).min(8191) as u16;
            all.push(Step { repeats, ..*last });
        }
    }
    all
}
