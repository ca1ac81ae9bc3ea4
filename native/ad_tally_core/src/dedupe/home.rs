//! A line of narrow ids: a ring of 32 slots, of which up to 31 are taken, the oldest entries first.
//!
//! ```text
//! word 0, low half    as of every line (see `line`): locked, linked, a generation, the number of the overflow line
//! word 0, high half   bit  32      whole: the quad in word 1 is, and is still to be copied
//!                     bits 33..38  how many entries there are
//!                     bits 38..58  how many of them came in each of the four generations before that one, 5 bits each
//!                     bits 59..64  the slot that is next
//! word 1              the quad that is being filled: the rests of four slots, 16 bits each, the newest one lowest
//! words 2..6          tags: a byte of each slot
//! words 6..8          marks: half a byte of each slot, 0 of an entry that was taken back
//! ```
//!
//! An id is told apart from others of its line by 28 bits. Twelve of them, tag and mark, lie here. The other sixteen, its *rest*,
//! do so only until four slots in a row are taken: then those go to another line, the home's *rests*, a word of it for each four.
//! It is looked at only where tag and mark are those of the id that is looked for. So a new id waits for one line, and of these
//! there are less than half as many as if they held all of an id.
//!
//! How old an entry is, is told by its place. When time goes on the counts move up, and entries that are too old are no
//! longer counted: nothing has to be looked through.

use std::hint::select_unpredictable;
use std::sync::atomic::Ordering::Relaxed;

use super::line::{self, GENERATION_BITS, Line, MARK_SHIFT};
use crate::bucket::simd;

/// Slots of a line.
const SLOTS: u32 = 32;
/// Entries of a line: as many as there are bits to count.
pub(super) const ENTRIES: usize = SLOTS as usize - 1;
/// Entries of a line that a table is laid out for, in tenths.
pub(super) const MEANT: usize = 250;
/// Overflow lines beside a hundred lines.
pub(super) const OVERFLOW: usize = 60;
/// Slots whose rests are copied together.
const QUAD: u32 = 4;

const WHOLE: u64 = 1 << 32;
const LENGTH_SHIFT: u32 = 33;
const COUNT_BITS: u32 = 5;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const OLDER_SHIFT: u32 = LENGTH_SHIFT + COUNT_BITS;
/// Generations that are counted but for the newest one.
pub(super) const OLDER: u32 = 4;
const OLDER_MASK: u64 = (1 << (COUNT_BITS * OLDER)) - 1;
/// One in each of their counts.
const EACH: u64 = 1 | 1 << COUNT_BITS | 1 << (2 * COUNT_BITS) | 1 << (3 * COUNT_BITS);
/// The highest bits, so that the slot after the last one is the first.
const NEXT_SHIFT: u32 = 59;

const QUAD_AT: usize = 1;
/// Bytes before them.
const TAGS_AT: usize = 16;
const MARKS_AT: usize = 48;

/// What an id is told apart by.
#[derive(Clone, Copy)]
pub(super) struct Print {
    tag: u8,
    /// 1 to 15.
    mark: u8,
    rest: u64,
}

impl Print {
    /// Of a narrow fingerprint, or an entry in an overflow line.
    #[inline(always)]
    pub(super) fn of(fingerprint: u64) -> Self {
        Self {
            rest: fingerprint >> GENERATION_BITS & 0xffff,
            mark: (fingerprint >> MARK_SHIFT & 0xf) as u8,
            tag: (fingerprint >> (MARK_SHIFT + 4)) as u8,
        }
    }
}

/// The header of a line that the caller has.
#[derive(Clone, Copy)]
pub(super) struct Ring(pub(super) u64);

impl Ring {
    #[inline(always)]
    pub(super) fn length(self) -> usize {
        (self.0 >> LENGTH_SHIFT & COUNT_MASK) as usize
    }

    /// Whether there is room for one more.
    #[inline(always)]
    pub(super) fn has_room(self) -> bool {
        self.length() < ENTRIES
    }

    /// Whether a quad is whole, and still to be copied.
    #[inline(always)]
    pub(super) fn is_whole(self) -> bool {
        self.0 & WHOLE != 0
    }

    /// Whether the next entry makes a quad whole.
    #[inline(always)]
    pub(super) fn is_nearly_whole(self) -> bool {
        self.next() % QUAD == QUAD - 1
    }

    #[inline(always)]
    fn next(self) -> u32 {
        (self.0 >> NEXT_SHIFT) as u32
    }

    /// The word of the rests that the slots before the next one belong to.
    #[inline(always)]
    fn last_quad(self) -> usize {
        ((self.next() / QUAD).wrapping_sub(1) % (SLOTS / QUAD)) as usize
    }

    #[inline(always)]
    fn older(self) -> u64 {
        self.0 >> OLDER_SHIFT & OLDER_MASK
    }

    /// It with so many entries, and so many of each older generation.
    fn with(self, length: u64, older: u64) -> Self {
        let others = self.0 & !(COUNT_MASK << LENGTH_SHIFT | OLDER_MASK << OLDER_SHIFT);
        Self(others | length << LENGTH_SHIFT | older << OLDER_SHIFT)
    }

    /// It at a generation, modulo 8, without the entries that are too old by then.
    pub(super) fn at(self, generation: u64) -> Self {
        let passed = generation.wrapping_sub(line::swept_in(self.0)) % (1 << GENERATION_BITS);
        let newest = self.length() as u64 - sum(self.older());
        // All move up, and what was the newest is none any more, unless none has passed.
        let counts = (self.older() << COUNT_BITS | newest) << (u64::from(COUNT_BITS) * passed);
        let older = counts >> COUNT_BITS & OLDER_MASK;
        let length = sum(older) + (counts & COUNT_MASK);
        Self(line::with_swept(self.with(length, older).0, generation))
    }

    /// Without its oldest entry.
    fn without_oldest(self) -> Self {
        let older = self.older();
        let oldest = older.checked_ilog2().map_or(0, |bit| 1 << (bit / COUNT_BITS * COUNT_BITS));
        self.with(self.length() as u64 - 1, older - oldest)
    }

    /// How many generations ago its newest entry came. It has one.
    fn least_age(self) -> u64 {
        let older = self.older();
        let is_of_this = self.length() as u64 > sum(older);
        if is_of_this { 0 } else { u64::from(older.trailing_zeros() / COUNT_BITS) + 1 }
    }

    /// How many entries came after that of a slot.
    #[inline(always)]
    fn after(self, slot: u32) -> usize {
        (self.next().wrapping_sub(slot + 1) % SLOTS) as usize
    }

    fn is_newest(self, slot: u32) -> bool {
        self.after(slot) < self.length() - sum(self.older()) as usize
    }

    /// Whether the rest of an entry is still in the line.
    fn is_waiting(self, slot: u32) -> bool {
        let waiting = if self.is_whole() { QUAD } else { self.next() % QUAD };
        self.after(slot) < waiting as usize
    }
}

/// The sum of counts, where it has room in one.
fn sum(counts: u64) -> u64 {
    counts.wrapping_mul(EACH) >> (COUNT_BITS * (OLDER - 1)) & COUNT_MASK
}

/// The slots that have the tag of an id, as bits.
#[inline(always)]
pub(super) fn candidates(line: &Line, print: Print) -> u32 {
    simd::match_u8(&line.bytes(TAGS_AT), print.tag)
}

/// Which of those slots is that of the id.
pub(super) fn find(line: &Line, rests: &Line, ring: Ring, candidates: u32, print: Print) -> Option<u32> {
    let mut left = candidates;
    while left != 0 {
        let slot = left.trailing_zeros();
        left &= left - 1;
        if ring.after(slot) < ring.length()
            && mark(line, slot) == print.mark
            && rest(line, rests, ring, slot) == print.rest
        {
            return Some(slot);
        }
    }
    None
}

/// Where the mark of a slot is: its byte, and by how much it is shifted there.
#[inline(always)]
fn mark_at(slot: u32) -> (usize, u32) {
    (MARKS_AT + slot as usize / 2, 4 * (slot % 2))
}

fn mark(line: &Line, slot: u32) -> u8 {
    let (at, shift) = mark_at(slot);
    line.bytes::<1>(at)[0] >> shift & 0xf
}

#[inline(always)]
fn set_mark(line: &Line, slot: u32, mark: u8) {
    let (at, shift) = mark_at(slot);
    line.set_byte(at, line.bytes::<1>(at)[0] & 0xf0 >> shift | mark << shift);
}

fn rest(line: &Line, rests: &Line, ring: Ring, slot: u32) -> u64 {
    let (quad, after) = if ring.is_waiting(slot) {
        (line.word(QUAD_AT), ring.after(slot))
    } else {
        (rests.word((slot / QUAD) as usize), (QUAD - 1 - slot % QUAD) as usize)
    };
    quad.load(Relaxed) >> (16 * after) & 0xffff
}

/// Takes the entry of a slot back, for its id to be put anew, unless it is of the newest generation. Whether it was.
pub(super) fn take_back(line: &Line, ring: Ring, slot: u32) -> bool {
    let is_older = !ring.is_newest(slot);
    if is_older {
        set_mark(line, slot, 0);
    }
    is_older
}

/// Puts an entry into a line that has room for it. When it makes a quad whole, that is to be copied before the next one comes.
#[inline(always)]
pub(super) fn put(line: &Line, ring: Ring, print: Print) -> Ring {
    let slot = ring.next();
    let quad = line.word(QUAD_AT);
    quad.store(quad.load(Relaxed) << 16 | print.rest, Relaxed);
    line.set_byte(TAGS_AT + slot as usize, print.tag);
    set_mark(line, slot, print.mark);
    // Without a branch: where a ring is, is as good as random.
    const _: () = assert!(QUAD == 4);
    let is_last_of_quad = (slot & slot >> 1 & 1) as u64;
    Ring(ring.0.wrapping_add(1 << NEXT_SHIFT | 1 << LENGTH_SHIFT) | is_last_of_quad << WHOLE.trailing_zeros())
}

/// The same of an entry that came so many generations ago. It is taken to be as new as any that is there.
pub(super) fn put_older(line: &Line, ring: Ring, print: Print, age: u64) -> Ring {
    let age = if ring.length() > 0 { age.min(ring.least_age()) } else { age };
    let ring = put(line, ring, print);
    let one = age.checked_sub(1).map_or(0, |older| 1 << (u64::from(COUNT_BITS) * older));
    ring.with(ring.length() as u64, ring.older() + one)
}

/// Copies a quad that is whole to the rests.
pub(super) fn copy(line: &Line, rests: &Line, ring: Ring) -> Ring {
    rests.word(ring.last_quad()).store(line.word(QUAD_AT).load(Relaxed), Relaxed);
    Ring(ring.0 & !WHOLE)
}

/// Copies the quad to the rests if it is whole, without a branch: otherwise to where it is.
#[inline(always)]
pub(super) fn copy_if_whole(line: &Line, rests: &Line, ring: Ring) -> Ring {
    let own = line.word(QUAD_AT);
    let to = select_unpredictable(ring.is_whole(), rests.word(ring.last_quad()), own);
    to.store(own.load(Relaxed), Relaxed);
    Ring(ring.0 & !WHOLE)
}

/// Drops the oldest entry of a line that has one. Whether it was one that had not been taken back.
pub(super) fn forget(line: &Line, ring: Ring) -> (Ring, bool) {
    let oldest = ring.next().wrapping_sub(ring.length() as u32) % SLOTS;
    (ring.without_oldest(), mark(line, oldest) != 0)
}

/// How many entries there are that were not taken back.
pub(super) fn count(line: &Line, ring: Ring) -> usize {
    (0..SLOTS).filter(|slot| ring.after(*slot) < ring.length() && mark(line, *slot) != 0).count()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::dedupe::line::{Format, Narrow};

    /// An entry as the oracle keeps it.
    struct Entry {
        hash: u64,
        generation: u64,
        is_taken_back: bool,
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// An id, and whether a quad that it makes whole is copied at once.
        Show(u64, bool),
        PutOlder(u64, u64),
        Age(u64),
        Forget,
        Copy,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Ids that look alike in a part of what tells them apart, and so few that they come again.
        let rest = prop_oneof![Just(0_u64), Just(1), Just(0x8000), Just(0xffff)];
        let mark = prop_oneof![Just(1_u64), Just(8), Just(15)];
        let tag = prop_oneof![Just(0_u64), Just(1), Just(0x80), Just(0xff)];
        let hash = (rest, mark, tag).prop_map(|(rest, mark, tag)| (rest | mark << 16 | tag << 20) << GENERATION_BITS);
        prop_oneof![
            20 => (hash.clone(), any::<bool>()).prop_map(|(hash, at_once)| Step::Show(hash, at_once)),
            5 => (hash, 0..=u64::from(OLDER)).prop_map(|(hash, age)| Step::PutOlder(hash, age)),
            1 => (1..8_u64).prop_map(Step::Age),
            2 => (1..2_u64).prop_map(Step::Age),
            1 => Just(Step::Forget),
            5 => Just(Step::Copy),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_ring_is_as_a_queue_of_whole_ids(steps in prop::collection::vec(step(), 1..300), stale in any::<u64>()) {
            let line = Line::of([0, stale, 0, 0, 0, 0, 0, 0]);
            line.set_link(Some(77));
            let rests = Line::of([stale; 8]);
            let mut queue: VecDeque<Entry> = VecDeque::new();
            let (held, header) = line.lock_with_header();
            let (mut ring, mut generation) = (Ring(header), 0);
            for step in steps {
                match step {
                    Step::Show(hash, at_once) => {
                        let print = Print::of(hash);
                        let found = find(&line, &rests, ring, candidates(&line, print), print);
                        let known = queue.iter_mut().find(|entry| entry.hash == hash && !entry.is_taken_back);
                        prop_assert_eq!(found.is_some(), known.is_some());
                        if let (Some(slot), Some(known)) = (found, known) {
                            known.is_taken_back = known.generation != generation;
                            prop_assert_eq!(take_back(&line, ring, slot), known.is_taken_back);
                            if !known.is_taken_back {
                                continue;
                            }
                        }
                        prop_assert_eq!(ring.has_room(), queue.len() < ENTRIES);
                        if !ring.has_room() {
                            let oldest = queue.pop_front().expect("31 entries");
                            let was_there;
                            (ring, was_there) = forget(&line, ring);
                            prop_assert_eq!(was_there, !oldest.is_taken_back);
                        }
                        if ring.is_whole() {
                            ring = copy(&line, &rests, ring);
                        }
                        ring = put(&line, ring, print);
                        if at_once {
                            ring = copy_if_whole(&line, &rests, ring);
                            prop_assert!(!ring.is_whole());
                        }
                        queue.push_back(Entry { hash, generation, is_taken_back: false });
                    }
                    Step::PutOlder(hash, age) => {
                        let is_there = queue.iter().any(|entry| entry.hash == hash && !entry.is_taken_back);
                        if !is_there && age <= generation && ring.has_room() {
                            if ring.is_whole() {
                                ring = copy(&line, &rests, ring);
                            }
                            ring = put_older(&line, ring, Print::of(hash), age);
                            let newest = queue.back().map_or(0, |last| last.generation);
                            let generation = newest.max(generation - age);
                            queue.push_back(Entry { hash, generation, is_taken_back: false });
                        }
                    }
                    Step::Age(passed) => {
                        generation += passed;
                        ring = ring.at(generation % 8);
                        queue.retain(|entry| generation - entry.generation <= u64::from(OLDER));
                    }
                    Step::Forget if !queue.is_empty() => {
                        queue.pop_front();
                        ring = forget(&line, ring).0;
                    }
                    Step::Copy if ring.is_whole() => ring = copy(&line, &rests, ring),
                    Step::Forget | Step::Copy => {}
                }
                prop_assert_eq!(ring.length(), queue.len());
                prop_assert_eq!(count(&line, ring), queue.iter().filter(|entry| !entry.is_taken_back).count());
                prop_assert_eq!(line::swept_in(ring.0), generation % 8);
            }
            held.release(ring.0);
            prop_assert_eq!(line.link(), Some(77));
            drop(line.lock());
        }
    }

    /// Or one that was moved up would look like others than before.
    #[test]
    fn a_home_keeps_all_of_a_narrow_fingerprint() {
        for bit in 0..64 {
            for hash in [1 << bit, !(1 << bit), 0, u64::MAX] {
                let fingerprint = Narrow::fingerprint(hash);
                let Print { tag, mark, rest } = Print::of(fingerprint | 5);
                assert_ne!(mark, 0);
                assert_eq!(
                    (rest | u64::from(mark) << 16 | u64::from(tag) << 20) << GENERATION_BITS,
                    fingerprint,
                    "{hash:x}"
                );
            }
        }
    }
}
