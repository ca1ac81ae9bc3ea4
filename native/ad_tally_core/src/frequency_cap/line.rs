//! One cache line of a table: a header, which is also its lock, and seven words.
//!
//! ```text
//! header
//!   bit  0         locked
//!   bit  1         linked: word 6 is the number of an overflow line
//!   bits 2..7      how often the line was split, see `table`
//!   bits 7..26     version, one more at every change
//!   bits 26..64    end: the last tick that a tick in this line can be
//! words 0..7       slots, see `slots`
//! ```
//!
//! Whoever changes a line has its lock for a few dozen nanoseconds. Whoever only looks takes no lock and writes nothing: it
//! reads the header before the words and after them, and looks again if that has changed meanwhile (a sequence lock).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::memory::ZeroIsEmpty;
use crate::sync::{AtomicU64, fence, wait};

/// Words of a line.
pub(super) const WORDS: usize = 7;

const LOCKED: u64 = 1;
const LINKED: u64 = 1 << 1;
const SPLITS_SHIFT: u32 = 2;
const SPLITS_MASK: u64 = 0x1f;
const VERSION: u64 = 1 << 7;
const VERSION_MASK: u64 = 0x7_ffff << 7;
const END_SHIFT: u32 = 26;

/// A line as it lies in memory. Zeros are an empty one.
#[repr(C, align(64))]
pub(super) struct Line {
    header: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header(u64);

impl Header {
    pub(super) fn is_linked(self) -> bool {
        self.0 & LINKED != 0
    }

    pub(super) fn splits(self) -> u32 {
        (self.0 >> SPLITS_SHIFT & SPLITS_MASK) as u32
    }

    pub(super) fn end(self) -> u64 {
        self.0 >> END_SHIFT
    }

    pub(super) fn with_linked(self, linked: bool) -> Self {
        Self(self.0 & !LINKED | if linked { LINKED } else { 0 })
    }

    pub(super) fn with_splits(self, splits: u32) -> Self {
        Self(self.0 & !(SPLITS_MASK << SPLITS_SHIFT) | u64::from(splits) << SPLITS_SHIFT)
    }

    pub(super) fn with_end(self, end: u64) -> Self {
        Self(self.0 & ((1 << END_SHIFT) - 1) | end << END_SHIFT)
    }
}

/// A line whose lock is held until this is dropped.
pub(super) struct Held<'a> {
    pub(super) line: &'a Line,
    pub(super) header: Header,
}

// SAFETY: atomics that are zero are an unlocked line without slots.
unsafe impl ZeroIsEmpty for Line {
    #[cfg(any(loom, not(unix)))]
    fn empty() -> Self {
        Self { header: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Line {
    /// Waits for the lock.
    #[inline(always)]
    pub(super) fn lock(&self) -> Held<'_> {
        let header = self.header.load(Relaxed) & !LOCKED;
        match self.header.compare_exchange(header, header | LOCKED, Acquire, Relaxed) {
            Ok(_) => Held { line: self, header: Header(header) },
            Err(_) => self.lock_contended(),
        }
    }

    #[cold]
    fn lock_contended(&self) -> Held<'_> {
        let mut looks = 0_u32;
        loop {
            let header = self.header.load(Relaxed);
            if header & LOCKED == 0 && self.header.compare_exchange(header, header | LOCKED, Acquire, Relaxed).is_ok() {
                return Held { line: self, header: Header(header) };
            }
            wait(&mut looks);
        }
    }

    /// Begins to look at the line without its lock: `None` if somebody has it.
    #[inline(always)]
    pub(super) fn begin_read(&self) -> Option<Header> {
        let header = self.header.load(Acquire);
        (header & LOCKED == 0).then_some(Header(header))
    }

    /// Whether nobody has changed the line since the look began. If not, its words were of different moments.
    #[inline(always)]
    pub(super) fn end_read(&self, begun: Header) -> bool {
        fence(Acquire);
        self.header.load(Relaxed) == begun.0
    }

    /// Looks at the line while nobody changes it: `look` may see words of different moments, and what it makes of them is
    /// dropped then and it is asked again. `None` if that went on for too long.
    #[inline(always)]
    pub(super) fn read<R>(&self, mut look: impl FnMut(Header) -> R) -> Option<R> {
        const MOST_LOOKS: u32 = 1_000;
        let mut looks = 0;
        while looks < MOST_LOOKS {
            if let Some(header) = self.begin_read() {
                let seen = look(header);
                if self.end_read(header) {
                    return Some(seen);
                }
            }
            wait(&mut looks);
        }
        None
    }

    /// The header, which may change at any moment.
    #[inline(always)]
    pub(super) fn peek(&self) -> Header {
        Header(self.header.load(Acquire))
    }

    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> u64 {
        self.words[at].load(Relaxed)
    }

    /// Sets a word of a line that the caller has: by its own lock, or by that of the line it is linked from.
    #[inline(always)]
    pub(super) fn set_word(&self, at: usize, word: u64) {
        self.words[at].store(word, Relaxed);
    }

    /// Sets the header of a line that the caller has by the lock of the line it is linked from.
    pub(super) fn set_linked(&self, linked: bool) {
        let header = Header(self.header.load(Relaxed)).with_linked(linked);
        self.header.store(header.0, Relaxed);
    }
}

impl Held<'_> {
    /// Has readers look again who have read any of it meanwhile. To be called before the first word is set.
    #[inline(always)]
    pub(super) fn change(&mut self) {
        let version = self.header.0.wrapping_add(VERSION) & VERSION_MASK;
        self.header.0 = self.header.0 & !VERSION_MASK | version;
        // A reader that sees a word of this change sees the lock too: its fence orders its second look after this one.
        fence(Release);
    }
}

impl Drop for Held<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.line.header.store(self.header.0, Release);
    }
}
