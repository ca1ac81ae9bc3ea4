//! The names of time zones.

use rustler::{Binary, Encoder, Env, Term};

use crate::atoms;
use crate::decode::zone;

/// Whether a zone of that name was read before, and so is at hand.
#[rustler::nif]
fn zone_known(name: Binary<'_>) -> bool {
    zone::known(&name).is_some()
}

/// Reads the zone of a name: `ok`, or what is wrong with the name and which ones are near. Both may read hundreds of files.
#[rustler::nif(schedule = "DirtyIo")]
fn zone_check<'a>(env: Env<'a>, name: Binary<'a>) -> Term<'a> {
    match zone::named(&name) {
        Ok(_) => atoms::ok().to_term(env),
        Err(unknown) => (atoms::error(), unknown.to_string()).encode(env),
    }
}
