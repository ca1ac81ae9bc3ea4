//! Readers of terms: in place where the layout is known, and else by the VM's functions.

use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::sync::atomic::Ordering::Relaxed;

use rustler::Env;
use rustler::sys::{
    ErlNifBinary, enif_get_int64, enif_get_list_cell, enif_get_tuple, enif_get_uint64, enif_inspect_binary,
    enif_is_atom, enif_is_empty_list,
};

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
    let mut value = 0;
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_uint64(env.as_c_arg(), term.term, &mut value) };
    (found != 0).then_some(value)
}

#[inline(never)]
pub fn integer_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<i64> {
    let mut value = 0;
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_get_int64(env.as_c_arg(), term.term, &mut value) };
    (found != 0).then_some(value)
}

#[inline(always)]
pub fn is_atom<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> bool {
    if L::IN_PLACE { term.word() & ATOM_MASK == ATOM } else { is_atom_by_call(env, term) }
}

#[inline(never)]
fn is_atom_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> bool {
    // SAFETY: the term belongs to the environment.
    unsafe { enif_is_atom(env.as_c_arg(), term.term) != 0 }
}

/// The elements of a tuple of so many.
#[inline(always)]
pub fn tuple_of<'a, L: Layout, const ARITY: usize>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [Raw<'a>; ARITY]> {
    if let Some(words) = boxed::<L>(term.word()) {
        // SAFETY: as in `tuple`, with the whole header compared.
        return unsafe { (*words == (ARITY as u64) << HEADER_SHIFT | TUPLE).then(|| &*words.add(1).cast()) };
    }
    tuple::<L>(env, term)?.try_into().ok()
}

/// The same of as many as are only known where it runs.
#[inline(always)]
pub fn tuple_of_length<'a, L: Layout>(env: Env<'a>, term: Raw<'a>, length: usize) -> Option<&'a [Raw<'a>]> {
    if let Some(words) = boxed::<L>(term.word()) {
        // SAFETY: as in `tuple`, with the whole header compared.
        return unsafe {
            (*words == (length as u64) << HEADER_SHIFT | TUPLE)
                .then(|| slice::from_raw_parts(words.add(1).cast(), length))
        };
    }
    tuple::<L>(env, term).filter(|elements| elements.len() == length)
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
    let (bytes, length) = short_binary_at::<L>(term)?;
    // SAFETY: as many bytes lie there while the environment lives.
    Some(unsafe { slice::from_raw_parts(bytes.cast(), length) })
}

/// Where the bytes of a binary begin that lies where its term does, and how many they are.
#[inline(always)]
fn short_binary_at<L: Layout>(term: Raw<'_>) -> Option<(*const u64, usize)> {
    let words = boxed::<L>(term.word())?;
    // SAFETY: a boxed term points to a header, and that of a short binary is followed by its size and its bytes.
    // `calibrate` has seen that this VM does so.
    unsafe {
        if *words & HEADER_MASK != L::SHORT_BINARY {
            return None;
        }
        let size = *words.add(1);
        let length = size >> L::SIZE_SHIFT;
        (length << L::SIZE_SHIFT == size).then(|| (words.add(2), length as usize))
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
    let mut binary = MaybeUninit::<ErlNifBinary>::uninit();
    // SAFETY: the term belongs to the environment.
    let found = unsafe { enif_inspect_binary(env.as_c_arg(), term.term, binary.as_mut_ptr()) };
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

/// The first element of a list and the rest of it.
#[inline(always)]
pub fn list_cell<'a, L: Layout>(env: Env<'a>, list: Raw<'a>) -> Option<[Raw<'a>; 2]> {
    let word = list.word();
    let (head, tail) = if L::IN_PLACE && word & POINTER_MASK == LIST {
        // SAFETY: a list that is not empty points to its first cell, two terms that stay there while the environment
        // lives. `calibrate` has seen that this VM does so.
        unsafe { *((word - LIST) as *const [u64; 2]) }.into()
    } else if L::IN_PLACE && word & IMMEDIATE_MASK == IMMEDIATE {
        return None;
    } else {
        list_cell_by_call(env, list)
    };
    (head != NO_TERM).then(|| [raw(from_word(head)), raw(from_word(tail))])
}

/// The words of both, in registers: an `Option` would be returned in memory, and the other path would go through it too.
#[inline(never)]
pub(super) fn list_cell_by_call<'a>(env: Env<'a>, list: Raw<'a>) -> (u64, u64) {
    let (mut head, mut tail) = (list.term, list.term);
    // SAFETY: the term belongs to the environment, and so do the two that the VM finds in it.
    let found = unsafe { enif_get_list_cell(env.as_c_arg(), list.term, &mut head, &mut tail) };
    if found == 0 { (NO_TERM, NO_TERM) } else { (word(head), word(tail)) }
}

/// Whether a term is the empty list.
#[inline(always)]
pub fn is_empty_list<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> bool {
    if L::IN_PLACE { term.word() == EMPTY_LIST.load(Relaxed) } else { is_empty_list_by_call(env, term) }
}

#[inline(never)]
fn is_empty_list_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> bool {
    // SAFETY: the term belongs to the environment.
    unsafe { enif_is_empty_list(env.as_c_arg(), term.term) != 0 }
}

/// Whether a term is the atom `nil`.
#[inline(always)]
pub fn is_nil(term: Raw<'_>) -> bool {
    term.word() == NIL.load(Relaxed)
}
