//! Meters by the atoms they are named.
//!
//! `:persistent_term` does the same for Elixir, where finding a meter takes 20 ns of a call: it hashes the name, compares
//! it, and what it finds is a tuple with a reference to be read. Here a name is the VM's word for the atom, which an array
//! is looked through for, from where a hash of it says.
//!
//! Who records has the name pinned (see `ad_tally_core::sync::hazard`), so its meter stays alive meanwhile, whatever becomes of
//! the name.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicUsize};

use ad_tally_core::sync::hazard::{Current, Protected, REGISTRY, SpeculativeHazard};
use parking_lot::Mutex;

use crate::meter::Table;
use crate::resource::Kept;

/// What has a name, if it still has.
pub type Named = Option<Kept<Table>>;

/// A name that was ever given. Never freed: there are as many as atoms that meters are named.
pub struct Place {
    name: u64,
    current: Current<Named>,
    /// Held by whoever gives the name or takes it away.
    giving: Mutex<()>,
    /// Where the windows were that were open when an event was recorded: what is announced for the next one.
    open: AtomicUsize,
}

impl Place {
    /// What has the name now, pinned.
    pub fn pin_alone(&'static self) -> Protected<'static, Named> {
        self.current.protect()
    }

    /// The same, and the windows that most likely are open, announced.
    #[inline(always)]
    pub fn protect(&'static self) -> (Protected<'static, Named>, Option<SpeculativeHazard<'static>>) {
        self.current.pin_announcing(self.open.load(Relaxed))
    }

    fn replace(&self, named: Named) {
        // A meter that nobody refers to any more is dropped here.
        drop(self.current.replace(Arc::new(named), &REGISTRY));
    }

    /// Notes where the windows are that are open.
    #[inline(always)]
    pub fn note(&self, open: usize) {
        // Mostly they are the same, and then no other core has to give its copy of the line away.
        if self.open.load(Relaxed) != open {
            self.open.store(open, Relaxed);
        }
    }
}

/// Places, each where its name's hash says or behind it: at most half of them are taken.
struct Places(Box<[AtomicPtr<Place>]>);

static PLACES: AtomicPtr<Places> = AtomicPtr::new(ptr::null_mut());
/// Held by whoever looks for a place to change it: how many there are.
static CHANGING: Mutex<usize> = Mutex::new(0);

const FIRST_LENGTH: usize = 64;

impl Places {
    fn new(length: usize) -> Self {
        Self((0..length).map(|_| AtomicPtr::new(ptr::null_mut())).collect())
    }

    /// The place of a name, or the empty one where it belongs.
    #[inline(always)]
    fn look(&self, name: u64) -> (&AtomicPtr<Place>, Option<&'static Place>) {
        let mask = self.0.len() - 1;
        // Bits of the product that depend on many of the name's.
        let mut at = (name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        loop {
            let entry = &self.0[at & mask];
            // SAFETY: places are leaked, and whole when they are put here.
            match unsafe { entry.load(Acquire).as_ref() } {
                Some(place) if place.name != name => at += 1,
                found => return (entry, found),
            }
        }
    }
}

#[inline(always)]
fn places() -> Option<&'static Places> {
    // SAFETY: arrays are leaked, and whole when they are put there.
    unsafe { PLACES.load(Acquire).as_ref() }
}

/// The place of a name. `None` for a name that was never given.
#[inline(always)]
pub fn place(name: u64) -> Option<&'static Place> {
    places()?.look(name).1
}

/// What has the name, unless the process it belongs to has ended and the name is still to be taken away.
#[inline(always)]
pub fn running(named: &Named) -> Option<&Table> {
    named.as_deref().filter(|table| !table.owner.has_ended())
}

/// Gives a name. Returns once nobody records any more in what had it before. A meter whose process has ended gets none: it
/// would have it for ever, and may be so late as to take it from the next one.
pub fn give(name: u64, table: Kept<Table>) {
    let mut count = CHANGING.lock();
    let place = place(name).unwrap_or_else(|| add(name, &mut count));
    // Others need not wait for who records in this one.
    drop(count);
    let _giving = place.giving.lock();
    if !table.owner.has_ended() {
        place.replace(Some(table));
    }
}

/// Takes a name from a meter, if it has it. Returns once nobody records in it any more who has found it by the name.
pub fn take(name: u64, table: &Table) {
    let Some(place) = place(name) else { return };
    let _giving = place.giving.lock();
    let has_it = place.pin_alone().as_deref().is_some_and(|named| ptr::eq(named, table));
    if has_it {
        place.replace(None);
    }
}

/// A place for a name that has none.
fn add(name: u64, count: &mut usize) -> &'static Place {
    let place: &'static Place = Box::leak(Box::new(Place {
        name,
        current: Current::new(Arc::new(None)),
        giving: Mutex::new(()),
        open: AtomicUsize::new(0),
    }));
    let put = |places: &Places, place: &'static Place| {
        places.look(place.name).0.store(ptr::from_ref(place).cast_mut(), Release);
    };
    *count += 1;
    match places() {
        Some(places) if *count * 2 <= places.0.len() => put(places, place),
        full => {
            let larger = Places::new(full.map_or(FIRST_LENGTH, |full| full.0.len() * 2));
            let old = full.map_or(&[][..], |full| &full.0);
            // SAFETY: as in `look`.
            old.iter().filter_map(|entry| unsafe { entry.load(Relaxed).as_ref() }).for_each(|old| put(&larger, old));
            put(&larger, place);
            // The one before stays, for whoever looks through it: all of them together are smaller than this one.
            PLACES.store(Box::into_raw(Box::new(larger)), Release);
        }
    }
    place
}
