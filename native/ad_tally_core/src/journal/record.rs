//! A record in memory: a header and words. Records live as long as the process, so nothing of this is a format.
//!
//! ```text
//! header   part (16 bits) | kind (8) | whole (1) | 7 bits | words (32)
//! ```
//!
//! Room for a record is taken before its words are written. Where that did not end, and others have written behind it by then, the
//! record is not whole, and whoever reads passes over it.

use std::mem::MaybeUninit;

const WHOLE: u64 = 1 << 39;

/// What a part has written in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The number of the part that wrote it.
    pub part: u16,
    /// What it is, as that part knows.
    pub kind: u8,
    /// What it says.
    pub words: &'a [u64],
}

/// The header of a record of so many words that are still to be written.
#[inline(always)]
pub(super) fn begun(part: u16, kind: u8, words: usize) -> u64 {
    debug_assert!(words <= u32::MAX as usize);
    u64::from(part) << 48 | u64::from(kind) << 40 | words as u64
}

/// The header of the same record once it is whole.
#[inline(always)]
pub(super) fn whole(begun: u64) -> u64 {
    begun | WHOLE
}

/// How many words a record of that header has.
#[inline(always)]
pub(super) fn words(header: u64) -> usize {
    header as u32 as usize
}

/// The records of what was written to a chunk.
pub(super) struct Records<'a>(pub(super) &'a [MaybeUninit<u64>]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let (header, rest) = self.0.split_first()?;
            // SAFETY: a header is written when the room for its record is taken, and they lie one behind the other.
            let header = unsafe { header.assume_init() };
            let (words, rest) = rest.split_at(self::words(header));
            self.0 = rest;
            if header & WHOLE != 0 {
                // SAFETY: all words of a record that is whole have been written.
                let words = unsafe { &*(std::ptr::from_ref(words) as *const [u64]) };
                return Some(Record { part: (header >> 48) as u16, kind: (header >> 40) as u8, words });
            }
        }
    }
}
