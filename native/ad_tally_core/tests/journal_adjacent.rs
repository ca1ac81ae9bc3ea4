//! A draft is taken back where it lies, also where the next chunk begins right behind the one that it ends.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};

use ad_tally_core::journal::{Config, Journal};

/// Of a journal of this bound a chunk has as many words.
const BOUND: usize = 64 << 10;
const CHUNK_WORDS: usize = 128;

/// Room for two chunks, one behind the other.
#[repr(align(16))]
struct Room(UnsafeCell<[u64; 2 * CHUNK_WORDS]>);

// SAFETY: one thread is given it, each half once.
unsafe impl Sync for Room {}

static ROOM: Room = Room(UnsafeCell::new([0; 2 * CHUNK_WORDS]));

thread_local! {
    /// How many halves of the room are still to be given to this thread.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ADJACENT: Adjacent = Adjacent;

struct Adjacent;

// SAFETY: the system's allocator does it all, but for two pieces of the size of a chunk, which are never given again.
unsafe impl GlobalAlloc for Adjacent {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == 8 * CHUNK_WORDS && layout.align() <= 16 && LEFT.get() > 0 {
            LEFT.set(LEFT.get() - 1);
            return ROOM.0.get().cast::<u8>().wrapping_add(layout.size() * (1 - LEFT.get()));
        }
        // SAFETY: as this function's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let room = ROOM.0.get().cast::<u8>();
        if !(room..room.wrapping_add(size_of::<Room>())).contains(&pointer) {
            // SAFETY: as this function's contract.
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}

#[test]
fn a_draft_that_ends_where_the_next_chunk_begins_is_taken_back_where_it_lies() {
    let journal = Journal::new(Config { buffer_bytes: BOUND, wake_bytes: BOUND }, 1);
    let scribe = journal.begin().expect("room");
    LEFT.set(2);
    let full = scribe.draft(1, 2, CHUNK_WORDS - 1, |words| words.extend(&[7; CHUNK_WORDS - 1]));
    drop(scribe.draft(1, 2, 1, |words| words.push(8)));
    assert_eq!(LEFT.get(), 0, "both chunks are where they are to be");
    drop(full);
    scribe.record(1, 2, 1, |words| words.push(9));
    drop(scribe);
    let interval = journal.cut();
    let words: Vec<&[u64]> = interval.records().map(|record| record.words).collect();
    assert_eq!((interval.len(), words), (1, vec![&[9][..]]));
    drop(interval);
    assert_eq!(journal.stats().waiting_bytes, 0);
}
