//! Functions that measure and try the boundary itself.

use std::time::{Duration, Instant};

use ad_tally_core::key::{atom_hash, decode_key, encode_key};
use ad_tally_core::{KeyRef, Seed};
use cpu_time::ThreadTime;
use rustler::{Binary, Encoder, Env, Error, NifResult, Term};

use crate::atoms;
use crate::attribution;
use crate::clock;
use crate::counters::Table;
use crate::decode::events::{ConversionTerm, EventTerm, TouchTerm};
use crate::decode::interner::{self, ImportedAtoms};
use crate::decode::{self, Raw, keys, with_layout};
use crate::encode;
use crate::hot::hot;

hot! {
    /// Does nothing: what a call costs before any work.
    fn floor(env) {
        Ok(atoms::ok().encode(env))
    }

    /// Panics in the middle of an add, to see that the caller gets an exception and the table goes on.
    fn counters_panic(_env, table: &Table) {
        table.counters.while_protected(|| panic!("on request"))
    }
}

/// Reads terms in place, where their layout is known, or all by the VM's functions: whether it was in place before.
/// Results must be the same.
#[rustler::nif]
fn read_in_place(env: Env<'_>, wanted: bool) -> bool {
    let was = decode::in_place() == (true, true);
    if wanted {
        decode::calibrate(env)
    } else {
        decode::forget_layout()
    }
    was
}

/// The version of this library, and what it reads in place: terms, events.
#[rustler::nif]
fn library_info() -> (&'static str, bool, bool) {
    let (terms, events) = decode::in_place();
    (env!("CARGO_PKG_VERSION"), terms, events)
}

/// Of an event, a touch or a conversion what it is, whether it was read in place, and its terms in the order of its fields; `nil` of
/// any other term.
#[rustler::nif]
fn struct_terms<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    let raw = Raw::from(term);
    let in_place = EventTerm::read(raw)
        .map(EventTerm::shown)
        .or_else(|| TouchTerm::read(raw).map(TouchTerm::shown))
        .or_else(|| ConversionTerm::read(raw).map(ConversionTerm::shown));
    let is_in_place = in_place.is_some();
    let read = in_place
        .or_else(|| EventTerm::read_by_call(env, raw).map(EventTerm::shown))
        .or_else(|| TouchTerm::read_by_call(env, raw).map(TouchTerm::shown))
        .or_else(|| ConversionTerm::read_by_call(env, raw).map(ConversionTerm::shown));
    read.map(|(name, terms)| (name, is_in_place, encode::list(env, &terms))).encode(env)
}

/// The hash of a key, or of an id, a scope or a user of caps, under a seed, or of the id of a touch; and its bytes.
#[rustler::nif]
fn key_vector<'a>(env: Env<'a>, role: &str, seed: u64, key: Term<'a>) -> NifResult<(u64, Term<'a>)> {
    let (seed, key) = (Seed::new(seed), Raw::from(key));
    let hash = match role {
        "id" => keys::hash::<keys::Id>(env, &seed, key)?,
        "user" => keys::hash::<keys::User>(env, &seed, key)?,
        "scope" => keys::hash::<keys::Scope>(env, &seed, key)?,
        "touch" => with_layout!(L => attribution::touch_id::<L>(env, key, &mut 0))? as u64,
        _ => keys::with_key(env, &seed, key, |key| key.hash)?,
    };
    let mut bytes = Vec::new();
    let atoms = ImportedAtoms::new(env);
    keys::with_key(env, &seed, key, |key| encode_key(key.words, &atoms, &mut bytes))?.map_err(|_| Error::BadArg)?;
    Ok((hash, encode::binary(env, &bytes)))
}

/// The keys that bytes are, one behind the other, as one frame of an import has them.
#[rustler::nif]
fn keys_of_bytes<'a>(env: Env<'a>, bytes: Binary<'a>) -> Result<Vec<Term<'a>>, String> {
    let (mut atoms, mut words, mut rest) = (ImportedAtoms::new(env), Vec::new(), bytes.as_slice());
    let mut keys = Vec::new();
    while !rest.is_empty() {
        let length = decode_key(rest, &mut atoms, &mut words).map_err(|error| error.to_string())?;
        keys.push(encode::key(env, KeyRef::new(&words)));
        rest = &rest[length..];
    }
    Ok(keys)
}

/// Has the hash of a text be that of an atom with another one, as if these collided.
#[rustler::nif]
fn collide_atoms(text: &str, atom: Term<'_>) -> bool {
    interner::claim(atom_hash(text), Raw::from(atom).word(), text.to_owned()).is_ok()
}

/// A term as messages show it.
#[rustler::nif]
fn shown(term: Term<'_>) -> String {
    crate::decode::shown::shown(term)
}

/// The system's time as functions without a time argument have it, in milliseconds.
#[rustler::nif]
fn clock_now() -> u64 {
    clock::now()
}

/// The same on a dirty scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn dirty_clock_now() -> u64 {
    clock::now()
}

/// Which thread of a scheduler this is, and the nanoseconds it has worked: what others do meanwhile is not in them.
#[rustler::nif]
fn thread_time() -> (u64, u64) {
    worked()
}

/// The same of a dirty scheduler.
#[rustler::nif(schedule = "DirtyCpu")]
fn dirty_thread_time() -> (u64, u64) {
    worked()
}

fn worked() -> (u64, u64) {
    thread_local!(static MARK: u8 = const { 0 });
    let thread = MARK.with(|mark| std::ptr::from_ref(mark).addr() as u64);
    (thread, ThreadTime::now().as_duration().as_nanos() as u64)
}

/// Keeps a dirty scheduler busy for some microseconds: what a machine makes of a call there that does nothing else.
#[rustler::nif(schedule = "DirtyCpu")]
fn busy_dirty_scheduler(microseconds: u64) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(microseconds) {
        std::hint::spin_loop();
    }
}
