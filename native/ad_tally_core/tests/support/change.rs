//! Changes to bytes, at random and where it hurts.

use proptest::prelude::*;
use proptest::sample::Index;

/// Where a change is made: half of them near the beginning, where the fields are.
#[derive(Debug, Clone)]
pub struct Place {
    near: bool,
    at: Index,
}

impl Place {
    fn within(&self, length: usize) -> usize {
        self.at.index(if self.near { length.min(44) } else { length })
    }
}

#[derive(Debug, Clone)]
pub enum Change {
    Flip {
        at: Place,
        bit: u8,
    },
    Set {
        at: Place,
        value: u8,
    },
    Insert {
        at: Place,
        bytes: Vec<u8>,
    },
    Remove {
        at: Place,
        count: usize,
    },
    Cut {
        at: Place,
    },
    Splice {
        at: Place,
        of: Index,
        from: Index,
        count: usize,
    },
    /// One of the bytes that say how large things are.
    Byte {
        field: usize,
        value: u8,
    },
    Word {
        field: usize,
        value: u32,
    },
}

pub fn change() -> impl Strategy<Value = Change> {
    let place = || (any::<bool>(), any::<Index>()).prop_map(|(near, at)| Place { near, at });
    let bytes = [0_u8, 1, 2, 3, 4, 5, 7, 8, 10, 12, 15, 16, 17, 18, 19, 24, 28, 31, 32, 48, 49, 63, 64, 255];
    let limits = [0, 1, 7, 8, 24, 25, 31, 32, 33, 255, 256, 24_576, 24_577, 1 << 18, (1 << 18) + 1];
    let words = limits.into_iter().chain([i32::MAX as u32, 1 << 31, u32::MAX]).collect::<Vec<u32>>();
    let (byte, word) = (prop::sample::select(bytes.to_vec()), prop::sample::select(words));
    prop_oneof![
        (place(), 0..8_u8).prop_map(|(at, bit)| Change::Flip { at, bit }),
        (place(), any::<u8>()).prop_map(|(at, value)| Change::Set { at, value }),
        (place(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert { at, bytes }),
        (place(), 1..9_usize).prop_map(|(at, count)| Change::Remove { at, count }),
        place().prop_map(|at| Change::Cut { at }),
        (place(), any::<Index>(), any::<Index>(), 1..64_usize).prop_map(|(at, of, from, count)| Change::Splice {
            at,
            of,
            from,
            count
        }),
        (3..8_usize, byte).prop_map(|(field, value)| Change::Byte { field, value }),
        (prop::sample::select(vec![8, 32, 36, 40]), word).prop_map(|(field, value)| Change::Word { field, value }),
    ]
}

impl Change {
    /// Makes it in bytes. What is spliced in is of one of the files.
    pub fn make(&self, bytes: &mut Vec<u8>, files: &[(String, Vec<u8>)]) {
        let length = bytes.len();
        match self {
            _ if length == 0 => {}
            Self::Flip { at, bit } => bytes[at.within(length)] ^= 1 << bit,
            Self::Set { at, value } => bytes[at.within(length)] = *value,
            Self::Insert { at, bytes: more } => {
                let at = at.within(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove { at, count } => {
                let at = at.within(length);
                bytes.drain(at..length.min(at + count));
            }
            Self::Cut { at } => bytes.truncate(at.within(length)),
            Self::Splice { at, of, from, count } => {
                let other = &of.get(files).1;
                let (at, from) = (at.within(length), from.index(other.len()));
                let part = &other[from..other.len().min(from + count)];
                bytes.splice(at..length.min(at + part.len()), part.iter().copied());
            }
            Self::Byte { field, value } => bytes.iter_mut().skip(*field).take(1).for_each(|byte| *byte = *value),
            Self::Word { field, value } => {
                bytes.iter_mut().skip(*field).zip(value.to_le_bytes()).for_each(|(byte, value)| *byte = value);
            }
        }
    }
}
