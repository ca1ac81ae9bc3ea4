//! Looking at all 32 tags of a home at once, without a branch: where an id lies is as good as random, and one branch that is
//! mispredicted takes as long as looking at them all.

/// Which bytes of the words are equal to one, as bits: the lowest byte of the first word is bit 0.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn equal(words: &[u64; 4], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};
    // SAFETY: SSE2 is part of every x86-64.
    unsafe {
        let byte = _mm_set1_epi8(byte as i8);
        let sixteen = |at: usize| {
            let bytes = _mm_set_epi64x(words[at + 1] as i64, words[at] as i64);
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, byte)) as u32
        };
        sixteen(0) | sixteen(2) << 16
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use one_by_one as equal;

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
pub(super) fn one_by_one(words: &[u64; 4], byte: u8) -> u32 {
    let is_equal = |at: usize| (words[at / 8] >> (8 * (at % 8))) as u8 == byte;
    (0..8 * words.len()).fold(0, |equal, at| equal | u32::from(is_equal(at)) << at)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_bytes_are_as_one_by_one(
            bytes in prop::array::uniform32(prop_oneof![0..4_u8, Just(0x80), Just(0xff), any::<u8>()]),
            chosen in 0..32_usize,
        ) {
            let words = std::array::from_fn(|at| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * at + byte])));
            for byte in [0, 3, 0x7f, 0x80, 0xff, bytes[chosen]] {
                prop_assert_eq!(equal(&words, byte), one_by_one(&words, byte));
            }
        }
    }
}
