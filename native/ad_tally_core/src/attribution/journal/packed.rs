//! What words of records have in common.

use crate::error::TIMES;

const KIND_BITS: u32 = 8;
const _: () = assert!(TIMES <= 1 << (u64::BITS - KIND_BITS));

/// The time of a touch and the place of its kind.
#[inline(always)]
pub(super) fn time_and_kind(at: u64, kind: u8) -> u64 {
    at << KIND_BITS | u64::from(kind)
}

pub(super) fn split_time(word: u64) -> (u64, u8) {
    (word >> KIND_BITS, word as u8)
}

/// Numbers as an item has them.
pub(super) fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    let numbers: &[[u8; 8]; N] = numbers.try_into().ok().filter(|_| rest.is_empty())?;
    Some(numbers.map(u64::from_be_bytes))
}

/// The time of a conversion, and whether it is provisional.
pub(super) fn order_state(at: u64, is_provisional: bool) -> u64 {
    at << 1 | u64::from(!is_provisional)
}

/// The time of a conversion that is final.
pub(super) fn final_time(word: u64) -> Option<u64> {
    (word & 1 == 1).then_some(word >> 1)
}
