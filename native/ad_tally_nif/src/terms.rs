//! Terms, read where they lie.
//!
//! The VM's functions for reading a term are a call each, through a table, and a key in a list takes seven of them: more
//! than its lookup. So the shapes that events are made of (small integers, atoms, list cells, tuples, short binaries)
//! are read in place:
//!
//! ```text
//! small integer   value << 4 | 15
//! atom            number << 6 | 11
//! list cell       address | 1      to [head][tail]
//! large integer   address | 2      to [1 << 6 | sign][absolute value], if one word holds that
//! tuple           address | 2      to [arity << 6][element]...
//! short binary    address | 2      to [words << 6 | kind][size][bytes...]
//! small map       address | 2      to [kind][size][a tuple of its keys][values in the order of those...]
//! ```
//!
//! No VM promises that. So `calibrate` compares it with what the VM's own functions say, when the library is loaded, for
//! terms of every type; there are two layouts of short binaries to choose from. When anything differs, all is read by
//! the VM's functions, as is at any time what has another shape (long binaries and parts of binaries). Then the time
//! differs and nothing else.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64};

use ad_tally_core::key::InWords;
use rustler::sys::{
    ErlNifBinary, ErlNifTerm, enif_get_int64, enif_get_list_cell, enif_get_tuple, enif_get_uint64, enif_inspect_binary,
    enif_is_atom, enif_is_empty_list, enif_make_list_from_array,
};
use rustler::{Atom, Encoder, Env, Term};

use crate::atoms;

/// A term as the VM's one word, of an environment that lives for `'a`. A [`Term`] drags its environment along, which
/// has a byte that copies of it write and words that they read: where the compiler kept one in memory, the processor
/// waited for that, 6 of 46 ns an item in a list.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Raw<'a> {
    term: ErlNifTerm,
    env: PhantomData<*mut &'a u8>,
}

impl<'a> Raw<'a> {
    #[inline(always)]
    pub fn word(self) -> u64 {
        word(self.term)
    }

    /// The term with its environment.
    #[inline(always)]
    pub fn in_env(self, env: Env<'a>) -> Term<'a> {
        // SAFETY: the term is of the environment with that lifetime, by construction.
        unsafe { Term::new(env, self.term) }
    }
}

impl<'a> From<Term<'a>> for Raw<'a> {
    #[inline(always)]
    fn from(term: Term<'a>) -> Self {
        raw(term.as_c_arg())
    }
}

/// An argument of a call.
///
/// # Safety
/// The term is of that environment.
#[inline(always)]
pub unsafe fn argument<'a>(_env: Env<'a>, term: ErlNifTerm) -> Raw<'a> {
    raw(term)
}

#[inline(always)]
fn raw<'a>(term: ErlNifTerm) -> Raw<'a> {
    Raw { term, env: PhantomData }
}

/// A term as the VM's word for it.
#[inline(always)]
pub fn word(term: ErlNifTerm) -> u64 {
    // SAFETY: rustler declares the type as a transparent wrapper around one machine word.
    unsafe { std::mem::transmute::<ErlNifTerm, usize>(term) as u64 }
}

/// The term that a word is. Whether it is one is the caller's to know.
#[inline(always)]
pub fn from_word(word: u64) -> ErlNifTerm {
    // SAFETY: as in `word`.
    unsafe { std::mem::transmute::<usize, ErlNifTerm>(word as usize) }
}

const SMALL: u64 = 0xF;
const SMALL_MASK: u64 = 0xF;
const SMALL_SHIFT: u32 = 4;
const ATOM: u64 = 0xB;
const ATOM_MASK: u64 = 0x3F;
/// All three bits: some systems mark terms of loaded code by the third, and those are left to the VM.
const POINTER_MASK: u64 = 0x7;
const LIST: u64 = 1;
const BOXED: u64 = 2;
const HEADER_MASK: u64 = 0x3F;
const HEADER_SHIFT: u32 = 6;
const TUPLE: u64 = 0;
/// The whole headers of integers of one word beside the sign.
const POSITIVE: u64 = 1 << HEADER_SHIFT | 2 << 2;
const NEGATIVE: u64 = 1 << HEADER_SHIFT | 3 << 2;
/// What small integers, atoms, the empty list and all else that is no pointer have in common.
const IMMEDIATE: u64 = 3;
const IMMEDIATE_MASK: u64 = 3;
/// The most bytes of a binary that lies where its term does.
const LONGEST_SHORT_BINARY: usize = 64;

/// How the VM lays terms out, as a type: what reads many terms is compiled for each, and asks once.
pub trait Layout {
    /// Whether terms lie as drawn above.
    const IN_PLACE: bool;
    /// The low bits of a short binary's header.
    const SHORT_BINARY: u64;
    /// By how many bits a short binary's size in bytes is shifted.
    const SIZE_SHIFT: u32;
}

/// Unknown: the VM's functions are asked.
pub struct Unknown;
/// Up to OTP 26: the size of a short binary is in bytes.
pub struct Bytes;
/// From OTP 27: it is in bits.
pub struct Bits;

impl Layout for Unknown {
    const IN_PLACE: bool = false;
    const SHORT_BINARY: u64 = u64::MAX;
    const SIZE_SHIFT: u32 = 0;
}

impl Layout for Bytes {
    const IN_PLACE: bool = true;
    const SHORT_BINARY: u64 = 9 << 2;
    const SIZE_SHIFT: u32 = 0;
}

impl Layout for Bits {
    const IN_PLACE: bool = true;
    const SHORT_BINARY: u64 = 8 << 2;
    const SIZE_SHIFT: u32 = 3;
}

/// Which of them the VM has.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Known {
    Unknown,
    Bytes,
    Bits,
}

static LAYOUT: AtomicU8 = AtomicU8::new(Known::Unknown as u8);
/// The one term that the empty list is.
static EMPTY_LIST: AtomicU64 = AtomicU64::new(NO_TERM);
/// That of the atom `nil`.
static NIL: AtomicU64 = AtomicU64::new(NO_TERM);

#[inline(always)]
pub fn layout() -> Known {
    match LAYOUT.load(Relaxed) {
        1 => Known::Bytes,
        2 => Known::Bits,
        _ => Known::Unknown,
    }
}

/// Whether terms are read in place.
pub fn is_layout_known() -> bool {
    layout() != Known::Unknown
}

/// Evaluates an expression with a type's name standing for the layout the VM has.
macro_rules! with_layout {
    ($layout:ident => $body:expr) => {
        match $crate::terms::layout() {
            $crate::terms::Known::Bytes => {
                type $layout = $crate::terms::Bytes;
                $body
            }
            $crate::terms::Known::Bits => {
                type $layout = $crate::terms::Bits;
                $body
            }
            $crate::terms::Known::Unknown => {
                type $layout = $crate::terms::Unknown;
                $body
            }
        }
    };
}
pub(crate) use with_layout;

/// The words a boxed term lies in.
#[inline(always)]
fn boxed<L: Layout>(term: u64) -> Option<*const u64> {
    (L::IN_PLACE && term & POINTER_MASK == BOXED).then(|| (term - BOXED) as *const u64)
}

/// The same, where the layout is known.
#[inline(always)]
fn boxed_words(term: Raw<'_>) -> Option<*const u64> {
    boxed::<Bytes>(term.word())
}

/// An integer that lies in its word.
#[inline(always)]
pub fn small<L: Layout>(term: Raw<'_>) -> Option<i64> {
    let word = term.word();
    (L::IN_PLACE && word & SMALL_MASK == SMALL).then_some(word as i64 >> SMALL_SHIFT)
}

/// The term of a number that lies in its word in any layout.
#[inline(always)]
pub fn from_u32(env: Env<'_>, value: u32) -> Term<'_> {
    if layout() == Known::Unknown {
        return value.encode(env);
    }
    // SAFETY: `calibrate` has seen that this VM's small integers are such words, and they belong to every environment.
    unsafe { Term::new(env, from_word(u64::from(value) << SMALL_SHIFT | SMALL)) }
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
fn tuple_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [Raw<'a>]> {
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

/// The same, as the words they lie in.
#[inline(always)]
pub fn short_binary_words<'a, L: Layout>(term: Raw<'a>) -> Option<InWords<'a>> {
    let (words, length) = short_binary_at::<L>(term)?;
    // SAFETY: the VM allocates terms in whole words, so all of the last one belongs to the binary. It lies there while the
    // environment lives, and whatever is behind the last byte is some value.
    let words = unsafe { slice::from_raw_parts(words, length.div_ceil(size_of::<u64>())) };
    Some(InWords::new(words, length))
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
fn binary_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<&'a [u8]> {
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

/// The word that is no term in any layout.
const NO_TERM: u64 = 0;

/// The words of both, in registers: an `Option` would be returned in memory, and the other path would go through it too.
#[inline(never)]
fn list_cell_by_call<'a>(env: Env<'a>, list: Raw<'a>) -> (u64, u64) {
    let (mut head, mut tail) = (list.term, list.term);
    // SAFETY: the term belongs to the environment, and so do the two that the VM finds in it.
    let found = unsafe { enif_get_list_cell(env.as_c_arg(), list.term, &mut head, &mut tail) };
    if found == 0 { (NO_TERM, NO_TERM) } else { (word(head), word(tail)) }
}

/// How the VM lays out maps of `FIELDS` keys that are known, such as the structs of a module; or that it is to be asked.
pub struct Shape<const FIELDS: usize>(AtomicPtr<Fields<FIELDS>>);

/// Where the values of such a map are.
pub struct Fields<const FIELDS: usize> {
    /// The header of small maps.
    header: u64,
    /// The keys in the VM's order.
    keys: [u64; FIELDS],
    /// Where in that order each field is.
    places: [usize; FIELDS],
}

/// Words of a small map before its values.
const VALUES_AT: usize = 3;

impl<const FIELDS: usize> Fields<FIELDS> {
    /// The values of a map with these keys and no others, in the order in which `calibrate` was given them, if it is seen
    /// to be one. Otherwise it may still be one.
    #[inline(always)]
    pub fn values<'a>(&self, term: Raw<'a>) -> Option<[Raw<'a>; FIELDS]> {
        let words = boxed_words(term)?;
        // SAFETY: a boxed term points to a header. One that is that of small maps is followed by the size, a tuple of as
        // many keys and as many values, which stay there while the environment lives. `calibrate` has seen that this VM
        // does so.
        unsafe {
            if *words != self.header || *words.add(1) != FIELDS as u64 {
                return None;
            }
            // Not by the address of the tuple: maps of one piece of code do not have that in common.
            let keys = (*words.add(2) & !POINTER_MASK) as *const u64;
            let keys = *keys.add(1).cast::<[u64; FIELDS]>();
            // Comparing the arrays would be a call of a function of the C library.
            let differences = keys.iter().zip(&self.keys).fold(0, |all, (key, own)| all | (key ^ own));
            if differences != 0 {
                return None;
            }
            let value = |field: usize| *words.add(VALUES_AT + self.places[field]);
            Some(std::array::from_fn(|field| raw(from_word(value(field)))))
        }
    }
}

impl<const FIELDS: usize> Shape<FIELDS> {
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// What was found out, if the VM need not be asked.
    #[inline(always)]
    pub fn fields(&self) -> Option<&'static Fields<FIELDS>> {
        // SAFETY: it is null or was leaked by `calibrate`.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Finds out how the VM lays out maps with these keys. Asked after `calibrate` has found out about other terms.
    pub fn calibrate(&self, env: Env<'_>, fields: [Atom; FIELDS]) {
        // Once for every time that the library is loaded. Whoever reads may go on with what was found out before.
        let fields = Self::find_out(env, fields).map(|fields| Box::leak(Box::new(fields)));
        self.0.store(fields.map_or(ptr::null_mut(), ptr::from_mut), Release);
    }

    fn find_out(env: Env<'_>, fields: [Atom; FIELDS]) -> Option<Fields<FIELDS>> {
        if layout() == Known::Unknown {
            return None;
        }
        let values: [u64; FIELDS] = std::array::from_fn(|field| (field as u64) << SMALL_SHIFT | SMALL);
        let pairs: Vec<_> = (0..FIELDS as u32).map(|field| (fields[field as usize], from_u32(env, field))).collect();
        let map = Term::map_from_pairs(env, &pairs).ok()?;
        let (header, keys, own) = small_map(map.into(), FIELDS)?;
        let mut places = [0; FIELDS];
        for (field, place) in places.iter_mut().enumerate() {
            *place = keys.iter().position(|key| *key == word(fields[field].as_c_arg()))?;
            if own[*place] != values[field] {
                return None;
            }
        }
        // Another size has the same header, and nothing else has it.
        let other = small_map(Term::map_from_pairs(env, &pairs[1..]).ok()?.into(), FIELDS - 1)?.0;
        let is_of_maps = other == header && others(env).iter().all(|term| first_word((*term).into()) != Some(header));
        is_of_maps.then_some(Fields { header, keys: keys.try_into().ok()?, places })
    }

    /// Has the VM asked from now on. `calibrate` takes it back.
    pub fn forget(&self) {
        self.0.store(ptr::null_mut(), Release);
    }
}

/// The header, the keys and the values of a small map of that size that was just made, if it lies as drawn above.
fn small_map(map: Raw<'_>, size: usize) -> Option<(u64, &[u64], &[u64])> {
    let words = boxed_words(map)?;
    // SAFETY: the VM made the map just now. Whatever it is laid out like, it takes a header and a word for each value at
    // least; its third word is looked at only when the second one is the size, and the keys only when that is a tuple, which
    // is where the VM keeps them if it does.
    unsafe {
        if *words.add(1) != size as u64 {
            return None;
        }
        let keys = (*words.add(2) & POINTER_MASK == BOXED).then(|| (*words.add(2) - BOXED) as *const u64)?;
        if *keys != (size as u64) << HEADER_SHIFT | TUPLE {
            return None;
        }
        Some((*words, slice::from_raw_parts(keys.add(1), size), slice::from_raw_parts(words.add(VALUES_AT), size)))
    }
}

/// The first word of a boxed term.
fn first_word(term: Raw<'_>) -> Option<u64> {
    // SAFETY: a boxed term points to a header.
    boxed_words(term).map(|words| unsafe { *words })
}

/// A list of those terms.
pub fn list<'a>(env: Env<'a>, terms: &[Raw<'a>]) -> Term<'a> {
    // SAFETY: the terms are of this environment, and `Raw` is a transparent wrapper around one.
    unsafe { Term::new(env, enif_make_list_from_array(env.as_c_arg(), terms.as_ptr().cast(), terms.len() as u32)) }
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

/// Finds out how the VM lays terms out.
pub fn calibrate(env: Env<'_>) {
    let known = smalls_match(env) && lists_and_tuples_match(env) && larges_match(env);
    let layout = match known {
        true if binaries_match::<Bytes>(env) && others_differ::<Bytes>(env) => Known::Bytes,
        true if binaries_match::<Bits>(env) && others_differ::<Bits>(env) => Known::Bits,
        _ => Known::Unknown,
    };
    EMPTY_LIST.store(word(Vec::<i64>::new().encode(env).as_c_arg()), Relaxed);
    NIL.store(word(atoms::nil().as_c_arg()), Relaxed);
    LAYOUT.store(layout as u8, Relaxed);
}

/// Has the VM's functions asked from now on, whatever the layout. `calibrate` takes it back.
pub fn forget_layout() {
    LAYOUT.store(Known::Unknown as u8, Relaxed);
}

/// Boxed terms that are neither tuples, short binaries nor small maps.
fn others(env: Env<'_>) -> [Term<'_>; 7] {
    let large: Vec<(i64, i64)> = (0..40).map(|key| (key, key)).collect();
    [
        i64::MAX.encode(env),
        i64::MIN.encode(env),
        i128::MAX.encode(env),
        1.5_f64.encode(env),
        crate::args::binary_term(env, &[0; LONGEST_SHORT_BINARY + 1]),
        Term::map_from_pairs(env, &large).unwrap_or_else(|_| Term::map_new(env)),
        env.make_ref().encode(env),
    ]
}

fn smalls_match(env: Env<'_>) -> bool {
    let largest = (1_i64 << 59) - 1;
    let is_small = |value: i64| word(value.encode(env).as_c_arg()) == (value << SMALL_SHIFT) as u64 | SMALL;
    (0..59).flat_map(|bit| [1 << bit, -(1 << bit), (1 << bit) - 1]).chain([largest, -largest - 1]).all(is_small)
}

/// Asked when tuples are known to match: then boxed terms are pointers with their mark.
fn larges_match(env: Env<'_>) -> bool {
    let matches = |value: i64| {
        let term = Raw::from(value.encode(env)).word();
        let header = if value < 0 { NEGATIVE } else { POSITIVE };
        // SAFETY: the VM made the term on this environment's heap, and no integer beyond the small ones takes less than
        // a header and a word there.
        term & POINTER_MASK == BOXED
            && unsafe { *((term - BOXED) as *const [u64; 2]) } == [header, value.unsigned_abs()]
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
            let in_place = unsafe { *((list.word() - LIST) as *const [u64; 2]) };
            in_place == <[u64; 2]>::from(by_call)
        }
    });
    lists
        && (1..=elements.len()).all(|arity| {
            let tuple = Raw::from(rustler::types::tuple::make_tuple(env, &elements[..arity]));
            let Some(by_call) = tuple_by_call(env, tuple) else { return false };
            header(tuple, by_call.as_ptr().addr(), 1) == Some((arity as u64) << HEADER_SHIFT | TUPLE)
        })
}

/// The header of a boxed term whose contents the VM says begin at `contents`, if that is `words` after the header.
fn header(term: Raw<'_>, contents: usize, words: usize) -> Option<u64> {
    let word = term.word();
    let address = word.wrapping_sub(BOXED) as usize;
    if word & POINTER_MASK != BOXED || address + words * size_of::<u64>() != contents {
        return None;
    }
    // SAFETY: the contents are the VM's, and so are the words between the address the term itself names and those.
    Some(unsafe { *(address as *const u64) })
}

fn binaries_match<L: Layout>(env: Env<'_>) -> bool {
    let matches = |length: usize| {
        let bytes: Vec<u8> = (0..length as u8).collect();
        let term = Raw::from(crate::args::binary_term(env, &bytes));
        let Some(by_call) = binary_by_call(env, term) else { return false };
        let Some(header) = header(term, by_call.as_ptr().addr(), 2) else { return false };
        // SAFETY: as in `header`: it lies between the two.
        let size = unsafe { *((term.word() - BOXED) as *const u64).add(1) };
        header & HEADER_MASK == L::SHORT_BINARY && size == (length as u64) << L::SIZE_SHIFT
    };
    (1..=LONGEST_SHORT_BINARY).all(matches)
}

/// Whether no term of another type looks like one that is read in place. Asked when the others are known to match.
fn others_differ<L: Layout>(env: Env<'_>) -> bool {
    let maps = [Term::map_new(env)];
    let boxed_differ = others(env).into_iter().chain(maps).all(|term| {
        let word = word(term.as_c_arg());
        word & POINTER_MASK == BOXED && {
            // SAFETY: the VM made the term on this environment's heap, and a word with the mark that tuples and
            // binaries were seen to have is a pointer to there.
            let kind = unsafe { *((word - BOXED) as *const u64) } & HEADER_MASK;
            kind != TUPLE && kind != L::SHORT_BINARY
        }
    });
    let immediates = [atoms::ok(), atoms::nil(), atoms::overflow()].map(|atom| word(atom.as_c_arg()));
    let atoms_match = immediates.iter().all(|word| word & ATOM_MASK == ATOM);
    let empty_list = word(Vec::<i64>::new().encode(env).as_c_arg());
    boxed_differ && atoms_match && empty_list & IMMEDIATE_MASK == IMMEDIATE && empty_list & ATOM_MASK != ATOM
}
