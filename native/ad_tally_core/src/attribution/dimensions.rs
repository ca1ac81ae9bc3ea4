//! The dimensions of touches, by number: what a touch is of takes 24 bits in its entry.
//!
//! A number is looked up when a window has its first touch of some dimensions, and kept in that window's row. So the lock is
//! met once a window and key, and a lookup may take what a hash map takes.

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use parking_lot::RwLock;

use crate::memory::free;

/// The number of dimensions that have none, because there are as many as there may be.
pub const NO_DIMENSIONS: u32 = 0;
/// The most different dimensions: their numbers have 24 bits.
pub const MAX_DIMENSIONS: usize = (1 << 24) - 1;

/// Different dimensions of touches. Whoever has a window may need them longer than there is the attribution.
pub struct Dimensions {
    known: RwLock<Known>,
    most: usize,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Arc<[u64]>, u32, RandomState>,
    /// The words of number 1 and so on. A number that came to nothing before a restart has none.
    keys: Vec<Option<Arc<[u64]>>>,
    bytes: usize,
}

impl Drop for Dimensions {
    /// There may be millions, and whoever drops the last reference has not asked to free them.
    fn drop(&mut self) {
        free::later(std::mem::take(self.known.get_mut()));
    }
}

impl Dimensions {
    /// None, of which there may be so many.
    pub(super) fn new(most: usize) -> Self {
        Self { known: RwLock::default(), most: most.min(MAX_DIMENSIONS) }
    }

    /// The number of dimensions with these words, a new one if they were not met before and there is one left.
    pub(super) fn number(&self, words: &[u64]) -> u32 {
        if let Some(number) = self.known.read().numbers.get(words) {
            return *number;
        }
        let mut known = self.known.write();
        if let Some(number) = known.numbers.get(words) {
            return *number;
        }
        if known.numbers.len() >= self.most || known.keys.len() >= MAX_DIMENSIONS {
            return NO_DIMENSIONS;
        }
        let number = known.keys.len() as u32 + 1;
        known.insert(number, words);
        number
    }

    /// Takes dimensions back that had a number before a restart: false if others have it.
    pub(super) fn restore(&self, number: u32, words: &[u64]) -> bool {
        let mut known = self.known.write();
        let place = (number as usize).wrapping_sub(1);
        if place >= MAX_DIMENSIONS {
            return false;
        }
        match (known.keys.get(place).and_then(Option::as_deref), known.numbers.get(words)) {
            (Some(there), _) => there == words,
            (None, Some(_)) => false,
            (None, None) => {
                known.insert(number, words);
                true
            }
        }
    }

    /// The words of a number, unless it is [`NO_DIMENSIONS`].
    #[must_use]
    pub fn words(&self, number: u32) -> Option<Arc<[u64]>> {
        self.known.read().keys.get((number as usize).checked_sub(1)?)?.clone()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.known.read().numbers.len()
    }

    /// Memory beside itself: the words with their two counts, two references to them, and the number.
    pub(super) fn bytes(&self) -> usize {
        let known = self.known.read();
        let of_each = size_of::<[usize; 2]>() + 2 * size_of::<Arc<[u64]>>() + size_of::<u64>();
        known.bytes + known.numbers.len() * of_each
    }
}

impl Known {
    fn insert(&mut self, number: u32, words: &[u64]) {
        let words: Arc<[u64]> = words.into();
        if self.keys.len() < number as usize {
            self.keys.resize(number as usize, None);
        }
        self.bytes += size_of_val(&*words);
        self.keys[number as usize - 1] = Some(words.clone());
        self.numbers.insert(words, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_have_one_number_and_those_past_the_most_have_none() {
        let dimensions = Dimensions::new(2);
        assert_eq!([&[1, 2][..], &[1], &[1, 2], &[3], &[1]].map(|words| dimensions.number(words)), [1, 2, 1, 0, 2]);
        assert_eq!(dimensions.words(1).as_deref(), Some(&[1, 2][..]));
        assert_eq!(dimensions.words(2).as_deref(), Some(&[1][..]));
        assert_eq!([NO_DIMENSIONS, 3].map(|number| dimensions.words(number)), [None, None]);
        assert_eq!(dimensions.count(), 2);
    }

    #[test]
    fn numbers_of_before_stay_and_none_of_those_between_is_given_again() {
        let dimensions = Dimensions::new(10);
        assert_eq!(
            [(3, &[7_u64][..]), (1, &[8]), (3, &[7])].map(|(number, words)| dimensions.restore(number, words)),
            [true; 3]
        );
        assert_eq!(
            [(3, &[8_u64][..]), (2, &[8]), (0, &[9]), (1 << 24, &[9])]
                .map(|(number, words)| dimensions.restore(number, words)),
            [false; 4]
        );
        assert_eq!([&[7][..], &[8], &[9]].map(|words| dimensions.number(words)), [3, 1, 4]);
        assert_eq!(
            [1, 2, 3, 4].map(|number| dimensions.words(number).map(|words| words[0])),
            [Some(8), None, Some(7), Some(9)]
        );
        assert_eq!(dimensions.count(), 3);
    }
}
