//! Merges runs into one file, slowly enough that nobody notices.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::Error;
use super::frame::{FrameReader, RawFrame};
use super::load::{RunFile, fault};
use super::shared::Shared;
use crate::journal::{Chain, Entry, Fold, Frames, Merge, MergeError, RunWriter, WindowState};

/// What is written at once, and after which a pause is made.
const STEP_BYTES: usize = 256 << 10;
/// So many entries are merged between two looks at the clock.
const STEP_ENTRIES: u64 = 4_096;
/// So many runs in memory are merged at once: each takes a kilobyte beside its frame.
const MOST_AT_ONCE: usize = 1_024;

/// How fast it is merged.
pub(super) struct Pace<'s> {
    shared: &'s Shared,
    hurries: bool,
    begun: Instant,
}

/// A longer sleep would keep whoever stops the store waiting.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

impl<'s> Pace<'s> {
    pub(super) fn new(shared: &'s Shared, hurries: bool) -> Self {
        Self { shared, hurries, begun: Instant::now() }
    }

    /// Sleeps as long as was worked since the last time. Refuses to go on once the store is to stop.
    fn step(&mut self) -> Result<(), Error> {
        if self.shared.compaction.stops() {
            return Err(Error::Stopped);
        }
        if !self.hurries {
            std::thread::sleep(self.begun.elapsed().min(LONGEST_SLEEP));
            self.begun = Instant::now();
        }
        Ok(())
    }
}

/// The frames of a run of one part, one after the other.
pub(super) enum Source<'a> {
    InMemory(InMemory),
    File(FileFrames<'a>),
}

/// Frames that are right.
#[derive(Debug)]
pub(super) struct InMemory {
    path: PathBuf,
    frames: VecDeque<Vec<u8>>,
}

impl InMemory {
    /// None so far, of a file.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, frames: VecDeque::new() }
    }

    pub(super) fn push(&mut self, frame: Vec<u8>) {
        self.frames.push_back(frame);
    }
}

/// The frames of a file.
pub(super) struct FileFrames<'a> {
    run: &'a RunFile<'a>,
    reader: FrameReader<'a>,
    frame: RawFrame,
}

impl<'a> FileFrames<'a> {
    pub(super) fn new(run: &'a RunFile<'a>) -> Self {
        Self { run, reader: run.frames(), frame: RawFrame::empty() }
    }
}

impl Frames for Source<'_> {
    type Error = Error;

    fn next(&mut self, frame: &mut Vec<u8>) -> Result<bool, Error> {
        match self {
            Self::InMemory(InMemory { frames, .. }) => {
                let next = frames.pop_front();
                let is_there = next.is_some();
                *frame = next.unwrap_or_default();
                Ok(is_there)
            }
            Self::File(FileFrames { run, reader, frame: raw }) => {
                let wrong = |wrong| fault(&run.path, wrong);
                if !reader.next(raw).map_err(wrong)? {
                    run.check_end(reader)?;
                    return Ok(false);
                }
                raw.check().map_err(wrong)?;
                std::mem::swap(frame, &mut raw.bytes);
                Ok(true)
            }
        }
    }
}

impl Source<'_> {
    fn path(&self) -> PathBuf {
        match self {
            Self::InMemory(source) => source.path.clone(),
            Self::File(source) => source.run.path.clone(),
        }
    }
}

/// What a merge has left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merged {
    pub entries: u64,
    /// How many of them say that something older is to go.
    pub tombstones: u64,
    /// Behind the last frame.
    pub chain: Chain,
}

/// Merges runs of one part, the oldest first.
pub(super) fn merge(
    sources: Vec<Source<'_>>,
    fold: Option<&dyn Fold>,
    is_base: bool,
    chain: Chain,
    pace: &mut Pace<'_>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Merged, Error> {
    let paths: Vec<PathBuf> = sources.iter().map(Source::path).collect();
    let failed = |error: MergeError<Error>| match error {
        MergeError::Frames(error) => error,
        MergeError::Entry { run, frame, error } => {
            let what = format!("frame {frame} of a part: {}: {}", error.field, error.reason);
            Error::damaged(&paths[run], error.at as u64, what)
        }
    };
    let mut merge = Merge::new(sources, fold, is_base).map_err(failed)?;
    let mut run = RunWriter::new(chain);
    let mut tombstones = 0;
    while let Some((part, entry)) = merge.next().map_err(failed)? {
        tombstones += u64::from(is_tombstone(&entry));
        run.push(part, &entry);
        if run.whole().len() >= STEP_BYTES {
            write(run.whole())?;
            run.clear_whole();
            pace.step()?;
        } else if run.entries().is_multiple_of(STEP_ENTRIES) {
            pace.step()?;
        }
    }
    let entries = run.entries();
    let (rest, chain) = run.finish();
    write(&rest)?;
    pace.step()?;
    Ok(Merged { entries, tombstones, chain })
}

fn is_tombstone(entry: &Entry<'_>) -> bool {
    matches!(entry, Entry::Forgotten { .. } | Entry::Window { state: WindowState::Gone, .. })
}

/// Merges neighbours among many runs in memory, until there are few.
pub(super) fn merge_neighbours(
    mut runs: Vec<InMemory>,
    fold: Option<&dyn Fold>,
    pace: &mut Pace<'_>,
) -> Result<Vec<InMemory>, Error> {
    while runs.len() > MOST_AT_ONCE {
        let mut merged = Vec::new();
        let mut rest = runs.into_iter().peekable();
        while rest.peek().is_some() {
            let some: Vec<InMemory> = rest.by_ref().take(MOST_AT_ONCE).collect();
            let mut into = InMemory::new(some[0].path.clone());
            let sources = some.into_iter().map(Source::InMemory).collect();
            merge(sources, fold, false, Chain::default(), pace, &mut |frames| {
                into.push_all(frames);
                Ok(())
            })?;
            merged.push(into);
        }
        runs = merged;
    }
    Ok(runs)
}

impl InMemory {
    fn push_all(&mut self, mut frames: &[u8]) {
        while let Ok(header) = crate::journal::FrameHeader::read(frames) {
            let (frame, rest) = frames.split_at(header.bytes);
            self.push(frame.to_vec());
            frames = rest;
        }
    }
}
