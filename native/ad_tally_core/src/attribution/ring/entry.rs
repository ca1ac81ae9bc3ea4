//! What a bucket keeps of its users: entries of three words.
//!
//! ```text
//! word 0  id 64                               of a touch, an order, a user
//! word 1  at 47 | kind 4 | repeats 13         from the highest bits on
//! word 2  fingerprint 40 | dimensions 24
//!
//! kind        id        at                      repeats                       dimensions
//! 0           empty: all words are zero
//! 1..=8       touch     its time                touches that it stands for    dimensions
//! 9  evicted            newest evicted touch
//! 10 alias    user      newest touch seen
//! 11 aliased  alias
//! 12 mark     touch     conversion              order, lowest 13 bits         order, next 17 | of a touch 1 | action 6
//! 13 pending  order     conversion
//! 14 converted          newest conversion
//! ```
//!
//! A touch's kind is one more than its place among the kinds. Ten entries are 30 of a bucket's 31 words: the last one is left
//! for the number of an overflow bucket, so a linked bucket has as many entries.

use crate::attribution::Step;
use crate::bucket::{self, Content};

/// Words of a bucket beside its header, so that it takes four cache lines.
pub(super) const WORDS: usize = 31;
/// Words of an entry.
const OF_AN_ENTRY: usize = 3;
/// Entries of a bucket.
pub(super) const ENTRIES: usize = WORDS / OF_AN_ENTRY;
pub(super) type Bucket = bucket::Bucket<WORDS>;

pub(super) const FINGERPRINT_BITS: u32 = 40;
const DIMENSIONS_BITS: u32 = u64::BITS - FINGERPRINT_BITS;
const DIMENSIONS_MASK: u64 = (1 << DIMENSIONS_BITS) - 1;
/// The fingerprint of hashes whose low bits are all 0.
const FOR_ZERO: u64 = 0x9e_3779_b97f;
const REPEATS_BITS: u32 = 13;
const KIND_BITS: u32 = 4;
/// Bits of an order that a mark has, above those in place of repeats.
const MARK_ORDER_BITS: u32 = 17;
/// What tells the marks of a user apart, beside the touch.
const MARK_KEY_BITS: u32 = DIMENSIONS_BITS - MARK_ORDER_BITS;
const OF_A_TOUCH: u64 = 1 << (MARK_KEY_BITS - 1);
/// Where the time lies.
const AT_SHIFT: u32 = REPEATS_BITS + KIND_BITS;
/// The most touches that another one stands for.
pub(super) const MOST_REPEATS: u16 = (1 << REPEATS_BITS) - 1;

/// What an entry is.
pub(super) mod kind {
    pub(crate) const EMPTY: u64 = 0;
    /// Touches have the kinds up to here, from 1 on.
    pub(crate) const LAST_TOUCH: u64 = 8;
    pub(crate) const EVICTED: u64 = 9;
    pub(crate) const ALIAS: u64 = 10;
    pub(crate) const ALIASED: u64 = 11;
    pub(crate) const MARK: u64 = 12;
    pub(crate) const PENDING: u64 = 13;
    pub(crate) const CONVERTED: u64 = 14;
}

/// By what the entries of a user are known in its bucket: the low bits of its hash, where they lie in an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Never 0, so that an empty entry is told by one word: any other number does as well, once in 2^40 users.
    #[inline(always)]
    pub(super) fn of(user: u64) -> Self {
        let bits = user << DIMENSIONS_BITS;
        Self(if bits == 0 { FOR_ZERO << DIMENSIONS_BITS } else { bits })
    }

    /// As a number below 2^40.
    pub(super) fn number(self) -> u64 {
        self.0 >> DIMENSIONS_BITS
    }
}

/// What is remembered of a conversion that was counted, where others of its user or touch are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Which action: below 64.
    pub(crate) action: u8,
    /// Of which touch, or of the user.
    pub(crate) touch: Option<i64>,
    /// The lowest 30 bits of the order.
    pub(crate) order: u32,
    /// The time of the conversion.
    pub(crate) at: u64,
}

impl Mark {
    pub(crate) fn new(action: u8, touch: Option<i64>, order: u64, at: u64) -> Self {
        let bits = MARK_ORDER_BITS + REPEATS_BITS;
        Self { action, touch, order: (order & ((1 << bits) - 1)) as u32, at }
    }

    /// By which of two marks is the older one: whole, so that the same ones stay however they came.
    pub(super) fn order(&self) -> (u64, u32, Option<i64>) {
        (self.at, self.order, self.touch)
    }

    /// What it is a mark of.
    pub(super) fn key(&self) -> (u8, Option<i64>) {
        (self.action, self.touch)
    }
}

/// An entry as it was read. The default one is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    id: u64,
    time: u64,
    whose: u64,
}

impl Entry {
    #[inline(always)]
    pub(super) fn new(of: Fingerprint, kind: u64, id: u64, at: u64) -> Self {
        Self { id, time: at << AT_SHIFT | kind << REPEATS_BITS, whose: of.0 }
    }

    #[inline(always)]
    pub(super) fn touch(of: Fingerprint, step: &Step) -> Self {
        let Step { id, at, kind, dimensions, repeats, first_at: _ } = *step;
        let time = at << AT_SHIFT | u64::from(kind + 1) << REPEATS_BITS | u64::from(repeats);
        Self { id: id as u64, time, whose: of.0 | u64::from(dimensions) & DIMENSIONS_MASK }
    }

    /// That a conversion of an action was counted, of a user or of one of its touches.
    pub(super) fn mark(of: Fingerprint, mark: &Mark) -> Self {
        let Mark { action, touch, order, at } = *mark;
        let key = u64::from(action) | if touch.is_some() { OF_A_TOUCH } else { 0 };
        let (low, high) = (u64::from(order) & u64::from(MOST_REPEATS), u64::from(order) >> REPEATS_BITS);
        Self {
            id: touch.unwrap_or(0) as u64,
            time: at << AT_SHIFT | kind::MARK << REPEATS_BITS | low,
            whose: of.0 | high << MARK_KEY_BITS | key,
        }
    }

    /// What a mark says.
    pub(super) fn as_mark(self) -> Mark {
        let dimensions = self.whose & DIMENSIONS_MASK;
        let order = dimensions >> MARK_KEY_BITS << REPEATS_BITS | self.time & u64::from(MOST_REPEATS);
        Mark {
            action: (dimensions & (OF_A_TOUCH - 1)) as u8,
            touch: (dimensions & OF_A_TOUCH != 0).then_some(self.id as i64),
            order: order as u32,
            at: self.at(),
        }
    }

    #[inline(always)]
    pub(super) fn kind(self) -> u64 {
        self.time >> REPEATS_BITS & ((1 << KIND_BITS) - 1)
    }

    #[inline(always)]
    pub(super) fn is_touch(self) -> bool {
        self.kind().wrapping_sub(1) < kind::LAST_TOUCH
    }

    #[inline(always)]
    pub(super) fn id(self) -> u64 {
        self.id
    }

    #[inline(always)]
    pub(super) fn at(self) -> u64 {
        self.time >> AT_SHIFT
    }

    /// An alias of another user.
    pub(super) fn with_id(self, id: u64) -> Self {
        Self { id, ..self }
    }

    #[inline(always)]
    pub(super) fn with_at(self, at: u64) -> Self {
        Self { time: self.time & ((1 << AT_SHIFT) - 1) | at << AT_SHIFT, ..self }
    }

    /// Of which user.
    #[inline(always)]
    pub(super) fn of_user(self) -> Fingerprint {
        Fingerprint(self.whose & !DIMENSIONS_MASK)
    }

    /// What a touch says.
    #[inline(always)]
    pub(super) fn step(self) -> Step {
        Step {
            id: self.id as i64,
            at: self.at(),
            // A run that was put together is two entries.
            first_at: self.at(),
            kind: (self.kind() - 1) as u8,
            dimensions: (self.whose & DIMENSIONS_MASK) as u32,
            repeats: (self.time & u64::from(MOST_REPEATS)) as u16,
        }
    }

    /// By what touches are ordered.
    #[inline(always)]
    pub(super) fn order(self) -> (u64, i64) {
        (self.at(), self.id as i64)
    }
}

/// How entries lie in a bucket.
#[derive(Clone, Copy)]
pub(super) struct Format;

impl Format {
    /// The places of a user's entries, and the empty ones, as bits.
    #[inline(always)]
    pub(super) fn find(bucket: &Bucket, fingerprint: Fingerprint) -> (u32, u32) {
        let (mut own, mut empty) = (0, 0);
        for at in 0..ENTRIES {
            let whose = bucket.word(OF_AN_ENTRY * at + 2);
            own |= u32::from(whose ^ fingerprint.0 <= DIMENSIONS_MASK) << at;
            empty |= u32::from(whose == 0) << at;
        }
        (own, empty)
    }
}

impl Content<WORDS> for Format {
    type Entry = Entry;

    #[inline(always)]
    fn entries(self, _is_linked: bool) -> usize {
        ENTRIES
    }

    #[inline(always)]
    fn get(self, bucket: &Bucket, at: usize) -> Entry {
        let at = at * OF_AN_ENTRY;
        Entry { id: bucket.word(at), time: bucket.word(at + 1), whose: bucket.word(at + 2) }
    }

    #[inline(always)]
    fn set(self, bucket: &Bucket, at: usize, entry: Entry) {
        let at = at * OF_AN_ENTRY;
        bucket.set_word(at, entry.id);
        bucket.set_word(at + 1, entry.time);
        bucket.set_word(at + 2, entry.whose);
    }
}
