//! Rows in order, in steps: some thousand at a time are sorted, and then merged as they are shown.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::vec;

use crate::key::Element;

/// Rows that are sorted at once: half a millisecond.
const RUN: usize = 4_096;

/// Bytes that are in the order of what they were made of.
#[derive(Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Vec<u8>);

impl SortKey {
    /// Appends a small number.
    pub fn push(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Appends a value: integers come before atoms, and those before binaries, as Erlang orders them. `text` is that of an atom
    /// of a hash.
    pub fn push_element(&mut self, element: Element<'_>, text: impl Fn(u64) -> String) {
        match element {
            Element::Integer(value) => {
                self.push(0);
                self.0.extend((value as u64 ^ 1 << 63).to_be_bytes());
            }
            Element::Atom(hash) => {
                self.push(1);
                self.push_bytes(text(hash).as_bytes());
            }
            Element::Bytes(bytes) => {
                self.push(2);
                self.push_bytes(bytes);
            }
        }
    }

    /// Ends in two zeros, which are nowhere else: a zero of the bytes is followed by 255.
    fn push_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
            if *byte == 0 {
                self.push(u8::MAX);
            }
        }
        self.0.extend([0, 0]);
    }
}

struct Entry<T> {
    key: SortKey,
    row: T,
}

/// The next row of a run.
struct Head<T> {
    entry: Entry<T>,
    run: usize,
}

impl<T> Ord for Head<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.entry.key, self.run).cmp(&(&other.entry.key, other.run))
    }
}

impl<T> PartialOrd for Head<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Head<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Head<T> {}

/// Rows in the order of their keys.
pub struct Sorted<T> {
    /// Those that are not sorted yet, unless all are.
    rest: Option<Box<dyn Iterator<Item = T> + Send>>,
    key: fn(&T) -> SortKey,
    runs: Vec<vec::IntoIter<Entry<T>>>,
    heads: BinaryHeap<Reverse<Head<T>>>,
}

impl<T> Sorted<T> {
    /// Of rows in any order.
    pub fn new(rows: impl Iterator<Item = T> + Send + 'static, key: fn(&T) -> SortKey) -> Self {
        Self { rest: Some(Box::new(rows)), key, runs: Vec::new(), heads: BinaryHeap::new() }
    }

    /// Sorts some more rows. Whether it is to be called again before rows are shown.
    pub fn sort(&mut self) -> bool {
        let Some(rest) = &mut self.rest else { return false };
        let key = self.key;
        let mut run: Vec<Entry<T>> = rest.by_ref().take(RUN).map(|row| Entry { key: key(&row), row }).collect();
        if run.len() < RUN {
            self.rest = None;
        }
        run.sort_by(|one, other| one.key.cmp(&other.key));
        let mut run = run.into_iter();
        let number = self.runs.len();
        self.heads.extend(run.next().map(|entry| Reverse(Head { entry, run: number })));
        self.runs.push(run);
        self.rest.is_some()
    }

    /// The next row, once all are sorted.
    pub fn next_row(&mut self) -> Option<T> {
        let Reverse(Head { entry, run }) = self.heads.pop()?;
        self.heads.extend(self.runs[run].next().map(|entry| Reverse(Head { entry, run })));
        Some(entry.row)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_the_order_of_their_values() {
        let texts: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"\0\x01", b"a", b"a\0b", b"b"];
        let atoms = (0..texts.len() as u64).map(Element::Atom);
        let integers = [i64::MIN, -1, 0, 1, i64::MAX];
        let values: Vec<Element<'_>> =
            integers.map(Element::Integer).into_iter().chain(atoms).chain(texts.map(Element::Bytes)).collect();
        let key = |pair: &(usize, usize)| {
            let mut key = SortKey::default();
            let text = |hash: u64| String::from_utf8_lossy(texts[hash as usize]).into_owned();
            key.push_element(values[pair.0], text);
            key.push_element(values[pair.1], text);
            key
        };
        let pairs: Vec<(usize, usize)> =
            (0..values.len()).flat_map(|one| (0..values.len()).map(move |other| (one, other))).collect();
        assert!(pairs.is_sorted_by(|one, other| key(one) < key(other)));
    }

    #[test]
    fn any_number_of_rows_is_sorted_and_merged() {
        for count in [0, 1, RUN - 1, RUN, RUN + 1, 3 * RUN + 7] {
            let rows = (0..count as u64).map(|at| at.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let mut expected: Vec<u64> = rows.clone().collect();
            expected.sort_unstable();
            let mut sorted = Sorted::new(rows, |row| {
                let mut key = SortKey::default();
                row.to_be_bytes().iter().for_each(|byte| key.push(*byte));
                key
            });
            while sorted.sort() {}
            assert_eq!(std::iter::from_fn(|| sorted.next_row()).collect::<Vec<u64>>(), expected);
        }
    }
}
