//! The struct `AdTally.Event`, read where it lies.

use rustler::{Atom, Env};

use crate::atoms;
use crate::terms::{Raw, Shape, word};

/// What an event is called in errors.
pub const NAME: &str = "%AdTally.Event{} struct";

const FIELDS: usize = 6;

static SHAPE: Shape<FIELDS> = Shape::new();

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
    /// The terms of a struct, if it is one.
    #[inline(always)]
    pub fn read(env: Env<'a>, term: Raw<'a>) -> Option<Self> {
        let [module, id, at, dimensions, user, metrics] = SHAPE.values(term).or_else(|| values_by_call(env, term))?;
        let is_event = module.word() == word(atoms::event().as_c_arg());
        is_event.then_some(Self { id, at, dimensions, user, metrics })
    }
}

#[inline(never)]
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
    SHAPE.calibrate(env, fields());
}

/// Has the VM asked from now on. `calibrate` takes it back.
pub fn forget_layout() {
    SHAPE.forget();
}

/// Whether events are read in place.
pub fn is_layout_known() -> bool {
    SHAPE.is_known()
}
