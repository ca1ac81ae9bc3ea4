//! What one thread has written in an epoch.

use std::ptr::NonNull;

use super::pool::Chunk;
use super::record::{Record, Records, words};
#[cfg(not(loom))]
use crate::sync::prefetch::fetch_to_write;

/// Records of one thread after the other, in chunks. Each chunk has whole records only.
#[derive(Default)]
pub(super) struct Buffer {
    /// Where the next record goes.
    last: Chunk,
    /// Those before it, from old to new.
    full: Vec<Chunk>,
    /// Those that are whole, and those that may still be.
    records: usize,
}

impl Buffer {
    /// Takes room for the record that this header of one begins, which is not whole yet: the address of the header, in a chunk that is
    /// neither moved nor freed while this buffer is there. `None` where that needs another chunk.
    #[inline(always)]
    pub(super) fn take_room(&mut self, begun: u64) -> Option<NonNull<u64>> {
        let (length, words) = (self.last.len(), words(begun));
        if self.last.capacity() - length <= words {
            return None;
        }
        self.records += 1;
        let room = self.last.spare_capacity_mut();
        room[0].write(std::mem::MaybeUninit::new(begun));
        let header: NonNull<u64> = NonNull::from(room).cast();
        #[cfg(not(loom))]
        fetch_ahead(header);
        // SAFETY: there is capacity for it, and these may be without a value.
        unsafe { self.last.set_len(length + 1 + words) };
        Some(header)
    }

    /// Has what comes next be written to another chunk.
    pub(super) fn add(&mut self, chunk: Chunk) {
        let full = std::mem::replace(&mut self.last, chunk);
        if full.capacity() > 0 {
            self.full.push(full);
        }
    }

    /// Takes the room back of a record of so many words that does not become whole. Where others lie behind it, it stays as it is.
    pub(super) fn take_back(&mut self, header: NonNull<u64>, words: usize) {
        self.records -= 1;
        let Some(begin) = self.last.len().checked_sub(1 + words) else { return };
        if self.last.as_ptr().wrapping_add(begin).cast() == header.as_ptr().cast_const() {
            self.last.truncate(begin);
        }
    }

    /// How many records are whole, once nobody writes any more.
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// The whole records, in the order in which room was taken for them.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.full.iter().chain([&self.last]).flat_map(|chunk| Records(chunk))
    }

    /// Whether it has taken memory, though it may have no records.
    pub(super) fn has_chunks(&self) -> bool {
        self.last.capacity() > 0
    }

    /// Bytes that were written to.
    pub(super) fn bytes(&self) -> usize {
        self.full.iter().chain([&self.last]).map(|chunk| size_of::<u64>() * chunk.len()).sum()
    }

    pub(super) fn into_chunks(self) -> impl Iterator<Item = Chunk> {
        self.full.into_iter().chain([self.last]).filter(|chunk| chunk.capacity() > 0)
    }
}

/// Asks for the lines that records some events from now are written to: the fence of whichever comes next would wait for them.
#[cfg(not(loom))]
#[inline(always)]
fn fetch_ahead(header: NonNull<u64>) {
    /// Words of some four records.
    const AHEAD: usize = 64;
    const LINE: usize = 64 / size_of::<u64>();
    let ahead = header.as_ptr().wrapping_add(AHEAD);
    fetch_to_write(ahead);
    fetch_to_write(ahead.wrapping_add(LINE));
}
