//! A reservation as it lies in a bucket.
//!
//! ```text
//! word 0   hash of campaign and request: all of it, so that no other reservation is taken for this one
//! word 1   bits  0..3    state, 0: no entry
//!          bits  3..10   the highest 7 bits of the book's number
//!          bits 10..64   amount, in micros
//! word 2   bits  0..17   the other bits of the book's number
//!          bits 17..64   when it expires, in Unix milliseconds
//! ```

use crate::bucket::{Bucket, Content};

/// Words of a bucket beside its header: five entries, or four and the number of an overflow bucket, in two cache lines.
pub(super) const WORDS: usize = 15;
/// Words of an entry.
const EACH: usize = 3;

const STATE_BITS: u32 = 3;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;
const AMOUNT_BITS: u32 = 54;
const AMOUNT_SHIFT: u32 = u64::BITS - AMOUNT_BITS;
const TIME_BITS: u32 = 47;
const TIME_SHIFT: u32 = u64::BITS - TIME_BITS;
const LOW_BOOK_BITS: u32 = TIME_SHIFT;
const LOW_BOOK_MASK: u64 = (1 << LOW_BOOK_BITS) - 1;
/// Bits of a book's number.
pub(super) const BOOK_BITS: u32 = LOW_BOOK_BITS + AMOUNT_SHIFT - STATE_BITS;

/// The most that is reserved at once, and the highest price, in micros.
pub const MOST_PRICE: u64 = (1 << AMOUNT_BITS) - 1;
/// Reservations expire before this time.
pub(super) const LAST_EXPIRY: u64 = (1 << TIME_BITS) - 1;

/// What has become of a reservation. The order is that in which one state follows another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub(crate) enum State {
    #[default]
    Empty = 0,
    /// It holds money.
    Live = 1,
    /// The same, made before a crash: it may have been confirmed by what was lost.
    Survived = 2,
    Expired = 3,
    /// Before it expired or later.
    Released = 4,
    Confirmed = 5,
}

impl State {
    pub(super) fn of(word: u64) -> Self {
        match word & STATE_MASK {
            1 => Self::Live,
            2 => Self::Survived,
            3 => Self::Expired,
            4 => Self::Released,
            5 => Self::Confirmed,
            _ => Self::Empty,
        }
    }

    /// Whether it holds money.
    #[inline(always)]
    pub(crate) fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Survived)
    }
}

/// A reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) hash: u64,
    pub(crate) state: State,
    pub(crate) book: u32,
    pub(crate) amount: u64,
    pub(crate) expires: u64,
}

impl Entry {
    /// What tells which of two is the later one of a hash: one that is made later expires later.
    pub(super) fn version(&self) -> u64 {
        self.expires << STATE_BITS | self.state as u64
    }

    #[inline(always)]
    pub(super) fn with(self, state: State) -> Self {
        Self { state, ..self }
    }
}

/// When a reservation of a version expires.
#[cfg(not(loom))]
pub(super) fn expires(version: u64) -> u64 {
    version >> STATE_BITS
}

/// How reservations lie in a bucket.
#[derive(Clone, Copy)]
pub(super) struct Packed;

impl Packed {
    /// The place of an entry of that hash, empty ones of a hash of 0 included.
    #[inline(always)]
    pub(super) fn find(bucket: &Bucket<WORDS>, is_linked: bool, hash: u64) -> Option<usize> {
        // All are compared, without a branch: where an entry lies is as good as random.
        let places = (0..WORDS / EACH).fold(0, |places, at| places | u32::from(bucket.word(EACH * at) == hash) << at);
        let places = places & ((1 << Self.entries(is_linked)) - 1);
        (places != 0).then(|| places.trailing_zeros() as usize)
    }
}

impl Content<WORDS> for Packed {
    type Entry = Entry;

    #[inline(always)]
    fn entries(self, is_linked: bool) -> usize {
        WORDS / EACH - usize::from(is_linked)
    }

    #[inline(always)]
    fn get(self, bucket: &Bucket<WORDS>, at: usize) -> Entry {
        let word = |word: usize| bucket.word(EACH * at + word);
        let (amount, times) = (word(1), word(2));
        let high = amount >> STATE_BITS & ((1 << (AMOUNT_SHIFT - STATE_BITS)) - 1);
        Entry {
            hash: word(0),
            state: State::of(amount),
            book: (high << LOW_BOOK_BITS | times & LOW_BOOK_MASK) as u32,
            amount: amount >> AMOUNT_SHIFT,
            expires: times >> TIME_SHIFT,
        }
    }

    #[inline(always)]
    fn set(self, bucket: &Bucket<WORDS>, at: usize, entry: Entry) {
        let book = u64::from(entry.book);
        let high = book >> LOW_BOOK_BITS << STATE_BITS;
        bucket.set_word(EACH * at, entry.hash);
        bucket.set_word(EACH * at + 1, entry.amount << AMOUNT_SHIFT | high | entry.state as u64);
        bucket.set_word(EACH * at + 2, entry.expires << TIME_SHIFT | book & LOW_BOOK_MASK);
    }
}
