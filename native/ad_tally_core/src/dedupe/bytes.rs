//! Looking at all 32 tags of a home at once, without a branch: where an id lies is as good as random, and one branch that is
//! mispredicted takes as long as looking at them all.

/// Which bytes are equal to one, as bits: the first byte is bit 0.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn equal(bytes: &[u8; 32], byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: SSE2 is part of every x86-64, and both halves are within the bytes.
    unsafe {
        let byte = _mm_set1_epi8(byte as i8);
        let sixteen = |at: usize| {
            let bytes = _mm_loadu_si128(bytes.as_ptr().add(at).cast());
            _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, byte)) as u32
        };
        sixteen(0) | sixteen(16) << 16
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use one_by_one as equal;

#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline(always)]
pub(super) fn one_by_one(bytes: &[u8; 32], byte: u8) -> u32 {
    (0..32).fold(0, |equal, at| equal | u32::from(bytes[at] == byte) << at)
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
            for byte in [0, 3, 0x7f, 0x80, 0xff, bytes[chosen]] {
                prop_assert_eq!(equal(&bytes, byte), one_by_one(&bytes, byte));
            }
        }
    }
}
