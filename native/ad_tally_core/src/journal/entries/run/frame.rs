//! A frame of entries, as it lies in a file.
//!
//! ```text
//! byte  0    checksum         u32, CRC-32C (Castagnoli) of all that follows
//!       4    payload length   u32
//!       8    number           u32: frames of a file are numbered, from 0
//!      12    previous         u32, the checksum of the frame before; of the first one, what the file's beginning says
//!      16    entries          u32, how many
//!      20    flags            u32: bit 0, the last frame of its run
//!      24    payload          the entries, see `write`
//! ```
//!
//! All numbers are little-endian. A frame is full at 256 KiB, and larger only where its last entry is.

use crate::codec::{FrameError, Reader};

/// Bytes before the payload.
pub const FRAME_HEADER_BYTES: usize = 24;
/// A frame that has so many bytes is full.
pub const FULL_FRAME_BYTES: usize = 256 << 10;
/// No frame has more: whoever reads a file needs as much memory.
pub const MAX_RUN_FRAME_BYTES: usize = 1 << 30;
const LENGTH_AT: usize = 4;
const NUMBER_AT: usize = 8;
const PREVIOUS_AT: usize = 12;
const ENTRIES_AT: usize = 16;
const FLAGS_AT: usize = 20;
const FLAG_LAST: u32 = 1;

/// What ties a frame to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chain {
    /// The number of the next frame.
    pub number: u32,
    /// The checksum of the frame before it.
    pub checksum: u32,
}

/// A frame that was read: it is whole, and the one that follows its chain.
#[derive(Debug, Clone, Copy)]
pub struct RunFrame<'a> {
    /// How many entries it has.
    pub entries: u32,
    /// Whether it is the last one of its run.
    pub is_last: bool,
    /// All of it.
    pub(super) bytes: &'a [u8],
}

/// How many bytes a frame has that begins with these: of fewer than a header has, the header's. That is known before the checksum is, so
/// it is only as good as the medium: look whether there are so many bytes before memory is taken for them.
///
/// # Errors
/// If no frame has as many bytes.
pub fn run_frame_bytes(begin: &[u8]) -> Result<usize, FrameError> {
    if begin.len() < FRAME_HEADER_BYTES {
        return Ok(FRAME_HEADER_BYTES);
    }
    let payload = Reader::new(begin, LENGTH_AT).u32("payload length")? as usize;
    let most = MAX_RUN_FRAME_BYTES - FRAME_HEADER_BYTES;
    if payload > most {
        return Err(FrameError::new("payload length", LENGTH_AT, payload, format_args!("at most {most}")));
    }
    Ok(FRAME_HEADER_BYTES + payload)
}

impl<'a> RunFrame<'a> {
    /// The frame that these bytes are. The chain goes on behind it.
    ///
    /// # Errors
    /// The first field that is wrong. The chain stays where it was.
    pub fn read(bytes: &'a [u8], chain: &mut Chain) -> Result<Self, FrameError> {
        let needed = run_frame_bytes(bytes)?;
        if bytes.len() != needed {
            let at = bytes.len().min(needed);
            let found = format!("{} bytes", bytes.len());
            return Err(FrameError::new("length", at, found, format_args!("{needed} bytes")));
        }
        let field = |name: &'static str, at: usize| Reader::new(bytes, at).u32(name);
        let (there, right) = (field("checksum", 0)?, crc32c::crc32c(&bytes[LENGTH_AT..]));
        if there != right {
            let expected = format!("{right:#010x}, that of the bytes behind it");
            return Err(FrameError::new("checksum", 0, format_args!("{there:#010x}"), expected));
        }
        let number = field("number", NUMBER_AT)?;
        if number != chain.number {
            return Err(FrameError::new("number", NUMBER_AT, number, chain.number));
        }
        let previous = field("previous", PREVIOUS_AT)?;
        if previous != chain.checksum {
            let expected = format!("{:#010x}, the checksum of the frame before", chain.checksum);
            return Err(FrameError::new("previous", PREVIOUS_AT, format_args!("{previous:#010x}"), expected));
        }
        let flags = field("flags", FLAGS_AT)?;
        if flags & !FLAG_LAST != 0 {
            return Err(FrameError::new("flags", FLAGS_AT, flags, "0 or 1"));
        }
        *chain = Chain { number: number.wrapping_add(1), checksum: right };
        Ok(Self { entries: field("entries", ENTRIES_AT)?, is_last: flags & FLAG_LAST != 0, bytes })
    }
}

/// Writes the header of a frame, whose payload is there. The chain goes on behind it.
pub(super) fn seal(frame: &mut [u8], entries: u32, is_last: bool, chain: &mut Chain) {
    let length = frame.len() - FRAME_HEADER_BYTES;
    assert!(frame.len() <= MAX_RUN_FRAME_BYTES, "a frame of {length} bytes");
    let flags = if is_last { FLAG_LAST } else { 0 };
    let fields = [length as u32, chain.number, chain.checksum, entries, flags];
    for (at, field) in fields.into_iter().enumerate() {
        let at = LENGTH_AT + 4 * at;
        frame[at..at + 4].copy_from_slice(&field.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&frame[LENGTH_AT..]);
    frame[..LENGTH_AT].copy_from_slice(&checksum.to_le_bytes());
    *chain = Chain { number: chain.number.wrapping_add(1), checksum };
}
