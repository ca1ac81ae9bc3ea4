//! Durable state: a directory that holds what the parts of a service did, all of it up to one moment.
//!
//! ```text
//! LOCK                held while the store is open
//! MANIFEST            which parts there are, and which files count
//! journal-00000012    a segment: the entries of intervals, one after the other
//! run-00000031        sorted entries of one part: of a segment, or, as its base, of all time before
//! ```
//!
//! An interval is what the parts have recorded between two cuts of the [`Journal`](crate::journal). It is on disk wholly or not at all, so
//! all parts are of one moment after a start. A part is loaded from its base, its runs and the segments, in the order of time. Files
//! are only ever added, and removed when the manifest that does not name them is durable.
//!
//! * [`disk`]: what is wanted of a disk; `frame`, `segment`, `manifest`: the files
//! * `recover`: what counts when a store is opened; `load`: what a part gets back
//! * `signal`, `commit`, `writer`: the thread that makes intervals durable, and tells who waits
//! * `compact`, `merge`: the thread that merges segments into runs, and runs into bases
//! * [`inspect`](fn@inspect), [`backup`](fn@backup): for people
//!
//! Two threads belong to a store. Nobody else waits for the disk, but for who opens, loads or stops it, or makes a part.

mod backup;
mod commit;
mod compact;
mod compaction_signal;
pub mod disk;
mod error;
mod frame;
mod info;
mod inspect;
mod load;
mod manifest;
mod merge;
mod new_run;
mod options;
mod parts;
mod recover;
mod segment;
mod shared;
mod signal;
mod start;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;

pub use self::backup::{Backup, backup};
pub use self::disk::{Disk, DiskFile, Lock, RealDisk, create_folders};
pub use self::error::{Damage, Error, OpenError, SyncError};
pub use self::info::{Event, Info, PartInfo, SYNC_TIMES_US, SyncTimes};
pub use self::inspect::{FileReport, PartReport, Report, inspect};
pub use self::load::Loaded;
use self::load::{Load, Place};
pub use self::manifest::{ConfigMeta, PartMeta};
pub use self::options::Options;
pub use self::parts::Opened;
pub use self::recover::{Dropped, Torn};
use self::shared::Shared;
use crate::journal::{Fold, Journal, Restore};

/// A store that is open.
pub struct Store {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// What the parts write to.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.shared.journal
    }

    /// Has a part's records folded by `fold`, from now on. A part is attached before it writes: a record that nobody can fold ends
    /// the store, because what comes later must not be on disk without it.
    pub fn attach(&self, part: u16, fold: Arc<dyn Fold>) {
        self.shared.attach(part, fold);
    }

    /// Gives a part all that is on disk of it. Whoever has written to it in this run of the store has synced before.
    /// `progress` gets the bytes that are done and how many there are, from the calling thread.
    ///
    /// # Errors
    /// What is wrong with a file, or with an entry as `restore` says.
    pub fn load(
        &self,
        part: u16,
        restore: &(dyn Restore + Sync),
        progress: &dyn Fn(u64, u64),
    ) -> Result<Loaded, Error> {
        let begun = Instant::now();
        let reading = self.shared.read();
        let place = self.shared.place();
        let loaded = Load { place, reading: &reading, part, restore, progress }.run()?;
        let name = reading.manifest.parts.iter().find(|other| other.number == part).map(|part| part.name.clone());
        drop(reading);
        self.shared.tell(Event::Loaded {
            part: name.unwrap_or_default(),
            entries: loaded.entries,
            bytes: loaded.bytes,
            took: begun.elapsed(),
        });
        Ok(loaded)
    }

    /// Calls `done` once everything that was recorded before this call is on disk, or with why it is not. Any number of callers share
    /// one sync of the disk, which begins at once. This only asks for it, and never waits.
    pub fn sync(&self, done: Box<dyn FnOnce(Result<(), SyncError>) + Send>) {
        self.shared.signal.ask(|wanted| wanted.syncs.push(done));
    }

    /// Calls `done` once the interval is ended: whatever is recorded after that is in a later one than what was recorded before this
    /// call. It need not be on disk.
    pub fn barrier(&self, done: Box<dyn FnOnce(Result<(), SyncError>) + Send>) {
        self.shared.signal.ask(|wanted| wanted.barriers.push(done));
    }

    /// Merges everything that was recorded before this call into the bases of the parts, and calls `done` then: what was forgotten or
    /// is gone is in no file any more. Never waits.
    pub fn compact(&self, done: Box<dyn FnOnce(Result<(), SyncError>) + Send>) {
        let shared = self.shared.clone();
        self.shared.signal.ask(|wanted| {
            wanted.ends_segment = true;
            wanted.syncs.push(Box::new(move |result| match result {
                Ok(()) => shared.compaction.all(done),
                error => done(error),
            }));
        });
    }

    /// Its figures. Never waits for the disk.
    #[must_use]
    pub fn info(&self) -> Info {
        self.shared.info()
    }

    /// Syncs, ends the threads and unlocks the directory. What is recorded afterwards is refused. Waits for all that.
    ///
    /// # Errors
    /// Why what was recorded last is not on disk. The store is stopped nevertheless.
    pub fn stop(&self) -> Result<(), SyncError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.shared.ask_to_stop(Box::new(move |result| drop(sender.send(result))));
        let result = receiver.recv().unwrap_or(Err(SyncError::Stopped));
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
        result
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.signal.is_ended()
    }
}

impl Drop for Store {
    /// Its threads end by themselves: who drops the last reference need not wait for the disk.
    fn drop(&mut self) {
        self.shared.ask_to_stop(Box::new(|_| {}));
    }
}

impl Shared {
    fn place(&self) -> Place<'_> {
        Place { disk: &*self.disk, dir: &self.dir, id: self.id }
    }

    fn ask_to_stop(&self, done: signal::Done) {
        self.journal.close();
        self.compaction.stop();
        self.signal.ask(|wanted| {
            wanted.stops = true;
            wanted.syncs.push(done);
        });
    }
}
