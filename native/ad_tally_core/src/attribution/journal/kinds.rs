//! Kinds of records, and names of numbers.

pub(super) const TOUCH: u8 = 0;
pub(super) const PATH: u8 = 1;
pub(super) const ORDER: u8 = 2;
pub(super) const POSTING: u8 = 3;
pub(super) const MARK: u8 = 4;
pub(super) const CONVERTED: u8 = 5;
pub(super) const ALIAS: u8 = 6;
pub(super) const FORGOTTEN: u8 = 7;
pub(super) const CLOSING: u8 = 8;
pub(super) const META: u8 = 9;
pub(super) const STEP: u8 = 10;
pub(super) const EVICTED: u8 = 11;
pub(super) const NUMBER: u8 = 12;
pub(super) const TAKEN: u8 = 13;
pub(super) const CLOSED: u8 = 14;
pub(super) const GONE: u8 = 15;
pub(super) const EARLY: u8 = 16;

/// The time of the newest touch that was dropped because it was too old.
pub(super) const META_DROPPED: u8 = 2;
/// The clock by which windows were closed because their time had passed.
pub(super) const META_CLOSED_BY: u8 = 3;
