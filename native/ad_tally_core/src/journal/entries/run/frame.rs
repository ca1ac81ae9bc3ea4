//! A frame of entries, as it lies in a file.
//!
//! ```text
//! byte  0    magic            "ATfr", by which frames behind a damage are found
//!       4    checksum         u32, CRC-32C (Castagnoli) of all that follows
//!       8    payload length   u32
//!      12    number           u32: frames of a file are numbered, from 0
//!      16    previous         u32, the checksum of the frame before; of the first one, what the file's beginning says
//!      20    entries          u32, how many
//!      24    part             u16: whose entries they are
//!      26    flags            u16: bit 0, the last frame of its run
//!      28    interval         u64: the interval that the run is, 0 of what is no single one
//!      36    payload          the entries, see `write`
//! ```
//!
//! All numbers are little-endian. A frame is full at 256 KiB, and larger only where its last entry is.

use crate::codec::{FrameError, Reader};

const MAGIC: [u8; 4] = *b"ATfr";
/// Bytes before the payload.
pub const FRAME_HEADER_BYTES: usize = 36;
/// A frame that has so many bytes is full.
pub const FULL_FRAME_BYTES: usize = 256 << 10;
/// No frame has more: whoever reads a file needs as much memory.
pub const MAX_RUN_FRAME_BYTES: usize = 1 << 30;
const CHECKSUM_AT: usize = 4;
const LENGTH_AT: usize = 8;
const NUMBER_AT: usize = 12;
const PREVIOUS_AT: usize = 16;
const ENTRIES_AT: usize = 20;
const PART_AT: usize = 24;
const FLAGS_AT: usize = 26;
const INTERVAL_AT: usize = 28;
const FLAG_LAST: u16 = 1;

/// What ties a frame to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The number of the next frame.
    pub number: u32,
    /// The checksum of the frame before it.
    pub checksum: u32,
}

impl Chain {
    /// Behind a frame of that checksum.
    #[must_use]
    pub fn after(self, checksum: u32) -> Self {
        Self { number: self.number.wrapping_add(1), checksum }
    }
}

/// What a frame says of itself. It may be wrong as long as the checksum was not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The checksum that it should have.
    pub checksum: u32,
    /// How many bytes it has, with the header.
    pub bytes: usize,
    /// The chain that it belongs to.
    pub chain: Chain,
    /// How many entries it has.
    pub entries: u32,
    /// Whose they are.
    pub part: u16,
    /// Whether it is the last one of its run.
    pub is_last: bool,
    /// The interval that the run is, or 0.
    pub interval: u64,
}

impl FrameHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let field = |name: &'static str, at: usize| Reader::new(bytes, at.min(bytes.len())).u32(name);
        let magic = Reader::new(bytes, 0).bytes("magic", MAGIC.len())?;
        if magic != MAGIC {
            return Err(FrameError::new("magic", 0, format_args!("{magic:02x?}"), format_args!("{MAGIC:02x?}")));
        }
        let payload = field("payload length", LENGTH_AT)? as usize;
        let most = MAX_RUN_FRAME_BYTES - FRAME_HEADER_BYTES;
        if payload > most {
            return Err(FrameError::new("payload length", LENGTH_AT, payload, format_args!("at most {most}")));
        }
        let mut reader = Reader::new(bytes, PART_AT.min(bytes.len()));
        let (part, flags, interval) = (reader.u16("part")?, reader.u16("flags")?, reader.u64("interval")?);
        if flags & !FLAG_LAST != 0 {
            return Err(FrameError::new("flags", FLAGS_AT, flags, "0 or 1"));
        }
        Ok(Self {
            checksum: field("checksum", CHECKSUM_AT)?,
            bytes: FRAME_HEADER_BYTES + payload,
            chain: Chain { number: field("number", NUMBER_AT)?, checksum: field("previous", PREVIOUS_AT)? },
            entries: field("entries", ENTRIES_AT)?,
            part,
            is_last: flags & FLAG_LAST != 0,
            interval,
        })
    }

    /// Whether a frame has the checksum that its header says.
    ///
    /// # Errors
    /// If not, or if there are fewer bytes, or more.
    pub fn check(&self, frame: &[u8]) -> Result<(), FrameError> {
        if frame.len() != self.bytes {
            let at = frame.len().min(self.bytes);
            let found = format!("{} bytes", frame.len());
            return Err(FrameError::new("length", at, found, format_args!("{} bytes", self.bytes)));
        }
        let (there, right) = (self.checksum, crc32c::crc32c(&frame[LENGTH_AT..]));
        if there != right {
            let expected = format!("{right:#010x}, that of the bytes behind it");
            return Err(FrameError::new("checksum", CHECKSUM_AT, format_args!("{there:#010x}"), expected));
        }
        Ok(())
    }

    /// Whether it is the next one of a chain.
    ///
    /// # Errors
    /// If it is another one.
    pub fn check_chain(&self, chain: Chain) -> Result<(), FrameError> {
        if self.chain.number != chain.number {
            return Err(FrameError::new("number", NUMBER_AT, self.chain.number, chain.number));
        }
        if self.chain.checksum != chain.checksum {
            let expected = format!("{:#010x}, the checksum of the frame before", chain.checksum);
            let there = format!("{:#010x}", self.chain.checksum);
            return Err(FrameError::new("previous", PREVIOUS_AT, there, expected));
        }
        Ok(())
    }
}

/// A frame that was read: it is whole, and the one that follows its chain.
#[derive(Debug, Clone, Copy)]
pub struct RunFrame<'a> {
    /// What it says of itself.
    pub header: FrameHeader,
    /// All of it.
    pub(super) bytes: &'a [u8],
}

/// How many bytes a frame has that begins with these: of fewer than a header has, the header's. That is known before the checksum is, so
/// it is only as good as the medium: look whether there are so many bytes before memory is taken for them.
///
/// # Errors
/// If no frame has as many bytes, or begins so.
pub fn run_frame_bytes(begin: &[u8]) -> Result<usize, FrameError> {
    if begin.len() < FRAME_HEADER_BYTES {
        return Ok(FRAME_HEADER_BYTES);
    }
    FrameHeader::read(begin).map(|header| header.bytes)
}

/// Where in some bytes a frame may begin next.
#[must_use]
pub fn frame_magic_at(bytes: &[u8]) -> Option<usize> {
    bytes.windows(MAGIC.len()).position(|window| window == MAGIC)
}

impl<'a> RunFrame<'a> {
    /// The frame that these bytes are. The chain goes on behind it.
    ///
    /// # Errors
    /// The first field that is wrong. The chain stays where it was.
    pub fn read(bytes: &'a [u8], chain: &mut Chain) -> Result<Self, FrameError> {
        let header = FrameHeader::read(bytes)?;
        header.check(bytes)?;
        header.check_chain(*chain)?;
        *chain = chain.after(header.checksum);
        Ok(Self { header, bytes })
    }
}

/// Writes the header of a frame, whose payload is there. The chain goes on behind it.
pub(super) fn seal(frame: &mut [u8], entries: u32, part: u16, is_last: bool, interval: u64, chain: &mut Chain) {
    frame[..CHECKSUM_AT].copy_from_slice(&MAGIC);
    frame[ENTRIES_AT..PART_AT].copy_from_slice(&entries.to_le_bytes());
    frame[PART_AT..FLAGS_AT].copy_from_slice(&part.to_le_bytes());
    frame[FLAGS_AT..INTERVAL_AT].copy_from_slice(&(if is_last { FLAG_LAST } else { 0 }).to_le_bytes());
    frame[INTERVAL_AT..FRAME_HEADER_BYTES].copy_from_slice(&interval.to_le_bytes());
    seal_in(frame, chain);
}

fn seal_in(frame: &mut [u8], chain: &mut Chain) {
    let length = frame.len() - FRAME_HEADER_BYTES;
    assert!(frame.len() <= MAX_RUN_FRAME_BYTES, "a frame of {length} bytes");
    for (at, field) in [(LENGTH_AT, length as u32), (NUMBER_AT, chain.number), (PREVIOUS_AT, chain.checksum)] {
        frame[at..at + 4].copy_from_slice(&field.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&frame[LENGTH_AT..]);
    frame[CHECKSUM_AT..LENGTH_AT].copy_from_slice(&checksum.to_le_bytes());
    *chain = chain.after(checksum);
}

/// Gives frames that were written for one file their places in another one, whose chain goes on behind them.
///
/// # Panics
/// If these are not whole frames, as a [`RunWriter`](super::RunWriter) writes them.
pub fn rechain(mut frames: &mut [u8], chain: &mut Chain) {
    while !frames.is_empty() {
        let header =
            FrameHeader::read(frames).unwrap_or_else(|error| unreachable!("frames as they were written: {error}"));
        let (frame, rest) = frames.split_at_mut(header.bytes);
        seal_in(frame, chain);
        frames = rest;
    }
}
