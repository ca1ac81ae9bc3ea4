//! Keys: what is counted. An integer, a string of bytes, an atom, or a flat tuple of one to eight of those.
//!
//! A key is kept as 64-bit words that mean the same in every VM, on every machine. Words are written, hashed and compared
//! without the partial reads and store-forwarding stalls that a byte encoding costs (6 of 52 ns an event, measured through
//! the NIF).
//!
//! ```text
//! word 0, the header
//!   bits 0..4    arity: 0 for a bare element, 1 to 8 for a tuple
//!   bits 4..60   one descriptor of 7 bits an element, the first one lowest:
//!                  bits 0..2  kind: 0 integer, 1 bytes, 2 atom
//!                  bits 2..7  bytes only: the length, or 31 when it is 31 or more and a word of its own
//! then for every element
//!   integer    one word, two's complement
//!   atom       one word, the hash of its text: [`atom_hash`]
//!   bytes      [the length, if 31 or more], then ceil(length / 8) words, little-endian, the last one filled up with zeros
//! ```
//!
//! Lengths precede what they measure, so no key's words are the beginning of another's, and equal words mean equal keys.
//!
//! * `encode`: the writer of words; `decode`: their reader; `project`: the tuple of some elements of a key
//! * `hash`: the hash of words under a table's seed, and which of its bits serves what
//! * `bytes`: keys as bytes, for exports

mod bytes;
mod decode;
mod encode;
mod hash;
mod project;

pub use self::bytes::{AtomFault, AtomNames, KeyBytesError, KeyBytesFault, decode_key, encode_key};
pub(crate) use self::decode::length_in_words;
pub use self::decode::{Element, KeyRef, is_key};
pub use self::encode::{KeyWriter, integer_words};
pub use self::hash::{Domain, HashedKey, Seed, atom_hash, id_hash};
pub(crate) use self::hash::{bits, fixed_hash};
pub(crate) use self::project::{Parts, projection};

/// The most elements a tuple key has.
pub const MAX_ARITY: usize = 8;
/// The most bytes a binary in a key has.
pub const MAX_BYTES: usize = 65_536;
/// Bytes of a binary that is not long. A UUID in text has 36.
pub const SHORT_BYTES: usize = 64;
/// Words that any key without long binaries fits in: the header and eight elements of that many bytes, and their lengths.
pub const SHORT_KEY_WORDS: usize = 1 + MAX_ARITY * (1 + SHORT_BYTES / size_of::<u64>());
/// Words that any key fits in.
pub const MAX_KEY_WORDS: usize = 1 + MAX_ARITY * (1 + MAX_BYTES / size_of::<u64>());

const ARITY_BITS: u32 = 4;
const ARITY_MASK: u64 = (1 << ARITY_BITS) - 1;
const DESCRIPTOR_BITS: u32 = 7;
const DESCRIPTOR_MASK: u64 = (1 << DESCRIPTOR_BITS) - 1;
const KIND_MASK: u64 = 0b11;
const KIND_INTEGER: u64 = 0;
const KIND_BYTES: u64 = 1;
const KIND_ATOM: u64 = 2;
const LENGTH_SHIFT: u32 = 2;
/// Lengths from here on have a word of their own.
const LONG: usize = 31;

/// Why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It, or an element of it, is of another type.
    #[error("it is of another type")]
    Type,
    /// A tuple that is empty or too long.
    #[error("a tuple key has one to eight elements, this one has {0}")]
    Arity(usize),
    /// A binary that is too long.
    #[error("a binary in a key has at most 65536 bytes, this one has {0}")]
    BinaryLength(usize),
    /// It, or an element of it, is `nil` or `""` where that says nothing: why not.
    #[error("{0}")]
    Empty(&'static str),
    /// An atom whose text has the hash of another's.
    #[error("an atom of it has the hash of another atom that keys have: write it as a binary")]
    AtomCollision,
    /// There was too little room for it: start again with this many words.
    #[error("it needs {0} words")]
    Room(usize),
}
