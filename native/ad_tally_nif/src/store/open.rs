//! Stores that are open, by their directory: the process of one may crash and find it again, with all its tables.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ad_tally_core::store::{Event, Options, RealDisk, Store as Core, create_folders};
use parking_lot::Mutex;
use rustler::{Env, LocalPid};

use super::refusal::Refusal;
use super::slot::Slot;
use super::told;
use crate::decode::interner::{self, ImportedAtoms};
use crate::messages;

/// A store that is open, whatever processes there are.
pub struct Open {
    pub(super) core: Arc<Core>,
    listener: Listener,
    /// The tables of parts, by the part's name.
    slots: Mutex<HashMap<String, Arc<Mutex<Slot>>>>,
}

/// The process that is told what happens.
type Listener = Arc<Mutex<LocalPid>>;

static OPEN: LazyLock<Mutex<HashMap<PathBuf, Arc<Open>>>> = LazyLock::new(Mutex::default);

/// The store of a directory, and whether it was open already. The caller is told from now on what happens.
pub(super) fn open(env: Env<'_>, dir: &Path, options: Options, atom_room: usize) -> Result<(Arc<Open>, bool), Refusal> {
    let refused = |what: &str, error| Refusal::io(format!("{what} {}: {error}", dir.display()));
    create_folders(&RealDisk, dir).map_err(|error| refused("create", error))?;
    let dir = dir.canonicalize().map_err(|error| refused("find", error))?;
    let found = OPEN.lock().get(&dir).cloned();
    if let Some(open) = found {
        let mut listener = open.listener.lock();
        if *listener != env.pid() && listener.is_alive(env) {
            return Err(Refusal::locked(format!("{} is open already, by another process of this VM", dir.display())));
        }
        if !open.core.is_stopped() {
            *listener = env.pid();
            drop(listener);
            return Ok((open, true));
        }
        // Its thread has ended by itself: whoever has its tables is refused from then on, and the directory is opened anew.
        drop(listener);
        let _ = open.stop();
    }
    let listener = Arc::new(Mutex::new(env.pid()));
    let told = listener.clone();
    let tell = move |event: Event| {
        let to = *told.lock();
        messages::send(to, move |env| told::event(env, &event));
    };
    // Whoever opens it at the same time finds it locked.
    let (disk, texts) = (Arc::new(RealDisk), Box::new(interner::find_text));
    let mut atoms = ImportedAtoms::with_room(env, atom_room);
    let core = Core::open(disk, &dir, options, texts, &mut |hash, text| atoms.claim(hash, text), Box::new(tell))?;
    let open = Arc::new(Open { core, listener, slots: Mutex::default() });
    OPEN.lock().insert(dir, open.clone());
    Ok((open, false))
}

impl Open {
    /// Tells how far the load of a part is: bytes of all of them.
    pub(super) fn tell_loading(&self, part: &str, done: u64, total: u64) {
        let (to, part) = (*self.listener.lock(), part.to_owned());
        messages::send(to, move |env| told::loading(env, &part, done, total));
    }

    /// Tells that a part which was loaded had no room for all of so many pairs.
    pub(super) fn tell_without_room(&self, part: &str, pairs: u64) {
        let (to, part) = (*self.listener.lock(), part.to_owned());
        messages::send(to, move |env| told::without_room(env, &part, pairs));
    }

    /// The place of a part's table.
    pub(super) fn slot(&self, part: &str) -> Arc<Mutex<Slot>> {
        self.slots.lock().entry(part.to_owned()).or_default().clone()
    }

    /// Whether a part has a table with all that the store has of it. One that is being loaded has not.
    pub(super) fn is_loaded(&self, part: &str) -> bool {
        let slot = self.slots.lock().get(part).cloned();
        slot.is_some_and(|slot| slot.try_lock().is_some_and(|slot| slot.is_whole()))
    }

    /// Ends it, once all is on disk that was recorded. What is recorded afterwards, in tables that somebody still has, is refused.
    pub(super) fn stop(self: &Arc<Self>) -> Result<(), Refusal> {
        let stopped = self.core.stop();
        // Whoever opens the directory from now on opens it anew.
        OPEN.lock().retain(|_dir, open| !Arc::ptr_eq(open, self));
        self.slots.lock().clear();
        Ok(stopped?)
    }
}
