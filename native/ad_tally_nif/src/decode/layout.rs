//! How the VM lays terms out.
//!
//! The VM's functions for reading a term are a call each, through a table, and a key in a list takes seven of them: more
//! than its lookup. So the shapes that events are made of (small integers, atoms, list cells, tuples, short binaries)
//! are read in place. By those functions an item of `Counters.add_many/2` takes 50 ns instead of 25, one of
//! `Meter.record_many/2` 151 instead of 68, `FrequencyCap.admit/4` 93 instead of 40 and `Reach.add/3` 82 instead of 60:
//!
//! ```text
//! small integer   value << 4 | 15
//! atom            number << 6 | 11
//! empty list      ... << 6 | 59
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
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

use rustler::sys::ErlNifTerm;
use rustler::{Atom, Env, Term};

/// A term as the VM's one word, of an environment that lives for `'a`. A [`Term`] drags its environment along, which
/// has a byte that copies of it write and words that they read: where the compiler kept one in memory, the processor
/// waited for that, 6 of 46 ns an item in a list.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Raw<'a> {
    pub(super) term: ErlNifTerm,
    env: PhantomData<*mut &'a u8>,
}

impl<'a> Raw<'a> {
    /// The VM's word for it.
    #[inline(always)]
    pub fn word(self) -> u64 {
        // SAFETY: rustler declares the type as a transparent wrapper around one machine word.
        unsafe { std::mem::transmute::<ErlNifTerm, usize>(self.term) as u64 }
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

impl From<Atom> for Raw<'_> {
    #[inline(always)]
    fn from(atom: Atom) -> Self {
        raw(atom.as_c_arg())
    }
}

impl PartialEq<Atom> for Raw<'_> {
    #[inline(always)]
    fn eq(&self, atom: &Atom) -> bool {
        self.term == atom.as_c_arg()
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
pub(super) fn raw<'a>(term: ErlNifTerm) -> Raw<'a> {
    Raw { term, env: PhantomData }
}

/// The atom that a word is of.
pub fn atom_of_word(env: Env<'_>, word: u64) -> Term<'_> {
    // SAFETY: as in `word`. Callers got the word from an atom's term; atoms are never collected and belong to no
    // environment, so it still is that atom's.
    unsafe { Term::new(env, std::mem::transmute::<usize, ErlNifTerm>(word as usize)) }
}

pub(super) const SMALL: u64 = 0xF;
pub(super) const SMALL_MASK: u64 = 0xF;
pub(super) const SMALL_SHIFT: u32 = 4;
pub(super) const ATOM: u64 = 0xB;
pub(super) const ATOM_MASK: u64 = 0x3F;
pub(super) const ATOM_SHIFT: u32 = 6;
/// All three bits: some systems mark terms of loaded code by the third, and those are left to the VM.
pub(super) const POINTER_MASK: u64 = 0x7;
pub(super) const LIST: u64 = 1;
pub(super) const BOXED: u64 = 2;
pub(super) const HEADER_MASK: u64 = 0x3F;
pub(super) const HEADER_SHIFT: u32 = 6;
pub(super) const TUPLE: u64 = 0;
/// The whole headers of integers of one word beside the sign.
pub(super) const POSITIVE: u64 = 1 << HEADER_SHIFT | 2 << 2;
pub(super) const NEGATIVE: u64 = 1 << HEADER_SHIFT | 3 << 2;
pub(super) const EMPTY_LIST: u64 = 0x3B;
pub(super) const EMPTY_LIST_MASK: u64 = 0x3F;
/// What small integers, atoms, the empty list and all else that is no pointer have in common.
pub(super) const IMMEDIATE: u64 = 3;
pub(super) const IMMEDIATE_MASK: u64 = 3;
/// The most bytes of a binary that lies where its term does.
pub(super) const LONGEST_SHORT_BINARY: usize = 64;

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

pub(super) static LAYOUT: AtomicU8 = AtomicU8::new(Known::Unknown as u8);

/// The word of the atom `nil`.
pub(super) static NIL: AtomicU64 = AtomicU64::new(0);

#[inline(always)]
pub fn layout() -> Known {
    match LAYOUT.load(Relaxed) {
        1 => Known::Bytes,
        2 => Known::Bits,
        _ => Known::Unknown,
    }
}

/// Evaluates an expression with a type's name standing for the layout the VM has.
macro_rules! with_layout {
    ($layout:ident => $body:expr) => {
        match $crate::decode::layout() {
            $crate::decode::Known::Bytes => {
                type $layout = $crate::decode::Bytes;
                $body
            }
            $crate::decode::Known::Bits => {
                type $layout = $crate::decode::Bits;
                $body
            }
            $crate::decode::Known::Unknown => {
                type $layout = $crate::decode::Unknown;
                $body
            }
        }
    };
}
pub(crate) use with_layout;

/// The words a boxed term lies in.
#[inline(always)]
pub(super) fn boxed<L: Layout>(term: u64) -> Option<*const u64> {
    (L::IN_PLACE && term & POINTER_MASK == BOXED).then(|| (term - BOXED) as *const u64)
}
