//! The tuple of some elements of a key.

use super::encode::with_words;
use super::{Element, HashedKey, KeyRef, MAX_ARITY, Seed};

/// Does something with the tuple of the elements at these places of a key, whose words these are.
///
/// # Panics
/// If the key has no such element, or they are none or more than a tuple has.
pub(crate) fn with_projection<R>(
    words: &[u64],
    places: &[usize],
    seed: &Seed,
    act: impl FnOnce(HashedKey<'_>) -> R,
) -> R {
    let (mut elements, mut chosen) = ([None; MAX_ARITY], [Element::Integer(0); MAX_ARITY]);
    for (place, element) in elements.iter_mut().zip(KeyRef::new(words).elements()) {
        *place = Some(element);
    }
    for (place, element) in places.iter().zip(&mut chosen) {
        *element = elements[*place].unwrap_or_else(|| unreachable!("the key has that element"));
    }
    with_words(true, &chosen[..places.len()], |words| act(seed.key(words)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::key::MAX_BYTES;

    #[test]
    fn a_projection_is_the_tuple_of_the_elements_at_its_places() {
        let (seed, long) = (Seed::random(), vec![7; MAX_BYTES]);
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
        let words_of = |elements: &[Element<'_>]| with_words(true, elements, <[u64]>::to_vec);
        let key = words_of(&elements);
        let places: [&[usize]; 7] = [&[0], &[1], &[7, 0], &[3], &[2, 5, 4], &[0, 1, 2, 3, 4, 5, 6, 7], &[3, 3]];
        for places in places {
            let expected = words_of(&places.iter().map(|place| elements[*place]).collect::<Vec<_>>());
            let hash = seed.key(&expected).hash;
            with_projection(&key, places, &seed, |key| assert_eq!((key.hash, key.words), (hash, &*expected)));
        }
    }
}
