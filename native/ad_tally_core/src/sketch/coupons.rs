//! A set of coupons: what a sketch is as long as few users were seen.

use std::sync::LazyLock;

use super::coupon::Coupon;

/// Finds coupons their slots. Not by their low bits, which choose registers: coupons of another sketch come in their order.
/// And not by any known function: coupons come from outside, and 12,288 that were chosen to want the same slot took 100
/// times as long as others.
static HASH: LazyLock<ahash::RandomState> = LazyLock::new(ahash::RandomState::new);

/// Slots of the smallest set that is not empty.
const FIRST: usize = 16;

/// An open-addressed set of 32-bit slots, zero where empty, at most seven in eight of them taken.
#[derive(Debug, Clone, Default)]
pub struct Coupons {
    slots: Box<[u32]>,
    count: usize,
}

impl Coupons {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The memory behind it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val::<[u32]>(&self.slots)
    }

    /// Adds a coupon, if it is not there.
    pub fn insert(&mut self, coupon: Coupon) {
        self.reserve(1);
        if let Some(slot) = self.slot_for(coupon) {
            self.slots[slot] = coupon.word();
            self.count += 1;
        }
    }

    /// Makes room for so many more. A set that others are poured into in the order of their slots has to be as large as
    /// it will be, or its first slots overflow while the last are empty.
    pub fn reserve(&mut self, more: usize) {
        let needed = (self.count + more) * 8;
        if needed <= self.slots.len() * 7 {
            return;
        }
        let mut larger = FIRST.max(self.slots.len());
        while needed > larger * 7 {
            larger *= 2;
        }
        let old = std::mem::replace(&mut self.slots, vec![0; larger].into_boxed_slice());
        for coupon in old.iter().copied().filter_map(Coupon::from_word) {
            if let Some(slot) = self.slot_for(coupon) {
                self.slots[slot] = coupon.word();
            }
        }
    }

    /// The empty slot that a coupon belongs to, `None` if it is there.
    fn slot_for(&self, coupon: Coupon) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = HASH.hash_one(coupon.word()) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return Some(slot),
                word if word == coupon.word() => return None,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Coupon> {
        self.slots.iter().copied().filter_map(Coupon::from_word)
    }
}

impl Extend<Coupon> for Coupons {
    fn extend<I: IntoIterator<Item = Coupon>>(&mut self, coupons: I) {
        coupons.into_iter().for_each(|coupon| self.insert(coupon));
    }
}
