//! Memory that the sketches of a table grow into: runs of cache lines, which are given back and taken again.
//!
//! ```text
//! block   64 lines (the first ones fewer), and a bit for each that nobody has
//! run     2^n lines in a row, from a multiple of their number on; more than a block have a block of their own
//! ```
//!
//! Lines that were given back one by one are a longer run again as soon as they lie side by side, as those of keys that grow at
//! the same time do.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Relaxed, Release};

use crate::memory::free;
use crate::sync::{AtomicU64, fence};

/// A cache line, which begins where one does.
#[repr(align(64))]
pub(super) struct Line([AtomicU64; WORDS]);

const WORDS: usize = 8;
/// Lines of the first block, and of a full one, for which a word has bits.
const FIRST: usize = 8;
const BLOCK: usize = 64;
/// Blocks that are searched for a run before another one is made.
const SEARCHED: usize = 16;
/// As much is freed where it is dropped, as a table's rows are.
const FREED_IN_PLACE: usize = 256 << 10;

struct Block {
    lines: Box<[Line]>,
    /// The lines that nobody has, all zero.
    free: u64,
}

impl Block {
    /// Takes so many lines, if there is a run: where it begins.
    fn take(&mut self, count: usize) -> Option<usize> {
        if count > BLOCK {
            let is_free = self.lines.len() == count && self.free != 0;
            self.free *= u64::from(!is_free);
            return is_free.then_some(0);
        }
        let run = bits(count);
        let first = (0..BLOCK).step_by(count).find(|first| self.free >> first & run == run)?;
        self.free &= !(run << first);
        Some(first)
    }
}

/// The bits of the first lines; of more than a block one stands for all.
fn bits(count: usize) -> u64 {
    match count {
        ..BLOCK => (1 << count) - 1,
        BLOCK => u64::MAX,
        _ => 1,
    }
}

#[derive(Default)]
pub(super) struct Lines {
    /// By address.
    blocks: BTreeMap<usize, Block>,
    /// The block that is searched first.
    next: usize,
    bytes: usize,
}

impl Lines {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of `count` zeroed lines, a power of two, that are there until `self` is dropped.
    pub(super) fn take(&mut self, count: usize) -> usize {
        for (base, block) in self.blocks.range_mut(self.next..).take(SEARCHED) {
            if let Some(first) = block.take(count) {
                self.next = *base;
                return base + first * size_of::<Line>();
            }
        }
        let lines = (FIRST << self.blocks.len().min(3)).max(count);
        let lines: Box<[Line]> = (0..lines).map(|_| Line(Default::default())).collect();
        let base = lines.as_ptr().expose_provenance();
        self.bytes += size_of_val(&*lines);
        let mut block = Block { free: bits(lines.len()), lines };
        block.take(count);
        self.blocks.insert(base, block);
        self.next = base;
        base
    }

    /// Takes lines back. Whoever still reads them and sees a change sees all that the caller has done before.
    ///
    /// # Panics
    /// If they are not from here.
    pub(super) fn give_back(&mut self, address: usize, count: usize) {
        let (base, block) = self.blocks.range_mut(..=address).next_back().unwrap_or_else(|| unreachable!("from here"));
        let first = (address - base) / size_of::<Line>();
        fence(Release);
        block.lines[first..first + count].iter().flat_map(|line| &line.0).for_each(|word| word.store(0, Relaxed));
        block.free |= bits(count) << first;
        self.next = *base;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.bytes > FREED_IN_PLACE {
            free::later(std::mem::take(&mut self.blocks));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(address: usize, count: usize) -> &'static [AtomicU64] {
        // SAFETY: the tests ask for runs that they have.
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address), count * WORDS) }
    }

    #[test]
    fn runs_do_not_overlap_and_are_zero_also_when_they_were_given_back() {
        let mut lines = Lines::default();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for turn in 0..3_000_usize {
            if turn % 3 == 2 {
                let (run, count) = runs.swap_remove(turn * 7 % runs.len());
                lines.give_back(run, count);
                continue;
            }
            let count = 1 << (turn * 5 % 9);
            let run = lines.take(count);
            assert!(run.is_multiple_of(64));
            assert!(words(run, count).iter().all(|word| word.swap(turn as u64 + 1, Relaxed) == 0));
            runs.push((run, count));
        }
        runs.sort_unstable();
        assert!(runs.is_sorted_by(|one, next| one.0 + one.1 * 64 <= next.0));
    }

    #[test]
    fn keys_that_grow_at_the_same_time_leave_little_behind() {
        let mut lines = Lines::default();
        let mut runs: Vec<(usize, usize)> = (0..1_000).map(|_| (lines.take(1), 1)).collect();
        for _ in 0..6 {
            // In another order than they lie.
            for at in 0..1_000 {
                let (run, count) = &mut runs[at * 377 % 1_000];
                let larger = lines.take(2 * *count);
                lines.give_back(*run, *count);
                (*run, *count) = (larger, 2 * *count);
            }
        }
        let taken = 1_000 * 64 * 64;
        assert!(lines.bytes() < taken * 5 / 4, "{} for {taken}", lines.bytes());
    }
}
