//! What a sketch keeps of a user, as Apache DataSketches defines it.
//!
//! ```text
//! coupon, 32 bits
//!   bits 0..26   the low bits of the hash's first half: a sketch of precision p uses the lowest p to choose a register
//!   bits 26..32  leading zeros of the second half, plus one: 1 to 63, what that register is raised to
//! ```
//!
//! A coupon does not depend on the precision, so sketches of different precision can be united: the registers of the
//! coarser one are maxima over registers of the finer one.

use std::hash::Hasher;
use std::num::NonZeroU32;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::sketch::murmur::{murmur3_128, murmur3_128_of_integer};

/// The seed that all DataSketches writers use.
const SEED: u64 = 9001;
const SLOT_BITS: u32 = 26;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;
/// Leading zeros that are counted at most, so that a value fits into six bits.
const MOST_ZEROS: u32 = 62;

/// What a user is in a sketch. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coupon(NonZeroU32);

impl Coupon {
    /// No value is above that.
    pub const LARGEST: u8 = MOST_ZEROS as u8 + 1;

    /// The coupon of an integer: of its 8 little-endian bytes.
    #[inline(always)]
    #[must_use]
    pub fn of_integer(value: u64, secret: Option<&Secret>) -> Self {
        match secret {
            None => Self::from_hash(murmur3_128_of_integer(value, SEED)),
            Some(secret) => Self::from_hash(murmur3_128(&secret.hide(&value.to_le_bytes()), SEED)),
        }
    }

    /// The coupon of bytes.
    #[inline]
    #[must_use]
    pub fn of_bytes(bytes: &[u8], secret: Option<&Secret>) -> Self {
        match secret {
            None => Self::from_hash(murmur3_128(bytes, SEED)),
            Some(secret) => Self::from_hash(murmur3_128(&secret.hide(bytes), SEED)),
        }
    }

    #[inline(always)]
    fn from_hash([first, second]: [u64; 2]) -> Self {
        let value = second.leading_zeros().min(MOST_ZEROS) + 1;
        let word = value << SLOT_BITS | first as u32 & SLOT_MASK;
        Self(NonZeroU32::new(word).unwrap_or_else(|| unreachable!("its value is 1 at least")))
    }

    /// The coupon that a word from outside is, if it is one.
    #[must_use]
    pub fn from_word(word: u32) -> Option<Self> {
        NonZeroU32::new(word).filter(|word| word.get() >> SLOT_BITS != 0).map(Self)
    }

    /// The coupon as a word.
    #[inline(always)]
    #[must_use]
    pub fn word(self) -> u32 {
        self.0.get()
    }

    /// The register it belongs to, of `count`, a power of two.
    #[inline(always)]
    #[must_use]
    pub fn register(self, count: usize) -> usize {
        (self.word() & SLOT_MASK) as usize & (count - 1)
    }

    /// What it raises that register to, 1 to 63.
    #[inline(always)]
    #[must_use]
    pub fn value(self) -> u8 {
        (self.word() >> SLOT_BITS) as u8
    }
}

/// What users are hidden behind, so that nobody who does not know it can choose users whose coupons are large, which
/// inflates an estimate (Reviriego, Adell and Ting, arXiv 2011.10355), or small, which holds it down (Paterson and Raynal,
/// ePrint 2021/1139): a user goes through SipHash-2-4-128 under it before anything else.
#[derive(Clone)]
pub struct Secret {
    key: [u8; 16],
    check: u64,
}

impl Secret {
    /// Users hidden under a key of 16 bytes, which should be random.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        let hidden = hide(&key, &[]);
        let check = hidden.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self { key, check }
    }

    /// A number that tells secrets apart and does not tell the secret: the first half of the hash of no bytes at all,
    /// which no user has.
    #[must_use]
    pub fn check(&self) -> u64 {
        self.check
    }

    fn hide(&self, bytes: &[u8]) -> [u8; 16] {
        hide(&self.key, bytes)
    }
}

/// Does not show the key.
impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Secret").field("check", &self.check).finish_non_exhaustive()
    }
}

fn hide(key: &[u8; 16], bytes: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish128().as_bytes()
}
