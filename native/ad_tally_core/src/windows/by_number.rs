//! The windows that are not handed over yet, by number, and how many of them have passed.
//!
//! By the events' time many may pass at once, and those are not counted against the most that may be open. To count them anew for
//! every event that would begin a window took 0.1 ms of 10,000 windows, and all others who open or close some wait meanwhile.

use std::collections::BTreeMap;

/// Windows by number.
pub(super) struct ByNumber<W> {
    by_number: BTreeMap<u64, W>,
    /// How many are before `first_in_time`.
    passed: usize,
    first_in_time: u64,
}

impl<W> Default for ByNumber<W> {
    fn default() -> Self {
        Self { by_number: BTreeMap::new(), passed: 0, first_in_time: 0 }
    }
}

impl<W> ByNumber<W> {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// How many have not passed, which are those from a number on. It does not become less from one call to the next one: each
    /// window is counted once.
    pub(super) fn in_time(&mut self, first: u64) -> usize {
        if first > self.first_in_time {
            self.passed += self.by_number.range(self.first_in_time..first).count();
            self.first_in_time = first;
        }
        self.by_number.len() - self.passed
    }

    pub(super) fn insert(&mut self, number: u64, window: W) {
        let before = self.by_number.insert(number, window);
        self.passed += usize::from(before.is_none() && number < self.first_in_time);
    }

    /// Those from a number on.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = &W> {
        self.by_number.range(number..).map(|(_, window)| window)
    }

    /// The numbers of those before a number.
    pub(super) fn numbers_before(&self, number: u64) -> impl Iterator<Item = u64> {
        self.by_number.range(..number).map(|(number, _)| *number)
    }

    pub(super) fn last_number(&self) -> Option<u64> {
        self.by_number.last_key_value().map(|(number, _)| *number)
    }

    /// Takes the first one, if it is before a number.
    pub(super) fn take_first_before(&mut self, number: u64) -> Option<W> {
        let first = self.by_number.first_entry().filter(|first| *first.key() < number)?;
        self.passed -= usize::from(*first.key() < self.first_in_time);
        Some(first.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As often as numbers of all kinds come and go.
    #[test]
    fn those_in_time_are_those_that_a_walk_would_count() {
        let (mut windows, mut random, mut first) = (ByNumber::default(), 7_u64, 0);
        for step in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let some = random >> 33;
            match some % 8 {
                0..5 => windows.insert(first + some / 8 % 100, ()),
                5 => first += some / 8 % 60,
                6 => while windows.take_first_before(first.saturating_sub(some / 8 % 100)).is_some() {},
                _ => drop(windows.take_first_before(first + some / 8 % 100)),
            }
            assert_eq!(windows.in_time(first), windows.from(first).count(), "after {step} steps");
        }
    }
}
