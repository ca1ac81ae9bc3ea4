//! What of an add went into the overflow instead of a row.
//!
//! ```text
//! bits 0..30   by the place of an amount in its list; the last bit is that of all from there on
//! bit  30      there was no row, so all of them
//! bit  31      left to whoever adds more than amounts
//! ```

use super::added::Added;

/// What of an add went into the overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spilled(u32);

const LAST: usize = 29;
const NO_ROW: u32 = 1 << 30;
const NO_MORE: u32 = 1 << 31;

impl Spilled {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self(0);
    /// All of it, because there was no row.
    pub(crate) const ALL: Self = Self(NO_ROW);
    /// What was to be added beside amounts.
    pub(crate) const MORE: Self = Self(NO_MORE);

    /// These and the amount at a place.
    #[cold]
    pub(crate) fn with(self, place: usize) -> Self {
        Self(self.0 | 1 << place.min(LAST))
    }

    /// These and others.
    #[inline(always)]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the amount at a place did.
    pub(crate) fn has(self, place: usize) -> bool {
        self.is_all() || self.0 >> place.min(LAST) & 1 == 1
    }

    /// Whether any amount did.
    pub(crate) fn has_amounts(self) -> bool {
        self.0 & !NO_MORE != 0
    }

    /// Whether there was no row.
    pub(crate) fn is_all(self) -> bool {
        self.0 & NO_ROW != 0
    }

    /// Whether what was to be added beside amounts did.
    pub(crate) fn has_more(self) -> bool {
        self.0 & NO_MORE != 0
    }

    /// It as a word, for [`Spilled::from_word`].
    #[inline(always)]
    pub(crate) fn word(self) -> u32 {
        self.0
    }

    /// What it was when it was a word.
    pub(crate) fn from_word(word: u32) -> Self {
        Self(word)
    }
}

impl From<Spilled> for Added {
    #[inline(always)]
    fn from(spilled: Spilled) -> Self {
        if spilled == Spilled::NOTHING { Self::Row } else { Self::Overflow }
    }
}
