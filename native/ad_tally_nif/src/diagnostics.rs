//! Functions that measure and try the boundary itself.

use rustler::{Encoder, Env};

use crate::atoms;
use crate::counters::Table;
use crate::hot::hot;
use crate::terms;

hot! {
    /// Does nothing: what a call costs before any work.
    fn floor(env) {
        Ok(atoms::ok().encode(env))
    }

    /// Panics in the middle of an add, to see that the caller gets an exception and the table goes on.
    fn counters_panic(_env, table: &Table) {
        table.counters.while_pinned(|| panic!("on request"))
    }
}

/// Reads terms in place, where their layout is known, or all by the VM's functions: whether it was in place before.
/// Results must be the same.
#[rustler::nif]
fn read_in_place(env: Env<'_>, wanted: bool) -> bool {
    let was = terms::layout() != terms::Known::Unknown;
    if wanted {
        terms::calibrate(env)
    } else {
        terms::forget_layout()
    }
    was
}
