//! Atoms of keys: from the VM's word of an atom to the hash of its text, and back.
//!
//! A word means nothing in another VM, so an atom is in keys by [`atom_hash`]. The hash of an atom that was in a key before is
//! found by its number, in an array of two levels that is only ever added to: 1 ns. The first time its text is asked for.
//! Two atoms whose texts have one hash would be one key: the second one is refused. Nothing is taken out, as the VM takes no atom
//! out of its table.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ptr;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU64};

use ad_tally_core::key::{AtomFault, AtomNames, KeyFault, atom_hash};
use parking_lot::RwLock;
use rustler::{Env, Term};

use super::layout::{ATOM_SHIFT, Layout, Raw};

/// Hashes by the low bits of an atom's number, 0 where none is known.
type Chunk = [AtomicU64; CHUNK];

const CHUNK: usize = 1 << 12;
/// Of 268 million atoms. The text of an atom beyond them is asked for every time.
const CHUNKS: usize = 1 << 16;

static HASHES: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS];

/// An atom that keys have.
struct Interned {
    word: u64,
    text: Box<str>,
}

static INTERNED: LazyLock<RwLock<HashMap<u64, Interned, ahash::RandomState>>> = LazyLock::new(RwLock::default);

/// The hash of an atom's text, if it was asked for before.
#[inline(always)]
pub fn hash<L: Layout>(atom: Raw<'_>) -> Option<u64> {
    if !L::IN_PLACE {
        return None;
    }
    let number = (atom.word() >> ATOM_SHIFT) as usize;
    // SAFETY: chunks are leaked, and whole when they are put there.
    let chunk = unsafe { HASHES.get(number / CHUNK)?.load(Acquire).as_ref() }?;
    match chunk[number % CHUNK].load(Relaxed) {
        0 => None,
        hash => Some(hash),
    }
}

/// The same of any atom.
///
/// # Errors
/// [`KeyFault::AtomCollision`].
#[cold]
pub fn intern<'a, L: Layout>(env: Env<'a>, atom: Raw<'a>) -> Result<u64, KeyFault> {
    let text = text(atom.in_env(env));
    let hash = atom_hash(&text);
    claim(hash, atom.word(), text)?;
    if L::IN_PLACE {
        note((atom.word() >> ATOM_SHIFT) as usize, hash);
    }
    Ok(hash)
}

/// Has a hash be that of an atom, and of no other one.
///
/// # Errors
/// [`KeyFault::AtomCollision`].
pub fn claim(hash: u64, word: u64, text: String) -> Result<(), KeyFault> {
    let mut interned = INTERNED.write();
    let atom = interned.entry(hash).or_insert_with(|| Interned { word, text: text.into() });
    if atom.word == word { Ok(()) } else { Err(KeyFault::AtomCollision) }
}

fn note(number: usize, hash: u64) {
    let Some(place) = HASHES.get(number / CHUNK) else { return };
    let mut chunk = place.load(Acquire);
    if chunk.is_null() {
        let fresh = Box::into_raw(Box::new([const { AtomicU64::new(0) }; CHUNK]));
        match place.compare_exchange(ptr::null_mut(), fresh, Release, Acquire) {
            Ok(_) => chunk = fresh,
            Err(other) => {
                chunk = other;
                // SAFETY: it was made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
    // SAFETY: as in `hash`.
    let chunk = unsafe { &*chunk };
    chunk[number % CHUNK].store(hash, Relaxed);
}

/// The word of an atom that a key has, of its hash.
pub fn word(hash: u64) -> u64 {
    let interned = INTERNED.read();
    interned.get(&hash).unwrap_or_else(|| unreachable!("keys have atoms that were interned")).word
}

/// The text of an atom that a key has, of its hash.
pub fn text_of_hash(hash: u64) -> String {
    find_text(hash).unwrap_or_else(|| unreachable!("keys have atoms that were interned"))
}

/// The text of an atom of that hash, if a key had one. Any thread may ask.
pub fn find_text(hash: u64) -> Option<String> {
    INTERNED.read().get(&hash).map(|atom| String::from(&*atom.text))
}

/// An atom's text. The functions that read atoms know Latin-1 only before NIF 2.17, the external format knows all.
pub fn text(atom: Term<'_>) -> String {
    let external = atom.to_binary();
    match external.as_slice() {
        [_, 100, _, _, name @ ..] | [_, 115, _, name @ ..] => name.iter().copied().map(char::from).collect(),
        [_, 118, _, _, name @ ..] | [_, 119, _, name @ ..] => String::from_utf8_lossy(name).into_owned(),
        _ => String::from("?"),
    }
}

/// Atoms of keys that an import brings, or a store. The VM never frees an atom and ends when its table of a million is full, so one
/// frame makes few new ones, and a store as many as the caller says.
pub struct ImportedAtoms<'a> {
    env: Env<'a>,
    created: usize,
    most: usize,
}

/// New atoms that one frame makes at most.
const MOST_CREATED: usize = 4_096;
/// Characters that an atom has at most.
const MOST_CHARACTERS: usize = 255;

impl<'a> ImportedAtoms<'a> {
    /// Of one frame.
    pub fn new(env: Env<'a>) -> Self {
        Self::with_room(env, MOST_CREATED)
    }

    /// Those of which at most so many are new to the VM.
    pub fn with_room(env: Env<'a>, most: usize) -> Self {
        Self { env, created: 0, most }
    }

    /// Has the atom of a text be one that keys have, by its hash as a store has it.
    pub fn claim(&mut self, hash: u64, text: &str) -> Result<(), String> {
        if atom_hash(text) != hash {
            return Err(format!("the atom {text:?} has another hash than the one that is kept with it"));
        }
        self.atom(text).map(drop).map_err(|fault| format!("the atom {text:?}: {fault}"))
    }

    /// The atom of a text, if the VM has one or may make one.
    fn find_or_create(&mut self, text: &str) -> Result<Term<'a>, AtomFault> {
        // The external format, for the same reason as above.
        let length = (text.len() as u16).to_be_bytes();
        let external = [&[131, 118], &length[..], text.as_bytes()].concat();
        if let Some((atom, _read)) = self.env.binary_to_term(&external) {
            return Ok(atom);
        }
        if self.created == self.most {
            return Err(AtomFault::TooMany(self.most));
        }
        self.created += 1;
        // SAFETY: what may not be trusted is an atom that is not there yet, and that is what is wanted.
        let created = unsafe { self.env.binary_to_term_trusted(&external) };
        created.map(|(atom, _read)| atom).ok_or(AtomFault::Length)
    }
}

impl AtomNames for ImportedAtoms<'_> {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        find_text(hash).map(Cow::from)
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        let hash = atom_hash(text);
        if let Some(atom) = INTERNED.read().get(&hash) {
            return if &*atom.text == text { Ok(hash) } else { Err(AtomFault::Collision) };
        }
        if text.chars().count() > MOST_CHARACTERS {
            return Err(AtomFault::Length);
        }
        let atom = Raw::from(self.find_or_create(text)?);
        claim(hash, atom.word(), text.to_owned()).map_err(|_| AtomFault::Collision)?;
        Ok(hash)
    }
}
