//! A frame: part of what a table holds, with all that is needed to put it into another table. A stream of frames is a table.
//!
//! ```text
//! byte  0    magic            89 "AdTally"
//!       8    version          u16, 1
//!      10    kind             u8: 1 counters, 2 reach, 3 dedupe, 4 frequency caps, 5 attribution; of a pacer 6 reports,
//!                             7 grants, 8 plans; 9 a report of a meter
//!      11    flags            u8: bit 0, the last frame of its stream
//!      12    number           u32, from 0
//!      16    stream           16 random bytes, the same in all frames of a stream
//!      32    rows             u32
//!      36    settings length  u32
//!      40    payload length   u32
//!      44    settings         see `settings`
//!            payload          the rows, by kind: `export` of each kind of table says how
//!            checksum         u32, CRC-32C (Castagnoli) of all before it
//! ```
//!
//! All numbers are little-endian. A frame has at most 1 MiB.
//!
//! Frames come from outside. Every field is checked before it is used, and nothing is allocated that the input does not justify.
//! The checksum finds what happened by accident, and nothing that somebody has forged.

use super::settings::MAX_SETTINGS_BYTES;
use super::{FrameError, Kind, Name, Reader, Settings, Writer};

/// The most bytes of a frame.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
const MAGIC: [u8; 8] = *b"\x89AdTally";
const VERSION: u16 = 1;
const FLAG_LAST: u8 = 1;
const VERSION_AT: usize = 8;
const KIND_AT: usize = 10;
const FLAGS_AT: usize = 11;
const NUMBER_AT: usize = 12;
const STREAM_AT: usize = 16;
const ROWS_AT: usize = 32;
const SETTINGS_LENGTH_AT: usize = 36;
const PAYLOAD_LENGTH_AT: usize = 40;
const HEADER_BYTES: usize = 44;
const CHECKSUM_BYTES: usize = 4;

/// What the frames of one export have in common, and no other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(pub [u8; 16]);

impl StreamId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        // The standard library's hash maps are seeded by the system, and no two of them equally.
        let [low, high] = std::array::from_fn(|half| RandomState::new().hash_one(half));
        Self((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
    }
}

/// In hexadecimal digits.
impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The length in bytes of the frame that begins with these bytes, or of its header where these are fewer than that. It
/// is read from the header; the frame is not checked.
///
/// # Errors
/// If no frame of this version begins with these bytes.
pub fn frame_bytes(begin: &[u8]) -> Result<usize, FrameError> {
    let known = begin.len().min(MAGIC.len());
    if begin[..known] != MAGIC[..known] {
        return Err(FrameError::new("magic", 0, Hex(&begin[..known]), Hex(&MAGIC)));
    }
    if begin.len() < HEADER_BYTES {
        return Ok(HEADER_BYTES);
    }
    let field = |at: usize| Reader::new(begin, at);
    let version = field(VERSION_AT).u16("version")?;
    if version != VERSION {
        return Err(FrameError::new("version", VERSION_AT, version, VERSION));
    }
    let settings = field(SETTINGS_LENGTH_AT).u32("settings length")? as usize;
    if settings > MAX_SETTINGS_BYTES {
        let expected = format!("at most {MAX_SETTINGS_BYTES}");
        return Err(FrameError::new("settings length", SETTINGS_LENGTH_AT, settings, expected));
    }
    let payload = field(PAYLOAD_LENGTH_AT).u32("payload length")? as usize;
    let most = MAX_FRAME_BYTES - HEADER_BYTES - settings - CHECKSUM_BYTES;
    if payload > most {
        return Err(FrameError::new("payload length", PAYLOAD_LENGTH_AT, payload, format_args!("at most {most}")));
    }
    Ok(HEADER_BYTES + settings + payload + CHECKSUM_BYTES)
}

/// A frame that came from outside: its header, its settings and its checksum are right. The rows are still to be checked.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// What kind of table it is of.
    pub kind: Kind,
    /// Whether it is the last of its stream.
    pub is_last: bool,
    /// Its number in the stream.
    pub number: u32,
    /// Its stream.
    pub stream: StreamId,
    /// How many rows it has.
    pub rows: u32,
    /// What its table was.
    pub settings: Settings,
    /// All before the checksum.
    bytes: &'a [u8],
    payload_at: usize,
}

impl<'a> Frame<'a> {
    /// The frame that these bytes are.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let needed = frame_bytes(bytes)?;
        if bytes.len() != needed {
            let at = bytes.len().min(needed);
            let found = format!("{} bytes", bytes.len());
            return Err(FrameError::new("length", at, found, format_args!("{needed} bytes")));
        }
        let end = needed - CHECKSUM_BYTES;
        let (bytes, checksum) = bytes.split_at(end);
        let there = Reader::new(checksum, 0).u32("checksum")?;
        let right = crc32c::crc32c(bytes);
        if there != right {
            let expected = format!("{right:#010x}, that of the bytes before it");
            return Err(FrameError::new("checksum", end, format_args!("{there:#010x}"), expected));
        }
        let field = |at: usize| Reader::new(bytes, at);
        let number = field(KIND_AT).u8("kind")?;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| *kind as u8 == number) else {
            return Err(FrameError::new(
                "kind",
                KIND_AT,
                number,
                "1 (counters), 2 (reach), 3 (dedupe), 4 (frequency_cap), 5 (attribution), of a pacer 6 (reports), 7 (grants) or 8 (plans), or 9 (a report of a meter)",
            ));
        };
        let flags = field(FLAGS_AT).u8("flags")?;
        if flags & !FLAG_LAST != 0 {
            return Err(FrameError::new("flags", FLAGS_AT, flags, "0 or 1"));
        }
        let mut stream = [0; 16];
        stream.copy_from_slice(field(STREAM_AT).bytes("stream", 16)?);
        let settings = field(SETTINGS_LENGTH_AT).u32("settings length")? as usize;
        let payload_at = HEADER_BYTES + settings;
        Ok(Self {
            kind,
            is_last: flags & FLAG_LAST != 0,
            number: field(NUMBER_AT).u32("number")?,
            stream: StreamId(stream),
            rows: field(ROWS_AT).u32("rows")?,
            settings: Settings::read(kind, &mut Reader::new(&bytes[..payload_at], HEADER_BYTES))?,
            bytes,
            payload_at,
        })
    }

    /// Whether it is of a kind, and a table with such settings takes it.
    ///
    /// # Errors
    /// What differs first.
    pub fn expect(&self, kind: Kind, settings: &Settings) -> Result<(), FrameError> {
        if self.kind != kind {
            return Err(FrameError::new("kind", KIND_AT, self.kind.text(), kind.text()));
        }
        settings.check(kind, &self.settings, HEADER_BYTES)
    }

    /// Reads its payload.
    #[must_use]
    pub fn payload(&self) -> Reader<'a> {
        Reader::new(self.bytes, self.payload_at)
    }

    /// Reads every row, so that all of them are known to be right before one is applied.
    ///
    /// # Errors
    /// The first field that is wrong, or that there are more or fewer rows than the header says.
    pub fn check_rows(
        &self,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let mut reader = self.payload();
        let mut rows = 0_u32;
        while !reader.is_empty() && rows < self.rows {
            read(&mut reader)?;
            rows += 1;
        }
        if rows < self.rows {
            return Err(FrameError::new("rows", ROWS_AT, self.rows, format_args!("{rows}, as many as there are")));
        }
        if !reader.is_empty() {
            let expected = format!("the end after {rows} rows");
            return Err(FrameError::new("payload", reader.at(), "longer", expected));
        }
        Ok(())
    }

    /// An error in a setting.
    #[cold]
    #[must_use]
    pub fn setting_error(
        &self,
        name: Name,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> FrameError {
        FrameError::new(name.text(), HEADER_BYTES + self.settings.place(name), found, expected)
    }

    /// An error in the frame's number.
    #[cold]
    pub(crate) fn number_error(&self, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> FrameError {
        FrameError::new("number", NUMBER_AT, found, expected)
    }

    /// An error in the frame's stream.
    #[cold]
    pub(crate) fn stream_error(&self, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> FrameError {
        FrameError::new("stream", STREAM_AT, found, expected)
    }
}

/// Writes the frames of a stream, one after the other.
#[derive(Debug)]
pub struct FrameWriter {
    kind: Kind,
    stream: StreamId,
    settings: Vec<u8>,
    number: u32,
    rows: u32,
    /// The frame that is being written, from its header on.
    frame: Writer,
    /// A row that had no room in the frame before.
    carried: Vec<u8>,
}

impl FrameWriter {
    /// Begins a stream.
    #[must_use]
    pub fn new(kind: Kind, stream: StreamId, settings: &Settings) -> Self {
        let mut written = Writer::default();
        settings.write(&mut written);
        let settings = written.into_bytes();
        let (frame, carried) = (Writer::default(), Vec::new());
        let mut this = Self { kind, stream, settings, number: 0, rows: 0, frame, carried };
        this.begin();
        this
    }

    fn begin(&mut self) {
        self.frame.bytes(&[0; HEADER_BYTES]);
        self.frame.bytes(&self.settings);
        self.frame.bytes.append(&mut self.carried);
        self.rows = u32::from(self.frame.len() > HEADER_BYTES + self.settings.len());
    }

    /// Writes a row. False if it had no room, and will be the first one of the next frame: then this one is to be finished.
    ///
    /// # Panics
    /// If no frame has room for it.
    #[must_use]
    pub fn row(&mut self, write: impl FnOnce(&mut Writer)) -> bool {
        assert!(self.carried.is_empty(), "the frame is full");
        let begin = self.frame.len();
        write(&mut self.frame);
        let has_room = self.frame.len() + CHECKSUM_BYTES <= MAX_FRAME_BYTES;
        if has_room {
            self.rows += 1;
        } else {
            self.carried = self.frame.bytes.split_off(begin);
            let alone = HEADER_BYTES + self.settings.len() + self.carried.len() + CHECKSUM_BYTES;
            assert!(alone <= MAX_FRAME_BYTES, "a row of {} bytes", self.carried.len());
        }
        has_room
    }

    /// How many bytes the frame has so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frame.len()
    }

    /// Ends the frame, and begins the next one.
    ///
    /// # Panics
    /// If it is to be the last one and there is still a row that had no room.
    #[must_use]
    pub fn finish(&mut self, is_last: bool) -> Vec<u8> {
        assert!(!is_last || self.carried.is_empty(), "there is one more row");
        let mut header = Writer::default();
        header.bytes(&MAGIC);
        header.u16(VERSION);
        header.u8(self.kind as u8);
        header.u8(if is_last { FLAG_LAST } else { 0 });
        header.u32(self.number);
        header.bytes(&self.stream.0);
        header.u32(self.rows);
        header.u32(self.settings.len() as u32);
        header.u32((self.frame.len() - HEADER_BYTES - self.settings.len()) as u32);
        let mut frame = std::mem::take(&mut self.frame);
        frame.bytes[..HEADER_BYTES].copy_from_slice(&header.bytes);
        frame.u32(crc32c::crc32c(&frame.bytes));
        self.number += 1;
        self.begin();
        frame.into_bytes()
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
