//! A segment: the intervals of some time, one after the other, as frames.
//!
//! ```text
//! byte  0    magic            89 "ATstore"
//!       8    version          u16, 1; another one has the same header, but for what it means
//!      10    what it is       u16: 1 a segment, 2 a run
//!      12    opened           u32: how often the store had been opened
//!      16    id               16 bytes, of the store
//!      32    number           u64, the file's
//!      40    previous         u64, the number of the segment before
//!      48    previous length  u64: how many bytes of that one count
//!      56    first interval   u64
//!      64    checksum         u32, CRC-32C of all before it
//!      68    frames
//! ```
//!
//! The last frame of an interval says so. An interval counts only whole: what a segment ends with otherwise was not yet
//! acknowledged when the process died.
//!
//! A segment to which a write has failed is given up, and the same interval goes to another one, whose header says how much of
//! the one before counts. So what lies behind that, and a file that no other one names as the one before, counts for nothing,
//! and no disk that is full has to take a word that says so.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{DiskFile, read_full};
use super::error::Error;
use super::frame::{Fault, FrameReader, RawFrame, frames_behind};
use crate::journal::{Chain, FrameHeader};

const MAGIC: [u8; 8] = *b"\x89ATstore";
pub(super) const VERSION: u16 = 1;
pub(super) const FILE_HEADER_BYTES: usize = 68;
const CHECKSUM_AT: usize = 64;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment = 1,
    Run = 2,
}

/// What a segment, or a run, begins with. A run has no previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub kind: FileKind,
    pub opened: u32,
    pub id: u128,
    pub number: u64,
    pub previous: u64,
    pub previous_length: u64,
    pub first_interval: u64,
}

impl FileHeader {
    /// Its bytes, and the chain of the frames behind it.
    pub(super) fn write(&self) -> ([u8; FILE_HEADER_BYTES], Chain) {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(self.kind as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.opened.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id.to_le_bytes());
        let words = [self.number, self.previous, self.previous_length, self.first_interval];
        for (place, word) in bytes[32..CHECKSUM_AT].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        (bytes, Chain { number: 0, checksum })
    }

    /// Reads the header of a file of a store: what is wrong with it otherwise, and where. One of another version is whole, and not read.
    pub(super) fn read(
        file: &dyn DiskFile,
        path: &Path,
        kind: FileKind,
        id: u128,
    ) -> Result<Result<Self, Wrong>, Error> {
        let mut bytes = [0; FILE_HEADER_BYTES];
        let read = read_full(file, &mut bytes, 0).map_err(Error::disk("read", path))?;
        if read < FILE_HEADER_BYTES {
            let what = format!("cut off, expected a header of {FILE_HEADER_BYTES} bytes");
            return Ok(Err(Wrong { at: read as u64, what }));
        }
        Self::parse(&bytes, path, kind, id)
    }

    fn parse(
        bytes: &[u8; FILE_HEADER_BYTES],
        path: &Path,
        kind: FileKind,
        id: u128,
    ) -> Result<Result<Self, Wrong>, Error> {
        let wrong = |at: usize, what: String| Ok(Err(Wrong { at: at as u64, what }));
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let whole = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..8] != MAGIC {
            return wrong(
                0,
                format!("magic: {:02x?}, expected {MAGIC:02x?}, the begin of a file of a store", &bytes[..8]),
            );
        }
        let (there, right) = (whole(CHECKSUM_AT), crc32c::crc32c(&bytes[..CHECKSUM_AT]));
        if there != right {
            return wrong(CHECKSUM_AT, format!("checksum: {there:#010x}, expected {right:#010x}, that of the header"));
        }
        if half(8) != VERSION {
            return Err(Error::Version { file: path.to_owned(), found: half(8).into(), known: VERSION.into() });
        }
        if half(10) != kind as u16 {
            return wrong(10, format!("what it is: {}, expected {} ({kind:?})", half(10), kind as u16));
        }
        let its_id = u128::from(word(16)) | u128::from(word(24)) << 64;
        if its_id != id {
            return wrong(
                16,
                format!("id: {its_id:032x}, expected {id:032x}, that of the manifest: it is of another store"),
            );
        }
        let header = Self {
            kind,
            opened: whole(12),
            id,
            number: word(32),
            previous: word(40),
            previous_length: word(48),
            first_interval: word(56),
        };
        Ok(Ok(header))
    }
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub at: u64,
    pub what: String,
}

/// Whether a segment whose header is wrong had got something of worth: whether its first frame is whole, which begins in the same
/// sector as the header, or frames of several intervals, of which all but one were synced.
pub(super) fn has_intervals(file: &dyn DiskFile) -> std::io::Result<bool> {
    let found = frames_behind(file, 0)?;
    let is_first = found.first().is_some_and(|(at, _)| *at == FILE_HEADER_BYTES as u64);
    Ok(is_first || found.windows(2).any(|pair| pair[0].1.interval != pair[1].1.interval))
}

/// What a part has in a segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PartBytes {
    pub frames: u64,
    pub bytes: u64,
    pub entries: u64,
}

impl PartBytes {
    /// Counts a frame.
    pub(super) fn add(&mut self, frame: &FrameHeader) {
        self.frames += 1;
        self.bytes += frame.bytes as u64;
        self.entries += u64::from(frame.entries);
    }
}

/// What a segment holds.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub header: FileHeader,
    /// Up to the end of its last whole interval.
    pub bytes: u64,
    pub intervals: u64,
    pub parts: BTreeMap<u16, PartBytes>,
}

impl Segment {
    /// The interval that is expected behind it.
    pub(super) fn next_interval(&self) -> u64 {
        self.header.first_interval + self.intervals
    }
}

/// The numbers of segments.
pub(super) fn numbers(segments: &[Segment]) -> Vec<u64> {
    segments.iter().map(|segment| segment.header.number).collect()
}

/// What lies behind the last whole interval of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Clean,
    /// The begin of an interval, or bytes of one, that was not synced when the process died.
    Torn { bytes: u64, wrong: Wrong },
    /// Something that cannot come of a process that died.
    Damaged(Wrong),
}

/// Reads a segment whole, up to `limit` where that is known, and gives each frame away.
pub(super) fn scan(
    file: &dyn DiskFile,
    path: &Path,
    header: FileHeader,
    limit: Option<u64>,
    mut each: impl FnMut(&RawFrame),
) -> Result<(Segment, Tail), Error> {
    let size = file.size().map_err(Error::disk("read", path))?;
    let limit = limit.unwrap_or(size);
    let begin = FILE_HEADER_BYTES as u64;
    let mut segment = Segment { header, bytes: begin, intervals: 0, parts: BTreeMap::new() };
    if size < limit {
        let what = format!("cut off, expected {limit} bytes");
        return Ok((segment, Tail::Damaged(Wrong { at: size, what })));
    }
    let mut reader = FrameReader::new(file, begin, limit, header.write().1);
    let mut frame = RawFrame::empty();
    // What an interval has is of the segment once it is whole.
    let mut parts: BTreeMap<u16, PartBytes> = BTreeMap::new();
    let fault = loop {
        match reader.next(&mut frame).and_then(|next| if next { frame.check().map(|()| true) } else { Ok(false) }) {
            Ok(true) => {}
            Ok(false) => break None,
            Err(fault) => break Some(fault),
        }
        let next = frame.header;
        let expected = segment.next_interval();
        if next.interval != expected {
            let what = format!("interval: {}, expected {expected}", next.interval);
            break Some(Fault::Misplaced { at: frame.at, what });
        }
        each(&frame);
        parts.entry(next.part).or_default().add(&next);
        if next.is_last {
            segment.intervals += 1;
            segment.bytes = reader.at();
            for (number, more) in std::mem::take(&mut parts) {
                let part = segment.parts.entry(number).or_default();
                part.frames += more.frames;
                part.bytes += more.bytes;
                part.entries += more.entries;
            }
        }
    };
    let wrong = match fault {
        None if reader.at() == segment.bytes => return Ok((segment, Tail::Clean)),
        None => {
            let what = "cut off within an interval".to_owned();
            let wrong = Wrong { at: reader.at(), what };
            let bytes = limit - segment.bytes;
            return Ok((segment, Tail::Torn { bytes, wrong }));
        }
        Some(Fault::Disk(error)) => return Err(Error::disk("read", path)(error)),
        Some(Fault::Misplaced { at, what }) => return Ok((segment, Tail::Damaged(Wrong { at, what }))),
        Some(Fault::Damaged { at, what }) => Wrong { at, what },
        Some(Fault::Cut { at }) => Wrong { at, what: "cut off within a frame".to_owned() },
    };
    let tail = if is_followed(file, path, wrong.at, &segment)? {
        Tail::Damaged(wrong)
    } else {
        Tail::Torn { bytes: limit - segment.bytes, wrong }
    };
    Ok((segment, tail))
}

/// Whether frames of a later interval lie behind a place within an interval. One is written only after the one before was synced,
/// so then what is wrong was right once.
fn is_followed(file: &dyn DiskFile, path: &Path, at: u64, segment: &Segment) -> Result<bool, Error> {
    let found = frames_behind(file, at).map_err(Error::disk("read", path))?;
    Ok(found.iter().any(|(_, header)| header.interval > segment.next_interval()))
}
