//! Where rows lie: chunks that are filled from the front and freed together.

use std::ptr::NonNull;

use super::row_ref::is_nameable;
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

    #[test]
    fn rows_do_not_overlap() {
        let mut arena = Arena::new();
        let mut ranges: Vec<_> = (0..1_000_usize)
            .map(|at| {
                let length = 3 + at * 7 % 90;
                let row = arena.allocate(length).0.addr().get();
                row..row + length * size_of::<u64>()
            })
            .collect();
        ranges.sort_by_key(|range| range.start);
        assert!(ranges.is_sorted_by(|one, next| one.end <= next.start));
    }
}
