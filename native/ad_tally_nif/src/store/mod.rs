//! The functions of `AdTally.Store`: what was recorded is on disk, and is found again.
//!
//! * `open`: stores that are open, by their directory
//! * `slot`, `stored`, `part`, `load`: the tables of their parts: made, found again, loaded, left
//! * `sync`: whoever waits until what was recorded is on disk
//! * `files`: a store as it lies on disk, looked through and copied
//! * `windows`: closed windows that are kept until they are delivered
//! * `told`, `refusal`: what is answered; `metered`: what metrics tell

mod files;
mod load;
mod metered;
mod open;
mod part;
mod refusal;
mod slot;
mod stored;
mod sync;
mod told;
mod windows;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ad_tally_core::store::Options;
use rustler::{Atom, Encoder, Env, NifResult, Term};

pub use self::load::Load;
use self::open::Open;
pub use self::part::{Durable, Given, PartTable, Place, PlaceTerm, unless_over};
pub use self::refusal::{Refusal, answer, raise_busy};
pub use self::stored::Stored;
pub use self::sync::{Waiting, wait as wait_for_sync, wait_for_barrier};
pub use self::windows::{KeepsWindows, undelivered};
use crate::atoms;
use crate::decode::bad_argument;
use crate::owner::Owner;
use crate::resource::{self, resource};

/// A store that is open, as one process has it.
pub struct Store {
    open: Arc<Open>,
    owner: Owner,
}

resource!(Store, c"store", "an AdTally.Store", owner: owner);

/// Atoms that are made at most where nobody says how many.
const ATOM_ROOM: usize = 100_000;

/// Opens the store of a directory, which is made where it is not there: `{:opened, store}`, `{:live, store}` where this VM has it
/// open, or why not. The caller gets what happens in it as messages from then on.
#[rustler::nif(schedule = "DirtyIo")]
fn store_open<'a>(env: Env<'a>, dir: &str, options: Vec<(Atom, u64)>) -> NifResult<Term<'a>> {
    let mut atom_room = ATOM_ROOM;
    let mut core_options = Options::default();
    for (name, value) in options {
        let milliseconds = Duration::from_millis(value);
        let bytes = usize::try_from(value).unwrap_or(usize::MAX);
        match name {
            name if name == atoms::interval() => core_options.interval = milliseconds,
            name if name == atoms::max_age() => core_options.max_age = milliseconds,
            name if name == atoms::segment_bytes() => core_options.segment_bytes = value,
            name if name == atoms::buffer_bytes() => core_options.buffer_bytes = bytes,
            name if name == atoms::wake_bytes() => core_options.wake_bytes = bytes,
            name if name == atoms::repair() => core_options.repair = value > 0,
            name if name == atoms::atom_room() => atom_room = bytes,
            other => return Err(bad_argument::item(other.to_term(env), "name of an option of a store").into()),
        }
    }
    Ok(match open::open(env, Path::new(dir), core_options, atom_room) {
        Ok((open, is_live)) => {
            let store = Store { open, owner: Owner::nobody("AdTally.Store") };
            let how = if is_live { atoms::live() } else { atoms::opened() };
            (how, resource::make(env, store)).encode(env)
        }
        Err(refusal) => refusal.encode(env),
    })
}

/// The store's figures.
#[rustler::nif]
fn store_info<'a>(env: Env<'a>, store: Term<'a>) -> NifResult<Term<'a>> {
    let store: &Store = resource::expect(store)?;
    Ok(told::info(env, &store.open.core.info()))
}

/// What the store knows of a part of that name and kind: `{seed, epoch, config_texts}`, the newest last, or nil.
#[rustler::nif]
fn store_part<'a>(env: Env<'a>, store: Term<'a>, name: &str, kind: &str) -> NifResult<Term<'a>> {
    let store: &Store = resource::expect(store)?;
    let parts = store.open.core.parts();
    let part = parts.into_iter().find(|part| part.name == name && part.kind == kind);
    let about = part.map(|part| {
        let texts: Vec<String> = part.configs.into_iter().map(|config| config.text).collect();
        (part.seed, part.epoch, texts)
    });
    Ok(about.encode(env))
}

/// The parts that the store knows: `{name, kind, loaded?}` of each. Loaded is one whose table has all that the store has of it.
#[rustler::nif]
fn store_parts<'a>(env: Env<'a>, store: Term<'a>) -> NifResult<Term<'a>> {
    let store: &Store = resource::expect(store)?;
    let parts = store.open.core.parts().into_iter();
    let parts: Vec<_> = parts.map(|part| (store.open.is_loaded(&part.name), part)).collect();
    Ok(parts.into_iter().map(|(loaded, part)| (part.name, part.kind, loaded)).collect::<Vec<_>>().encode(env))
}

/// Has all be on disk that was recorded, and ends the store: `:ok`, or why something is not on disk. What is recorded in tables
/// that somebody still has is refused from then on.
#[rustler::nif(schedule = "DirtyIo")]
fn store_stop<'a>(env: Env<'a>, store: Term<'a>) -> NifResult<Term<'a>> {
    // Whatever became of the process that has it.
    let store: &Store = resource::of_type(env, store.into())?;
    Ok(answer(env, store.open.stop().map(|()| atoms::ok())))
}
