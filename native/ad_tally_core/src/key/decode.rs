//! The reader of a key's words.

use super::{
    ARITY_BITS, ARITY_MASK, DESCRIPTOR_BITS, DESCRIPTOR_MASK, KIND_ATOM, KIND_BYTES, KIND_INTEGER, KIND_MASK,
    LENGTH_SHIFT, LONG, MAX_ARITY, MAX_BYTES,
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

    /// The one element of a key that is no tuple.
    #[must_use]
    pub fn bare(self) -> Option<Element<'a>> {
        if self.arity().is_none() { self.elements().next() } else { None }
    }

    /// The elements in order.
    pub fn elements(self) -> impl Iterator<Item = Element<'a>> {
        let mut rest = &self.words[1..];
        descriptors(self.words[0]).map(move |descriptor| {
            let (words, behind) = rest.split_at(element_words(descriptor, || rest[0]));
            rest = behind;
            element(descriptor, words)
        })
    }
}

/// The element of that descriptor, whose words these are.
#[inline(always)]
pub(super) fn element(descriptor: u64, words: &[u64]) -> Element<'_> {
    match (descriptor & KIND_MASK, (descriptor >> LENGTH_SHIFT) as usize) {
        (KIND_INTEGER, _) => Element::Integer(words[0] as i64),
        (KIND_ATOM, _) => Element::Atom(words[0]),
        (_, LONG) => Element::Bytes(&bytemuck::cast_slice(&words[1..])[..words[0] as usize]),
        (_, short) => Element::Bytes(&bytemuck::cast_slice(words)[..short]),
    }
}

/// A header's descriptors in the order of the elements.
#[inline(always)]
pub(super) fn descriptors(header: u64) -> impl Iterator<Item = u64> {
    let elements = (header & ARITY_MASK).max(1) as u32;
    (0..elements).map(move |at| header >> (ARITY_BITS + at * DESCRIPTOR_BITS) & DESCRIPTOR_MASK)
}

/// How many words the element of that descriptor has, the first of which is `first()`.
#[inline(always)]
pub(super) fn element_words(descriptor: u64, first: impl FnOnce() -> u64) -> usize {
    match (descriptor & KIND_MASK, (descriptor >> LENGTH_SHIFT) as usize) {
        (KIND_BYTES, LONG) => 1 + (first() as usize).div_ceil(8),
        (KIND_BYTES, short) => short.div_ceil(8),
        _ => 1,
    }
}

/// Whether words from outside are the words of a key: those that a [`KeyWriter`](super::KeyWriter) writes, to the bit.
#[must_use]
pub fn is_key(words: &[u64]) -> bool {
    let Some((header, mut rest)) = words.split_first() else { return false };
    let elements = (header & ARITY_MASK).max(1) as usize;
    if elements > MAX_ARITY || header >> (ARITY_BITS + elements as u32 * DESCRIPTOR_BITS) != 0 {
        return false;
    }
    for descriptor in descriptors(*header) {
        let length = (descriptor >> LENGTH_SHIFT) as usize;
        let bytes = match (descriptor & KIND_MASK, length) {
            (KIND_INTEGER | KIND_ATOM, 0) => size_of::<u64>(),
            (KIND_BYTES, LONG) => {
                let Some((length, behind)) = rest.split_first() else { return false };
                rest = behind;
                match usize::try_from(*length) {
                    Ok(length @ LONG..=MAX_BYTES) => length,
                    _ => return false,
                }
            }
            (KIND_BYTES, length) => length,
            _ => return false,
        };
        let Some((own, behind)) = rest.split_at_checked(bytes.div_ceil(size_of::<u64>())) else { return false };
        let filled_up = own.last().filter(|_| bytes % 8 > 0).is_some_and(|last| last >> (8 * (bytes % 8)) != 0);
        if filled_up {
            return false;
        }
        rest = behind;
    }
    rest.is_empty()
}

/// How many words the key has whose word `i` is `word(i)`: it reads the header and the lengths only.
pub(crate) fn length_in_words(word: impl Fn(usize) -> u64) -> usize {
    descriptors(word(0)).fold(1, |length, descriptor| length + element_words(descriptor, || word(length)))
}
