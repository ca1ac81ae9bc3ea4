//! Functions that measure and try the boundary itself.

use rustler::Encoder;

use crate::atoms;
use crate::counters::Table;
use crate::hot::hot;

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
