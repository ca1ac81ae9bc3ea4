//! Registers that any number of threads raise at once.
//!
//! A register only ever grows, to the largest value of its users, so neither the order of threads nor of users matters.
//! Most users raise nothing: they read one byte, and no cache line moves between cores.

use std::hint::select_unpredictable;
use std::sync::atomic::Ordering::Relaxed;

use crate::sketch::Coupon;
use crate::sync::AtomicU8;
use crate::sync::prefetch::fetch;

const LINE: usize = 64;

/// A cache line of registers.
#[repr(align(64))]
#[expect(dead_code, reason = "registers are reached through views")]
struct Line([AtomicU8; LINE]);

/// The registers of one sketch.
pub struct Registers {
    lines: Box<[Line]>,
    precision: u8,
}

impl Registers {
    /// `2^precision` registers that are zero.
    #[must_use]
    pub fn new(precision: u8) -> Self {
        let line = |_| Line(std::array::from_fn(|_| AtomicU8::new(0)));
        Self { lines: (0..Self::lines(precision)).map(line).collect(), precision }
    }

    /// The cache lines that registers of a precision take.
    pub(crate) fn lines(precision: u8) -> usize {
        (1_usize << precision).div_ceil(LINE)
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
    registers: &'a [AtomicU8],
}

impl<'a> View<'a> {
    /// # Safety
    /// Registers of that precision lie at the address during `'a`.
    #[inline(always)]
    pub(crate) unsafe fn at(address: u64, precision: u8) -> Self {
        let first = std::ptr::with_exposed_provenance::<AtomicU8>(address as usize);
        // SAFETY: this function's contract; lines are arrays of registers without gaps.
        Self { registers: unsafe { std::slice::from_raw_parts(first, 1 << precision) } }
    }

    #[inline(always)]
    fn register(self, coupon: Coupon) -> &'a AtomicU8 {
        // SAFETY: the register of a coupon is below the number of registers, a power of two.
        unsafe { self.registers.get_unchecked(coupon.register(self.registers.len())) }
    }

    /// Whether a user raises one, when none of them is below `bound`.
    ///
    /// A user of so small a value raises none, and no register is loaded: of a key's registers most lie far away.
    #[inline(always)]
    pub(crate) fn is_raised(self, bound: u8, coupon: Coupon) -> bool {
        // Chosen without a branch, which would be mispredicted every other time where every other user is such a one.
        static RAISED: AtomicU8 = AtomicU8::new(u8::MAX);
        let value = coupon.value();
        select_unpredictable(value <= bound, &RAISED, self.register(coupon)).load(Relaxed) < value
    }

    /// Adds a user, when none of them is below `bound`: what the register was before, if it was raised.
    #[inline(always)]
    pub fn raise(self, bound: u8, coupon: Coupon) -> Option<u8> {
        self.is_raised(bound, coupon).then(|| self.register(coupon).fetch_max(coupon.value(), Relaxed))
    }

    /// Raises the register of a user while nobody else knows of the registers: without a locked instruction for each of 24,576.
    #[inline(always)]
    pub(super) fn raise_unshared(self, coupon: Coupon) {
        let register = self.register(coupon);
        register.store(register.load(Relaxed).max(coupon.value()), Relaxed);
    }

    /// Asks for the register of a user, to be looked at soon.
    #[inline(always)]
    pub(crate) fn prefetch(self, coupon: Coupon) {
        fetch(self.register(coupon));
    }

    /// The value of one of them.
    ///
    /// # Panics
    /// If there is none of that number.
    #[inline(always)]
    pub(crate) fn value(self, number: usize) -> u8 {
        self.registers[number].load(Relaxed)
    }

    /// The number and the value of one that is not above `least`, or if there is none, of the least: looked for from a number
    /// on.
    pub(crate) fn least(self, least: u8, from: usize) -> (usize, u8) {
        let mut found = (from, u8::MAX);
        for number in (from..self.registers.len()).chain(0..from) {
            let value = self.value(number);
            if value < found.1 {
                found = (number, value);
            }
            if value <= least {
                break;
            }
        }
        found
    }

    /// Raises them to others, as many.
    pub(crate) fn raise_all(self, values: &[u8]) {
        for (register, value) in self.registers.iter().zip(values) {
            if register.load(Relaxed) < *value {
                register.fetch_max(*value, Relaxed);
            }
        }
    }

    /// Their values, each at some moment during the walk.
    pub fn values(self) -> impl Iterator<Item = u8> + 'a {
        self.registers.iter().map(|register| register.load(Relaxed))
    }
}
