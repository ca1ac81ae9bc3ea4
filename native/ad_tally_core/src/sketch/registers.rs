//! What is done with all registers of a sketch: by groups, each of which is one vector of an x86-64 or ARM64 processor.

use super::estimate::Histogram;

/// Registers side by side. The coarsest sketch has one group.
pub(crate) type Group = [u8; 16];

/// All of them.
pub(crate) fn groups(registers: &[u8]) -> impl ExactSizeIterator<Item = Group> {
    registers.as_chunks().0.iter().copied()
}

/// Raises registers to others, as many or a multiple of that: those of a finer precision.
pub(super) fn raise_all(own: &mut [u8], mut others: impl ExactSizeIterator<Item = Group>) {
    let own = own.as_chunks_mut().0;
    while others.len() > 0 {
        own.iter_mut().zip(others.by_ref()).for_each(|(own, other)| *own = larger(*own, other));
    }
}

/// The larger of each two.
#[inline(always)]
pub(crate) fn larger<const N: usize>(own: [u8; N], other: [u8; N]) -> [u8; N] {
    std::array::from_fn(|at| own[at].max(other[at]))
}

/// How many have a value.
pub(super) fn count(registers: &[u8], value: u8) -> u32 {
    // Of so few the number fits into a byte, so that they are counted in vectors of bytes.
    const FEW: usize = 128;
    let few = |registers: &[u8]| registers.iter().map(|register| u8::from(*register == value)).sum::<u8>();
    registers.chunks(FEW).map(|registers| u32::from(few(registers))).sum()
}

/// How many registers have each value.
#[must_use]
pub(crate) fn histogram(registers: impl Iterator<Item = Group>) -> Histogram {
    // In turn into four: one array would wait for itself wherever neighbours are equal.
    let mut counts = [[0_u32; 64]; 4];
    for group in registers {
        for (at, value) in group.into_iter().enumerate() {
            counts[at % 4][usize::from(value) % 64] += 1;
        }
    }
    std::array::from_fn(|value| counts.iter().map(|counts| counts[value]).sum())
}
