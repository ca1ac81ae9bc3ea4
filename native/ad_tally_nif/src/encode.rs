//! Rust values to terms.

use std::ptr;

use ad_tally_core::{Element, KeyRef};
use rustler::sys::{enif_make_list_from_array, enif_make_new_binary, enif_make_tuple_from_array};
use rustler::{Encoder, Env, Term};

use crate::decode::{Raw, from_word};

/// A list of those terms.
pub fn list<'a>(env: Env<'a>, terms: &[Raw<'a>]) -> Term<'a> {
    // SAFETY: the terms are of this environment, and `Raw` is a transparent wrapper around one.
    unsafe { Term::new(env, enif_make_list_from_array(env.as_c_arg(), terms.as_ptr().cast(), terms.len() as u32)) }
}
/// The term that a key was made from.
pub fn key<'a>(env: Env<'a>, key: KeyRef<'_>) -> Term<'a> {
    let mut elements = key.elements().map(|part| element(env, part));
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
pub fn atom(env: Env<'_>, word: u64) -> Term<'_> {
    // SAFETY: callers got the word from an atom's term. Atoms are never collected and belong to no environment, so it
    // still is that atom's.
    unsafe { Term::new(env, from_word(word)) }
}

fn element<'a>(env: Env<'a>, element: Element<'_>) -> Term<'a> {
    match element {
        Element::Integer(value) => value.encode(env),
        Element::Bytes(bytes) => binary(env, bytes),
        Element::Atom(word) => atom(env, word),
    }
}

/// A binary of those bytes.
pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut term = from_word(0);
    // SAFETY: the VM allocates that many bytes and says where; nobody else sees them before the term is used.
    unsafe {
        let room = enif_make_new_binary(env.as_c_arg(), bytes.len(), &mut term);
        ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
        Term::new(env, term)
    }
}

/// A total, as an integer of whatever size it needs.
pub fn total(env: Env<'_>, total: i128) -> Term<'_> {
    match i64::try_from(total) {
        Ok(total) => total.encode(env),
        Err(_) => total.encode(env),
    }
}
