//! The groups of a report, one after the other in order.
//!
//! ```text
//! groups ── some thousand at a time, sorted, the first ones kept if there is a limit ──> runs ── merged ──> rows
//! ```
//!
//! So the work is done in steps, the first rows are there before all are sorted, and of a million groups of which ten are wanted
//! few are kept. A group is compared by two words that are made of what it is ordered by, and where these are equal by all of it.

use std::cmp::Ordering;
use std::vec;

use super::groups::{Group, Groups, Users};
use super::rank::{Rank, Texts, rank_of_sum};
use crate::key::{Element, KeyRef};
use crate::sketch::Sketch;

/// Groups that are sorted at once: a quarter of a millisecond.
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
        let (low, high) = sketch.bounds(2);
        Self { users: sketch.estimate(), low, high }
    }
}

/// A group.
pub struct Row<'r> {
    key: &'r [u64],
    arity: usize,
    /// Its sums by metric.
    pub sums: &'r [i128],
    users: Option<&'r Users>,
}

impl<'r> Row<'r> {
    /// The values that its rows have in common.
    pub fn values(&self) -> impl Iterator<Item = Element<'r>> {
        KeyRef::new(self.key).elements().take(self.arity)
    }

    /// How many users it has; `None` where one of its keys had no room for a sketch, or nobody has asked.
    #[must_use]
    pub fn reach(&self) -> Option<Reach> {
        let users = self.users.filter(|users| !users.is_incomplete)?;
        Some(users.sketch.as_ref().map_or(Reach::NOBODY, |sketch| Reach::of(sketch)))
    }

    /// How many registers are looked at for that.
    #[must_use]
    pub fn registers(&self) -> usize {
        let sketch = self.users.and_then(|users| users.sketch.as_deref());
        sketch.and_then(Sketch::registers).map_or(0, <[u8]>::len)
    }
}

/// A group, and what it is compared by first.
struct Entry {
    ranks: [u64; 2],
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
    /// Those to be shown, and none that is empty: as a heap, the one with the first row in front, once all groups are in one.
    runs: Vec<vec::IntoIter<Entry>>,
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
                    let ranks = self.ranks(group, &text);
                    run.push(Entry { ranks, group });
                }
                Some(_) => {}
                None => self.is_sorted = true,
            }
        }
        run.sort_unstable_by(|one, other| self.compare(one, other));
        run.truncate(self.left);
        if !run.is_empty() {
            self.runs.push(run.into_iter());
        }
        if self.is_sorted {
            (0..self.runs.len() / 2).rev().for_each(|place| self.sift(place));
        }
        !self.is_sorted
    }

    /// The next row, once all are sorted.
    pub fn next_row(&mut self) -> Option<Row<'_>> {
        let group = self.next_group()?;
        Some(Row {
            key: self.groups.key(group),
            arity: self.arity,
            sums: self.groups.sums(group),
            users: self.groups.users(group),
        })
    }

    fn next_group(&mut self) -> Option<Group> {
        self.left = self.left.checked_sub(1)?;
        let first = self.runs.first_mut()?;
        let group = first.next().map(|entry| entry.group);
        if first.len() == 0 {
            self.runs.swap_remove(0);
        }
        self.sift(0);
        group
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

    /// Moves a run down the heap as long as another one's first row comes before its own.
    fn sift(&mut self, mut place: usize) {
        loop {
            let mut first = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.runs.len() && self.compare(self.head(child), self.head(first)).is_lt() {
                    first = child;
                }
            }
            if first == place {
                return;
            }
            self.runs.swap(first, place);
            place = first;
        }
    }

    fn head(&self, run: usize) -> &Entry {
        &self.runs[run].as_slice()[0]
    }

    /// Two words that come before those of another group only if the group does.
    fn ranks(&mut self, group: Group, text: impl Fn(u64) -> String) -> [u64; 2] {
        let values = KeyRef::new(self.groups.key(group)).elements().take(self.arity);
        let ranks = values.map(|value| {
            if let Element::Atom(hash) = value {
                self.texts.add(hash, &text);
            }
            self.texts.rank(value)
        });
        let sum = match self.order {
            Order::Metric(metric) => Some(rank_of_sum(self.groups.sums(group)[metric])),
            Order::Key => None,
        };
        // All are looked at, for the texts of atoms.
        let mut two = [Rank::NOTHING; 2];
        sum.into_iter().chain(ranks).enumerate().for_each(|(at, rank)| {
            if let Some(place) = two.get_mut(at) {
                *place = rank;
            }
        });
        let [first, second] = two;
        [first.word, if first.is_exact { second.word } else { 0 }]
    }

    #[inline(always)]
    fn compare(&self, one: &Entry, other: &Entry) -> Ordering {
        one.ranks.cmp(&other.ranks).then_with(|| self.compare_groups(one.group, other.group))
    }

    #[inline(never)]
    fn compare_groups(&self, one: Group, other: Group) -> Ordering {
        let by_metric = match self.order {
            Order::Metric(metric) => self.groups.sums(other)[metric].cmp(&self.groups.sums(one)[metric]),
            Order::Key => Ordering::Equal,
        };
        let values = |group| KeyRef::new(self.groups.key(group)).elements().take(self.arity);
        let by_value = || values(one).zip(values(other)).map(|(one, other)| self.texts.compare(one, other));
        by_metric.then_with(|| by_value().find(|order| order.is_ne()).unwrap_or(Ordering::Equal))
    }
}
