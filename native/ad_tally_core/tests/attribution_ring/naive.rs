//! The same as a ring does, in plain maps.

use std::collections::BTreeMap;

use crate::attribution::Step;

/// The touches of users, without budgets.
pub(super) struct Naive {
    pub(super) touches_per_user: usize,
    pub(super) collapse: bool,
    pub(super) users: BTreeMap<u64, User>,
    pub(super) evicted: u64,
    /// Whom aliases lead to.
    pub(super) aliases: BTreeMap<u64, u64>,
}

/// Of an action, and of a touch or the user: the conversion's time and order.
type Marks = BTreeMap<(u8, Option<i64>), (u64, u64)>;

#[derive(Default, Debug, Clone, PartialEq)]
pub(super) struct User {
    pub(super) touches: Vec<Step>,
    pub(super) pending: BTreeMap<u64, u64>,
    pub(super) evicted: u64,
    pub(super) converted: Option<u64>,
    pub(super) marks: Marks,
}

impl Naive {
    pub(super) fn new(touches_per_user: usize, collapse: bool) -> Self {
        Self { touches_per_user, collapse, users: BTreeMap::new(), evicted: 0, aliases: BTreeMap::new() }
    }

    /// Who a user is.
    pub(super) fn user_of(&self, user: u64) -> u64 {
        self.aliases.get(&user).copied().unwrap_or(user)
    }

    fn own(&mut self, user: u64) -> &mut User {
        let user = self.user_of(user);
        self.users.entry(user).or_default()
    }

    /// Whether it was a duplicate, and the pending conversions it has to be told to.
    pub(super) fn insert(&mut self, user: u64, step: Step) -> (bool, Vec<(u64, u64)>) {
        let (most, collapse) = (self.touches_per_user, self.collapse);
        let own = self.own(user);
        if own.touches.iter().any(|touch| touch.id == step.id) {
            return (true, Vec::new());
        }
        let pending = own.pending.iter().filter(|(_, at)| **at >= step.at).map(|(order, at)| (*order, *at)).collect();
        own.touches.push(step);
        let gone = own.trim(most, collapse);
        self.evicted += gone;
        (false, pending)
    }

    pub(super) fn begin(&mut self, user: u64, order: u64, at: u64, is_late: bool) -> (Vec<Step>, u64) {
        let own = self.own(user);
        own.converted = own.converted.max(Some(at));
        if !is_late {
            own.pending.insert(order, at);
        }
        (own.touches.iter().filter(|touch| touch.at <= at).copied().collect(), own.evicted)
    }

    pub(super) fn end(&mut self, user: u64, order: u64) {
        let user = self.user_of(user);
        if let Some(own) = self.users.get_mut(&user) {
            own.pending.remove(&order);
        }
    }

    pub(super) fn mark(&mut self, user: u64, action: u8, touch: Option<i64>, order: u64, at: u64) -> bool {
        let most = self.touches_per_user;
        let own = self.own(user);
        if let Some((_, other)) = own.marks.get(&(action, touch)) {
            return *other == order;
        }
        own.marks.insert((action, touch), (at, order));
        own.trim_marks(most, Some((action, touch)));
        true
    }

    pub(super) fn is_marked(&self, user: u64, action: u8, touch: Option<i64>, order: u64) -> bool {
        let mark = self.users.get(&self.user_of(user)).and_then(|own| own.marks.get(&(action, touch)));
        mark.is_some_and(|(_at, other)| *other != order)
    }

    /// If they were two, the touches that both had, and the newest time of one that either had evicted.
    pub(super) fn link(&mut self, alias: u64, user: u64) -> Option<(Vec<Step>, u64)> {
        let (from, to) = (self.user_of(alias), self.user_of(user));
        if from == to {
            return None;
        }
        let moved = self.users.remove(&from).unwrap_or_default();
        let (most, collapse) = (self.touches_per_user, self.collapse);
        let own = self.own(to);
        let mut both = [own.touches.clone(), moved.touches.clone()].concat();
        both.sort_by_key(Step::order);
        let new = moved.touches.into_iter().filter(|step| own.touches.iter().all(|other| other.id != step.id));
        let new: Vec<Step> = new.collect();
        own.touches.extend(new);
        own.evicted = own.evicted.max(moved.evicted);
        let evicted = own.evicted;
        own.converted = own.converted.max(moved.converted);
        for (order, at) in moved.pending {
            own.pending.entry(order).or_insert(at);
        }
        for (key, mark) in moved.marks {
            let own = own.marks.entry(key).or_insert(mark);
            *own = mark.min(*own);
        }
        own.trim_marks(most, None);
        let gone = own.trim(most, collapse);
        self.evicted += gone;
        self.aliases.insert(from, to);
        self.aliases.values_mut().filter(|user| **user == from).for_each(|user| *user = to);
        Some((both, evicted))
    }

    pub(super) fn forget(&mut self, user: u64) -> BTreeMap<u64, u64> {
        let user = self.user_of(user);
        self.aliases.retain(|_, of| *of != user);
        self.users.remove(&user).unwrap_or_default().pending
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

    /// Keeps as many marks of touches as there may be, those of the newest conversions: a new one stays if no other is newer.
    fn trim_marks(&mut self, most: usize, new: Option<(u8, Option<i64>)>) {
        for action in 0..=u8::MAX {
            self.trim_marks_of(action, most, new.filter(|new| new.0 == action));
        }
    }

    fn trim_marks_of(&mut self, action: u8, most: usize, new: Option<(u8, Option<i64>)>) {
        let of_touch = |(key, _): &(&(u8, Option<i64>), &(u64, u64))| key.0 == action && key.1.is_some();
        while self.marks.iter().filter(of_touch).count() > most {
            let others = self.marks.iter().filter(of_touch).filter(|(key, _)| Some(**key) != new);
            let oldest = others.min_by_key(|(_, mark)| **mark).map(|(key, mark)| (*key, mark.0));
            let Some((key, at)) = oldest else { break };
            let is_newer = new.is_some_and(|new| self.marks[&new].0 < at);
            self.marks.remove(&if is_newer { new.unwrap() } else { key });
        }
    }
}

/// Of every run the first and the last one, which stands for those between.
fn collapsed(touches: &[Step]) -> Vec<Step> {
    let runs = touches.chunk_by(|one, other| (one.kind, one.dimensions) == (other.kind, other.dimensions));
    let mut all = Vec::new();
    for run in runs {
        all.push(run[0]);
        match run {
            [] | [_] => {}
            [_, last] => all.push(*last),
            [_, rest @ ..] => {
                let repeats: usize = rest.iter().map(|touch| usize::from(touch.repeats).max(1)).sum();
                all.push(Step { repeats: repeats.min(8191) as u16, ..rest[rest.len() - 1] });
            }
        }
    }
    all
}
