//! Readers of terms: in place where the layout is known, and else by the VM's functions.

use std::sync::atomic::Ordering::Relaxed;
use std::{ptr, slice};

use rustler::sys::{ErlNifTerm, enif_get_tuple};
use rustler::{Binary, Env};

use super::layout::*;

/// An integer that lies in its word.
#[inline(always)]
pub fn small<L: Layout>(term: Raw<'_>) -> Option<i64> {
    let word = term.word();
    (L::IN_PLACE && word & SMALL_MASK == SMALL).then_some(word as i64 >> SMALL_SHIFT)
}

/// A signed 64-bit integer.
#[inline(always)]
pub fn integer<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Option<i64> {
    small::<L>(term).or_else(|| large::<L>(term)).or_else(|| integer_by_call(env, term))
}

/// An integer that lies in the word after its header: ids that begin with a time are that large.
#[inline(always)]
pub fn large<L: Layout>(term: Raw<'_>) -> Option<i64> {
    let words = boxed::<L>(term.word())?;
    // SAFETY: a boxed term points to a header, and such a one is followed by a word. `calibrate` has seen that this VM
    // does so.
    unsafe {
        match *words {
            POSITIVE => i64::try_from(*words.add(1)).ok(),
            NEGATIVE => 0_i64.checked_sub_unsigned(*words.add(1)),
            _ => None,
        }
    }
}

/// The 64 bits of an integer from -2^63 to 2^64 - 1, of two's complement where it is negative.
#[inline(always)]
pub fn bits<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Option<u64> {
    integer::<L>(env, term).map(|value| value as u64).or_else(|| bits_by_call(env, term))
}

#[inline(never)]
fn bits_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<u64> {
    term.in_env(env).decode().ok()
}

#[inline(never)]
pub fn integer_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<i64> {
    term.in_env(env).decode().ok()
}

#[inline(always)]
pub fn is_atom<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> bool {
    if L::IN_PLACE { term.word() & ATOM_MASK == ATOM } else { term.in_env(env).is_atom() }
}

/// The elements of a tuple of so many.
#[inline(always)]
pub fn tuple_of<'a, L: Layout, const ARITY: usize>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [Raw<'a>; ARITY]> {
    tuple::<L>(env, term)?.try_into().ok()
}

/// The elements of a tuple.
#[inline(always)]
pub fn tuple<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [Raw<'a>]> {
    if let Some(words) = boxed::<L>(term.word()) {
        // SAFETY: a boxed term points to a header, and that of a tuple is followed by its elements, which stay there
        // while the environment lives. `calibrate` has seen that this VM does so.
        return unsafe {
            let header = *words;
            (header & HEADER_MASK == TUPLE)
                .then(|| slice::from_raw_parts(words.add(1).cast(), (header >> HEADER_SHIFT) as usize))
        };
    }
    if L::IN_PLACE && term.word() & IMMEDIATE_MASK == IMMEDIATE {
        return None;
    }
    tuple_by_call(env, term)
}

#[inline(never)]
pub(super) fn tuple_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [Raw<'a>]> {
    let (mut arity, mut elements) = (0, ptr::null());
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_tuple(env.as_c_arg(), term.term, &mut arity, &mut elements) };
    if found == 0 {
        return None;
    }
    if arity == 0 {
        return Some(&[]);
    }
    // SAFETY: the VM says where the elements are and how many; they stay there while the environment lives. `Raw` is a
    // transparent wrapper around a term.
    Some(unsafe { slice::from_raw_parts(elements.cast::<Raw<'a>>(), arity as usize) })
}

/// The bytes of a binary that lies where its term does.
#[inline(always)]
pub fn short_binary<'a, L: Layout>(term: Raw<'a>) -> Option<&'a [u8]> {
    let words = boxed::<L>(term.word())?;
    // SAFETY: a boxed term points to a header, and that of a short binary is followed by its size and its bytes, which
    // stay there while the environment lives. `calibrate` has seen that this VM does so.
    unsafe {
        if *words & HEADER_MASK != L::SHORT_BINARY {
            return None;
        }
        let size = *words.add(1);
        let length = size >> L::SIZE_SHIFT;
        (length << L::SIZE_SHIFT == size).then(|| slice::from_raw_parts(words.add(2).cast(), length as usize))
    }
}

/// The bytes of a binary. Not of a bitstring whose last byte is not whole.
#[inline(always)]
pub fn binary<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [u8]> {
    if let Some(bytes) = short_binary::<L>(term) {
        return Some(bytes);
    }
    if L::IN_PLACE && term.word() & IMMEDIATE_MASK == IMMEDIATE {
        return None;
    }
    binary_by_call(env, term)
}

#[inline(never)]
pub(super) fn binary_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [u8]> {
    let binary = Binary::from_term(term.in_env(env)).ok()?;
    Some(binary.as_slice())
}

/// The first element of a list and the rest of it.
#[inline(always)]
pub fn list_cell<'a, L: Layout>(env: Env<'a>, list: Raw<'a>) -> Option<[Raw<'a>; 2]> {
    let word = list.word();
    let (head, tail) = if L::IN_PLACE && word & POINTER_MASK == LIST {
        // SAFETY: a list that is not empty points to its first cell, two terms that stay there while the environment
        // lives. `calibrate` has seen that this VM does so.
        unsafe { *((word - LIST) as *const [Raw<'a>; 2]) }.into()
    } else if L::IN_PLACE && word & IMMEDIATE_MASK == IMMEDIATE {
        return None;
    } else {
        list_cell_by_call(env, list)
    };
    (head.word() != NO_TERM).then_some([head, tail])
}

/// The word that is no term in any layout.
const NO_TERM: u64 = 0;

/// Both in registers: an `Option` would be returned in memory, and what is read in place would go through it as well. That
/// took `admissible/3` from 340 to 421 ns, and an item of `add_many/3` from 10.9 to 12.7.
#[inline(never)]
pub(super) fn list_cell_by_call<'a>(env: Env<'a>, list: Raw<'a>) -> (Raw<'a>, Raw<'a>) {
    let none = raw(ErlNifTerm::default());
    list.in_env(env).list_get_cell().map_or((none, none), |(head, tail)| (head.into(), tail.into()))
}

/// Whether a term is the empty list.
#[inline(always)]
pub fn is_empty_list<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> bool {
    if L::IN_PLACE { term.word() & EMPTY_LIST_MASK == EMPTY_LIST } else { term.in_env(env).is_empty_list() }
}

/// Whether a term is the atom `nil`.
#[inline(always)]
pub fn is_nil(term: Raw<'_>) -> bool {
    term.word() == NIL.load(Relaxed)
}
