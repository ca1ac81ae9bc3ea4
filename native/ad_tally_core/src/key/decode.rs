//! The reader of a key's words.

use super::{
    ARITY_BITS, ARITY_MASK, DESCRIPTOR_BITS, DESCRIPTOR_MASK, KIND_ATOM, KIND_BYTES, KIND_INTEGER, KIND_MASK,
    LENGTH_SHIFT, LONG,
};

/// One element of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'a> {
    /// A signed 64-bit integer.
    Integer(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An atom, by [`atom_hash`](super::atom_hash) of its text.
    Atom(u64),
}

/// A key read back from its words.
#[derive(Debug, Clone, Copy)]
pub struct KeyRef<'a> {
    words: &'a [u64],
}

impl<'a> KeyRef<'a> {
    /// A view of words that a [`KeyWriter`](super::KeyWriter) wrote.
    #[must_use]
    pub fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// The words.
    #[must_use]
    pub fn words(self) -> &'a [u64] {
        self.words
    }

    /// `None` for a bare element, the number of elements for a tuple.
    #[must_use]
    pub fn arity(self) -> Option<usize> {
        match (self.words[0] & ARITY_MASK) as usize {
            0 => None,
            arity => Some(arity),
        }
    }

    /// The elements in order.
    pub fn elements(self) -> impl Iterator<Item = Element<'a>> {
        let mut rest = &self.words[1..];
        descriptors(self.words[0]).map(move |descriptor| match descriptor & KIND_MASK {
            KIND_INTEGER => Element::Integer(take(&mut rest, 1)[0] as i64),
            KIND_ATOM => Element::Atom(take(&mut rest, 1)[0]),
            _ => {
                let length = match (descriptor >> LENGTH_SHIFT) as usize {
                    LONG => take(&mut rest, 1)[0] as usize,
                    short => short,
                };
                Element::Bytes(&bytemuck::cast_slice(take(&mut rest, length.div_ceil(8)))[..length])
            }
        })
    }
}

fn take<'a>(words: &mut &'a [u64], count: usize) -> &'a [u64] {
    let (taken, rest) = words.split_at(count);
    *words = rest;
    taken
}

/// A header's descriptors in the order of the elements.
fn descriptors(header: u64) -> impl Iterator<Item = u64> {
    let elements = (header & ARITY_MASK).max(1) as u32;
    (0..elements).map(move |at| header >> (ARITY_BITS + at * DESCRIPTOR_BITS) & DESCRIPTOR_MASK)
}

/// How many words the key has whose word `i` is `word(i)`: it reads the header and the lengths only.
pub(crate) fn length_in_words(word: impl Fn(usize) -> u64) -> usize {
    descriptors(word(0)).fold(1, |length, descriptor| {
        length
            + match (descriptor & KIND_MASK, (descriptor >> LENGTH_SHIFT) as usize) {
                (KIND_BYTES, LONG) => 1 + (word(length) as usize).div_ceil(8),
                (KIND_BYTES, short) => short.div_ceil(8),
                _ => 1,
            }
    })
}
