//! Words a cache line at a time.

use crate::sync::AtomicU64;

/// Words in a line.
pub(super) const WORDS: usize = 8;

/// A cache line of words, which begins where a cache line does.
#[repr(align(64))]
pub(super) struct Line(pub(super) [AtomicU64; WORDS]);

/// Zeroed lines.
pub(super) fn lines(count: usize) -> Box<[Line]> {
    (0..count).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect()
}
