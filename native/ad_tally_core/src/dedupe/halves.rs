//! Looking at all sixteen halves of a line's words at once, without a branch: where an id lies is as good as random, and one
//! branch that is mispredicted takes as long as looking at them all.

use super::line::Words;

/// Which halves of the words are equal to a number under a mask, as bits: the low half of word 0 is bit 0.
///
/// What the compiler makes of [`one_by_one`] takes four times as many instructions as this.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn equal(words: &Words, mask: u32, number: u32) -> u32 {
    use std::arch::x86_64::{
        _mm_and_si128, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set_epi64x,
        _mm_set1_epi32,
    };
    // SAFETY: SSE2 is part of every x86-64.
    unsafe {
        let (mask, number) = (_mm_set1_epi32(mask as i32), _mm_set1_epi32(number as i32));
        let four = |at: usize| {
            let halves = _mm_set_epi64x(words[at + 1] as i64, words[at] as i64);
            _mm_cmpeq_epi32(_mm_and_si128(halves, mask), number)
        };
        // Each is all ones or all zeros, and so it stays when it is packed.
        let (low, high) = (_mm_packs_epi32(four(0), four(2)), _mm_packs_epi32(four(4), four(6)));
        _mm_movemask_epi8(_mm_packs_epi16(low, high)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use one_by_one as equal;

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
pub(super) fn one_by_one(words: &Words, mask: u32, number: u32) -> u32 {
    let is_equal = |at: usize| (words[at / 2] >> (32 * (at % 2))) as u32 & mask == number;
    (0..2 * words.len()).fold(0, |equal, at| equal | u32::from(is_equal(at)) << at)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_halves_are_as_one_by_one(
            halves in prop::array::uniform16(prop_oneof![0..4_u32, Just(u32::MAX), Just(1 << 31), any::<u32>()]),
            mask in prop_oneof![Just(u32::MAX), Just(!7), any::<u32>()],
            chosen in 0..16_usize,
        ) {
            let words: Words = std::array::from_fn(|at| u64::from(halves[2 * at + 1]) << 32 | u64::from(halves[2 * at]));
            for number in [0, 3, u32::MAX, halves[chosen] & mask] {
                prop_assert_eq!(equal(&words, mask, number), one_by_one(&words, mask, number));
            }
        }
    }
}
