//! One bucket: a header, which is also its lock, and some words.
//!
//! ```text
//! header
//!   bit  0         locked
//!   bit  1         linked: the last word is the number of an overflow bucket
//!   bits 2..7      level: how often the bucket was split, see `split`
//!   bits 7..26     version, one more at every change
//!   bits 26..64    the policy's
//! words            entries, see `Content`
//! ```
//!
//! Whoever changes a bucket has its lock for a few dozen nanoseconds. Whoever only reads takes no lock and writes nothing: it
//! reads the header before the words and after them, and reads again if that has changed meanwhile (a sequence lock; the
//! fences are those of Boehm, "Can seqlocks get along with programming language memory models?", 2012). A version comes again
//! after half a million changes, which a reader of a few dozen nanoseconds does not see.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::memory::ZeroIsEmpty;
use crate::sync::{AtomicU64, fence, wait};

const LOCKED: u64 = 1;
const LINKED: u64 = 1 << 1;
const LEVEL_SHIFT: u32 = 2;
const LEVEL_MASK: u64 = 0x1f;
const VERSION: u64 = 1 << 7;
const VERSION_MASK: u64 = 0x7_ffff << 7;
const POLICY_SHIFT: u32 = 26;

/// A bucket as it lies in memory. Zeros are an empty one.
#[repr(C, align(64))]
pub(crate) struct Bucket<const WORDS: usize = 7> {
    header: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header(u64);

impl Header {
    #[inline(always)]
    pub(crate) fn is_linked(self) -> bool {
        self.0 & LINKED != 0
    }

    #[inline(always)]
    pub(crate) fn level(self) -> u32 {
        (self.0 >> LEVEL_SHIFT & LEVEL_MASK) as u32
    }

    /// The policy's bits.
    #[inline(always)]
    pub(crate) fn policy(self) -> u64 {
        self.0 >> POLICY_SHIFT
    }

    pub(super) fn with_linked(self, is_linked: bool) -> Self {
        Self(self.0 & !LINKED | if is_linked { LINKED } else { 0 })
    }

    pub(super) fn with_level(self, level: u32) -> Self {
        Self(self.0 & !(LEVEL_MASK << LEVEL_SHIFT) | u64::from(level) << LEVEL_SHIFT)
    }

    /// With the next version, for words that are about to be set.
    #[inline(always)]
    pub(super) fn with_change(self) -> Self {
        let version = self.0.wrapping_add(VERSION) & VERSION_MASK;
        Self(self.0 & !VERSION_MASK | version)
    }

    /// With other bits of the policy's, 38 of them.
    #[inline(always)]
    pub(crate) fn with_policy(self, policy: u64) -> Self {
        Self(self.0 & ((1 << POLICY_SHIFT) - 1) | policy << POLICY_SHIFT)
    }
}

// SAFETY: atomics that are zero are an unlocked bucket without entries.
unsafe impl<const WORDS: usize> ZeroIsEmpty for Bucket<WORDS> {
    #[cfg(any(loom, not(unix)))]
    fn empty() -> Self {
        Self { header: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const WORDS: usize> Bucket<WORDS> {
    /// Waits for the lock: the header as it is then, for [`Bucket::unlock`].
    #[inline(always)]
    pub(super) fn lock(&self) -> Header {
        let free = self.header.load(Relaxed) & !LOCKED;
        match self.header.compare_exchange(free, free | LOCKED, Acquire, Relaxed) {
            // Not what the instruction returns, which is the same: so others need not wait for it.
            Ok(_) => Header(free),
            Err(_) => self.lock_contended(),
        }
    }

    #[cold]
    fn lock_contended(&self) -> Header {
        let mut looks = 0_u32;
        loop {
            let header = self.header.load(Relaxed);
            if header & LOCKED == 0 && self.header.compare_exchange(header, header | LOCKED, Acquire, Relaxed).is_ok() {
                return Header(header);
            }
            wait(&mut looks);
        }
    }

    /// Lets go of the lock, with the header as it is to be.
    #[inline(always)]
    pub(super) fn unlock(&self, header: Header) {
        self.header.store(header.0, Release);
    }

    /// Asks for all of its cache lines.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn fetch(&self) {
        self.lines().for_each(crate::sync::prefetch::fetch);
    }

    /// The same, to be written to.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn fetch_to_write(&self) {
        self.lines().for_each(crate::sync::prefetch::fetch_to_write);
    }

    #[inline(always)]
    #[cfg(not(loom))]
    fn lines(&self) -> impl Iterator<Item = *const [u8; 64]> {
        let first = std::ptr::from_ref(self).cast::<[u8; 64]>();
        (0..size_of::<Self>() / 64).map(move |at| first.wrapping_add(at))
    }

    /// Begins to read without the lock: `None` if somebody has it.
    #[inline(always)]
    pub(crate) fn begin_read(&self) -> Option<Header> {
        let header = self.header.load(Acquire);
        (header & LOCKED == 0).then_some(Header(header))
    }

    /// Whether nobody has changed the bucket since the read began. If not, its words were of different moments.
    #[inline(always)]
    pub(crate) fn end_read(&self, begun: Header) -> bool {
        fence(Acquire);
        self.header.load(Relaxed) == begun.0
    }

    /// The header, which may change at any moment.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Header {
        Header(self.header.load(Acquire))
    }

    #[inline(always)]
    pub(crate) fn word(&self, at: usize) -> u64 {
        self.words[at].load(Relaxed)
    }

    /// A copy of all words.
    #[inline(always)]
    pub(crate) fn words(&self) -> [u64; WORDS] {
        std::array::from_fn(|at| self.word(at))
    }

    /// The same, read sixteen bytes at a time: an insert into dedupe takes 13 ns so, and 21 when each word is read as
    /// an atomic.
    ///
    /// # Safety
    /// The caller has the lock of the bucket, or that of the bucket it is linked from.
    #[inline(always)]
    pub(crate) unsafe fn locked_words(&self) -> [u64; WORDS] {
        #[cfg(not(loom))]
        // SAFETY: they are as many words, and nobody writes to them without the lock.
        unsafe {
            self.words.as_ptr().cast::<[u64; WORDS]>().read()
        }
        #[cfg(loom)]
        std::array::from_fn(|at| self.word(at))
    }

    /// Sets a word of a bucket that the caller has: by its own lock, or by that of the bucket it is linked from.
    #[inline(always)]
    pub(crate) fn set_word(&self, at: usize, word: u64) {
        self.words[at].store(word, Relaxed);
    }

    /// What the last word of a linked bucket says.
    #[inline(always)]
    pub(super) fn overflow_number(&self) -> u64 {
        self.word(WORDS - 1)
    }

    /// Sets the header of an overflow bucket: the caller has the lock of the bucket it is linked from.
    pub(super) fn set_linked(&self, is_linked: bool) {
        let header = Header(self.header.load(Relaxed)).with_linked(is_linked);
        self.header.store(header.0, Relaxed);
    }
}
