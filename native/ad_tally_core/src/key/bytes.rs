//! Keys as bytes, for exports: the same in every VM.
//!
//! ```text
//! 1 byte     arity: 0 for a bare element, 1 to 8 for a tuple
//! then for every element
//!   1 byte   kind: 0 integer, 1 bytes, 2 atom
//!   integer  8 bytes, two's complement
//!   bytes    4 bytes, the length, at most 65,536, then as many bytes
//!   atom     2 bytes, the length of its text, at most 1,020 (255 characters), then the text in UTF-8
//! ```
//!
//! Numbers are little-endian. Every key has one form only.

use std::borrow::Cow;

use super::encode::append_words;
use super::{Element, KIND_ATOM, KIND_BYTES, KIND_INTEGER, KeyRef, MAX_ARITY, MAX_BYTES};

/// The most bytes of an atom's text: 255 characters of four bytes.
const MAX_ATOM_BYTES: usize = 1_020;

/// Atoms by the hash of their text, and back.
pub trait AtomNames {
    /// The text of the atom with this hash, if it is known.
    fn text(&self, hash: u64) -> Option<Cow<'_, str>>;

    /// [`atom_hash`](super::atom_hash) of the text of an atom, which is known by it from now on.
    ///
    /// # Errors
    /// Why there is to be no such atom.
    fn atom(&mut self, text: &str) -> Result<u64, AtomFault>;
}

/// Why a text is not made an atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AtomFault {
    /// It has more than 255 characters.
    #[error("an atom has at most 255 characters")]
    Length,
    /// Its text has the hash of another atom's.
    #[error("its text has the hash of another atom that keys have")]
    Collision,
    /// There would be more new atoms than may be made at once.
    #[error("it and others are not yet atoms of this VM, and at most {0} are made at once")]
    TooMany(usize),
}

/// Where and why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the key: {fault}")]
pub struct KeyBytesError {
    /// The first byte of what is wrong.
    pub at: usize,
    /// What is wrong.
    pub fault: KeyBytesFault,
}

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyBytesFault {
    /// They end too early.
    #[error("the bytes end here, and {0} more are needed")]
    End(usize),
    /// An arity that no key has.
    #[error("an arity is 0 to 8, not {0}")]
    Arity(u8),
    /// A kind that no element has.
    #[error("a kind is 0, 1 or 2, not {0}")]
    Kind(u8),
    /// A length that no binary in a key has.
    #[error("a binary has at most 65536 bytes, not {0}")]
    BinaryLength(u32),
    /// A length that no atom has.
    #[error("an atom's text has at most 1020 bytes, not {0}")]
    AtomLength(u16),
    /// A text that is not UTF-8.
    #[error("an atom's text is not UTF-8")]
    Utf8,
    /// A text that is not made an atom.
    #[error("an atom: {0}")]
    Atom(AtomFault),
}

/// Appends the bytes of a key whose words these are.
///
/// # Errors
/// The hash of an atom whose text is not known. Nothing was appended then.
pub fn encode_key(words: &[u64], atoms: &impl AtomNames, out: &mut Vec<u8>) -> Result<(), u64> {
    let (key, begin) = (KeyRef::new(words), out.len());
    out.push(key.arity().unwrap_or(0) as u8);
    for element in key.elements() {
        match element {
            Element::Integer(value) => {
                out.push(KIND_INTEGER as u8);
                out.extend(value.to_le_bytes());
            }
            Element::Bytes(bytes) => {
                out.push(KIND_BYTES as u8);
                out.extend((bytes.len() as u32).to_le_bytes());
                out.extend(bytes);
            }
            Element::Atom(hash) => {
                let Some(text) = atoms.text(hash) else {
                    out.truncate(begin);
                    return Err(hash);
                };
                out.push(KIND_ATOM as u8);
                out.extend((text.len() as u16).to_le_bytes());
                out.extend(text.as_bytes());
            }
        }
    }
    Ok(())
}

/// Reads the key that bytes begin with into `words`, whatever they had before: how many bytes it has.
///
/// # Errors
/// Where and why there is none. `words` are as before then, but atoms may have been made.
pub fn decode_key(bytes: &[u8], atoms: &mut impl AtomNames, words: &mut Vec<u64>) -> Result<usize, KeyBytesError> {
    let mut input = Input { bytes, at: 0 };
    let [arity] = input.array()?;
    if usize::from(arity) > MAX_ARITY {
        return Err(KeyBytesFault::Arity(arity).at(0));
    }
    let mut elements = [Element::Integer(0); MAX_ARITY];
    let elements = &mut elements[..usize::from(arity.max(1))];
    for element in elements.iter_mut() {
        *element = input.element(atoms)?;
    }
    words.clear();
    append_words(arity > 0, elements, words);
    Ok(input.at)
}

/// Bytes that are read from the front.
struct Input<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Input<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], KeyBytesError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| KeyBytesFault::End(count - rest.len()).at(self.bytes.len()))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], KeyBytesError> {
        self.take(COUNT).map(|taken| taken.try_into().unwrap_or_else(|_| unreachable!("so many were taken")))
    }

    fn element(&mut self, atoms: &mut impl AtomNames) -> Result<Element<'b>, KeyBytesError> {
        let at = self.at;
        let [kind] = self.array()?;
        match u64::from(kind) {
            KIND_INTEGER => Ok(Element::Integer(i64::from_le_bytes(self.array()?))),
            KIND_BYTES => {
                let length = u32::from_le_bytes(self.array()?);
                if length as usize > MAX_BYTES {
                    return Err(KeyBytesFault::BinaryLength(length).at(at + 1));
                }
                self.take(length as usize).map(Element::Bytes)
            }
            KIND_ATOM => {
                let length = u16::from_le_bytes(self.array()?);
                if usize::from(length) > MAX_ATOM_BYTES {
                    return Err(KeyBytesFault::AtomLength(length).at(at + 1));
                }
                let text = self.take(length.into())?;
                let text = std::str::from_utf8(text).map_err(|_| KeyBytesFault::Utf8.at(at + 3))?;
                let atom = atoms.atom(text).map_err(|fault| KeyBytesFault::Atom(fault).at(at + 3))?;
                Ok(Element::Atom(atom))
            }
            _ => Err(KeyBytesFault::Kind(kind).at(at)),
        }
    }
}

impl KeyBytesFault {
    fn at(self, at: usize) -> KeyBytesError {
        KeyBytesError { at, fault: self }
    }
}
