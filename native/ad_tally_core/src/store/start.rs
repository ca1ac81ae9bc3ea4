//! Opens a store: locks the directory, finds what counts, and starts the threads.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::Store;
use super::commit::{self, Committer};
use super::compact::{self, Compactor};
use super::disk::{Disk, Lock, create_folders};
use super::error::{Error, OpenError};
use super::info::Event;
use super::load::read_part;
use super::manifest::{Manifest, segment_file};
use super::options::Options;
use super::parts::random;
use super::recover::{Recovered, open, recover};
use super::segment::{Segment, numbers};
use super::shared::{Listener, Shared, now_ms, sweep};
use super::writer::Writer;
use crate::journal::{Atoms, Config, Entry, Journal, STORE_PART};

impl Store {
    /// Opens the store of a directory, which is made where there is none.
    ///
    /// `texts` tells the text of an atom by its hash, so that it can be written. `claim_atom` takes the text of an atom that the
    /// store holds, or says why it cannot. `events` is told what happens, by the threads of the store.
    ///
    /// # Errors
    /// That it is open already, damaged, of a later version, or that the disk refuses.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        texts: Box<dyn Fn(u64) -> Option<String> + Send + Sync>,
        claim_atom: &mut dyn FnMut(u64, &str) -> Result<(), String>,
        events: Listener,
    ) -> Result<Arc<Self>, OpenError> {
        create_folders(&*disk, dir).map_err(|error| OpenError::Disk(Error::disk("create", dir)(error)))?;
        let lock = lock(&*disk, dir)?;
        let found = recover(&*disk, dir, options.repair)?;
        if let Some(last) = found.as_ref().and_then(|found| found.segments.last()) {
            sync(&*disk, dir, last).map_err(OpenError::Disk)?;
        }
        let mut found = found.unwrap_or_else(|| Recovered::nothing(Manifest::new(random())));
        found.manifest.opened += 1;
        let config = Config { buffer_bytes: options.buffer_bytes, wake_bytes: options.wake_bytes };
        let journal = Journal::new(config, found.manifest.opened);
        let (next_segment, next_interval) = (found.next_segment, found.next_interval());
        let Recovered { manifest, segments, torn, dropped, .. } = found;
        let shared = Arc::new(Shared::new(disk, dir.to_owned(), options, journal, events, manifest, segments, lock));
        let mut writer = Writer::new(shared.clone(), next_segment, next_interval);
        if dropped.is_some() {
            // Which of the segments before count, and how far, is what a segment says: so it has to be there first.
            writer.begin_with(None).map_err(OpenError::Disk)?;
        }
        let counted = numbers(&shared.files.lock().segments);
        shared.name_segments().map_err(OpenError::Disk)?;
        // Those that were given up, and those that were dropped.
        sweep(&*shared.disk, dir, &shared.manifest(), |number| !counted.contains(&number));
        let mut atoms = Atoms::new(texts);
        claim_atoms(&shared, &mut atoms, claim_atom)?;
        let mut progress = shared.progress.lock();
        progress.torn_bytes = torn.as_ref().map_or(0, |torn| torn.bytes);
        progress.dropped_bytes = dropped.as_ref().map_or(0, |dropped| dropped.bytes);
        drop(progress);
        if let Some(torn) = torn {
            shared.tell(Event::Torn { file: torn.file, bytes: torn.bytes });
        }
        if let Some(dropped) = dropped {
            shared.tell(Event::Repaired { damage: dropped.damage, bytes: dropped.bytes });
        }
        let waked = Arc::downgrade(&shared);
        shared.journal.set_waker(Box::new(move || {
            if let Some(shared) = waked.upgrade() {
                shared.signal.ask(|wanted| wanted.is_full = true);
            }
        }));
        start(shared, writer, atoms)
    }
}

/// Makes the last segment durable, and its name: a process that was killed may have written it and not synced it. From now on its
/// intervals count, for whoever syncs and for the header of the next segment. Those before it were synced before it was begun.
fn sync(disk: &dyn Disk, dir: &Path, last: &Segment) -> Result<(), Error> {
    let path = dir.join(segment_file(last.header.number));
    open(disk, &path)?.sync().map_err(Error::disk("sync", &path))?;
    disk.sync_folder(dir).map_err(Error::disk("sync", dir))
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Lock, OpenError> {
    let path = dir.join("LOCK");
    let holder = format!("process {} since {} ms after 1970", std::process::id(), now_ms());
    let lock = disk.lock(&path, &holder).map_err(|error| OpenError::Disk(Error::disk("lock", &path)(error)))?;
    lock.map_err(|holder| {
        let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
        OpenError::Locked { dir: dir.to_owned(), holder }
    })
}

fn claim_atoms(
    shared: &Shared,
    atoms: &mut Atoms,
    claim_atom: &mut dyn FnMut(u64, &str) -> Result<(), String>,
) -> Result<(), OpenError> {
    let reading = shared.read();
    let claimed = read_part(shared.place(), &reading, STORE_PART, &mut |entry| match entry {
        Entry::Atom { hash, text } => {
            atoms.note(hash);
            claim_atom(hash, text).map_err(Error::Restore)
        }
        _ => Ok(()),
    });
    claimed.map_err(|error| match error {
        Error::Damaged(damage) => {
            OpenError::Corrupt { damage, repair: "It has the texts of atoms in keys: go on with a backup.".to_owned() }
        }
        error => OpenError::Disk(error),
    })
}

fn start(shared: Arc<Shared>, writer: Writer, atoms: Atoms) -> Result<Arc<Store>, OpenError> {
    let store = Arc::new(Store { shared: shared.clone(), threads: Mutex::default() });
    let spawn = |name: &'static str, work: Box<dyn FnOnce() + Send>| {
        shared.begin_thread();
        let thread = thread::Builder::new().name(format!("ad_tally {name}")).spawn(work);
        let thread = thread.map_err(|error| OpenError::Disk(Error::disk("start a thread for", &shared.dir)(error)))?;
        store.threads.lock().push(thread);
        Ok(())
    };
    let committer = Committer::new(shared.clone(), writer, atoms);
    spawn("store", Box::new(move || commit::run(committer)))?;
    let compactor = Compactor::new(shared.clone());
    spawn("compact", Box::new(move || compact::run(compactor)))?;
    Ok(store)
}
