//! The store's thread: it ends intervals, folds and writes them, and tells who waits.
//!
//! ```text
//! wait for the interval's end, many bytes, or somebody who wants to sync
//!   cut ──> fold ──> write ──> fdatasync ──> tell who had asked before the cut
//!                      └─ refused: tell them, keep the interval, try again in a new segment after a pause
//! ```
//!
//! Who asks while an fdatasync is under way waits for that one and for one more. While the disk refuses no interval is ended: what
//! is recorded stays in the journal's buffers, until those are full.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::SyncError;
use super::info::Event;
use super::shared::Shared;
use super::signal::{Done, answer, text_of};
use super::writer::Writer;
use crate::journal::{Atoms, Chain, Entries, RunWriter};

/// After the first failure. Each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How often what was recorded last is tried again, each time in a new file, before the store stops without it.
const LAST_ATTEMPTS: usize = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Committer {
    shared: Arc<Shared>,
    writer: Writer,
    /// Whose texts the store has.
    atoms: Atoms,
    /// Empty between two intervals: its room is used again.
    entries: Entries,
    /// An interval that is not on disk.
    pending: Option<Pending>,
    pause: Duration,
    last_cut: Instant,
    last_attempt: Instant,
}

/// An interval, as frames.
struct Pending {
    frames: Vec<u8>,
    records: u64,
    entries: u64,
    cut_at: Instant,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, writer: Writer, atoms: Atoms) -> Self {
        let now = Instant::now();
        Self {
            shared,
            writer,
            atoms,
            entries: Entries::new(),
            pending: None,
            pause: FIRST_PAUSE,
            last_cut: now,
            last_attempt: now,
        }
    }

    /// Works until it is asked to stop.
    pub(super) fn run(mut self) {
        loop {
            let (earliest, latest) = match self.pending {
                None => (self.last_cut, self.last_cut + self.shared.options.interval),
                Some(_) => (self.last_attempt + FIRST_PAUSE, self.last_attempt + self.pause),
            };
            let mut wanted = self.shared.signal.wait(earliest, latest);
            let attempts = if wanted.stops { LAST_ATTEMPTS } else { 1 };
            if wanted.stops {
                // Whoever was let in before the journal was closed is waited for, even if it has written nothing yet.
                wanted.barriers.push(Box::new(drop));
            }
            let committed = catch_unwind(AssertUnwindSafe(|| {
                let mut result = self.commit(&mut wanted.barriers);
                for _ in 1..attempts {
                    result = result.or_else(|_| self.commit(&mut wanted.barriers));
                }
                result
            }));
            let result = match committed {
                Ok(result) => result,
                Err(panic) => {
                    // Somebody waits for an answer nevertheless.
                    let error = Err(self.note_panic(&*panic));
                    return answer(wanted.barriers.into_iter().chain(wanted.syncs), &error);
                }
            };
            if result.is_ok() {
                self.shared.progress.lock().syncs += wanted.syncs.len() as u64;
                if wanted.ends_segment || self.writer.is_full() {
                    self.writer.end();
                }
            }
            answer(wanted.syncs, &result);
            if wanted.stops {
                return;
            }
        }
    }

    /// Makes durable what was recorded.
    fn commit(&mut self, barriers: &mut Vec<Done>) -> Result<(), SyncError> {
        let result = match self.pending.take() {
            Some(pending) => self.write(pending),
            None => Ok(()),
        };
        if let Err(error) = result {
            answer(barriers.drain(..), &Err(error.clone()));
            return Err(error);
        }
        match self.cut(barriers) {
            Some(pending) => self.write(pending),
            None => Ok(()),
        }
    }

    /// Ends the interval and folds what was recorded in it.
    fn cut(&mut self, barriers: &mut Vec<Done>) -> Option<Pending> {
        let cut_at = Instant::now();
        self.last_cut = cut_at;
        self.shared.progress.lock().last_cut = Some(cut_at);
        if barriers.is_empty() && self.shared.journal.stats().waiting_bytes == 0 {
            return None;
        }
        let interval = self.shared.journal.cut();
        answer(barriers.drain(..), &Ok(()));
        let folds = self.shared.folds();
        let mut records = 0;
        for record in interval.records() {
            records += 1;
            let fold = folds.get(usize::from(record.part)).and_then(Option::as_ref);
            let fold = fold.unwrap_or_else(|| panic!("part {} writes and is not attached", record.part));
            fold.fold(record, &mut self.entries);
        }
        drop(interval);
        if let Some(refused) = self.entries.take_refused() {
            self.note_refused(refused);
        }
        if records == 0 {
            return None;
        }
        // Where the frames go is told when they are written.
        let mut run = RunWriter::of_interval(Chain::default(), self.writer.next_interval());
        self.entries.write(&mut self.atoms, &mut run);
        self.entries.clear();
        let entries = run.entries();
        let (frames, _) = run.finish();
        (entries > 0).then_some(Pending { frames, records, entries, cut_at })
    }

    fn write(&mut self, mut pending: Pending) -> Result<(), SyncError> {
        self.last_attempt = Instant::now();
        let bytes = pending.frames.len() as u64;
        {
            let mut progress = self.shared.progress.lock();
            (progress.waiting_since, progress.waiting_bytes) = (Some(pending.cut_at), bytes);
        }
        let result = self.writer.append(&mut pending.frames);
        let mut progress = self.shared.progress.lock();
        match result {
            Ok(()) => {
                let (took, sync_us) = (pending.cut_at.elapsed(), self.last_attempt.elapsed().as_micros() as u64);
                progress.records += pending.records;
                progress.intervals += 1;
                progress.written_bytes += bytes;
                progress.last_sync_us = sync_us;
                progress.max_sync_us = progress.max_sync_us.max(sync_us);
                progress.sync_times.add(sync_us);
                progress.error = None;
                (progress.waiting_since, progress.waiting_bytes) = (None, 0);
                drop(progress);
                self.pause = FIRST_PAUSE;
                let (records, entries) = (pending.records, pending.entries);
                self.shared.tell(Event::Committed { records, entries, bytes, took });
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                progress.errors += 1;
                progress.error = Some(reason.clone());
                drop(progress);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                self.shared.tell(Event::Failed { reason: reason.clone(), lag: pending.cut_at.elapsed() });
                self.pending = Some(pending);
                Err(SyncError::Disk(reason))
            }
        }
    }
}

impl Committer {
    /// The other records of the interval are written.
    fn note_refused(&self, (records, what): (u64, String)) {
        let reason = format!("{records} records do not fit their parts' configurations and were not written: {what}");
        self.shared.progress.lock().errors += records;
        self.shared.tell(Event::Failed { reason, lag: Duration::ZERO });
    }

    /// What was recorded in the interval is lost to the disk, and nothing that comes later may be there without it.
    fn note_panic(&self, panic: &dyn std::any::Any) -> SyncError {
        let reason = format!("the store's thread has panicked: {}", text_of(panic));
        let mut progress = self.shared.progress.lock();
        progress.errors += 1;
        progress.error = Some(reason.clone());
        drop(progress);
        self.shared.journal.close();
        self.shared.tell(Event::Failed { reason: reason.clone(), lag: Duration::ZERO });
        SyncError::Disk(reason)
    }
}

/// Runs the store's thread, and whatever becomes of it, nobody waits for it in vain.
pub(super) fn run(committer: Committer) {
    let shared = committer.shared.clone();
    let _ = catch_unwind(AssertUnwindSafe(|| committer.run()));
    shared.signal.end();
    shared.compaction.stop();
    shared.end_thread();
}
