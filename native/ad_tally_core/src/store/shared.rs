//! What the threads of a store have in common.
//!
//! Locks that are held over a call of the disk: `changing`, by whoever replaces the manifest. All others are held for some
//! instructions, so that `info` and `sync` may be asked on a scheduler.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::compaction_signal::CompactionSignal;
use super::disk::{Disk, Lock};
use super::error::Error;
use super::info::{Event, SyncTimes};
use super::manifest::{Manifest, file_number};
use super::options::Options;
use super::segment::{Segment, numbers};
use super::signal::Signal;
use crate::journal::{Fold, Journal};

/// Told what happens.
pub(super) type Listener = Box<dyn Fn(Event) + Send + Sync>;

pub(super) struct Shared {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub options: Options,
    pub id: u128,
    pub opened: u32,
    pub journal: Arc<Journal>,
    pub listener: Listener,
    folds: Mutex<Vec<Option<Arc<dyn Fold>>>>,
    pub files: Mutex<Files>,
    /// Held while the manifest is replaced.
    changing: Mutex<()>,
    pub signal: Signal,
    pub compaction: CompactionSignal,
    pub progress: Mutex<Progress>,
    /// Dropped when the last of the threads ends.
    lock: Mutex<Option<Lock>>,
    /// How many threads there are.
    threads: AtomicUsize,
}

/// Which files there are. What changes is changed in one step, so whoever looks sees files that belong together.
pub(super) struct Files {
    pub manifest: Arc<Manifest>,
    /// Those that are no runs yet, the oldest first.
    pub segments: Vec<Segment>,
    /// The last of them is still written to.
    pub is_open: bool,
    /// When its first interval was written.
    pub open_since: Instant,
    /// Who reads files, which stay there meanwhile.
    pub readers: usize,
    /// The next run gets this number. It rises with each attempt: the manifest of one that failed may still come to count.
    pub next_run: u64,
    /// Whether the manifest on disk is known to be this one. After an attempt to replace it has failed it may be either.
    pub is_certain: bool,
}

/// Figures of what was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    pub records: u64,
    pub intervals: u64,
    pub written_bytes: u64,
    pub syncs: u64,
    pub last_sync_us: u64,
    pub max_sync_us: u64,
    pub sync_times: SyncTimes,
    pub errors: u64,
    pub error: Option<String>,
    /// When an interval was last ended.
    pub last_cut: Option<Instant>,
    /// When the interval was ended that is not on disk.
    pub waiting_since: Option<Instant>,
    /// Bytes of that one.
    pub waiting_bytes: u64,
    pub compactions: u64,
    pub compaction_errors: u64,
    pub compacted_bytes: u64,
    pub torn_bytes: u64,
    pub dropped_bytes: u64,
}

impl Shared {
    #[expect(clippy::too_many_arguments, reason = "called in one place")]
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        options: Options,
        journal: Arc<Journal>,
        listener: Listener,
        manifest: Manifest,
        segments: Vec<Segment>,
        lock: Lock,
    ) -> Self {
        let (id, opened) = (manifest.id(), manifest.opened);
        let next_run = manifest.next_run;
        let files = Files {
            manifest: Arc::new(manifest),
            segments,
            is_open: false,
            open_since: Instant::now(),
            readers: 0,
            next_run,
            is_certain: true,
        };
        Self {
            disk,
            dir,
            options,
            id,
            opened,
            journal,
            listener,
            folds: Mutex::default(),
            files: Mutex::new(files),
            changing: Mutex::new(()),
            signal: Signal::default(),
            compaction: CompactionSignal::default(),
            progress: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            threads: AtomicUsize::new(0),
        }
    }

    /// A thread begins.
    pub(super) fn begin_thread(&self) {
        self.threads.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread ends: with the last one the directory is unlocked.
    pub(super) fn end_thread(&self) {
        if self.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            drop(self.lock.lock().take());
        }
    }

    /// Has a part's records folded by `fold`.
    pub(super) fn attach(&self, part: u16, fold: Arc<dyn Fold>) {
        let at = usize::from(part);
        let mut folds = self.folds.lock();
        if folds.len() <= at {
            folds.resize(at + 1, None);
        }
        folds[at] = Some(fold);
    }

    /// By the numbers of parts, how their records are folded.
    pub(super) fn folds(&self) -> Vec<Option<Arc<dyn Fold>>> {
        self.folds.lock().clone()
    }

    pub(super) fn fold(&self, part: u16) -> Option<Arc<dyn Fold>> {
        self.folds.lock().get(usize::from(part)).cloned().flatten()
    }

    pub(super) fn manifest(&self) -> Arc<Manifest> {
        self.files.lock().manifest.clone()
    }

    pub(super) fn tell(&self, event: Event) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.listener)(event)));
    }

    /// Changes the manifest, on disk first. `and` is done in the same step as the new one counts. What `change` refuses, or the disk,
    /// changes nothing.
    pub(super) fn change<R>(
        &self,
        change: impl FnOnce(&mut Manifest) -> Result<R, Error>,
        and: impl FnOnce(&mut Files),
    ) -> Result<R, Error> {
        let _changing = self.changing.lock();
        let mut manifest = Manifest::clone(&self.manifest());
        let result = change(&mut manifest)?;
        manifest.next_run = self.files.lock().next_run;
        self.files.lock().is_certain = false;
        manifest.replace(&*self.disk, &self.dir)?;
        let mut files = self.files.lock();
        files.is_certain = true;
        files.manifest = Arc::new(manifest);
        and(&mut files);
        Ok(result)
    }

    /// Has the manifest name the segments that have intervals, so that it is seen if one is missing.
    pub(super) fn note_segments(&self) -> Result<(), Error> {
        let is_known = {
            let files = self.files.lock();
            files.manifest.segments == numbers(&files.segments)
        };
        if is_known { Ok(()) } else { self.name_segments() }
    }

    /// Has the manifest name the segments, even if it does.
    pub(super) fn name_segments(&self) -> Result<(), Error> {
        self.change(
            |manifest| {
                // Looked up here, where no other change is under way: one that began meanwhile may be named already.
                manifest.segments = numbers(&self.files.lock().segments);
                Ok(())
            },
            |_| {},
        )
    }

    /// Removes the files that do not count any more, unless somebody may read one: whether there is none left. For the thread that
    /// writes runs: one that is being written does not count yet.
    pub(super) fn sweep(&self) -> bool {
        let _changing = self.changing.lock();
        let manifest = {
            let files = self.files.lock();
            if files.readers > 0 || !files.is_certain {
                return false;
            }
            files.manifest.clone()
        };
        // A reader that begins now has this manifest, so what is removed is none of its files.
        sweep(&*self.disk, &self.dir, &manifest, |_| false)
    }

    /// Whether somebody reads files.
    pub(super) fn is_read(&self) -> bool {
        self.files.lock().readers > 0
    }

    /// Keeps the files that there are now, for as long as it is not dropped.
    pub(super) fn read(&self) -> Reading<'_> {
        let mut files = self.files.lock();
        files.readers += 1;
        Reading { shared: self, manifest: files.manifest.clone(), segments: files.segments.clone() }
    }
}

/// Removes runs that a manifest does not name and segments that have become runs, and others as they are told: whether all are gone.
pub(super) fn sweep(disk: &dyn Disk, dir: &Path, manifest: &Manifest, is_over: impl Fn(u64) -> bool) -> bool {
    let Ok(names) = disk.list(dir) else { return false };
    let mut all = true;
    for name in names {
        let is_over = if let Some(number) = file_number(&name, "run-") {
            manifest.runs.iter().all(|run| run.number != number)
        } else {
            file_number(&name, "journal-").is_some_and(|number| number <= manifest.folded.segment || is_over(number))
        };
        all &= !is_over || disk.remove(&dir.join(name)).is_ok();
    }
    all
}

/// The files of one moment, which stay there.
pub(super) struct Reading<'s> {
    shared: &'s Shared,
    pub manifest: Arc<Manifest>,
    pub segments: Vec<Segment>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.shared.files.lock().readers -= 1;
        self.shared.compaction.wake();
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Microseconds since 1970.
pub(super) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
