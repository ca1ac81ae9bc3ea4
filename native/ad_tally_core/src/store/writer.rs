//! Appends intervals to segments.

use std::sync::Arc;
use std::time::Instant;

use super::disk::{DiskFile, write_all};
use super::error::Error;
use super::manifest::segment_file;
use super::segment::{FILE_HEADER_BYTES, FileHeader, FileKind, Segment};
use super::shared::Shared;
use crate::journal::{Chain, FrameHeader, rechain};

/// The segment that is written to, and what the next one has to say.
pub(super) struct Writer {
    shared: Arc<Shared>,
    open: Option<Open>,
    next_number: u64,
    next_interval: u64,
    /// The last segment that has intervals, and how many bytes of it count.
    previous: u64,
    previous_length: u64,
}

struct Open {
    file: Box<dyn DiskFile>,
    chain: Chain,
}

impl Writer {
    /// Writes behind what there is, to a new segment.
    pub(super) fn new(shared: Arc<Shared>, next_number: u64, next_interval: u64) -> Self {
        let files = shared.files.lock();
        let (previous, previous_length) = files
            .segments
            .last()
            .map_or((files.manifest.folded.segment, 0), |segment| (segment.header.number, segment.bytes));
        drop(files);
        Self { shared, open: None, next_number, next_interval, previous, previous_length }
    }

    pub(super) fn next_interval(&self) -> u64 {
        self.next_interval
    }

    /// Writes the frames of an interval and makes them durable. If that fails the segment is given up, and the same interval may be written again,
    /// to another one.
    pub(super) fn append(&mut self, frames: &mut [u8]) -> Result<(), Error> {
        let result = match self.open.take() {
            Some(open) => self.append_to(open, frames),
            // Before anybody hears that the interval is durable. Where the disk refuses, the thread that merges does it later.
            None => self.begin_with(Some(frames)).map(|()| drop(self.shared.note_segments())),
        };
        if result.is_err() {
            self.shared.files.lock().is_open = false;
        }
        result
    }

    fn append_to(&mut self, mut open: Open, frames: &mut [u8]) -> Result<(), Error> {
        let path = self.shared.dir.join(segment_file(self.previous));
        rechain(frames, &mut open.chain);
        write_all(&mut *open.file, frames).map_err(Error::disk("write", &path))?;
        open.file.sync().map_err(Error::disk("sync", &path))?;
        self.count(frames);
        self.open = Some(open);
        Ok(())
    }

    /// Begins a segment, with its first interval or without one.
    pub(super) fn begin_with(&mut self, mut frames: Option<&mut [u8]>) -> Result<(), Error> {
        let number = self.next_number;
        self.next_number += 1;
        let header = FileHeader {
            kind: FileKind::Segment,
            opened: self.shared.opened,
            id: self.shared.id,
            number,
            previous: self.previous,
            previous_length: self.previous_length,
            first_interval: self.next_interval,
        };
        let (begin, chain) = header.write();
        let path = self.shared.dir.join(segment_file(number));
        let disk = &*self.shared.disk;
        let mut open = Open { file: disk.create(&path).map_err(Error::disk("create", &path))?, chain };
        let written = (|| {
            if let Some(frames) = &mut frames {
                rechain(frames, &mut open.chain);
            }
            write_all(&mut *open.file, &begin).map_err(Error::disk("write", &path))?;
            if let Some(frames) = &frames {
                write_all(&mut *open.file, frames).map_err(Error::disk("write", &path))?;
            }
            open.file.sync().map_err(Error::disk("sync", &path))?;
            disk.sync_folder(&self.shared.dir).map_err(Error::disk("sync", &self.shared.dir))
        })();
        if let Err(error) = written {
            // On a full disk this makes room. If it stays it does no harm: no other segment names it.
            let _ = disk.remove(&path);
            return Err(error);
        }
        (self.previous, self.previous_length) = (number, FILE_HEADER_BYTES as u64);
        let segment = Segment { header, bytes: FILE_HEADER_BYTES as u64, intervals: 0, parts: Default::default() };
        {
            // In one step: a segment that is there and not open is merged, and removed.
            let mut files = self.shared.files.lock();
            files.segments.push(segment);
            (files.is_open, files.open_since) = (true, Instant::now());
        }
        if let Some(frames) = frames {
            self.count(frames);
        }
        self.open = Some(open);
        Ok(())
    }

    /// Counts a durable interval.
    fn count(&mut self, frames: &[u8]) {
        self.previous_length += frames.len() as u64;
        self.next_interval += 1;
        let mut files = self.shared.files.lock();
        let segment = files.segments.last_mut().expect("the one that is open");
        segment.bytes = self.previous_length;
        segment.intervals += 1;
        let mut rest = frames;
        while let Ok(header) = FrameHeader::read(rest) {
            segment.parts.entry(header.part).or_default().add(&header);
            rest = &rest[header.bytes..];
        }
    }

    /// Whether the segment is as large as segments become.
    pub(super) fn is_full(&self) -> bool {
        self.open.is_some() && self.previous_length >= self.shared.options.segment_bytes
    }

    /// Ends the segment, so that it may become runs.
    pub(super) fn end(&mut self) {
        self.open = None;
        self.shared.files.lock().is_open = false;
        self.shared.compaction.wake();
    }
}
