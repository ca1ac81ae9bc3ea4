//! The struct `AdTally.Event`, read where it lies.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rustler::{Atom, Env};

use super::layout::Raw;
use super::small_map::Shape;
use crate::atoms;

/// What an event is called in errors.
pub const NAME: &str = "%AdTally.Event{} struct";

const FIELDS: usize = 6;

static SHAPE: Shape<FIELDS> = Shape::new();
/// The word of the struct's name.
static MODULE: AtomicU64 = AtomicU64::new(0);

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
        Self::of(SHAPE.fields()?.values(term)?)
    }

    /// The terms of a struct, if it is one.
    #[cold]
    pub fn read_by_call(env: Env<'a>, term: Raw<'a>) -> Option<Self> {
        Self::of(values_by_call(env, term)?)
    }

    #[inline(always)]
    fn of([module, id, at, dimensions, user, metrics]: [Raw<'a>; FIELDS]) -> Option<Self> {
        (module.word() == MODULE.load(Relaxed)).then_some(Self { id, at, dimensions, user, metrics })
    }
}

fn values_by_call<'a>(env: Env<'a>, term: Raw<'a>) -> Option<[Raw<'a>; FIELDS]> {
    let map = term.in_env(env);
    let mut values = [term; FIELDS];
    for (value, field) in values.iter_mut().zip(fields()) {
        *value = map.map_get(field).ok()?.into();
    }
    Some(values)
}

/// Finds out how the VM lays out events. Asked after `terms` has found out about other terms.
pub fn calibrate(env: Env<'_>) {
    MODULE.store(Raw::from(atoms::event()).word(), Relaxed);
    SHAPE.calibrate(env, fields());
}

/// Has the VM asked from now on. `calibrate` takes it back.
pub fn forget_layout() {
    SHAPE.forget();
}

/// Whether events are read in place.
pub fn is_layout_known() -> bool {
    SHAPE.fields().is_some()
}
