//! The token of a reservation: what a caller keeps to confirm or release it.
//!
//! ```text
//! word 0   bits  0..8    version of this layout
//!          bits  8..32   the node that has the reservation: 24 bits of its name's hash
//!          bits 32..64   how long before it expires it was made, in milliseconds, at most 49 days
//! word 1   hash of the campaign's key
//! word 2   hash of the reservation: of campaign and request
//! word 3   amount, in micros
//! word 4   when it expires, in Unix milliseconds
//! word 5   the pair of a frequency cap that was counted with it, or 0
//! word 6   check: a hash of the other words under the pacer's seed
//! ```
//!
//! It is as long as is needed to find the reservation and, after a crash that has lost it, to book its price all the same. The
//! check is no signature: it finds bytes that are no token of this pacer.

use crate::key::{Domain, Seed};

/// Words of a token.
pub const TOKEN_WORDS: usize = 7;
/// Bytes of a token.
pub const TOKEN_BYTES: usize = 8 * TOKEN_WORDS;

const VERSION: u64 = 1;
const VERSION_MASK: u64 = 0xff;
const NODE_SHIFT: u32 = 8;
const NODE_MASK: u64 = 0xff_ffff;
const AGE_SHIFT: u32 = 32;

/// A reservation, as its caller knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    words: [u64; TOKEN_WORDS],
}

/// What a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The hash of the node's name.
    pub node: u64,
    /// The hash of the campaign's key.
    pub campaign: u64,
    /// The hash of the reservation, by which it is found.
    pub reservation: u64,
    /// In micros.
    pub amount: u64,
    /// When it is made, in Unix milliseconds.
    pub at: u64,
    /// When it expires, in Unix milliseconds.
    pub expires: u64,
    /// The pair of a frequency cap that is counted with it, or 0.
    pub pair: u64,
}

/// The node of a name's hash, as tokens have it.
#[must_use]
pub fn node_of(name: u64) -> u64 {
    name & NODE_MASK
}

impl Token {
    /// The token of a reservation.
    #[inline(always)]
    #[must_use]
    pub fn new(parts: &Parts, seed: &Seed) -> Self {
        let age = parts.expires.saturating_sub(parts.at).min(u64::from(u32::MAX));
        let first = VERSION | node_of(parts.node) << NODE_SHIFT | age << AGE_SHIFT;
        let words = [first, parts.campaign, parts.reservation, parts.amount, parts.expires, parts.pair, 0];
        let mut token = Self { words };
        token.words[TOKEN_WORDS - 1] = token.check(seed);
        token
    }

    #[inline(always)]
    fn check(&self, seed: &Seed) -> u64 {
        seed.hash(Domain::Token, &self.words[..TOKEN_WORDS - 1])
    }

    /// Whether it is one of the pacer with that seed.
    #[inline(always)]
    #[must_use]
    pub fn is_of(&self, seed: &Seed) -> bool {
        self.words[0] & VERSION_MASK == VERSION && self.words[TOKEN_WORDS - 1] == self.check(seed)
    }

    /// The pair of a frequency cap that was counted with the reservation, or 0.
    #[must_use]
    pub fn pair(&self) -> u64 {
        self.words[5]
    }

    /// The node that has the reservation: [`node_of`] its name's hash.
    #[inline(always)]
    #[must_use]
    pub fn node(&self) -> u64 {
        self.words[0] >> NODE_SHIFT & NODE_MASK
    }

    /// The hash of the campaign's key.
    #[inline(always)]
    #[must_use]
    pub fn campaign(&self) -> u64 {
        self.words[1]
    }

    /// The hash of the reservation, by which it is found.
    #[inline(always)]
    #[must_use]
    pub fn reservation(&self) -> u64 {
        self.words[2]
    }

    /// What was reserved, in micros.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.words[3]
    }

    /// When it was made, in Unix milliseconds. Of a time more than 49 days before it expires, that long before.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.expires().saturating_sub(self.words[0] >> AGE_SHIFT)
    }

    /// When it expires, in Unix milliseconds.
    #[inline(always)]
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.words[4]
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        bytes.copy_from_slice(bytemuck::cast_slice(&self.words));
        bytes
    }

    /// What may be a token: whether it is one says [`Token::is_of`]. `None` for bytes of another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // Little-endian, because the target is: see lib.rs.
        let (words, rest) = bytes.as_chunks::<8>();
        let words: &[_; TOKEN_WORDS] = words.try_into().ok()?;
        rest.is_empty().then(|| Self { words: words.map(u64::from_le_bytes) })
    }
}
