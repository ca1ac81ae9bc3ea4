//! Which run is next: a heap of runs by the key where each is.

use std::cmp::Ordering;

use super::cursor::Cursor;

/// Runs, the one with the smallest key first, and of equal keys the oldest one.
#[derive(Debug, Default)]
pub(super) struct Heap {
    /// What keys are ordered by first, and the number of the run: whole keys are compared where the former is equal.
    runs: Vec<(u128, usize)>,
}

impl Heap {
    /// The run that is next.
    #[inline(always)]
    pub(super) fn first(&self) -> Option<usize> {
        self.runs.first().map(|(_, run)| *run)
    }

    /// Whether no other run has the key of the first one.
    #[inline(always)]
    pub(super) fn is_alone<S>(&self, cursors: &[Cursor<S>]) -> bool {
        // The second one is a child of the first one.
        let is_other = |at: usize| self.runs.get(at).is_none_or(|other| is_less(&self.runs[0], other, cursors, false));
        is_other(1) && is_other(2)
    }

    pub(super) fn push<S>(&mut self, run: usize, cursors: &[Cursor<S>]) {
        let mut at = self.runs.len();
        self.runs.push((cursors[run].order(), run));
        while at > 0 && self.is_before(at, (at - 1) / 2, cursors) {
            self.runs.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    /// Takes the first run to its place, now that it has another key.
    #[inline(always)]
    pub(super) fn replace_first<S>(&mut self, cursors: &[Cursor<S>]) {
        if let Some((order, run)) = self.runs.first_mut() {
            *order = cursors[*run].order();
        }
        self.sift_down(cursors);
    }

    /// Removes the first run.
    pub(super) fn pop<S>(&mut self, cursors: &[Cursor<S>]) {
        if !self.runs.is_empty() {
            self.runs.swap_remove(0);
            self.sift_down(cursors);
        }
    }

    #[inline(always)]
    fn sift_down<S>(&mut self, cursors: &[Cursor<S>]) {
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            if child >= self.runs.len() {
                return;
            }
            if child + 1 < self.runs.len() && self.is_before(child + 1, child, cursors) {
                child += 1;
            }
            if !self.is_before(child, at, cursors) {
                return;
            }
            self.runs.swap(at, child);
            at = child;
        }
    }

    #[inline(always)]
    fn is_before<S>(&self, one: usize, other: usize, cursors: &[Cursor<S>]) -> bool {
        is_less(&self.runs[one], &self.runs[other], cursors, self.runs[one].1 < self.runs[other].1)
    }
}

/// Whether one run's key is less than another's. `if_equal` is what equal ones come to.
#[inline(always)]
fn is_less<S>(one: &(u128, usize), other: &(u128, usize), cursors: &[Cursor<S>], if_equal: bool) -> bool {
    match one.0.cmp(&other.0).then_with(|| cursors[one.1].rest().cmp(&cursors[other.1].rest())) {
        Ordering::Less => true,
        Ordering::Equal => if_equal,
        Ordering::Greater => false,
    }
}
