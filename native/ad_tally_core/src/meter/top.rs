//! Totals of the values of one dimension, for metrics that have a series of each: of some values, the others together.
//!
//! When a window is closed, its rows are summed by value. Those that have no series yet get one, from the largest down, until there
//! are as many as there may be. A value keeps its series, and it begins with that window: what was counted before is with the others
//! and stays there. So none of the sums falls, and the number of series is bounded.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::window::Window;
use crate::key;

/// A value as a tuple of one element, in canonical words.
pub type Words = Box<[u64]>;

/// What is summed of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which dimension.
    place: usize,
    /// The metric by whose total values come.
    order: usize,
    /// The most values that have a series.
    most: usize,
}

/// What a window has by value.
pub(super) struct Sums {
    by_value: HashMap<Words, Vec<i128>>,
    /// Of all values and of what had no row.
    all: Vec<i128>,
    /// The largest, from the largest down.
    largest: Vec<Words>,
}

/// What values of a dimension have, since it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    wanted: Wanted,
    values: HashMap<Words, Vec<i128>>,
    others: Vec<i128>,
}

impl Top {
    /// One of a dimension and of some metrics, in the order of one of those.
    #[must_use]
    pub fn new(place: usize, order: usize, metrics: usize) -> Self {
        Self { wanted: Wanted { place, order, most: 0 }, values: HashMap::new(), others: vec![0; metrics] }
    }

    /// Gives values a series that have had one before.
    pub fn keep(&mut self, values: impl IntoIterator<Item = Words>) {
        for value in values {
            let none = vec![0; self.others.len()];
            self.values.entry(value).or_insert(none);
        }
    }

    /// That many values may have a series, or more if they have one.
    pub fn allow(&mut self, most: usize) {
        self.wanted.most = self.wanted.most.max(most);
    }

    /// Each value with its sums by metric.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&Words, &[i128])> {
        self.values.iter().map(|(value, sums)| (value, sums.as_slice()))
    }

    /// The sums of all others, and of what had no row.
    #[must_use]
    pub fn others(&self) -> &[i128] {
        &self.others
    }

    /// What is to be summed of a window. That takes as long as reading its rows, so nobody is to wait for it.
    pub(super) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// Adds what a closed window has. Of corrections, whose sum is below 0, nothing is taken away.
    pub(super) fn add(&mut self, sums: &Sums) {
        let free = self.wanted.most.saturating_sub(self.values.len());
        let new = sums.largest.iter().filter(|value| !self.values.contains_key(*value));
        let new: Vec<Words> = new.take(free).cloned().collect();
        self.keep(new);
        let mut others = sums.all.clone();
        for (value, total) in &mut self.values {
            let Some(sum) = sums.by_value.get(value) else { continue };
            for ((total, others), more) in total.iter_mut().zip(&mut others).zip(sum) {
                *total += (*more).max(0);
                *others -= (*more).max(0);
            }
        }
        self.others.iter_mut().zip(others).for_each(|(total, more)| *total += more);
    }
}

impl Wanted {
    /// What a closed window has.
    pub(super) fn sums(self, window: &Window) -> Sums {
        let overflow = window.overflow();
        let mut by_value: HashMap<Words, Vec<i128>> = HashMap::new();
        window.counters().walk(|key, row| {
            let value = key::projection(key.words(), &[self.place]).into_boxed_slice();
            let sum = by_value.entry(value).or_insert_with(|| vec![0; overflow.len()]);
            sum.iter_mut().zip(row).for_each(|(sum, amount)| *sum += amount);
            ControlFlow::Continue(())
        });
        self.of(by_value, &overflow)
    }

    fn of(self, by_value: HashMap<Words, Vec<i128>>, overflow: &[i128]) -> Sums {
        let mut all = vec![0; overflow.len()];
        for sum in by_value.values().map(Vec::as_slice).chain([overflow]) {
            all.iter_mut().zip(sum).for_each(|(all, more)| *all += (*more).max(0));
        }
        let mut largest: Vec<(Reverse<i128>, &Words)> =
            by_value.iter().map(|(value, sum)| (Reverse(sum[self.order]), value)).collect();
        // Of equal ones the order does not depend on that of the map.
        largest.sort_unstable();
        let largest = largest.into_iter().take(self.most).map(|(_, value)| value.clone()).collect();
        Sums { by_value, all, largest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(top: &mut Top, of: &[(u64, i128)]) {
        let by_value = of.iter().map(|(value, sum)| (Box::from([*value]), vec![1, *sum])).collect();
        let sums = top.wanted().of(by_value, &[0, 0]);
        top.add(&sums);
    }

    fn values(top: &Top) -> Vec<(u64, i128)> {
        let mut values: Vec<_> = top.values().map(|(value, sums)| (value[0], sums[1])).collect();
        values.sort_unstable();
        values
    }

    #[test]
    fn the_largest_get_what_is_free_and_keep_it() {
        let mut top = Top::new(0, 1, 2);
        top.allow(2);
        add(&mut top, &[(7, 10)]);
        add(&mut top, &[(8, 5), (9, 6), (7, 1)]);
        add(&mut top, &[(8, 500)]);
        assert_eq!(values(&top), [(7, 11), (9, 6)]);
        assert_eq!(top.others(), [2, 505]);
        // Fewer are not possible any more, and more are. What was counted before stays where it was.
        top.allow(1);
        top.allow(3);
        add(&mut top, &[(8, 1)]);
        assert_eq!(values(&top), [(7, 11), (8, 1), (9, 6)]);
        assert_eq!(top.others(), [2, 505]);
    }

    #[test]
    fn no_sum_falls() {
        let mut top = Top::new(0, 1, 2);
        top.allow(1);
        add(&mut top, &[(7, 10), (8, 4)]);
        add(&mut top, &[(7, -3), (8, -9), (9, 2)]);
        assert_eq!(values(&top), [(7, 10)]);
        assert_eq!(top.others()[1], 6);
    }

    #[test]
    fn values_that_had_a_series_have_one_before_all_others() {
        let mut top = Top::new(0, 1, 2);
        top.allow(1);
        top.keep([Words::from([5])]);
        add(&mut top, &[(7, 10)]);
        assert_eq!(values(&top), [(5, 0)]);
    }
}
