//! A few coupons in the row itself, two a cell. A coupon that is there stays there, so reading takes no lock.

use std::sync::atomic::Ordering::Relaxed;

use super::set::Slot;
use crate::sketch::Coupon;
use crate::sync::AtomicU64;

/// Cells of a list.
pub(super) const CELLS: usize = 4;
/// Coupons that it has room for.
pub(super) const LISTED: usize = 2 * CELLS;

#[derive(Clone, Copy)]
pub(super) struct List<'a>(pub(super) &'a [AtomicU64; CELLS]);

impl<'a> List<'a> {
    pub(super) fn contains(self, coupon: Coupon) -> bool {
        self.0.iter().any(|cell| {
            let pair = cell.load(Relaxed);
            pair as u32 == coupon.word() || (pair >> 32) as u32 == coupon.word()
        })
    }

    /// The place of a coupon, if there are as many.
    pub(super) fn slot(self, at: usize) -> Option<Slot<'a>> {
        Some(Slot::new(self.0.get(at / 2)?, at % 2))
    }

    /// The first coupons.
    pub(super) fn coupons(self, count: usize) -> impl Iterator<Item = Coupon> {
        let words = self.0.iter().flat_map(|cell| [cell.load(Relaxed), cell.load(Relaxed) >> 32]);
        words.take(count).filter_map(|word| Coupon::from_word(word as u32))
    }
}
