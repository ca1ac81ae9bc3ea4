//! The tuple of some elements of a key.

use std::ops::Range;

use super::decode::{descriptors, element, element_words};
use super::{ARITY_BITS, DESCRIPTOR_BITS, DESCRIPTOR_MASK, Element, MAX_ARITY};

/// The words of the tuple of the elements at these places of a key, whose words these are.
///
/// # Panics
/// If the key has no such element.
pub(crate) fn projection(words: &[u64], places: &[usize]) -> Vec<u64> {
    let mut projected = Vec::with_capacity(words.len());
    Parts::of(words).project(places, &mut projected);
    projected
}

/// Where the elements of a key lie among its words, to read some of them and to copy them into the key of a group.
pub(crate) struct Parts<'w> {
    words: &'w [u64],
    /// Where each one ends. The first one begins behind the header.
    ends: [u32; MAX_ARITY],
}

impl<'w> Parts<'w> {
    /// Of a key whose words these are.
    #[inline(always)]
    pub(crate) fn of(words: &'w [u64]) -> Self {
        let mut ends = [0; MAX_ARITY];
        let mut end = 1;
        for (place, descriptor) in ends.iter_mut().zip(descriptors(words[0])) {
            end += element_words(descriptor, || words[end]);
            *place = end as u32;
        }
        Self { words, ends }
    }

    /// The element at a place that the key has.
    #[inline(always)]
    pub(crate) fn element(&self, place: usize) -> Element<'w> {
        element(self.descriptor(place), &self.words[self.range(place)])
    }

    /// Writes the words of the tuple of the elements at these places, at most [`MAX_ARITY`]; of none, those of an empty one, which
    /// is no key.
    #[inline(always)]
    pub(crate) fn project(&self, places: &[usize], into: &mut Vec<u64>) {
        into.clear();
        into.push(0);
        let mut header = places.len() as u64;
        for (at, place) in places.iter().enumerate() {
            header |= self.descriptor(*place) << (ARITY_BITS + at as u32 * DESCRIPTOR_BITS);
            into.extend_from_slice(&self.words[self.range(*place)]);
        }
        into[0] = header;
    }

    #[inline(always)]
    fn descriptor(&self, place: usize) -> u64 {
        self.words[0] >> (ARITY_BITS + place as u32 * DESCRIPTOR_BITS) & DESCRIPTOR_MASK
    }

    #[inline(always)]
    fn range(&self, place: usize) -> Range<usize> {
        let begin = if place == 0 { 1 } else { self.ends[place - 1] as usize };
        begin..self.ends[place] as usize
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::key::MAX_BYTES;
    use crate::key::encode::append_words;

    #[test]
    fn a_projection_is_the_tuple_of_the_elements_at_its_places() {
        let long = vec![7; MAX_BYTES];
        let elements = [
            Element::Integer(-1),
            Element::Bytes(b""),
            Element::Bytes(b"a binary of thirty bytes......"),
            Element::Bytes(&long),
            Element::Atom(11),
            Element::Bytes(&long[..31]),
            Element::Integer(i64::MIN),
            Element::Bytes(b"us"),
        ];
        let words_of = |elements: &[Element<'_>]| {
            let mut words = Vec::new();
            append_words(true, elements, &mut words);
            words
        };
        let key = words_of(&elements);
        let places: [&[usize]; 7] = [&[0], &[1], &[7, 0], &[3], &[2, 5, 4], &[0, 1, 2, 3, 4, 5, 6, 7], &[3, 3]];
        for places in places {
            let expected = words_of(&places.iter().map(|place| elements[*place]).collect::<Vec<_>>());
            assert_eq!(projection(&key, places), expected);
            let mut projected = vec![1, 2, 3];
            Parts::of(&key).project(places, &mut projected);
            assert_eq!(projected, expected);
        }
        let parts = Parts::of(&key);
        assert_eq!(std::array::from_fn(|place| parts.element(place)), elements);
        // What is grouped by nothing is one group.
        let mut empty = vec![7];
        parts.project(&[], &mut empty);
        assert_eq!(empty, [0]);
    }
}
