//! Where the words of a record are written.

use std::mem::MaybeUninit;

/// Room for the words of one record, exactly as many as were asked for.
pub struct Words<'a> {
    room: &'a mut [MaybeUninit<u64>],
    next: usize,
}

impl<'a> Words<'a> {
    #[inline(always)]
    pub(super) fn new(room: &'a mut [MaybeUninit<u64>]) -> Self {
        Self { room, next: 0 }
    }

    /// Writes a word.
    ///
    /// # Panics
    /// If there is no room for it.
    #[inline(always)]
    pub fn push(&mut self, word: u64) {
        match self.room.get_mut(self.next) {
            Some(room) => room.write(word),
            None => self.too_many(1),
        };
        self.next += 1;
    }

    /// Writes words.
    ///
    /// # Panics
    /// As [`Self::push`].
    #[inline(always)]
    pub fn extend(&mut self, words: &[u64]) {
        let Some(room) = self.room.get_mut(self.next..).and_then(|rest| rest.get_mut(..words.len())) else {
            self.too_many(words.len());
        };
        // Keys and amounts are a few words: a loop is faster than the call of a copy.
        for (room, word) in room.iter_mut().zip(words) {
            room.write(*word);
        }
        self.next += words.len();
    }

    /// Writes bytes: their number, then they themselves and zeros up to a whole word. That takes [`words_of_bytes`].
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn bytes(&mut self, bytes: &[u8]) {
        bytes_in_words(bytes).for_each(|word| self.push(word));
    }

    /// Checks that all words are written.
    #[inline(always)]
    pub(super) fn finish(self) {
        if self.next != self.room.len() {
            self.too_few();
        }
    }

    #[cold]
    fn too_many(&self, more: usize) -> ! {
        panic!("a record of {} words has no room for {more} more after {}", self.room.len(), self.next)
    }

    #[cold]
    fn too_few(&self) {
        panic!("a record of {} words has only {}", self.room.len(), self.next)
    }
}

/// What [`Words::bytes`] writes.
pub(crate) fn bytes_in_words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, rest) = bytes.as_chunks::<8>();
    let last = (!rest.is_empty()).then(|| {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    std::iter::once(bytes.len() as u64).chain(whole.iter().copied().chain(last).map(u64::from_le_bytes))
}

/// How many words [`Words::bytes`] writes.
#[must_use]
pub const fn words_of_bytes(bytes: usize) -> usize {
    1 + bytes.div_ceil(8)
}

/// What [`Words::bytes`] wrote at the front of words, and the words behind it. `None` if it is not there as a whole.
#[must_use]
pub fn split_bytes(words: &[u64]) -> Option<(&[u8], &[u64])> {
    let (length, rest) = words.split_first()?;
    let length = usize::try_from(*length).ok()?;
    let (bytes, rest) = rest.split_at_checked(length.div_ceil(8))?;
    // Words lie as little-endian ones do on every target that this is built for.
    Some((&bytemuck::cast_slice(bytes)[..length], rest))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(count: usize, write: impl FnOnce(&mut Words<'_>)) -> Vec<u64> {
        let mut room = vec![MaybeUninit::uninit(); count];
        let mut words = Words::new(&mut room);
        write(&mut words);
        words.finish();
        // SAFETY: all of them are written, or `finish` had panicked.
        room.into_iter().map(|word| unsafe { word.assume_init() }).collect()
    }

    proptest! {
        #[test]
        fn bytes_come_back_with_what_follows(bytes: Vec<u8>, after: Vec<u64>) {
            let words = written(words_of_bytes(bytes.len()) + after.len(), |words| {
                words.bytes(&bytes);
                words.extend(&after);
            });
            prop_assert_eq!(split_bytes(&words), Some((&bytes[..], &after[..])));
        }

        #[test]
        fn bytes_that_are_not_there_as_a_whole_are_none(length: u64, rest in prop::collection::vec(any::<u64>(), 0..4)) {
            let words: Vec<u64> = [length].into_iter().chain(rest.iter().copied()).collect();
            prop_assert_eq!(split_bytes(&words).is_some(), length <= 8 * rest.len() as u64);
            prop_assert_eq!(split_bytes(&[]), None);
        }
    }

    #[test]
    #[should_panic(expected = "a record of 2 words has only 1")]
    fn a_word_that_is_missing_is_told() {
        written(2, |words| words.push(1));
    }

    #[test]
    #[should_panic(expected = "a record of 2 words has no room for 2 more after 1")]
    fn a_word_too_many_is_told() {
        written(2, |words| {
            words.push(1);
            words.extend(&[2, 3]);
        });
    }
}
