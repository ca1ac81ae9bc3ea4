//! The order of values, and words in the same order.
//!
//! ```text
//! values      as many words as each of them takes, one behind the other
//! a word      bits 62..64  integer, atom, binary
//!   integer   bits 0..62   the value, if there is room for it; or the nearest with room, and the value in a second word
//!   text      bits 6..62   the first seven bytes, filled up with zeros
//!             bits 0..6    how many those are, or eight if more bytes come in words of their own
//! sum         the 64-bit integer that is nearest, from the largest to the smallest; of one that is none nothing comes behind it
//! ```
//!
//! So no value's words are the beginning of another's, and the words of two groups are in the order that the groups are in.

use std::cmp::Ordering;
use std::collections::HashMap;

use ahash::RandomState;

use crate::key::Element;

/// Words that a group is compared by first: as many as an integer and a text of twenty bytes have. Of a million groups with texts
/// that begin alike, two words had nearly all compared whole, which took 1.25 s.
pub(super) const WORDS: usize = 4;

const KIND_SHIFT: u32 = 62;
const TEXT_SHIFT: u32 = 6;
const TEXT_BYTES: usize = 7;
/// Integers from just above -that to just below that have room.
const ROOM: i64 = 1 << (KIND_SHIFT - 1);

/// The first words of a group.
#[derive(Default)]
pub(super) struct Words {
    words: [u64; WORDS],
    count: usize,
}

impl Words {
    /// Those there are, filled up with zeros.
    pub(super) fn first(self) -> [u64; WORDS] {
        self.words
    }

    fn put(&mut self, word: u64) {
        if let Some(place) = self.words.get_mut(self.count) {
            *place = word;
        }
        self.count += 1;
    }

    /// Appends a sum, of which the largest comes first.
    pub(super) fn push_sum(&mut self, sum: i128) {
        let near = sum.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        self.put(!ordered(near));
        if near == i64::MIN || near == i64::MAX {
            self.count = WORDS;
        }
    }

    /// Appends a value; an atom is among the texts.
    pub(super) fn push(&mut self, value: Element<'_>, texts: &Texts) {
        match value {
            Element::Integer(value) => self.push_integer(value),
            Element::Atom(hash) => self.push_text(1, texts.of(hash)),
            Element::Bytes(bytes) => self.push_text(2, bytes),
        }
    }

    fn push_integer(&mut self, value: i64) {
        self.put((value.clamp(-ROOM, ROOM - 1) + ROOM) as u64);
        if !(1 - ROOM..ROOM - 1).contains(&value) {
            self.put(ordered(value));
        }
    }

    fn push_text(&mut self, kind: u64, mut text: &[u8]) {
        loop {
            let count = text.len().min(TEXT_BYTES);
            let (chunk, rest) = text.split_at(count);
            let mut bytes = [0; 8];
            bytes[1..=count].copy_from_slice(chunk);
            let length = count + usize::from(!rest.is_empty());
            self.put(kind << KIND_SHIFT | u64::from_be_bytes(bytes) << TEXT_SHIFT | length as u64);
            if rest.is_empty() || self.count >= WORDS {
                return;
            }
            text = rest;
        }
    }
}

/// Words in the order of integers.
fn ordered(value: i64) -> u64 {
    value as u64 ^ 1 << 63
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
    fn words_of_pairs_are_in_the_order_of_the_pairs() {
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
        let pairs: Vec<[Element<'_>; 2]> =
            values.iter().flat_map(|one| values.iter().map(|other| [*one, *other])).collect();
        let words = |pair: &[Element<'_>; 2]| {
            let mut words = Words::default();
            pair.iter().for_each(|value| words.push(*value, &texts));
            (words.count <= WORDS, words.first())
        };
        for one in &pairs {
            for other in &pairs {
                let order = texts.compare(one[0], other[0]).then_with(|| texts.compare(one[1], other[1]));
                let ((is_whole, own), (_, others)) = (words(one), words(other));
                let by_words = own.cmp(&others);
                assert!(by_words == order || by_words.is_eq() && !is_whole, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn words_of_sums_are_from_the_largest_to_the_smallest() {
        let sums = [i128::MAX, i128::from(i64::MAX) + 1, i64::MAX.into(), 5, 0, -1, i64::MIN.into(), i128::MIN];
        let words = |sum, value| {
            let mut words = Words::default();
            words.push_sum(sum);
            words.push(Element::Integer(value), &Texts::default());
            words.first()
        };
        for (at, one) in sums.iter().enumerate() {
            for other in &sums[at + 1..] {
                let is_long = |sum| sum >= i64::MAX.into() || sum <= i64::MIN.into();
                let (own, others) = (words(*one, 2), words(*other, 1));
                assert!(own < others || own == others && is_long(*one) && is_long(*other), "{one} and {other}");
            }
        }
    }
}
