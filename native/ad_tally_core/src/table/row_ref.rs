//! A reference to a row.
//!
//! ```text
//! bits  0..48   address of the row
//! bits 56..64   8 bits of the key's hash
//! ```

use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};

use crate::key::bits;
use crate::sync::AtomicU64;

const ADDRESS_BITS: u32 = 48;
const CHECK_SHIFT: u32 = 56;

/// Where a row of a table lies (its cells, then the key): a complete one, in an arena that neither changes
/// its key nor frees it during `'a`. One word, so that it stays in a register between lookup and add.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    word: NonZeroU64,
    table: PhantomData<&'a AtomicU64>,
}

/// Whether a row at this address can be referred to. All systems give programs addresses of 47 or 48 bits unless they
/// ask for more.
pub(super) fn is_nameable(address: usize) -> bool {
    address >> ADDRESS_BITS == 0
}

impl RowRef<'_> {
    /// The word of the row of a key with that hash, which is not 0.
    pub(super) fn new_word(hash: u64, row: NonNull<AtomicU64>) -> u64 {
        row.as_ptr().expose_provenance() as u64 | check(hash) << CHECK_SHIFT
    }

    /// It as a word, which is not 0, for [`RowRef::from_word`].
    #[inline(always)]
    pub(crate) fn word(self) -> u64 {
        self.word.get()
    }

    /// What was found when it was a word, if it is one and not 0.
    ///
    /// # Safety
    /// It is 0, or it is the word of a row of a table that is there during `'a`, and whoever has stored the
    /// word has seen the row before.
    #[inline(always)]
    pub(crate) unsafe fn from_word(word: u64) -> Option<Self> {
        NonZeroU64::new(word).map(|word| Self { word, table: PhantomData })
    }

    /// Whether its key may have that hash.
    #[inline(always)]
    pub(super) fn may_have(self, hash: u64) -> bool {
        self.word() >> CHECK_SHIFT == check(hash)
    }

    /// The row's first cell.
    #[inline(always)]
    pub(super) fn row(self) -> NonNull<AtomicU64> {
        let address = self.word() & ((1 << ADDRESS_BITS) - 1);
        // SAFETY: `new_word` was given a pointer that is not null and fits into these bits: the arena has looked.
        unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut(address as usize)) }
    }

    /// The address of the row's first cell.
    #[inline(always)]
    pub(crate) fn address(self) -> *const AtomicU64 {
        self.row().as_ptr()
    }
}

#[inline(always)]
fn check(hash: u64) -> u64 {
    hash >> bits::CHECK & 0xff
}
