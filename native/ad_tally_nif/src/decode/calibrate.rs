//! Finds out, when the library is loaded, whether the VM lays terms out as `layout` has drawn it.

use std::sync::atomic::Ordering::Relaxed;

use rustler::{Encoder, Env, NewBinary, Term};

use super::layout::*;
use super::read::{binary_by_call, list_cell_by_call, tuple_by_call};
use crate::atoms;

/// Finds out how the VM lays terms out.
pub fn calibrate(env: Env<'_>) {
    let known = smalls_match(env) && lists_and_tuples_match(env) && larges_match(env);
    let layout = match known {
        true if binaries_match::<Bytes>(env) && others_differ::<Bytes>(env) => Known::Bytes,
        true if binaries_match::<Bits>(env) && others_differ::<Bits>(env) => Known::Bits,
        _ => Known::Unknown,
    };
    NIL.store(Raw::from(atoms::nil()).word(), Relaxed);
    LAYOUT.store(layout as u8, Relaxed);
}

/// Has the VM's functions asked from now on, whatever the layout. `calibrate` takes it back.
pub fn forget_layout() {
    LAYOUT.store(Known::Unknown as u8, Relaxed);
}

/// Boxed terms that are neither tuples, short binaries nor small maps.
pub(super) fn others(env: Env<'_>) -> [Term<'_>; 7] {
    let large: Vec<(i64, i64)> = (0..40).map(|key| (key, key)).collect();
    [
        i64::MAX.encode(env),
        i64::MIN.encode(env),
        i128::MAX.encode(env),
        1.5_f64.encode(env),
        NewBinary::new(env, LONGEST_SHORT_BINARY + 1).into(),
        Term::map_from_pairs(env, &large).unwrap_or_else(|_| Term::map_new(env)),
        env.make_ref().encode(env),
    ]
}

fn smalls_match(env: Env<'_>) -> bool {
    let largest = (1_i64 << 59) - 1;
    let is_small = |value: i64| Raw::from(value.encode(env)).word() == (value << SMALL_SHIFT) as u64 | SMALL;
    (0..59).flat_map(|bit| [1 << bit, -(1 << bit), (1 << bit) - 1]).chain([largest, -largest - 1]).all(is_small)
}

/// The first words of a boxed term.
///
/// # Safety
/// A word with the mark of boxed terms is a pointer to the VM's memory, and the term takes as many words there.
pub(super) unsafe fn first_words<const WORDS: usize>(term: Raw<'_>) -> Option<[u64; WORDS]> {
    // SAFETY: this function's contract.
    boxed::<Bytes>(term.word()).map(|words| unsafe { *words.cast() })
}

/// Asked when tuples are known to match: then boxed terms are pointers with their mark.
fn larges_match(env: Env<'_>) -> bool {
    let matches = |value: i64| {
        let header = if value < 0 { NEGATIVE } else { POSITIVE };
        // SAFETY: no integer beyond the small ones takes less than a header and a word.
        unsafe { first_words(value.encode(env).into()) == Some([header, value.unsigned_abs()]) }
    };
    (59..63).flat_map(|bit| [1 << bit, (1 << bit) + 1, -(1 << bit) - 1]).chain([i64::MAX, i64::MIN]).all(matches)
}

fn lists_and_tuples_match(env: Env<'_>) -> bool {
    let elements: Vec<Term<'_>> = (0..16_i64).map(|number| number.encode(env)).collect();
    let lists = (1..=elements.len()).all(|length| {
        let list = Raw::from(elements[..length].encode(env));
        let by_call = list_cell_by_call(env, list);
        // The cell of a list that was just made is memory that may be read. Whether it lies there is the question.
        list.word() & POINTER_MASK == LIST && {
            // SAFETY: the VM made the list, and a pointer to its cell is what the word can only be: it points to
            // memory of this environment.
            let in_place = unsafe { *((list.word() - LIST) as *const [Raw<'_>; 2]) };
            [by_call.0, by_call.1].map(Raw::word) == in_place.map(Raw::word)
        }
    });
    lists
        && (1..=elements.len()).all(|arity| {
            let tuple = Raw::from(rustler::types::tuple::make_tuple(env, &elements[..arity]));
            let Some(by_call) = tuple_by_call(env, tuple) else { return false };
            words_before(tuple, by_call.as_ptr().addr()) == Some([(arity as u64) << HEADER_SHIFT | TUPLE])
        })
}

/// The words of a boxed term before what the VM says are its contents, if the term's own address is where they begin.
fn words_before<const WORDS: usize>(term: Raw<'_>, contents: usize) -> Option<[u64; WORDS]> {
    let begins = boxed::<Bytes>(term.word())?.addr() + WORDS * size_of::<u64>() == contents;
    // SAFETY: the contents are the VM's, and so are the words between the address that the term itself names and those.
    if begins { unsafe { first_words(term) } } else { None }
}

fn binaries_match<L: Layout>(env: Env<'_>) -> bool {
    let matches = |length: usize| {
        let bytes: Vec<u8> = (0..length as u8).collect();
        let term = Raw::from(Term::from(NewBinary::from_slice(env, &bytes)));
        let by_call = binary_by_call(env, term).unwrap_or_default();
        words_before(term, by_call.as_ptr().addr()).is_some_and(|[header, size]| {
            header & HEADER_MASK == L::SHORT_BINARY && size == (length as u64) << L::SIZE_SHIFT
        })
    };
    (1..=LONGEST_SHORT_BINARY).all(matches)
}

/// Whether no term of another type looks like one that is read in place. Asked when the others are known to match.
fn others_differ<L: Layout>(env: Env<'_>) -> bool {
    let maps = [Term::map_new(env)];
    let boxed_differ = others(env).into_iter().chain(maps).all(|term| {
        // SAFETY: the VM made the term on this environment's heap, and a word with the mark that tuples and binaries were
        // seen to have is a pointer to there.
        let header = unsafe { first_words(term.into()) };
        header.is_some_and(|[header]| header & HEADER_MASK != TUPLE && header & HEADER_MASK != L::SHORT_BINARY)
    });
    let immediates = [atoms::ok(), atoms::nil(), atoms::overflow()].map(|atom| Raw::from(atom).word());
    let atoms_match = immediates.iter().all(|word| word & ATOM_MASK == ATOM);
    boxed_differ && atoms_match && Raw::from(Term::list_new_empty(env)).word() & EMPTY_LIST_MASK == EMPTY_LIST
}
