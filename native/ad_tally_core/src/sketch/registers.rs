//! What is done with all registers of a sketch: in vectors, or eight at once as the bytes of a word.
//!
//! Registers are at most 63. So a byte of a word borrows nothing from the next when it is subtracted from one whose high bit
//! is set, and that bit tells which was larger.

use super::estimate::Histogram;

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// Registers as words.
pub(crate) fn words(registers: &[u8]) -> impl Iterator<Item = u64> {
    registers.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// The high bit of each register of a word that is not less than the other one.
#[inline(always)]
fn not_less(own: u64, other: u64) -> u64 {
    ((own | HIGH_BITS) - other) & HIGH_BITS
}

/// The larger of each two registers.
#[inline(always)]
pub(crate) fn larger(own: u64, other: u64) -> u64 {
    let high = not_less(own, other);
    let is_own = high | (high - (high >> 7));
    own & is_own | other & !is_own
}

/// Whether a register of a word is less than a value, which is 64 at most.
#[inline(always)]
pub(crate) fn has_less(word: u64, value: u8) -> bool {
    not_less(word, u64::from(value) * LOW_BITS) != HIGH_BITS
}

/// Raises registers to others, as many or a multiple of that: those of a finer precision.
pub(super) fn raise_all(own: &mut [u8], others: &[u8]) {
    for others in others.chunks_exact(own.len()) {
        own.iter_mut().zip(others).for_each(|(own, other)| *own = (*own).max(*other));
    }
}

/// The same with words of them.
pub(super) fn raise_to_words(own: &mut [u8], others: impl Iterator<Item = u64>) {
    let own = own.as_chunks_mut().0;
    let mask = own.len() - 1;
    for (at, other) in others.enumerate() {
        let own = &mut own[at & mask];
        *own = larger(u64::from_le_bytes(*own), other).to_le_bytes();
    }
}

/// How many have a value.
pub(super) fn count(registers: &[u8], value: u8) -> u32 {
    // Of so few the number fits into a byte, so that they are counted in vectors of bytes.
    const FEW: usize = 128;
    let few = |registers: &[u8]| registers.iter().map(|register| u8::from(*register == value)).sum::<u8>();
    registers.chunks(FEW).map(|registers| u32::from(few(registers))).sum()
}

/// How many registers have each value.
pub(crate) fn histogram(words: impl Iterator<Item = u64>) -> Histogram {
    // In turn into four: one array would wait for itself wherever neighbours are equal.
    let mut counts = [[0_u32; 64]; 4];
    for word in words {
        for (at, value) in word.to_le_bytes().into_iter().enumerate() {
            counts[at % 4][usize::from(value) % 64] += 1;
        }
    }
    std::array::from_fn(|value| counts.iter().map(|counts| counts[value]).sum())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word() -> impl Strategy<Value = [u8; 8]> {
        prop::array::uniform8(prop_oneof![0..64_u8, Just(0), Just(63)])
    }

    proptest! {
        #[test]
        fn eight_registers_at_once_are_as_one_by_one(own in word(), other in word(), value in 0..=64_u8) {
            let [a, b] = [own, other].map(u64::from_le_bytes);
            prop_assert_eq!(larger(a, b).to_le_bytes(), std::array::from_fn(|at| own[at].max(other[at])));
            prop_assert_eq!(has_less(a, value), own.iter().any(|register| *register < value));
        }

        #[test]
        fn registers_are_raised_to_as_many_and_to_finer_ones(
            own in prop::collection::vec(0..64_u8, 16),
            others in prop::collection::vec(0..64_u8, 16..1_024),
        ) {
            let others = &others[..16 << (others.len() / 16).ilog2()];
            let mut expected = own.clone();
            others.iter().enumerate().for_each(|(at, other)| expected[at % 16] = expected[at % 16].max(*other));
            let (mut by_vectors, mut by_words) = (own.clone(), own);
            raise_all(&mut by_vectors, others);
            raise_to_words(&mut by_words, words(others));
            prop_assert_eq!(&by_vectors, &expected);
            prop_assert_eq!(&by_words, &expected);
        }

        #[test]
        fn registers_are_counted_by_value(registers in prop::collection::vec(0..64_u8, 16..2_048)) {
            let registers = &registers[..registers.len() / 8 * 8];
            let histogram = histogram(words(registers));
            for value in 0..64_u8 {
                let expected = registers.iter().filter(|register| **register == value).count() as u32;
                prop_assert_eq!(count(registers, value), expected);
                prop_assert_eq!(histogram[usize::from(value)], expected);
            }
        }
    }

    #[test]
    fn more_equal_registers_than_a_byte_can_count_are_counted() {
        assert_eq!(count(&vec![63; 1 << 18], 63), 1 << 18);
        assert_eq!(count(&vec![63; 1 << 18], 0), 0);
    }
}
