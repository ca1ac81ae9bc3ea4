//! Maps of known keys, read in place.

use std::ptr;
use std::slice;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use rustler::{Atom, Encoder, Env, Term};

use super::calibrate::others;
use super::layout::*;

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
            let value = |field: usize| *words.add(VALUES_AT + self.places[field]).cast::<Raw<'a>>();
            Some(std::array::from_fn(value))
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
        let pairs: Vec<_> = (0..FIELDS as u32).map(|field| (fields[field as usize], field.encode(env))).collect();
        let map = Term::map_from_pairs(env, &pairs).ok()?;
        let (header, keys, own) = small_map(map.into(), FIELDS)?;
        let mut places = [0; FIELDS];
        for (field, place) in places.iter_mut().enumerate() {
            *place = keys.iter().position(|key| *key == Raw::from(fields[field]).word())?;
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

/// The same, where the layout is known.
#[inline(always)]
fn boxed_words(term: Raw<'_>) -> Option<*const u64> {
    boxed::<Bytes>(term.word())
}
