//! Rust values to terms.

use ad_tally_core::journal::Busy;
use ad_tally_core::{Added, Element, KeyRef};
use rustler::sys::{ErlNifTerm, enif_make_list_from_array, enif_make_map_from_arrays};
use rustler::types::tuple::make_tuple;
use rustler::{Atom, Encoder, Env, NewBinary, Term};

use crate::atoms;
use crate::decode::{BadArgument, Raw, atom_of_word, interner};

/// The term that a key was made from.
pub fn key<'a>(env: Env<'a>, key: KeyRef<'_>) -> Term<'a> {
    let elements: Vec<Term<'a>> = key.elements().map(|part| element(env, part)).collect();
    if key.arity().is_some() { make_tuple(env, &elements) } else { elements[0] }
}

/// The term that an element of a key was made from.
pub fn element<'a>(env: Env<'a>, element: Element<'_>) -> Term<'a> {
    match element {
        Element::Integer(value) => value.encode(env),
        Element::Bytes(bytes) => binary(env, bytes),
        Element::Atom(hash) => atom_of_word(env, interner::word(hash)),
    }
}

/// A list of those terms. Not by way of a vector, as rustler makes one: `admissible/3` took 379 ns instead of 344.
pub fn list<'a>(env: Env<'a>, terms: &[Raw<'a>]) -> Term<'a> {
    // SAFETY: the terms are of this environment, and `Raw` is a transparent wrapper around one.
    unsafe { Term::new(env, enif_make_list_from_array(env.as_c_arg(), terms.as_ptr().cast(), terms.len() as u32)) }
}

/// A binary of those bytes.
pub fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    NewBinary::from_slice(env, bytes).into()
}

/// A total, as an integer of whatever size it needs. Of 128 bits rustler makes one only by way of its bytes.
pub fn total(env: Env<'_>, total: i128) -> Term<'_> {
    i64::try_from(total).map_or_else(|_| total.encode(env), |total| total.encode(env))
}

/// A map from metric to total.
pub fn row<'a>(env: Env<'a>, metrics: &[Atom], totals: &[i128]) -> Term<'a> {
    map(env, metrics.iter().zip(totals).map(|(metric, amount)| (*metric, total(env, *amount))))
}

/// The most keys of a map that [`map`] makes.
pub const MAX_PAIRS: usize = 32;

/// A map of those keys, which differ. By arrays on the stack: rustler's maps take four vectors, and a row of a drain 391 ns
/// instead of 335.
pub fn map<'a>(env: Env<'a>, pairs: impl Iterator<Item = (Atom, Term<'a>)>) -> Term<'a> {
    let [mut names, mut values] = [[ErlNifTerm::default(); MAX_PAIRS]; 2];
    let mut count = 0;
    for (name, value) in pairs {
        (names[count], values[count]) = (name.as_c_arg(), value.as_c_arg());
        count += 1;
    }
    let mut map = ErlNifTerm::default();
    // SAFETY: `count` terms of this environment in both arrays. The names are distinct, so the map is always made.
    unsafe {
        enif_make_map_from_arrays(env.as_c_arg(), names.as_ptr(), values.as_ptr(), count, &mut map);
        Term::new(env, map)
    }
}

/// What a function that adds to a row of a table answers, or what `check_owner` says where the table has not taken it.
#[inline(always)]
pub fn added<'a>(
    env: Env<'a>,
    added: Added,
    check_owner: impl FnOnce() -> Result<(), BadArgument>,
) -> Result<Term<'a>, BadArgument> {
    Ok(match added {
        Added::Row => atoms::ok().to_term(env),
        Added::Overflow => atoms::overflow().to_term(env),
        Added::Busy => {
            check_owner()?;
            atoms::busy().to_term(env)
        }
    })
}

/// What became of a list of items that were added: how many overflowed, `{:busy, overflowed}` where the store had no room for the next
/// one.
#[derive(Default)]
pub struct Overflowed {
    count: usize,
    pub is_busy: bool,
}

impl Overflowed {
    /// Notes what became of more items: how many were added and how many of those overflowed, or that none was. How many were added.
    #[inline(always)]
    pub fn note(&mut self, added: Result<(usize, usize), Busy>) -> usize {
        self.is_busy = added.is_err();
        let (added, overflowed) = added.unwrap_or_default();
        self.count += overflowed;
        added
    }
}

impl Encoder for Overflowed {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        if self.is_busy { (atoms::busy(), self.count).encode(env) } else { self.count.encode(env) }
    }
}
