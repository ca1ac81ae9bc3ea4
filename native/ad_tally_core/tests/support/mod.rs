//! Keys as tests think of them, and their way into the library and back.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::mem::MaybeUninit;

use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::{Element, HashedKey, KeyRef, KeyWriter, Seed};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    Integer(i64),
    Bytes(Vec<u8>),
    Atom(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Bare(Part),
    Tuple(Vec<Part>),
}

impl Key {
    /// Encodes the key and does something with it.
    pub fn with<R>(&self, seed: &Seed, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
        let parts = match self {
            Key::Bare(part) => std::slice::from_ref(part),
            Key::Tuple(parts) => parts,
        };
        let long: usize = parts.iter().map(|part| if let Part::Bytes(bytes) = part { bytes.len() } else { 0 }).sum();
        let mut room = vec![MaybeUninit::uninit(); 2 * SHORT_KEY_WORDS + long];
        let mut writer = match self {
            Key::Bare(_) => KeyWriter::bare(&mut room),
            Key::Tuple(parts) => KeyWriter::tuple(&mut room, parts.len()).expect("one to eight parts"),
        };
        for part in parts {
            match part {
                Part::Integer(value) => writer.integer(*value),
                Part::Bytes(bytes) => writer.bytes(bytes).expect("not too long"),
                Part::Atom(name) => writer.atom(*name),
            }
        }
        act(seed.key(writer.finish()))
    }

    /// The key that a row shows.
    pub fn read(key: KeyRef<'_>) -> Self {
        let mut parts: Vec<Part> = key
            .elements()
            .map(|element| match element {
                Element::Integer(value) => Part::Integer(value),
                Element::Bytes(bytes) => Part::Bytes(bytes.to_vec()),
                Element::Atom(name) => Part::Atom(name),
            })
            .collect();
        match key.arity() {
            None => Key::Bare(parts.remove(0)),
            Some(_) => Key::Tuple(parts),
        }
    }
}
