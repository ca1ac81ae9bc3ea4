//! Registers that any number of threads raise at once.
//!
//! A register only ever grows, to the largest value it was shown, so neither the order of threads nor of users matters.
//! Most users raise nothing: they read one byte, and no cache line moves between cores.

use std::sync::atomic::Ordering::Relaxed;

use crate::sketch::Coupon;
use crate::sync::AtomicU8;

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
        let lines = (1_usize << precision).div_ceil(LINE);
        let line = || Line(std::array::from_fn(|_| AtomicU8::new(0)));
        Self { lines: (0..lines).map(|_| line()).collect(), precision }
    }

    /// The memory that registers of a precision take.
    pub(crate) fn bytes(precision: u8) -> usize {
        (1_usize << precision).next_multiple_of(LINE)
    }

    /// A view of them.
    #[inline]
    #[must_use]
    pub fn view(&self) -> View<'_> {
        // SAFETY: they are there as long as the borrow.
        unsafe { View::at(self.lines.as_ptr().expose_provenance() as u64, self.precision) }
    }

    /// Gives them away as an address, of a cache line, for [`Registers::take_back`].
    pub(crate) fn give_away(self) -> u64 {
        Box::into_raw(self.lines).cast::<Line>().expose_provenance() as u64
    }

    /// # Safety
    /// The address came from [`Registers::give_away`] of registers of that precision, and is taken back once.
    pub(crate) unsafe fn take_back(address: u64, precision: u8) -> Self {
        let first = std::ptr::with_exposed_provenance_mut::<Line>(address as usize);
        let lines = std::ptr::slice_from_raw_parts_mut(first, Self::bytes(precision) / LINE);
        // SAFETY: it is the box that was given away, of as many lines as that precision takes.
        Self { lines: unsafe { Box::from_raw(lines) }, precision }
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

    /// Shows them a user.
    #[inline(always)]
    pub fn raise(self, coupon: Coupon) {
        let value = coupon.value();
        // SAFETY: the register of a coupon is below the number of registers, a power of two.
        let register = unsafe { self.registers.get_unchecked(coupon.register(self.registers.len())) };
        if register.load(Relaxed) < value {
            register.fetch_max(value, Relaxed);
        }
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
