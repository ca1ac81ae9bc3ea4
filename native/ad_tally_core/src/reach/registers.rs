//! Registers that any number of threads raise at once.
//!
//! A register only ever grows, to the largest value of its users, so neither the order of threads nor of users matters.
//! Most users raise nothing: they read one word, and no cache line moves between cores. A word has eight registers, so that
//! sketches are united eight registers at a time.

use std::hint::select_unpredictable;
use std::sync::atomic::Ordering::Relaxed;

use crate::sketch::{Coupon, has_less, larger, words};
use crate::sync::AtomicU64;
use crate::sync::prefetch::fetch;

/// Words of a cache line.
const WORDS: usize = 8;

/// A cache line of registers.
#[repr(align(64))]
#[expect(dead_code, reason = "registers are reached through views")]
struct Line([AtomicU64; WORDS]);

/// The registers of one sketch.
pub struct Registers {
    lines: Box<[Line]>,
    precision: u8,
}

impl Registers {
    /// `2^precision` registers that are zero.
    #[must_use]
    pub fn new(precision: u8) -> Self {
        let line = |_| Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { lines: (0..Self::lines(precision)).map(line).collect(), precision }
    }

    /// The cache lines that registers of a precision take.
    pub(crate) fn lines(precision: u8) -> usize {
        (1_usize << precision).div_ceil(size_of::<Line>())
    }

    /// A view of them.
    #[inline]
    #[must_use]
    pub fn view(&self) -> View<'_> {
        // SAFETY: they are there as long as the borrow.
        unsafe { View::at(self.lines.as_ptr().expose_provenance() as u64, self.precision) }
    }
}

/// Registers where they lie.
#[derive(Clone, Copy)]
pub struct View<'a> {
    words: &'a [AtomicU64],
}

/// A register: a byte of a word.
#[derive(Clone, Copy)]
struct Place<'a> {
    word: &'a AtomicU64,
    shift: usize,
}

impl Place<'_> {
    /// The register's value in what its word was.
    #[inline(always)]
    fn value(self, word: u64) -> u8 {
        (word >> self.shift) as u8
    }

    /// That word with a larger value of the register.
    #[inline(always)]
    fn raised(self, word: u64, value: u8) -> u64 {
        word ^ u64::from(self.value(word) ^ value) << self.shift
    }
}

impl<'a> View<'a> {
    /// # Safety
    /// Registers of that precision lie at the address during `'a`.
    #[inline(always)]
    pub(crate) unsafe fn at(address: u64, precision: u8) -> Self {
        let first = std::ptr::with_exposed_provenance::<AtomicU64>(address as usize);
        // SAFETY: this function's contract; lines are arrays of words without gaps.
        Self { words: unsafe { std::slice::from_raw_parts(first, (1 << precision) / size_of::<u64>()) } }
    }

    #[inline(always)]
    fn count(self) -> usize {
        size_of_val(self.words)
    }

    #[inline(always)]
    fn place(self, coupon: Coupon) -> Place<'a> {
        let number = coupon.register(self.count());
        // SAFETY: the register of a coupon is below the number of registers, a power of two.
        Place { word: unsafe { self.words.get_unchecked(number / 8) }, shift: number % 8 * 8 }
    }

    /// Whether a user raises one, when none of them is below `bound`.
    ///
    /// A user of so small a value raises none, and no register is loaded: of a key's registers most lie far away.
    #[inline(always)]
    pub(crate) fn is_raised(self, bound: u8, coupon: Coupon) -> bool {
        // Chosen without a branch, which would be mispredicted every other time where every other user is such a one.
        static RAISED: AtomicU64 = AtomicU64::new(u64::MAX);
        let (value, place) = (coupon.value(), self.place(coupon));
        place.value(select_unpredictable(value <= bound, &RAISED, place.word).load(Relaxed)) < value
    }

    /// Adds a user, when none of them is below `bound`: what the register was before, if it was raised.
    #[inline(always)]
    pub fn raise(self, bound: u8, coupon: Coupon) -> Option<u8> {
        self.is_raised(bound, coupon).then(|| self.raise_shared(coupon))?
    }

    #[inline(always)]
    fn raise_shared(self, coupon: Coupon) -> Option<u8> {
        let (value, place) = (coupon.value(), self.place(coupon));
        let raised = |word| (place.value(word) < value).then(|| place.raised(word, value));
        place.word.fetch_update(Relaxed, Relaxed, raised).ok().map(|word| place.value(word))
    }

    /// Raises the register of a user while nobody else knows of the registers: without a locked instruction for each of 24,576.
    #[inline(always)]
    pub(super) fn raise_unshared(self, coupon: Coupon) {
        let place = self.place(coupon);
        let word = place.word.load(Relaxed);
        place.word.store(place.raised(word, place.value(word).max(coupon.value())), Relaxed);
    }

    /// Asks for the register of a user, to be looked at soon.
    #[inline(always)]
    pub(crate) fn prefetch(self, coupon: Coupon) {
        fetch(self.place(coupon).word);
    }

    /// The value of one of them.
    ///
    /// # Panics
    /// If there is none of that number.
    #[inline(always)]
    pub(crate) fn value(self, number: usize) -> u8 {
        self.words[number / 8].load(Relaxed).to_le_bytes()[number % 8]
    }

    /// The number and the value of one that is not above `least`, or if there is none, of the least: looked for from a number
    /// on.
    pub(crate) fn least(self, least: u8, from: usize) -> (usize, u8) {
        let mut found = (from, Coupon::LARGEST + 1);
        for number in (from / 8..self.words.len()).chain(0..from / 8) {
            let word = self.words[number].load(Relaxed);
            if has_less(word, found.1) {
                let registers = word.to_le_bytes().into_iter().enumerate();
                let smallest = registers.min_by_key(|(_, value)| *value);
                found = smallest.map_or(found, |(at, value)| (number * 8 + at, value));
            }
            if found.1 <= least {
                break;
            }
        }
        found
    }

    /// Raises them to others, as many.
    pub(crate) fn raise_all(self, registers: &[u8]) {
        for (word, others) in self.words.iter().zip(words(registers)) {
            let mut own = word.load(Relaxed);
            // Where users have come before, most words are high enough.
            while larger(own, others) != own {
                match word.compare_exchange_weak(own, larger(own, others), Relaxed, Relaxed) {
                    Ok(_) => break,
                    Err(now) => own = now,
                }
            }
        }
    }

    /// Them as words, each at some moment during the walk.
    pub(crate) fn words(self) -> impl Iterator<Item = u64> + 'a {
        self.words.iter().map(|word| word.load(Relaxed))
    }

    /// Their values.
    pub fn values(self) -> impl Iterator<Item = u8> + 'a {
        self.words().flat_map(u64::to_le_bytes)
    }
}
