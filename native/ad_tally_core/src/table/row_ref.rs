//! A reference to a row.

use std::marker::PhantomData;

use super::index::Entry;
use crate::sync::AtomicU64;

/// Where a row of a table lies (its cells, then the key): a complete one, in an arena that neither changes
/// its key nor frees it during `'a`. One word, so that it stays in a register between lookup and add.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    pub(super) entry: Entry,
    table: PhantomData<&'a AtomicU64>,
}

impl<'a> RowRef<'a> {
    #[inline(always)]
    pub(super) fn new(entry: Entry) -> Self {
        Self { entry, table: PhantomData }
    }

    /// It as a word, which is not 0, for [`RowRef::from_word`].
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        self.entry.word()
    }

    /// What was found when it was a word, if it is one and not 0.
    ///
    /// # Safety
    /// It is 0, or it is the word of a row of a table that is there during `'a`, and whoever has stored the
    /// word has seen the row before.
    #[inline(always)]
    pub(crate) unsafe fn from_word(word: u64) -> Option<Self> {
        // SAFETY: this function's contract.
        unsafe { Entry::from_word(word) }.map(Self::new)
    }

    /// The address of the row's first cell.
    #[inline(always)]
    pub(crate) fn address(self) -> *const AtomicU64 {
        self.entry.row().as_ptr()
    }
}
