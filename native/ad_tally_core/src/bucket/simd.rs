//! Comparing all fingerprints of a bucket at once, without a branch: where an entry lies is as good as random, and one
//! branch that is mispredicted takes as long as comparing them all.

#[cfg(not(target_arch = "x86_64"))]
pub(crate) use self::naive::match_u32;

/// Which halves of at most sixteen words are equal to a number under a mask, as bits: the low half of word 0 is bit 0.
///
/// What the compiler makes of the naive one takes four times as many instructions.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn match_u32<const WORDS: usize>(words: &[u64; WORDS], mask: u32, number: u32) -> u32 {
    use std::arch::x86_64::{
        _mm_and_si128, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set_epi64x,
        _mm_set1_epi32,
    };
    const { assert!(WORDS <= 16) };
    let word = |at: usize| words.get(at).map_or(0, |word| *word as i64);
    // SAFETY: SSE2 is part of every x86-64.
    let equal = unsafe {
        let (mask, number) = (_mm_set1_epi32(mask as i32), _mm_set1_epi32(number as i32));
        let four = |at: usize| {
            let halves = _mm_set_epi64x(word(at + 1), word(at));
            _mm_cmpeq_epi32(_mm_and_si128(halves, mask), number)
        };
        // Each is all ones or all zeros, and so it stays when it is packed.
        let eight = |at: usize| _mm_packs_epi32(four(at), four(at + 2));
        let sixteen = |at: usize| _mm_movemask_epi8(_mm_packs_epi16(eight(at), eight(at + 4))) as u32;
        if WORDS > 8 { sixteen(0) | sixteen(8) << 16 } else { sixteen(0) }
    };
    equal & (((1_u64 << (2 * WORDS)) - 1) as u32)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod naive {
    #[inline(always)]
    pub(crate) fn match_u32<const WORDS: usize>(words: &[u64; WORDS], mask: u32, number: u32) -> u32 {
        let is_equal = |at: usize| (words[at / 2] >> (32 * (at % 2))) as u32 & mask == number;
        (0..2 * WORDS).fold(0, |equal, at| equal | u32::from(is_equal(at)) << at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn halves_match_the_naive_ones<const WORDS: usize>(halves: &[u32], mask: u32, chosen: usize) {
        let words: [u64; WORDS] =
            std::array::from_fn(|at| u64::from(halves[2 * at + 1]) << 32 | u64::from(halves[2 * at]));
        for number in [0, 3, u32::MAX, halves[chosen] & mask] {
            assert_eq!(match_u32(&words, mask, number), naive::match_u32(&words, mask, number), "{WORDS} {number:x}");
        }
    }

    proptest! {
        #[test]
        fn halves_of_words_match_the_naive_ones(
            halves in prop::array::uniform32(prop_oneof![0..4_u32, Just(u32::MAX), Just(1 << 31), any::<u32>()]),
            mask in prop_oneof![Just(u32::MAX), Just(!7), any::<u32>()],
            chosen in 0..32_usize,
        ) {
            halves_match_the_naive_ones::<7>(&halves, mask, chosen % 14);
            halves_match_the_naive_ones::<8>(&halves, mask, chosen % 16);
            halves_match_the_naive_ones::<15>(&halves, mask, chosen % 30);
            halves_match_the_naive_ones::<16>(&halves, mask, chosen);
        }
    }
}
