//! The memory of all buckets of a table, and what entries are to it.

use std::sync::atomic::Ordering::Relaxed;

use super::free_list::FreeList;
use super::line::Bucket;
use crate::memory::Lines;
use crate::sync::AtomicU64;

/// On Linux on most machines.
#[cfg(not(loom))]
const HUGE_PAGE: usize = 2 << 20;

/// How entries lie in the words of a bucket.
pub(crate) trait Content<const WORDS: usize>: Copy {
    /// An entry as it is read. That of words that are zero is the default one, and empty.
    type Entry: Copy + Default + PartialEq;

    /// Entries of a bucket, or of one whose last word is the number of an overflow bucket. They begin at the first word.
    fn entries(self, is_linked: bool) -> usize;

    /// The entry at a place, which may be empty.
    fn get(self, bucket: &Bucket<WORDS>, at: usize) -> Self::Entry;

    /// Sets the entry at a place, an empty one to zeros. The caller has the bucket's lock.
    fn set(self, bucket: &Bucket<WORDS>, at: usize, entry: Self::Entry);

    /// The lowest bits of the entry's hash, as many as there are levels. Not needed where there are none.
    fn low_bits(_entry: &Self::Entry) -> u64 {
        unreachable!("buckets of this content are never split")
    }
}

/// The buckets of a table.
pub(crate) struct Buckets<C, const WORDS: usize = 7> {
    pub(crate) memory: Lines<Bucket<WORDS>>,
    pub(crate) content: C,
    /// Buckets before any split.
    pub(crate) first: u64,
    /// How often each of those may be split, and is allowed to be by now.
    pub(super) most_level: u32,
    pub(super) level: AtomicU64,
    /// Buckets behind all others.
    pub(crate) overflow: FreeList,
}

impl<C: Content<WORDS>, const WORDS: usize> Buckets<C, WORDS> {
    /// So many buckets, which may be doubled `most_level` times, and overflow buckets. All are empty. `Err` is how many bytes
    /// the system did not give.
    pub(crate) fn new(content: C, first: usize, most_level: u32, overflow: usize) -> Result<Self, usize> {
        let count = (first << most_level) + overflow;
        let memory = Lines::new(count).ok_or(count * size_of::<Bucket<WORDS>>())?;
        let overflow = FreeList::new(overflow as u32);
        Ok(Self { memory, content, first: first as u64, most_level, level: AtomicU64::new(0), overflow })
    }

    /// Has the system provide the memory of the first buckets now, so that whoever brings the first entries need not wait.
    #[cfg(not(loom))]
    pub(crate) fn touch(&mut self) {
        self.memory.touch(self.first as usize);
    }

    #[inline(always)]
    pub(crate) fn bucket(&self, at: usize) -> &Bucket<WORDS> {
        &self.memory.all()[at]
    }

    /// An overflow bucket. `None` for a number that a reader took from a bucket while it changed.
    pub(crate) fn overflow_bucket(&self, number: u64) -> Option<&Bucket<WORDS>> {
        let begin = (self.first as usize) << self.most_level;
        self.memory.all().get(begin.checked_add(usize::try_from(number).ok()?)?)
    }

    /// Buckets that there are at this level, beside overflow buckets.
    pub(crate) fn in_use(&self) -> usize {
        (self.first as usize) << self.level()
    }

    /// Memory of all buckets that were ever used.
    pub(crate) fn bytes(&self) -> usize {
        (self.in_use() + self.overflow.touched()) * size_of::<Bucket<WORDS>>()
    }

    /// Bytes of them that lie in huge pages, where the system tells. It may have joined their mapping with that of others, so no more
    /// than are used, and the rest of a page.
    #[cfg(not(loom))]
    pub(crate) fn huge_bytes(&self) -> Option<usize> {
        self.memory.huge_bytes().map(|bytes| bytes.min(self.bytes() + HUGE_PAGE))
    }

    /// How often each of the first buckets may be split by now.
    #[inline(always)]
    pub(crate) fn level(&self) -> u32 {
        self.level.load(Relaxed) as u32
    }
}
