//! The words of many keys, one behind the other.

use std::mem::MaybeUninit;

use crate::key::SHORT_KEY_WORDS;

/// Words that are kept for the next keys.
const KEPT: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Words(Vec<u64>);

impl Words {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Empties it, and gives memory back that only unusual keys needed.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.0.clear();
        if self.0.capacity() > KEPT {
            self.0.shrink_to(KEPT);
        }
    }

    /// Room for more, of `words` words and of `keys` keys without long binaries at least.
    #[inline]
    pub(crate) fn room(&mut self, words: usize, keys: usize) -> &mut [MaybeUninit<u64>] {
        self.0.reserve(words.max(keys * SHORT_KEY_WORDS));
        self.0.spare_capacity_mut()
    }

    /// Keeps words that were written into [`Words::room`]: where they begin.
    ///
    /// # Safety
    /// The first `length` words of the room were written since it was last asked for.
    #[inline]
    pub(crate) unsafe fn keep(&mut self, length: usize) -> usize {
        let begin = self.0.len();
        // SAFETY: `length` words after the end are written, by this function's contract, so there is room for them.
        unsafe { self.0.set_len(begin + length) };
        begin
    }

    #[inline]
    pub(crate) fn all(&self) -> &[u64] {
        &self.0
    }
}
