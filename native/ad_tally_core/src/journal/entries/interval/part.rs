//! What an interval has of one part.

use std::collections::BTreeMap;

use super::keys::Keys;
use crate::journal::TouchEntry;
use crate::journal::entries::values::window::OwnWindow;
use crate::key::HashedKey;
use crate::sketch::{Coupon, SketchCow};

/// What an interval has of one part, as it came.
#[derive(Debug, Default)]
pub(super) struct OfPart {
    pub(super) metas: BTreeMap<u8, u64>,
    pub(super) forgotten: Vec<u64>,
    pub(super) windows: Vec<OwnWindow>,
    pub(super) rows: Rows,
    pub(super) sketches: Sketches,
    /// Hash and generation.
    pub(super) ids: Vec<(u64, u64)>,
    /// Room for the same in order.
    pub(super) sorted_ids: Vec<(u64, u64)>,
    /// Tier, pair, and a tick with whether it was released.
    pub(super) ticks: Vec<(u8, u64, u64, bool)>,
    /// Tier, pair and change.
    pub(super) counts: Vec<(u8, u64, i64)>,
    pub(super) touches: Vec<(u64, TouchEntry)>,
    /// User and newest evicted time.
    pub(super) evicted: Vec<(u64, u64)>,
    pub(super) latest: Vec<Latest>,
    pub(super) items: Vec<Item>,
    pub(super) numbers: BTreeMap<u32, Box<[u64]>>,
}

/// A version of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Latest {
    pub(super) table: u8,
    pub(super) hash: u64,
    pub(super) version: u64,
    pub(super) words: Box<[u64]>,
}

/// One of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    pub(super) table: u8,
    pub(super) owner: u64,
    pub(super) key: Box<[u8]>,
    pub(super) bytes: Box<[u8]>,
}

/// Sums by key of a window.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) keys: Keys,
    /// Where the sums of a key lie, by its number.
    places: Vec<(usize, usize)>,
    sums: Vec<i128>,
}

impl Rows {
    /// The sums of a key, at least so many, and whether the key is new.
    #[inline(always)]
    pub(super) fn sums_of(&mut self, instance: u64, key: HashedKey<'_>, metrics: usize) -> (&mut [i128], bool) {
        let (number, is_new) = self.keys.number(instance, key);
        if is_new {
            self.places.push((self.sums.len(), metrics));
            self.sums.resize(self.sums.len() + metrics, 0);
        } else if self.places[number].1 < metrics {
            self.widen(number, metrics);
        }
        let (begin, count) = self.places[number];
        (&mut self.sums[begin..begin + count], is_new)
    }

    /// Gives a key more sums, behind those of all others.
    #[cold]
    fn widen(&mut self, number: usize, metrics: usize) {
        let (begin, count) = self.places[number];
        let new = self.sums.len();
        self.sums.extend_from_within(begin..begin + count);
        self.sums.resize(new + metrics, 0);
        self.places[number] = (new, metrics);
    }

    pub(super) fn sums(&self, number: usize) -> &[i128] {
        let (begin, count) = self.places[number];
        &self.sums[begin..begin + count]
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.places.clear();
        self.sums.clear();
    }
}

/// Users by key of a window.
#[derive(Debug, Default)]
pub(super) struct Sketches {
    pub(super) keys: Keys,
    /// By the number of a key.
    pub(super) precisions: Vec<u8>,
    /// The number of a key in the high half, and a coupon.
    pub(super) coupons: Vec<u64>,
    /// Registers of a key, or more of its coupons.
    pub(super) registers: Vec<(u32, Box<[u8]>)>,
}

impl Sketches {
    /// The number of a key, and whether it is new.
    #[inline(always)]
    pub(super) fn number(&mut self, instance: u64, key: HashedKey<'_>, precision: u8) -> (usize, bool) {
        let (number, is_new) = self.keys.number(instance, key);
        if is_new {
            self.precisions.push(precision);
        } else if precision < self.precisions[number] {
            self.precisions[number] = precision;
        }
        (number, is_new)
    }

    #[inline(always)]
    pub(super) fn push(&mut self, number: usize, coupon: Coupon) {
        self.coupons.push((number as u64) << 32 | u64::from(coupon.word()));
    }

    pub(super) fn merge(&mut self, number: usize, sketch: &SketchCow<'_>) {
        if let Some(coupons) = sketch.coupons() {
            coupons.iter().for_each(|coupon| self.push(number, coupon));
        }
        if let Some(registers) = sketch.registers() {
            self.registers.push((number as u32, registers.into()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.precisions.clear();
        self.coupons.clear();
        self.registers.clear();
    }
}

impl OfPart {
    /// Forgets all of it, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.metas.clear();
        self.forgotten.clear();
        self.windows.clear();
        self.rows.clear();
        self.sketches.clear();
        self.ids.clear();
        self.ticks.clear();
        self.counts.clear();
        self.touches.clear();
        self.evicted.clear();
        self.latest.clear();
        self.items.clear();
        self.numbers.clear();
    }
}
