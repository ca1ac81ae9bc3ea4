//! The groups of a report, one after the other in order.
//!
//! ```text
//! groups ── some thousand at a time, sorted, the first ones kept if there is a limit ──> runs ── merged ──> rows
//! ```
//!
//! So the work is done in steps, the first rows are there before all are in order, and of a million groups of which ten are wanted
//! few are kept. A group is compared by a few words that are made of what it is ordered by, and where these are equal by all of it.

use std::cmp::Ordering;
use std::vec;

use super::groups::{Group, Groups, Users};
use super::words::{Texts, WORDS, Words};
use crate::key::{Element, KeyRef};
use crate::memory::free;
use crate::sketch::Sketch;

/// Groups that are sorted at once: half a millisecond.
const RUN: usize = 4_096;

/// By what groups are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By the values that they have in common: integers, then atoms by their text, then binaries, as Erlang orders them.
    Key,
    /// By a metric, the largest first. Where it is equal, as by [`Order::Key`].
    Metric(usize),
}

/// An estimate of users, and its bounds at two standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// The estimate.
    pub users: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Reach {
    const NOBODY: Self = Self { users: 0.0, low: 0.0, high: 0.0 };

    fn of(sketch: &Sketch) -> Self {
        let (users, (low, high)) = sketch.estimate_and_bounds(2);
        Self { users, low, high }
    }
}

/// A group.
pub struct Row<'r> {
    groups: &'r Groups,
    group: Group,
    arity: usize,
}

impl<'r> Row<'r> {
    /// The values that its rows have in common.
    pub fn values(&self) -> impl Iterator<Item = Element<'r>> {
        KeyRef::new(self.groups.key(self.group)).elements().take(self.arity)
    }

    /// What its rows sum up to, of a metric.
    #[must_use]
    pub fn sum(&self, metric: usize) -> i128 {
        self.groups.sum(self.group, metric)
    }

    fn users(&self) -> Option<&'r Users> {
        self.groups.users(self.group)
    }

    /// How many users it has; `None` where one of its keys had no room for a sketch, or nobody has asked.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        let users = self.users().filter(|users| !users.is_incomplete)?;
        Some(users.sketch.as_ref().map_or(Reach::NOBODY, |sketch| Reach::of(sketch)))
    }

    /// How many registers are looked at for that.
    #[must_use]
    pub fn registers(&self) -> usize {
        let sketch = self.users().and_then(|users| users.sketch.as_deref());
        sketch.and_then(Sketch::registers).map_or(0, <[u8]>::len)
    }
}

/// A group, and the words that it is compared by first.
#[derive(Clone, Copy)]
struct Entry {
    words: [u64; WORDS],
    group: Group,
}

/// The rows of a report.
pub struct Rows {
    groups: Groups,
    arity: usize,
    order: Order,
    /// How many are still to be shown at most.
    left: usize,
    texts: Texts,
    /// Which group was the last one that is in a run, until all are.
    last: Option<Group>,
    is_sorted: bool,
    runs: Vec<vec::IntoIter<Entry>>,
    /// The first entry of each run that has any, and the number of the run: a heap with the first of all in front, once all groups
    /// are in a run.
    heads: Vec<(Entry, usize)>,
    overflow: Vec<i128>,
    overflow_users: Option<Sketch>,
}

impl Rows {
    pub(super) fn new(
        groups: Groups,
        arity: usize,
        order: Order,
        limit: usize,
        overflow: Vec<i128>,
        overflow_users: Option<Sketch>,
    ) -> Self {
        Self {
            groups,
            arity,
            order,
            left: limit,
            texts: Texts::default(),
            last: None,
            is_sorted: false,
            runs: Vec::new(),
            heads: Vec::new(),
            overflow,
            overflow_users,
        }
    }

    /// Sorts some more groups. `text` is that of an atom of a hash. Whether it is to be called again before rows are shown.
    pub fn sort(&mut self, text: impl Fn(u64) -> String) -> bool {
        if self.is_sorted {
            return false;
        }
        let mut run = Vec::new();
        while run.len() < RUN && !self.is_sorted {
            self.last = self.groups.next(self.last);
            match self.last {
                Some(group) if self.groups.users(group).is_none_or(|users| users.is_counted) => {
                    let words = self.words(group, &text);
                    run.push(Entry { words, group });
                }
                Some(_) => {}
                None => self.is_sorted = true,
            }
        }
        run.sort_unstable_by(|one, other| self.compare(one, other));
        run.truncate(self.left);
        run.shrink_to_fit();
        let mut run = run.into_iter();
        self.heads.extend(run.next().map(|first| (first, self.runs.len())));
        self.runs.push(run);
        if self.is_sorted {
            (0..self.heads.len() / 2).rev().for_each(|place| self.sift(place));
        }
        !self.is_sorted
    }

    /// The next row, once all are sorted.
    pub fn next_row(&mut self) -> Option<Row<'_>> {
        let group = self.next_group()?;
        Some(Row { groups: &self.groups, group, arity: self.arity })
    }

    fn next_group(&mut self) -> Option<Group> {
        self.left = self.left.checked_sub(1)?;
        let (first, run) = *self.heads.first()?;
        match self.runs[run].next() {
            Some(next) => {
                self.groups.fetch(next.group);
                self.heads[0].0 = next;
            }
            None => _ = self.heads.swap_remove(0),
        }
        self.sift(0);
        Some(first.group)
    }

    /// What had no row in any window, and its users where they are asked for; `None` if there was nothing.
    #[must_use]
    pub fn overflow(&self) -> Option<(&[i128], Option<Reach>)> {
        if self.overflow.iter().all(|sum| *sum == 0) && self.overflow_users.is_none() {
            return None;
        }
        let reach = || self.overflow_users.as_ref().map_or(Reach::NOBODY, Reach::of);
        Some((&self.overflow, self.groups.has_users().then(reach)))
    }

    /// Moves a head down the heap as long as another one comes before it.
    fn sift(&mut self, mut place: usize) {
        loop {
            let mut first = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heads.len() && self.compare(&self.heads[child].0, &self.heads[first].0).is_lt() {
                    first = child;
                }
            }
            if first == place {
                return;
            }
            self.heads.swap(first, place);
            place = first;
        }
    }

    /// The first words that it is compared by.
    fn words(&mut self, group: Group, text: impl Fn(u64) -> String) -> [u64; WORDS] {
        let mut words = Words::default();
        if let Order::Metric(metric) = self.order {
            words.push_sum(self.groups.sum(group, metric));
        }
        for value in KeyRef::new(self.groups.key(group)).elements().take(self.arity) {
            if let Element::Atom(hash) = value {
                self.texts.add(hash, &text);
            }
            words.push(value, &self.texts);
        }
        words.first()
    }

    #[inline(always)]
    fn compare(&self, one: &Entry, other: &Entry) -> Ordering {
        one.words.cmp(&other.words).then_with(|| self.compare_groups(one.group, other.group))
    }

    #[inline(never)]
    fn compare_groups(&self, one: Group, other: Group) -> Ordering {
        let by_metric = match self.order {
            Order::Metric(metric) => self.groups.sum(other, metric).cmp(&self.groups.sum(one, metric)),
            Order::Key => Ordering::Equal,
        };
        let values = |group| KeyRef::new(self.groups.key(group)).elements().take(self.arity);
        let by_value = || values(one).zip(values(other)).map(|(one, other)| self.texts.compare(one, other));
        by_metric.then_with(|| by_value().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
    }
}

impl Drop for Rows {
    /// As of groups: a run takes up to 160 KB.
    fn drop(&mut self) {
        if self.runs.len() > 1 {
            free::later(std::mem::take(&mut self.runs));
        }
    }
}
