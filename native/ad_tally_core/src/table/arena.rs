//! Where rows lie: chunks that are filled from the front and freed together.

use std::ptr::NonNull;

use super::index::is_nameable;
use crate::sync::AtomicU64;

/// Words in a cache line.
const WORDS: usize = 8;

/// A cache line, which begins where one does.
#[repr(align(64))]
#[expect(dead_code, reason = "its words are reached through pointers to rows")]
struct Line([AtomicU64; WORDS]);

/// Lines of the first chunk, 512 bytes: a shard of a small table has a handful of keys.
const FIRST: usize = 8;
/// Lines of the largest chunk, 16 KiB: what a shard has allocated and not yet used stays below that.
const LARGEST: usize = 256;
/// Words that are left empty at most so that a row lies in one line, where it fits one. An add to a row in two lines
/// waits for both.
const MOST_PADDING: usize = 2;

/// A bump allocator of words whose addresses stay put.
pub(super) struct Arena {
    chunks: Vec<Box<[Line]>>,
    /// Words of the last chunk that are taken.
    used: usize,
    lines: usize,
}

impl Arena {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), used: 0, lines: 0 }
    }

    /// `length` zeroed words that nobody else has, and by how many bytes the arena had to grow.
    pub(super) fn allocate(&mut self, length: usize) -> (NonNull<AtomicU64>, usize) {
        let left = WORDS - self.used % WORDS;
        if left < length && length <= WORDS && left <= MOST_PADDING {
            self.used += left;
        }
        let mut grown = 0;
        if self.chunks.last().is_none_or(|chunk| chunk.len() * WORDS < self.used + length) {
            // A quarter of what there is, so that little is allocated ahead at any size.
            let size = power_of_two((self.lines / 4).clamp(FIRST, LARGEST)).max(length.div_ceil(WORDS));
            self.chunks.push(zeroed(size));
            self.lines += size;
            self.used = 0;
            grown = size * size_of::<Line>();
        }
        let chunk = self.chunks.last().unwrap_or_else(|| unreachable!("pushed above if there was none"));
        // SAFETY: the chunk has room for the row, checked above. A pointer to its first line may reach all of it.
        let row = unsafe { NonNull::from(&**chunk).cast::<AtomicU64>().add(self.used) };
        self.used += length;
        (row, grown)
    }

    /// The same in a chunk of their own, from where a line begins.
    pub(super) fn allocate_alone(&mut self, length: usize) -> (NonNull<AtomicU64>, usize) {
        let chunk = zeroed(length.div_ceil(WORDS));
        let room = NonNull::from(&*chunk).cast();
        let grown = size_of_val(&*chunk);
        if self.chunks.is_empty() {
            // It is the last one, and full.
            self.used = chunk.len() * WORDS;
        }
        // The last one is filled further.
        self.chunks.insert(self.chunks.len().saturating_sub(1), chunk);
        (room, grown)
    }
}

/// The greatest power of two up to a number: what begins at a line takes allocators more than its size otherwise.
fn power_of_two(lines: usize) -> usize {
    1 << lines.ilog2()
}

fn zeroed(lines: usize) -> Box<[Line]> {
    let chunk: Box<[Line]> = (0..lines).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect();
    assert!(is_nameable(chunk.as_ptr_range().end.addr()), "the system hands out addresses of more than 48 bits");
    chunk
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Whatever is allocated first, the ranges of words do not overlap.
    #[test]
    fn what_is_allocated_in_any_order_does_not_overlap() {
        for alone in 0..32_u32 {
            let mut arena = Arena::new();
            let mut ranges = Vec::new();
            for at in 0..5 {
                let length = 5 + at;
                let (row, _) = if alone >> at & 1 == 1 { arena.allocate_alone(length) } else { arena.allocate(length) };
                ranges.push(row.addr().get()..row.addr().get() + length * size_of::<u64>());
            }
            ranges.sort_by_key(|range| range.start);
            assert!(ranges.is_sorted_by(|one, next| one.end <= next.start), "{alone:b}: {ranges:x?}");
        }
    }
}
