//! Terms to Rust and back.

use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, Release};

use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::key::Shortfall;
use ad_tally_core::{Element, Error, HashedKey, KeyRef, KeyWriter, Seed};
use rustler::sys::{
    ErlNifBinary, ErlNifTerm, enif_get_int64, enif_get_list_cell, enif_get_tuple, enif_inspect_binary, enif_is_atom,
    enif_is_empty_list, enif_make_new_binary, enif_make_tuple_from_array,
};
use rustler::{Encoder, Env, Term};

use crate::refusal::{self, Refusal};

/// A term as the VM's word for it.
#[inline(always)]
pub fn word(term: ErlNifTerm) -> u64 {
    // SAFETY: rustler declares the type as a transparent wrapper around one machine word.
    unsafe { std::mem::transmute::<ErlNifTerm, usize>(term) as u64 }
}

fn from_word(word: u64) -> ErlNifTerm {
    // SAFETY: as in `word`. Whether the word is a term is the caller's to know.
    unsafe { std::mem::transmute::<usize, ErlNifTerm>(word as usize) }
}

/// The tag of an integer that fits a word beside it, in every 64-bit VM so far.
const SMALL_TAG: u64 = 0xF;
const SMALL_BITS: u32 = 4;

/// Whether this VM lays small integers out as `value << 4 | 0xF`, which `calibrate` has tried.
static SMALLS_ARE_KNOWN: AtomicBool = AtomicBool::new(false);

/// Finds out how the VM writes small integers, by its own functions: reading one in place saves the two calls that
/// `enif_get_int64` makes, 8 of 30 ns an item in a list. If anything looks different, integers are read by that
/// function, and nothing but the time changes.
pub fn calibrate(env: Env<'_>) {
    let largest = (1_i64 << 59) - 1;
    let smalls = (0..59).flat_map(|bit| [1 << bit, -(1 << bit), (1 << bit) - 1]).chain([largest, -largest - 1]);
    let as_expected = smalls
        .into_iter()
        .all(|value: i64| word(value.encode(env).as_c_arg()) == (value << SMALL_BITS) as u64 | SMALL_TAG);
    let others = [
        (largest + 1).encode(env),
        (-largest - 2).encode(env),
        1.5_f64.encode(env),
        "binary".encode(env),
        rustler::types::atom::ok().encode(env),
        rustler::types::atom::nil().encode(env),
        (1, 2).encode(env),
        Vec::<i64>::new().encode(env),
        vec![1].encode(env),
        Term::map_new(env),
        env.make_ref().encode(env),
    ];
    let others_differ = others.iter().all(|term| word(term.as_c_arg()) & SMALL_TAG != SMALL_TAG);
    SMALLS_ARE_KNOWN.store(as_expected && others_differ, Release);
}

#[inline(always)]
fn small(term: ErlNifTerm) -> Option<i64> {
    let word = word(term);
    (word & SMALL_TAG == SMALL_TAG && SMALLS_ARE_KNOWN.load(Relaxed)).then_some(word as i64 >> SMALL_BITS)
}

/// A signed 64-bit integer.
#[inline(always)]
pub fn integer(term: Term<'_>) -> Option<i64> {
    small(term.as_c_arg()).or_else(|| integer_of_any_size(term))
}

#[inline(never)]
fn integer_of_any_size(term: Term<'_>) -> Option<i64> {
    let mut value = 0;
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_int64(term.get_env().as_c_arg(), term.as_c_arg(), &mut value) };
    (found != 0).then_some(value)
}

/// The elements of a tuple.
#[inline(always)]
pub fn tuple(term: Term<'_>) -> Option<&[ErlNifTerm]> {
    let (mut arity, mut elements) = (0, ptr::null());
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_tuple(term.get_env().as_c_arg(), term.as_c_arg(), &mut arity, &mut elements) };
    if found == 0 {
        return None;
    }
    if arity == 0 {
        return Some(&[]);
    }
    // SAFETY: the VM says where the elements are and how many; they stay there while the term lives.
    Some(unsafe { slice::from_raw_parts(elements, arity as usize) })
}

/// The bytes of a binary. Not of a bitstring whose last byte is not whole.
#[inline(always)]
pub fn binary(term: Term<'_>) -> Option<&[u8]> {
    let mut binary = MaybeUninit::<ErlNifBinary>::uninit();
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_inspect_binary(term.get_env().as_c_arg(), term.as_c_arg(), binary.as_mut_ptr()) };
    if found == 0 {
        return None;
    }
    // SAFETY: the VM filled it in. The bytes stay while the environment lives.
    let binary = unsafe { binary.assume_init() };
    if binary.size == 0 {
        return Some(&[]);
    }
    // SAFETY: as above.
    Some(unsafe { slice::from_raw_parts(binary.data, binary.size) })
}

#[inline(always)]
fn is_atom(term: Term<'_>) -> bool {
    // SAFETY: the term belongs to the environment.
    unsafe { enif_is_atom(term.get_env().as_c_arg(), term.as_c_arg()) != 0 }
}

/// The first element of a list and the rest of it.
#[inline(always)]
pub fn list_cell<'a>(list: Term<'a>) -> Option<(Term<'a>, Term<'a>)> {
    let (mut head, mut tail) = (list.as_c_arg(), list.as_c_arg());
    // SAFETY: the term belongs to the environment, and so do the two that the VM finds in it.
    unsafe {
        (enif_get_list_cell(list.get_env().as_c_arg(), list.as_c_arg(), &mut head, &mut tail) != 0)
            .then(|| (Term::new(list.get_env(), head), Term::new(list.get_env(), tail)))
    }
}

/// Whether a term is the empty list.
pub fn is_empty_list(term: Term<'_>) -> bool {
    // SAFETY: the term belongs to the environment.
    unsafe { enif_is_empty_list(term.get_env().as_c_arg(), term.as_c_arg()) != 0 }
}

/// Why a term is not a key.
pub enum KeyFault {
    /// It, or an element of it, is of another type.
    Type,
    /// It is too long somewhere.
    Length(Error),
    /// The room was too small.
    Room(usize),
}

impl From<Error> for KeyFault {
    fn from(error: Error) -> Self {
        Self::Length(error)
    }
}

/// Writes the words of a key. An atom is a symbol by the VM's word for it, which no other atom has while the VM runs.
#[inline(always)]
pub fn write_key<'r>(room: &'r mut [MaybeUninit<u64>], seed: &Seed, term: Term<'_>) -> Result<HashedKey<'r>, KeyFault> {
    // A bare integer first: it is told without a call.
    if let Some(value) = small(term.as_c_arg()) {
        let mut writer = KeyWriter::bare(room, seed);
        writer.integer(value);
        return Ok(writer.finish());
    }
    let Some(elements) = tuple(term) else {
        let mut writer = KeyWriter::bare(room, seed);
        write_element(&mut writer, term)?;
        return Ok(writer.finish());
    };
    let mut writer = KeyWriter::tuple(room, seed, elements.len())?;
    for element in elements {
        // SAFETY: a tuple's elements belong to the tuple's environment.
        write_element(&mut writer, unsafe { Term::new(term.get_env(), *element) })?;
    }
    Ok(writer.finish())
}

#[inline(always)]
fn write_element(writer: &mut KeyWriter<'_>, term: Term<'_>) -> Result<(), KeyFault> {
    if let Some(value) = small(term.as_c_arg()) {
        writer.integer(value);
    } else if let Some(bytes) = binary(term) {
        writer.bytes(bytes)?.map_err(|Shortfall(words)| KeyFault::Room(words))?;
    } else if is_atom(term) {
        writer.symbol(word(term.as_c_arg()));
    } else if let Some(value) = integer_of_any_size(term) {
        writer.integer(value);
    } else {
        return Err(KeyFault::Type);
    }
    Ok(())
}

/// Reads a key and does something with it.
#[inline(always)]
pub fn with_key<R>(seed: &Seed, term: Term<'_>, act: impl FnOnce(HashedKey<'_>) -> R) -> Result<R, Refusal> {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    match write_key(&mut room, seed, term) {
        Ok(key) => Ok(act(key)),
        Err(KeyFault::Room(words)) => with_long_key(seed, term, words, act),
        Err(fault) => Err(refusal::key(term, fault)),
    }
}

#[cold]
fn with_long_key<R>(
    seed: &Seed,
    term: Term<'_>,
    mut words: usize,
    act: impl FnOnce(HashedKey<'_>) -> R,
) -> Result<R, Refusal> {
    loop {
        let mut room = vec![MaybeUninit::uninit(); words];
        match write_key(&mut room, seed, term) {
            Ok(key) => return Ok(act(key)),
            // The next long binary of the same key: at most eight rounds.
            Err(KeyFault::Room(more)) => words = more,
            Err(fault) => return Err(refusal::key(term, fault)),
        }
    }
}

/// The term that a key was made from.
pub fn key_term<'a>(env: Env<'a>, key: KeyRef<'_>) -> Term<'a> {
    let mut elements = key.elements().map(|element| element_term(env, element));
    if key.arity().is_none() {
        return elements.next().unwrap_or_else(|| unreachable!("a bare key has an element"));
    }
    let mut terms = [from_word(0); ad_tally_core::key::MAX_ARITY];
    let mut arity = 0;
    for element in elements {
        terms[arity] = element.as_c_arg();
        arity += 1;
    }
    // SAFETY: the terms are of this environment (atoms are of every one), `arity` of them.
    unsafe { Term::new(env, enif_make_tuple_from_array(env.as_c_arg(), terms.as_ptr(), arity as u32)) }
}

/// The atom whose word this is.
pub fn atom_term(env: Env<'_>, word: u64) -> Term<'_> {
    // SAFETY: callers got the word from an atom's term. Atoms are never collected and belong to no environment, so it
    // still is that atom's.
    unsafe { Term::new(env, from_word(word)) }
}

fn element_term<'a>(env: Env<'a>, element: Element<'_>) -> Term<'a> {
    match element {
        Element::Integer(value) => value.encode(env),
        Element::Bytes(bytes) => {
            let mut term = from_word(0);
            // SAFETY: the VM allocates that many bytes and says where; nobody else sees them before the term is used.
            unsafe {
                let room = enif_make_new_binary(env.as_c_arg(), bytes.len(), &mut term);
                ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
                Term::new(env, term)
            }
        }
        Element::Symbol(word) => atom_term(env, word),
    }
}

/// A total, as an integer of whatever size it needs.
pub fn total(env: Env<'_>, total: i128) -> Term<'_> {
    match i64::try_from(total) {
        Ok(total) => total.encode(env),
        Err(_) => total.encode(env),
    }
}
