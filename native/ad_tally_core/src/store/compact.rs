//! The thread that merges: a segment that is full becomes a run of each part, and the runs of a part become its base.
//!
//! ```text
//! segment ──> run, run, run ... (one a part)          once it is full
//! base + its runs ──> base                            once those are as large as the base, or many, or hold what has to go
//! ```
//!
//! Everything is made of files and never of live tables, so nobody who records waits for it. What is written counts with the
//! manifest that names it; only then the files that it was made of are removed. The thread sleeps as long as it has worked, unless
//! somebody waits for it or segments come faster than they are merged.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Error, SyncError};
use super::info::Event;
use super::load::{RunFile, each_frame_of_segment, fault};
use super::manifest::{Folded, Manifest, RunMeta};
use super::merge::{FileFrames, InMemory, Pace, Source, merge, merge_neighbours};
use super::new_run::NewRun;
use super::segment::Segment;
use super::shared::{Shared, now_ms};
use super::signal::{answer, text_of};
use crate::journal::Fold;

/// A part has at most so many runs beside its base, for long.
const MOST_RUNS: usize = 16;
/// With so many segments that are still to be merged there are no pauses.
const HURRY: usize = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often it looks whether something has become old.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct Compactor {
    shared: Arc<Shared>,
    pause: Duration,
    /// There are files that do not count any more.
    is_swept: bool,
}

impl Compactor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, pause: FIRST_PAUSE, is_swept: false }
    }

    fn run(mut self) {
        let mut next = Instant::now();
        loop {
            let mut waiting = self.shared.compaction.wait(next);
            if self.shared.compaction.stops() {
                return answer(waiting, &Err(SyncError::Stopped));
            }
            if Instant::now() < next && waiting.is_empty() && self.pause > FIRST_PAUSE {
                // After a failure it is not tried again at once.
                continue;
            }
            let worked = catch_unwind(AssertUnwindSafe(|| self.work(!waiting.is_empty())));
            let result = worked.unwrap_or_else(|panic| {
                answer(std::mem::take(&mut waiting), &Err(SyncError::Disk(panicked(&*panic))));
                resume_unwind(panic)
            });
            next = Instant::now() + LOOK.min(self.shared.options.max_age / 4);
            match result {
                Ok(()) => {
                    self.pause = FIRST_PAUSE;
                    answer(waiting, &Ok(()));
                }
                Err(Error::Stopped) => return answer(waiting, &Err(SyncError::Stopped)),
                Err(error) => {
                    // A disk that is full is not to be full of half a run.
                    self.is_swept = self.shared.sweep();
                    next = Instant::now() + self.pause;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    let reason = error.to_string();
                    self.shared.progress.lock().compaction_errors += 1;
                    self.shared.tell(Event::CompactionFailed { reason: reason.clone() });
                    answer(waiting, &Err(SyncError::Disk(reason)));
                }
            }
        }
    }

    /// Does what there is to do. With `all` whatever is in segments that are ended and in runs goes into bases.
    fn work(&mut self, all: bool) -> Result<(), Error> {
        self.shared.note_segments()?;
        // Who loads wants the cores for that.
        if !all && self.shared.is_read() && self.ended_segment().is_none_or(|(_, ended)| ended < HURRY) {
            return Ok(());
        }
        while let Some((segment, waiting)) = self.ended_segment() {
            self.merge_segment(&segment, all || waiting >= HURRY)?;
        }
        let parts: Vec<u16> = self.shared.manifest().runs.iter().map(|run| run.part).collect();
        for part in std::collections::BTreeSet::from_iter(parts) {
            if self.is_due(&self.shared.manifest(), part, all) {
                self.merge_part(part, all)?;
            }
        }
        if !self.is_swept {
            self.is_swept = self.shared.sweep();
        }
        self.end_old_segment();
        Ok(())
    }

    /// The oldest segment that nobody writes to, and how many there are.
    fn ended_segment(&self) -> Option<(Segment, usize)> {
        let files = self.shared.files.lock();
        let ended = files.segments.len() - usize::from(files.is_open && !files.segments.is_empty());
        let first = files.segments.first().filter(|_| ended > 0)?;
        Some((first.clone(), ended))
    }

    /// Whether a part's runs are to be merged.
    fn is_due(&self, manifest: &Manifest, part: u16, all: bool) -> bool {
        let (mut base, mut bytes, mut count, mut is_old) = (0, 0, 0, false);
        let max_age = self.shared.options.max_age.as_millis() as u64;
        for run in manifest.runs_of(part) {
            if run.level == 0 {
                base = run.bytes;
            } else {
                bytes += run.bytes;
                count += 1;
                is_old |= run.tombstones > 0 && now_ms().saturating_sub(run.written) >= max_age / 2;
            }
        }
        count > 0 && (all || bytes >= base || count > MOST_RUNS || is_old)
    }

    /// Has the segment that is written to end, so that what is to be gone from all files does not stay in it.
    fn end_old_segment(&self) {
        let files = self.shared.files.lock();
        let has_intervals = files.segments.last().is_some_and(|segment| segment.intervals > 0);
        let is_old = files.is_open && has_intervals && files.open_since.elapsed() >= self.shared.options.max_age / 2;
        drop(files);
        if is_old {
            self.shared.signal.ask(|wanted| wanted.ends_segment = true);
        }
    }

    fn merge_segment(&mut self, segment: &Segment, hurries: bool) -> Result<(), Error> {
        let begun = Instant::now();
        let mut pace = Pace::new(&self.shared, hurries);
        let sources = self.read_segment(segment)?;
        let (from, to) = (segment.header.first_interval, segment.next_interval() - 1);
        let mut runs = Vec::new();
        for (part, intervals) in sources {
            let run = RunMeta { part, level: 1, from, to, ..RunMeta::default() };
            let from_bytes = segment.parts.get(&part).map_or(0, |part| part.bytes);
            let fold = self.shared.fold(part);
            let intervals = merge_neighbours(intervals, fold.as_deref(), &mut pace)?;
            let sources = intervals.into_iter().map(Source::InMemory).collect();
            let run = self.merge_into(run, fold.as_deref(), sources, &mut pace)?;
            if let Some(run) = &run {
                self.tell(run, from_bytes, begun);
            }
            runs.extend(run);
        }
        let number = segment.header.number;
        self.sync_names(!runs.is_empty())?;
        self.shared.change(
            |manifest| {
                manifest.runs.extend(runs);
                manifest.folded = Folded { segment: number, interval: to };
                manifest.segments.retain(|known| *known > number);
                Ok(())
            },
            |files| files.segments.retain(|segment| segment.header.number > number),
        )?;
        self.is_swept = self.shared.sweep();
        Ok(())
    }

    /// The frames of each part in a segment, by interval.
    fn read_segment(&self, segment: &Segment) -> Result<BTreeMap<u16, Vec<InMemory>>, Error> {
        let mut parts: BTreeMap<u16, (u64, Vec<InMemory>)> = BTreeMap::new();
        each_frame_of_segment(self.shared.place(), segment, |path, frame| {
            frame.check().map_err(|wrong| fault(path, wrong))?;
            let (last, intervals) = parts.entry(frame.header.part).or_default();
            if std::mem::replace(last, frame.header.interval) != frame.header.interval || intervals.is_empty() {
                intervals.push(InMemory::new(path.to_owned()));
            }
            intervals.last_mut().expect("one was pushed").push(frame.bytes.clone());
            Ok(())
        })?;
        Ok(parts.into_iter().map(|(part, (_, intervals))| (part, intervals)).collect())
    }

    fn merge_part(&mut self, part: u16, hurries: bool) -> Result<(), Error> {
        let begun = Instant::now();
        let manifest = self.shared.manifest();
        let old: Vec<&RunMeta> = manifest.runs_of(part).collect();
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(()) };
        let base = RunMeta { part, level: 0, from: first.from, to: last.to, ..RunMeta::default() };
        let files: Vec<RunFile<'_>> =
            old.iter().map(|run| RunFile::open(self.shared.place(), run)).collect::<Result<_, _>>()?;
        let sources = files.iter().map(|run| Source::File(FileFrames::new(run))).collect();
        let mut pace = Pace::new(&self.shared, hurries);
        let base = self.merge_into(base, self.shared.fold(part).as_deref(), sources, &mut pace)?;
        self.sync_names(base.is_some())?;
        let from_bytes = old.iter().map(|run| run.bytes).sum();
        if let Some(base) = &base {
            self.tell(base, from_bytes, begun);
        }
        let merged: Vec<u64> = old.iter().map(|run| run.number).collect();
        self.shared.change(
            |manifest| {
                manifest.runs.retain(|run| !merged.contains(&run.number));
                // A base comes before its part's runs.
                manifest.runs.splice(0..0, base);
                Ok(())
            },
            |_| {},
        )?;
        self.is_swept = self.shared.sweep();
        Ok(())
    }

    /// Merges sources, the oldest first, into a new file. None if nothing is left.
    fn merge_into(
        &self,
        run: RunMeta,
        fold: Option<&dyn Fold>,
        sources: Vec<Source<'_>>,
        pace: &mut Pace<'_>,
    ) -> Result<Option<RunMeta>, Error> {
        let mut file = NewRun::create(&self.shared)?;
        let merged = merge(sources, fold, run.level == 0, file.chain(), pace, &mut |bytes| file.write(bytes))?;
        if merged.entries == 0 {
            return Ok(None);
        }
        let run = RunMeta { entries: merged.entries, tombstones: merged.tombstones, ..run };
        file.finish(merged.chain, run).map(Some)
    }

    /// Makes the names of new files durable, before a manifest counts on them.
    fn sync_names(&self, is_needed: bool) -> Result<(), Error> {
        let dir = &self.shared.dir;
        if is_needed { self.shared.disk.sync_folder(dir).map_err(Error::disk("sync", dir)) } else { Ok(()) }
    }

    fn tell(&self, run: &RunMeta, from_bytes: u64, begun: Instant) {
        let mut progress = self.shared.progress.lock();
        progress.compactions += 1;
        progress.compacted_bytes += run.bytes;
        drop(progress);
        let manifest = self.shared.manifest();
        let name = manifest.parts.iter().find(|part| part.number == run.part).map(|part| part.name.clone());
        self.shared.tell(Event::Compacted {
            part: name.unwrap_or_default(),
            is_base: run.level == 0,
            from_bytes,
            bytes: run.bytes,
            entries: run.entries,
            took: begun.elapsed(),
        });
    }
}

/// Runs the thread, and whatever becomes of it, nobody waits for it in vain.
pub(super) fn run(compactor: Compactor) {
    let shared = compactor.shared.clone();
    let why = match catch_unwind(AssertUnwindSafe(|| compactor.run())) {
        Ok(()) => SyncError::Stopped,
        Err(panic) => {
            let reason = panicked(&*panic);
            shared.progress.lock().compaction_errors += 1;
            shared.tell(Event::CompactionFailed { reason: reason.clone() });
            SyncError::Disk(reason)
        }
    };
    shared.compaction.end(why);
    shared.end_thread();
}

fn panicked(panic: &dyn Any) -> String {
    format!("the thread that merges has panicked: {}", text_of(panic))
}
