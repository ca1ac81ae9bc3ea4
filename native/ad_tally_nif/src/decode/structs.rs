//! Elixir's structs, read where they lie: small maps whose keys are known.

use std::ptr;
use std::slice;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use rustler::{Atom, Encoder, Env, Term};

use super::calibrate::{first_words, others};
use super::layout::*;

/// A struct of so many keys, `__struct__` among them.
pub struct Struct<const KEYS: usize> {
    /// The name of its module.
    module: fn() -> Atom,
    /// Its keys, the first of which is `__struct__`.
    keys: fn() -> [Atom; KEYS],
    /// How the VM lays it out, null if the VM is to be asked.
    shape: AtomicPtr<Shape<KEYS>>,
}

impl<const KEYS: usize> Struct<KEYS> {
    /// A struct of that module and with those keys.
    pub const fn new(module: fn() -> Atom, keys: fn() -> [Atom; KEYS]) -> Self {
        Self { module, keys, shape: AtomicPtr::new(ptr::null_mut()) }
    }

    #[inline(always)]
    fn shape(&self) -> Option<&Shape<KEYS>> {
        // SAFETY: it is null or was leaked by `calibrate`.
        unsafe { self.shape.load(Acquire).as_ref() }
    }

    /// The values of a term in the order of the keys, if it is seen to be such a struct where it lies. Otherwise it may still
    /// be one.
    #[inline(always)]
    pub fn read<'a>(&self, term: Raw<'a>) -> Option<[Raw<'a>; KEYS]> {
        let shape = self.shape()?;
        shape.values(term).filter(|values| values[0].word() == shape.module)
    }

    /// The values of a term in the order of the keys, if it is such a struct.
    #[cold]
    pub fn read_by_call<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Option<[Raw<'a>; KEYS]> {
        let map = term.in_env(env);
        let mut values = [term; KEYS];
        for (value, key) in values.iter_mut().zip((self.keys)()) {
            *value = map.map_get(key).ok()?.into();
        }
        (values[0] == (self.module)()).then_some(values)
    }

    /// Finds out how the VM lays it out. Asked after the calibration of other terms.
    pub fn calibrate(&self, env: Env<'_>) {
        // Once for every time that the library is loaded. Whoever reads may go on with what was found out before.
        let shape = Shape::find_out(env, (self.module)(), (self.keys)()).map(|shape| Box::leak(Box::new(shape)));
        self.shape.store(shape.map_or(ptr::null_mut(), ptr::from_mut), Release);
    }

    /// Has the VM asked from now on. `calibrate` takes it back.
    pub fn forget_layout(&self) {
        self.shape.store(ptr::null_mut(), Release);
    }

    /// Whether it is read in place.
    pub fn is_layout_known(&self) -> bool {
        self.shape().is_some()
    }
}

/// Where the values of a struct are.
struct Shape<const KEYS: usize> {
    /// The word of the struct's name.
    module: u64,
    /// The header of small maps.
    header: u64,
    /// The keys in the VM's order.
    keys: [u64; KEYS],
    /// Where in that order each key is.
    places: [usize; KEYS],
}

/// Words of a small map before its values.
const VALUES_AT: usize = 3;

impl<const KEYS: usize> Shape<KEYS> {
    /// The values of a map with these keys and no others, in the order of the struct's, if it is seen to be one. Otherwise it
    /// may still be one.
    #[inline(always)]
    fn values<'a>(&self, term: Raw<'a>) -> Option<[Raw<'a>; KEYS]> {
        let words = boxed::<Bytes>(term.word())?;
        // SAFETY: a boxed term points to a header. One that is that of small maps is followed by the size, a tuple of as
        // many keys and as many values, which stay there while the environment lives. `calibrate` has seen that this VM
        // does so.
        unsafe {
            if *words != self.header || *words.add(1) != KEYS as u64 {
                return None;
            }
            // Not by the address of the tuple: maps of one piece of code do not have that in common.
            let keys = (*words.add(2) & !POINTER_MASK) as *const u64;
            let keys = *keys.add(1).cast::<[u64; KEYS]>();
            // Comparing the arrays would be a call of a function of the C library.
            let differences = keys.iter().zip(&self.keys).fold(0, |all, (key, own)| all | (key ^ own));
            if differences != 0 {
                return None;
            }
            let value = |key: usize| *words.add(VALUES_AT + self.places[key]).cast::<Raw<'a>>();
            Some(std::array::from_fn(value))
        }
    }

    fn find_out(env: Env<'_>, module: Atom, own: [Atom; KEYS]) -> Option<Self> {
        if layout() == Known::Unknown {
            return None;
        }
        let pairs: Vec<_> = (0..KEYS as u32).map(|key| (own[key as usize], key.encode(env))).collect();
        let map = Term::map_from_pairs(env, &pairs).ok()?;
        let (header, keys, values) = small_map(map.into(), KEYS)?;
        let mut places = [0; KEYS];
        for (key, place) in places.iter_mut().enumerate() {
            *place = keys.iter().position(|other| *other == Raw::from(own[key]).word())?;
            if values[*place] != (key as u64) << SMALL_SHIFT | SMALL {
                return None;
            }
        }
        // Another size has the same header, and nothing else has it.
        let other = small_map(Term::map_from_pairs(env, &pairs[1..]).ok()?.into(), KEYS - 1)?.0;
        // SAFETY: boxed terms are seen to be pointers where the layout is known, and each has a header.
        let differs = |term: Term<'_>| unsafe { first_words(term.into()) } != Some([header]);
        let is_of_maps = other == header && others(env).into_iter().all(differs);
        let module = Raw::from(module).word();
        is_of_maps.then_some(Self { module, header, keys: keys.try_into().ok()?, places })
    }
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
