//! Gives a part back what the store holds of it: its base, its runs, and then its entries of the segments, in the order of time.
//!
//! A run is read by two threads, each of which takes the next frame, checks it and restores its entries. The entries that decide
//! about others come first in a run, and are restored before any other one.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::disk::{Disk, DiskFile};
use super::error::Error;
use super::frame::{Fault, FrameReader, RawFrame};
use super::manifest::{RunMeta, segment_file};
use super::recover::open;
use super::segment::{FILE_HEADER_BYTES, FileHeader, FileKind, Segment};
use super::shared::Reading;
use crate::journal::{Chain, Entry, EntryKind, Restore, RunFrame};

/// What was given back to a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many entries.
    pub entries: u64,
    /// How many bytes of files they were.
    pub bytes: u64,
}

/// Where the files are.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub disk: &'a dyn Disk,
    pub dir: &'a Path,
    pub id: u128,
}

/// A run that is read.
pub(super) struct RunFile<'a> {
    pub path: PathBuf,
    file: Box<dyn DiskFile>,
    chain: Chain,
    meta: &'a RunMeta,
}

impl<'a> RunFile<'a> {
    pub(super) fn open(place: Place<'_>, meta: &'a RunMeta) -> Result<Self, Error> {
        let path = place.dir.join(meta.file());
        let file = open(place.disk, &path)?;
        let header = FileHeader::read(&*file, &path, FileKind::Run, place.id)?;
        let header = header.map_err(|wrong| Error::damaged(&path, wrong.at, wrong.what))?;
        Ok(Self { path, file, chain: header.write().1, meta })
    }

    pub(super) fn frames(&self) -> FrameReader<'_> {
        FrameReader::new(&*self.file, FILE_HEADER_BYTES as u64, self.meta.bytes, self.chain)
    }

    /// Whether the last frame is the one that the manifest means: each names the one before it.
    pub(super) fn check_end(&self, frames: &FrameReader<'_>) -> Result<(), Error> {
        let there = frames.chain().checksum;
        if there == self.meta.checksum {
            return Ok(());
        }
        let what =
            format!("ends with checksum {there:#010x}, expected {:#010x} as the manifest says", self.meta.checksum);
        Err(Error::damaged(&self.path, self.meta.bytes, what))
    }
}

/// What is wrong with a file whose frame has a fault.
pub(super) fn fault(path: &Path, fault: Fault) -> Error {
    match fault {
        Fault::Cut { at } => Error::damaged(path, at, "cut off within a frame"),
        Fault::Damaged { at, what } | Fault::Misplaced { at, what } => Error::damaged(path, at, what),
        Fault::Disk(error) => Error::disk("read", path)(error),
    }
}

/// Gives all entries of a frame away, and says of what kind the last one was.
pub(super) fn each_entry(
    path: &Path,
    frame: &RawFrame,
    mut each: impl FnMut(Entry<'_>) -> Result<(), Error>,
) -> Result<Option<EntryKind>, Error> {
    let mut chain = frame.header.chain;
    let damaged = |error: crate::codec::FrameError| {
        let what = format!("{}: {}", error.field, error.reason);
        Error::damaged(path, frame.at + error.at as u64, what)
    };
    let mut entries = RunFrame::read(&frame.bytes, &mut chain).map_err(damaged)?.read_entries();
    let mut last = None;
    while let Some((part, entry)) = entries.next().map_err(damaged)? {
        if part != frame.header.part {
            let what = format!("part: {part}, expected {}, that of the frame", frame.header.part);
            return Err(Error::damaged(path, frame.at, what));
        }
        last = Some(entry.kind());
        each(entry)?;
    }
    Ok(last)
}

/// The frames of a part in a segment, one after the other.
pub(super) fn each_frame_of_segment(
    place: Place<'_>,
    segment: &Segment,
    mut each: impl FnMut(&Path, &RawFrame) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = place.dir.join(segment_file(segment.header.number));
    let file = open(place.disk, &path)?;
    let chain = segment.header.write().1;
    let mut reader = FrameReader::new(&*file, FILE_HEADER_BYTES as u64, segment.bytes, chain);
    let mut frame = RawFrame::empty();
    while reader.next(&mut frame).map_err(|wrong| fault(&path, wrong))? {
        each(&path, &frame)?;
    }
    Ok(())
}

/// Gives all entries of a part away, one after the other, by the calling thread.
pub(super) fn read_part(
    place: Place<'_>,
    reading: &Reading<'_>,
    part: u16,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    for meta in reading.manifest.runs_of(part) {
        let run = RunFile::open(place, meta)?;
        let mut frames = run.frames();
        let mut frame = RawFrame::empty();
        while frames.next(&mut frame).map_err(|wrong| fault(&run.path, wrong))? {
            each_entry(&run.path, &frame, &mut *each)?;
        }
        run.check_end(&frames)?;
    }
    for segment in reading.segments.iter().filter(|segment| segment.parts.contains_key(&part)) {
        each_frame_of_segment(place, segment, |path, frame| {
            if frame.header.part == part { each_entry(path, frame, &mut *each).map(drop) } else { Ok(()) }
        })?;
    }
    Ok(())
}

/// Loads a part.
pub(super) struct Load<'a> {
    pub place: Place<'a>,
    pub reading: &'a Reading<'a>,
    pub part: u16,
    pub restore: &'a (dyn Restore + Sync),
    /// By the calling thread: bytes that are done, of how many.
    pub progress: &'a dyn Fn(u64, u64),
}

impl Load<'_> {
    pub(super) fn run(&self) -> Result<Loaded, Error> {
        let reading = self.reading;
        let segments = || reading.segments.iter().filter_map(|segment| segment.parts.get(&self.part));
        let of = reading.manifest.runs_of(self.part).map(|run| run.bytes).sum::<u64>()
            + segments().map(|part| part.bytes).sum::<u64>();
        let done = Done { entries: AtomicU64::new(0), bytes: AtomicU64::new(0), of };
        (self.progress)(0, of);
        for meta in reading.manifest.runs_of(self.part) {
            self.load_run(meta, &done)?;
        }
        for segment in reading.segments.iter().filter(|segment| segment.parts.contains_key(&self.part)) {
            each_frame_of_segment(self.place, segment, |path, frame| {
                if frame.header.part == self.part {
                    load_frame(self.restore, path, frame, &done).map(drop)
                } else {
                    Ok(())
                }
            })?;
            (self.progress)(done.bytes(), of);
        }
        (self.progress)(of, of);
        Ok(Loaded { entries: done.entries.load(Ordering::Relaxed), bytes: of })
    }

    fn load_run(&self, meta: &RunMeta, done: &Done) -> Result<(), Error> {
        let run = RunFile::open(self.place, meta)?;
        done.bytes.fetch_add(FILE_HEADER_BYTES as u64, Ordering::Relaxed);
        let restore = self.restore;
        let mut frames = run.frames();
        let mut frame = RawFrame::empty();
        // One after the other, until others than those that decide have begun.
        loop {
            if !frames.next(&mut frame).map_err(|wrong| fault(&run.path, wrong))? {
                return run.check_end(&frames);
            }
            let last = load_frame(restore, &run.path, &frame, done)?;
            (self.progress)(done.bytes(), done.of);
            if last.is_some_and(|kind| kind > EntryKind::Window) {
                break;
            }
        }
        let frames = Mutex::new(frames);
        let is_over = AtomicBool::new(false);
        let work = |progress: &dyn Fn()| -> Result<(), Error> {
            let mut frame = RawFrame::empty();
            while !is_over.load(Ordering::Relaxed) {
                let is_there = frames.lock().next(&mut frame).map_err(|wrong| fault(&run.path, wrong))?;
                if !is_there {
                    break;
                }
                load_frame(restore, &run.path, &frame, done)?;
                progress();
            }
            Ok(())
        };
        let work = |progress: &dyn Fn()| {
            let result = work(progress);
            is_over.fetch_or(result.is_err(), Ordering::Relaxed);
            result
        };
        let (own, other) = std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("ad_tally load".to_owned());
            // Without a thread to be had one does it all.
            let other = builder.spawn_scoped(scope, || work(&|| {}));
            let own = work(&|| (self.progress)(done.bytes(), done.of));
            let other = other.ok().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            (own, other.unwrap_or(Ok(())))
        });
        own.and(other)?;
        run.check_end(&frames.into_inner())
    }
}

fn load_frame(
    restore: &(dyn Restore + Sync),
    path: &Path,
    frame: &RawFrame,
    done: &Done,
) -> Result<Option<EntryKind>, Error> {
    let last = each_entry(path, frame, |entry| {
        let kind = entry.kind();
        restore.restore(entry).map_err(|reason| {
            Error::Restore(format!("{} byte {}: {}: {reason}", path.display(), frame.at, kind.text()))
        })
    })?;
    done.entries.fetch_add(u64::from(frame.header.entries), Ordering::Relaxed);
    done.bytes.fetch_add(frame.bytes.len() as u64, Ordering::Relaxed);
    Ok(last)
}

struct Done {
    entries: AtomicU64,
    bytes: AtomicU64,
    of: u64,
}

impl Done {
    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
