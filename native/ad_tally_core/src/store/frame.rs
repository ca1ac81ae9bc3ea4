//! Reads the frames of a file in their order. The format of a frame is that of a [run](crate::journal).

use super::disk::{DiskFile, read_full};
use crate::journal::{Chain, FRAME_HEADER_BYTES, FrameHeader, frame_magic_at};

/// What is read of a file at once.
const READ_BYTES: usize = 256 << 10;

/// What is wrong with the next frame of a file.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file ends within it.
    Cut { at: u64 },
    /// It is not as it was written.
    Damaged { at: u64, what: String },
    /// It is whole, and it is not the one that belongs there.
    Misplaced { at: u64, what: String },
    /// The disk refused.
    Disk(std::io::Error),
}

/// A frame as it is in its file.
#[derive(Debug)]
pub(super) struct RawFrame {
    pub header: FrameHeader,
    /// Header and payload.
    pub bytes: Vec<u8>,
    /// Where it begins in its file.
    pub at: u64,
}

impl RawFrame {
    /// None so far: room for one.
    pub(super) fn empty() -> Self {
        let chain = Chain::default();
        let header = FrameHeader { checksum: 0, bytes: 0, chain, entries: 0, part: 0, is_last: false, interval: 0 };
        Self { header, bytes: Vec::new(), at: 0 }
    }

    /// Whether it has the checksum that it should have.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.header.check(&self.bytes).map_err(|error| damaged(self.at, &error))
    }
}

fn damaged(at: u64, error: &crate::codec::FrameError) -> Fault {
    Fault::Damaged { at: at + error.at as u64, what: format!("{}: {}", error.field, error.reason) }
}

/// Reads the frames of a file in their order, and checks that each is the one that belongs there. Whether its bytes are right is
/// for [`RawFrame::check`], so that several threads can do it.
pub(super) struct FrameReader<'f> {
    file: &'f dyn DiskFile,
    /// What was read of the file and is not used yet lies from `begin` on.
    buffer: Vec<u8>,
    begin: usize,
    /// The place of `begin` in the file.
    at: u64,
    /// How far the file is read.
    limit: u64,
    chain: Chain,
}

impl<'f> FrameReader<'f> {
    /// Reads from a place up to another one.
    pub(super) fn new(file: &'f dyn DiskFile, at: u64, limit: u64, chain: Chain) -> Self {
        Self { file, buffer: Vec::new(), begin: 0, at, limit, chain }
    }

    /// The place of the next frame.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// What the next frame has to follow.
    pub(super) fn chain(&self) -> Chain {
        self.chain
    }

    /// Has at least so many bytes in the buffer, or all that there are.
    fn fill(&mut self, wanted: usize) -> std::io::Result<usize> {
        let there = self.buffer.len() - self.begin;
        if there < wanted {
            self.buffer.drain(..self.begin);
            self.begin = 0;
            let from = self.at + there as u64;
            let left = usize::try_from(self.limit.saturating_sub(from)).unwrap_or(usize::MAX);
            let more = (wanted - there).max(READ_BYTES).min(left);
            self.buffer.resize(there + more, 0);
            let read = read_full(self.file, &mut self.buffer[there..], from)?;
            self.buffer.truncate(there + read);
        }
        Ok((self.buffer.len() - self.begin).min(wanted))
    }

    /// The next frame, into `frame`: whether there is one.
    pub(super) fn next(&mut self, frame: &mut RawFrame) -> Result<bool, Fault> {
        let at = self.at;
        let there = self.fill(FRAME_HEADER_BYTES).map_err(Fault::Disk)?;
        if there < FRAME_HEADER_BYTES {
            return if at < self.limit { Err(Fault::Cut { at }) } else { Ok(false) };
        }
        let header = FrameHeader::read(&self.buffer[self.begin..]).map_err(|error| damaged(at, &error))?;
        // A length that is wrong must not have the file be read into memory whole.
        if at + header.bytes as u64 > self.limit || self.fill(header.bytes).map_err(Fault::Disk)? < header.bytes {
            return Err(Fault::Cut { at });
        }
        (frame.header, frame.at) = (header, at);
        frame.bytes.clear();
        frame.bytes.extend_from_slice(&self.buffer[self.begin..self.begin + header.bytes]);
        if let Err(error) = header.check_chain(self.chain) {
            // One that is damaged is told as such.
            frame.check()?;
            let what = format!("{}: {}", error.field, error.reason);
            return Err(Fault::Misplaced { at: at + error.at as u64, what });
        }
        self.chain = self.chain.after(header.checksum);
        self.begin += header.bytes;
        self.at += header.bytes as u64;
        Ok(true)
    }
}

/// The whole frames that lie anywhere behind a place, and where they begin.
pub(super) fn frames_behind(file: &dyn DiskFile, from: u64) -> std::io::Result<Vec<(u64, FrameHeader)>> {
    let size = usize::try_from(file.size()?.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; size];
    let read = read_full(file, &mut bytes, from)?;
    bytes.truncate(read);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = frame_magic_at(&bytes[at..]) {
        at += begin;
        match whole_frame(&bytes[at..]) {
            Some(header) => {
                found.push((from + at as u64, header));
                at += header.bytes;
            }
            None => at += 1,
        }
    }
    Ok(found)
}

fn whole_frame(bytes: &[u8]) -> Option<FrameHeader> {
    let header = FrameHeader::read(bytes).ok()?;
    header.check(bytes.get(..header.bytes)?).ok()?;
    Some(header)
}
