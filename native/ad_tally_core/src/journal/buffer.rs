//! What one thread has written in an epoch.

use std::ptr::NonNull;

use super::pool::{Chunk, Pool};
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
    /// neither moved nor freed while this buffer is there. `None` where the pool has no chunk.
    #[inline(always)]
    pub(super) fn take_room(&mut self, begun: u64, pool: &Pool) -> Option<NonNull<u64>> {
        let (length, words) = (self.last.len(), words(begun));
        if self.last.capacity() - length <= words {
            return self.take_room_in_another(begun, pool);
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

    #[cold]
    fn take_room_in_another(&mut self, begun: u64, pool: &Pool) -> Option<NonNull<u64>> {
        let full = std::mem::replace(&mut self.last, pool.take(1 + words(begun))?);
        if full.capacity() > 0 {
            self.full.push(full);
        }
        self.take_room(begun, pool)
    }

    /// Takes the room back of a record of so many words that does not become whole. Where others lie behind it, it stays as it is.
    pub(super) fn take_back(&mut self, header: NonNull<u64>, words: usize) {
        self.records -= 1;
        let (length, room) = (self.last.len(), 1 + words);
        let end = self.last.as_ptr().wrapping_add(length);
        if end.cast() == header.as_ptr().wrapping_add(room).cast_const() {
            self.last.truncate(length - room);
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
