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

    fn skip(&mut self, bytes: usize) {
        self.begin += bytes;
        self.at += bytes as u64;
    }

    /// The header of the frame that begins here, if all of it is there and it has the checksum that it should have.
    fn whole_frame(&mut self) -> std::io::Result<Option<FrameHeader>> {
        let there = self.fill(FRAME_HEADER_BYTES)?;
        let Ok(header) = FrameHeader::read(&self.buffer[self.begin..][..there]) else { return Ok(None) };
        if header.bytes as u64 > self.limit - self.at || self.fill(header.bytes)? < header.bytes {
            return Ok(None);
        }
        let is_whole = header.check(&self.buffer[self.begin..][..header.bytes]).is_ok();
        Ok(is_whole.then_some(header))
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
        self.skip(header.bytes);
        Ok(true)
    }
}

/// The whole frames that lie anywhere behind a place, and where they begin. The file may be of any size: it is read in steps.
pub(super) fn frames_behind(file: &dyn DiskFile, from: u64) -> std::io::Result<Vec<(u64, FrameHeader)>> {
    let mut reader = FrameReader::new(file, from, file.size()?, Chain::default());
    let mut found = Vec::new();
    loop {
        let there = reader.fill(READ_BYTES)?;
        let bytes = &reader.buffer[reader.begin..][..there];
        match frame_magic_at(bytes) {
            Some(begin) => {
                reader.skip(begin);
                match reader.whole_frame()? {
                    Some(header) => {
                        found.push((reader.at, header));
                        reader.skip(header.bytes);
                    }
                    None => reader.skip(1),
                }
            }
            None if there < READ_BYTES => return Ok(found),
            // The magic may begin in this step and end in the next one.
            None => reader.skip(there - FRAME_HEADER_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::journal::{Entry, RunWriter};

    /// A file that ends before it should, whose reads are as large as they are asked to be.
    struct Cut {
        bytes: Vec<u8>,
        size: u64,
    }

    impl DiskFile for Cut {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            unreachable!("it is read")
        }

        fn sync(&mut self) -> io::Result<()> {
            unreachable!("it is read")
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.size)
        }

        fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
            let rest = usize::try_from(at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default();
            let length = rest.len().min(into.len());
            into[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        }
    }

    fn frame(interval: u64) -> Vec<u8> {
        let mut run = RunWriter::of_interval(Chain::default(), interval);
        (0..20).for_each(|hash| run.push(1, &Entry::Id { hash, generation: 1 }));
        run.finish().0
    }

    #[test]
    fn frames_are_found_wherever_they_lie_in_a_file_of_any_size() {
        let length = frame(0).len();
        let mut bytes = vec![0x5a; 4 * READ_BYTES];
        // Behind each other, over the ends of steps, and at the end of all.
        let mut places: Vec<usize> = vec![100, 100 + length, bytes.len() - length];
        places.extend((1..4).flat_map(|step| [step * READ_BYTES - 3 * length, step * READ_BYTES - 1 - step * 7]));
        places.sort_unstable();
        for (interval, at) in (0..).zip(&places) {
            bytes[*at..at + length].copy_from_slice(&frame(interval));
        }
        // A begin of one that is of no frame, and a frame that is not whole.
        let begin = frame(0)[..FRAME_HEADER_BYTES].to_vec();
        bytes[50..50 + begin.len()].copy_from_slice(&begin);
        let broken = READ_BYTES + READ_BYTES / 2;
        bytes[broken..broken + length].copy_from_slice(&frame(99));
        bytes[broken + length - 1] ^= 1;
        for size in [bytes.len() as u64, 1 << 60] {
            let file = Cut { bytes: bytes.clone(), size };
            for from in [0, 101] {
                let found = frames_behind(&file, from).expect("it is read");
                let found: Vec<(usize, u64)> =
                    found.iter().map(|(at, header)| (*at as usize, header.interval)).collect();
                let expected = places.iter().copied().zip(0..).filter(|(at, _)| *at as u64 >= from);
                assert_eq!(found, expected.collect::<Vec<_>>(), "{size} bytes from {from}");
            }
        }
        let nothing = frames_behind(&Cut { bytes, size: 1 << 60 }, 1 << 61).expect("nothing is read");
        assert!(nothing.is_empty());
    }
}
