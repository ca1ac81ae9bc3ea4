//! The struct `AdTally.Event`, read where it lies: a small map of six keys.

use std::ptr;
use std::slice;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use rustler::{Atom, Encoder, Env, Term};

use super::calibrate::{first_words, others};
use super::layout::*;
use crate::atoms;

/// What an event is called in errors.
pub const NAME: &str = "%AdTally.Event{} struct";

const FIELDS: usize = 6;

fn fields() -> [Atom; FIELDS] {
    [atoms::__struct__(), atoms::id(), atoms::at(), atoms::dimensions(), atoms::user(), atoms::metrics()]
}

/// The terms that an event has.
#[derive(Clone, Copy)]
pub struct EventTerm<'a> {
    pub id: Raw<'a>,
    pub at: Raw<'a>,
    pub dimensions: Raw<'a>,
    pub user: Raw<'a>,
    pub metrics: Raw<'a>,
}

impl<'a> EventTerm<'a> {
    /// The terms of a struct, if it is seen to be one where it lies. Otherwise it may still be one.
    #[inline(always)]
    pub fn read(term: Raw<'a>) -> Option<Self> {
        let shape = shape()?;
        Self::of(shape.values(term)?, shape.module)
    }

    /// The terms of a struct, if it is one.
    #[cold]
    pub fn read_by_call(env: Env<'a>, term: Raw<'a>) -> Option<Self> {
        let map = term.in_env(env);
        let mut values = [term; FIELDS];
        for (value, field) in values.iter_mut().zip(fields()) {
            *value = map.map_get(field).ok()?.into();
        }
        Self::of(values, Raw::from(atoms::event()).word())
    }

    #[inline(always)]
    fn of([of, id, at, dimensions, user, metrics]: [Raw<'a>; FIELDS], module: u64) -> Option<Self> {
        (of.word() == module).then_some(Self { id, at, dimensions, user, metrics })
    }
}

/// How the VM lays out events, null if it is to be asked.
static SHAPE: AtomicPtr<Shape> = AtomicPtr::new(ptr::null_mut());

#[inline(always)]
fn shape() -> Option<&'static Shape> {
    // SAFETY: it is null or was leaked by `calibrate`.
    unsafe { SHAPE.load(Acquire).as_ref() }
}

/// Where the values of an event are.
struct Shape {
    /// The word of the struct's name.
    module: u64,
    /// The header of small maps.
    header: u64,
    /// The keys in the VM's order.
    keys: [u64; FIELDS],
    /// Where in that order each field is.
    places: [usize; FIELDS],
}

/// Words of a small map before its values.
const VALUES_AT: usize = 3;

impl Shape {
    /// The values of a map with these keys and no others, in the order of `fields`, if it is seen to be one. Otherwise it
    /// may still be one.
    #[inline(always)]
    fn values<'a>(&self, term: Raw<'a>) -> Option<[Raw<'a>; FIELDS]> {
        let words = boxed::<Bytes>(term.word())?;
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

    fn find_out(env: Env<'_>) -> Option<Self> {
        if layout() == Known::Unknown {
            return None;
        }
        let fields = fields();
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
        // SAFETY: boxed terms are seen to be pointers where the layout is known, and each has a header.
        let differs = |term: Term<'_>| unsafe { first_words(term.into()) } != Some([header]);
        let is_of_maps = other == header && others(env).into_iter().all(differs);
        let module = Raw::from(atoms::event()).word();
        is_of_maps.then_some(Self { module, header, keys: keys.try_into().ok()?, places })
    }
}

/// Finds out how the VM lays out events. Asked after the calibration of other terms.
pub fn calibrate(env: Env<'_>) {
    // Once for every time that the library is loaded. Whoever reads may go on with what was found out before.
    let shape = Shape::find_out(env).map(|shape| Box::leak(Box::new(shape)));
    SHAPE.store(shape.map_or(ptr::null_mut(), ptr::from_mut), Release);
}

/// Has the VM asked from now on. `calibrate` takes it back.
pub fn forget_layout() {
    SHAPE.store(ptr::null_mut(), Release);
}

/// Whether events are read in place.
pub fn is_layout_known() -> bool {
    shape().is_some()
}

/// The header, the keys and the values of a small map of that size that was just made, if it lies as `layout` has drawn it.
fn small_map(map: Raw<'_>, size: usize) -> Option<(u64, &[u64], &[u64])> {
    let words = boxed::<Bytes>(map.word())?;
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
