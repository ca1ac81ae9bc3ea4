//! The order of values, and words by which most of them are compared.
//!
//! ```text
//! rank of a value   bits 62..64  integer, atom, binary
//!                   integer      bits 0..62   the value, or the nearest that there is room for
//!                   text         bits 6..62   its first seven bytes, filled up with zeros
//!                                bits 0..6    how many bytes it has, at most eight
//! ```

use std::cmp::Ordering;
use std::collections::HashMap;

use ahash::RandomState;

use crate::key::Element;

/// A word that is less than that of another value only if the value is, and equal only if both are exact or neither is.
#[derive(Clone, Copy)]
pub(super) struct Rank {
    pub(super) word: u64,
    /// Whether no other value has it.
    pub(super) is_exact: bool,
}

const KIND_SHIFT: u32 = 62;
const TEXT_SHIFT: u32 = 6;
const TEXT_BYTES: usize = 7;
/// Integers from -that to just below that have room.
const ROOM: i64 = 1 << (KIND_SHIFT - 1);

impl Rank {
    /// Of what has no values.
    pub(super) const NOTHING: Self = Self { word: 0, is_exact: true };

    fn of_integer(value: i64) -> Self {
        let word = (value.clamp(-ROOM, ROOM - 1) + ROOM) as u64;
        Self { word, is_exact: (1 - ROOM..ROOM - 1).contains(&value) }
    }

    fn of_text(kind: u64, text: &[u8]) -> Self {
        let mut first = [0; 8];
        let count = text.len().min(TEXT_BYTES);
        first[1..=count].copy_from_slice(&text[..count]);
        let length = text.len().min(TEXT_BYTES + 1);
        let word = kind << KIND_SHIFT | u64::from_be_bytes(first) << TEXT_SHIFT | length as u64;
        Self { word, is_exact: length <= TEXT_BYTES }
    }
}

/// The rank of a sum among others, the largest first.
pub(super) fn rank_of_sum(sum: i128) -> Rank {
    let near = sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    let is_exact = near != i64::MIN && near != i64::MAX;
    Rank { word: !(near as u64 ^ 1 << 63), is_exact }
}

/// The texts of atoms, by their hashes.
#[derive(Default)]
pub(super) struct Texts(HashMap<u64, Box<str>, RandomState>);

impl Texts {
    /// Has an atom be among them.
    pub(super) fn add(&mut self, hash: u64, text: impl Fn(u64) -> String) {
        self.0.entry(hash).or_insert_with(|| text(hash).into());
    }

    fn of(&self, hash: u64) -> &[u8] {
        self.0[&hash].as_bytes()
    }

    /// The rank of a value; an atom is among them.
    pub(super) fn rank(&self, value: Element<'_>) -> Rank {
        match value {
            Element::Integer(value) => Rank::of_integer(value),
            Element::Atom(hash) => Rank::of_text(1, self.of(hash)),
            Element::Bytes(bytes) => Rank::of_text(2, bytes),
        }
    }

    /// Which of two values comes first, as Erlang orders them; atoms are among them.
    pub(super) fn compare(&self, one: Element<'_>, other: Element<'_>) -> Ordering {
        let kind = |value| match value {
            Element::Integer(_) => 0,
            Element::Atom(_) => 1,
            Element::Bytes(_) => 2,
        };
        match (one, other) {
            (Element::Integer(one), Element::Integer(other)) => one.cmp(&other),
            (Element::Atom(one), Element::Atom(other)) => self.of(one).cmp(self.of(other)),
            (Element::Bytes(one), Element::Bytes(other)) => one.cmp(other),
            _ => kind(one).cmp(&kind(other)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_in_the_order_of_what_they_are_of() {
        let mut texts = Texts::default();
        let names = ["", "a", "a\0", "abcdefg", "abcdefgh", "abcdefgi", "ab", "\u{e4}", "\u{1f600}"];
        (0..).zip(names).for_each(|(hash, name)| texts.add(hash, |_| name.into()));
        let integers = [i64::MIN, 1 - i64::MAX, -ROOM - 1, -ROOM, 1 - ROOM, 2 - ROOM, -1, 0, 1, 7, i64::MAX];
        let near = [ROOM - 3, ROOM - 2, ROOM - 1, ROOM, ROOM + 1];
        let long = [b'x'; 70];
        let bytes: [&[u8]; 9] = [b"", b"\0", b"\0\0", b"a", b"abcdefg", b"abcdefg\0", b"abcdefgh", &[255; 9], &long];
        let values: Vec<Element<'_>> = (integers.into_iter().chain(near).map(Element::Integer))
            .chain((0..names.len() as u64).map(Element::Atom))
            .chain(bytes.map(Element::Bytes))
            .collect();
        for one in &values {
            for other in &values {
                let (ranks, order) = ([one, other].map(|value| texts.rank(*value)), texts.compare(*one, *other));
                assert_eq!(order.is_eq(), one == other);
                let by_rank = ranks[0].word.cmp(&ranks[1].word);
                assert!(by_rank == order || by_rank.is_eq(), "{one:?} and {other:?}");
                if by_rank.is_eq() {
                    assert_eq!(ranks[0].is_exact, ranks[1].is_exact);
                    assert!(order.is_eq() || !ranks[0].is_exact, "{one:?} and {other:?}");
                }
            }
        }
    }

    #[test]
    fn ranks_of_sums_are_from_the_largest_to_the_smallest() {
        let sums = [i128::MAX, i128::from(i64::MAX) + 1, i64::MAX.into(), 5, 0, -1, i64::MIN.into(), i128::MIN];
        for (at, one) in sums.iter().enumerate() {
            for other in &sums[at + 1..] {
                let (one, other) = (rank_of_sum(*one), rank_of_sum(*other));
                assert!(one.word < other.word || one.word == other.word && !one.is_exact && !other.is_exact);
            }
        }
    }
}
