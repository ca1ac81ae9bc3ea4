//! The users of keys that had no row: one sketch for all of them, that any number of threads add to.
//!
//! Few users are kept as coupons, under a lock, so that this sketch too is the one of its users. Once they are many they
//! have registers, which need no lock: with the budget of keys used up, every new key comes here.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::registers::Registers;
use crate::sketch::{Coupon, Coupons, Sketch};
use crate::sync::AtomicU64;

/// Users as they come: one by one, or as registers of the table's precision that they have raised.
#[derive(Clone, Copy)]
pub(crate) enum Users<'a> {
    Coupons(&'a [Coupon]),
    Registers(&'a [u8]),
}

pub(crate) struct Overflow {
    adds: AtomicU64,
    few: Mutex<Sketch>,
    /// Nobody is among the few any more once it is there.
    many: OnceLock<Registers>,
    precision: u8,
}

impl Overflow {
    /// Nobody yet; `empty` is a sketch of the table's precision.
    pub(crate) fn new(empty: Sketch) -> Self {
        let precision = empty.precision();
        Self { adds: AtomicU64::new(0), few: Mutex::new(empty), many: OnceLock::new(), precision }
    }

    /// Adds and merges that came here.
    pub(crate) fn adds(&self) -> u64 {
        self.adds.load(Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        let many = if self.many.get().is_some() { Registers::lines(self.precision) * 64 } else { 0 };
        many + self.few.lock().coupons().map_or(0, Coupons::bytes)
    }

    /// Takes in the users of so many adds.
    pub(crate) fn insert(&self, adds: u64, users: Users<'_>) {
        self.adds.fetch_add(adds, Relaxed);
        if let Some(many) = self.many.get() {
            return raise(many, users);
        }
        let mut few = self.few.lock();
        if let Some(many) = self.many.get() {
            return raise(many, users);
        }
        match users {
            Users::Coupons(coupons) => coupons.iter().for_each(|coupon| few.insert(*coupon)),
            Users::Registers(registers) => few.raise_all(registers),
        }
        if let Some(registers) = few.registers() {
            let many = Registers::new(self.precision);
            many.view().raise_all(registers);
            // The lock is held, so it was not there and nobody else sets it.
            let _ = self.many.set(many);
            few.clear();
        }
    }

    /// Adds them to a sketch.
    pub(crate) fn merge_into(&self, into: &mut Sketch) {
        // Held, so that nobody goes from the few to the many in between.
        let few = self.few.lock();
        few.coupons().into_iter().for_each(|few| into.insert_all(few.len(), few.iter()));
        if let Some(many) = self.many.get() {
            into.raise_to_words(many.view().words());
        }
    }
}

fn raise(registers: &Registers, users: Users<'_>) {
    match users {
        Users::Coupons(coupons) => coupons.iter().for_each(|coupon| _ = registers.view().raise(0, *coupon)),
        Users::Registers(values) => registers.view().raise_all(values),
    }
}
