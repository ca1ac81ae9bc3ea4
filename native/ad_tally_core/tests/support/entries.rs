//! Any bytes given as a frame of entries: they are refused with an error that names a field, and whatever was allocated was small, or they
//! are entries that are written as the same bytes again. The test `journal_entries` uses it, and the fuzzer in `native/fuzz`.

use ad_tally_core::codec::FrameError;
use ad_tally_core::journal::{FRAME_HEADER_BYTES, FULL_FRAME_BYTES, FrameHeader, RunFrame, RunWriter};

use super::allocations;

/// Has bytes agree with themselves: a frame's magic, length, flags and checksum.
pub fn mend(bytes: &mut [u8]) {
    let Some(payload) = bytes.len().checked_sub(FRAME_HEADER_BYTES) else { return };
    bytes[..4].copy_from_slice(b"ATfr");
    bytes[8..12].copy_from_slice(&(payload as u32).to_le_bytes());
    bytes[26..28].copy_from_slice(&1_u16.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// How many entries the frame has that these bytes are, or why they are none.
pub fn read(bytes: &[u8]) -> Result<u32, FrameError> {
    let (counted, peak): (Result<u32, FrameError>, usize) = allocations::peak(|| {
        let mut chain = FrameHeader::read(bytes)?.chain;
        let mut entries = RunFrame::read(bytes, &mut chain)?.read_entries();
        let mut count = 0;
        while entries.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    });
    // A change of a tick takes a byte and is sixteen, and a vector that grows is there twice, and as long again.
    assert!(peak <= 64 * bytes.len() + 1_024, "{peak} bytes were allocated for {}", bytes.len());
    match &counted {
        Ok(_) => hold(bytes),
        Err(error) => {
            assert!(!error.field.is_empty() && error.reason.len() > 2, "{error:?}");
            assert!(error.at <= bytes.len(), "{error:?}");
        }
    }
    counted
}

/// The same entries are the same bytes.
fn hold(bytes: &[u8]) {
    let header = FrameHeader::read(bytes).expect("a header");
    if !header.is_last || bytes.len() > FULL_FRAME_BYTES {
        return;
    }
    let mut run = RunWriter::of_interval(header.chain, header.interval);
    let mut entries = RunFrame::read(bytes, &mut header.chain.clone()).expect("a frame").read_entries();
    while let Some((part, entry)) = entries.next().expect("entries") {
        run.push(part, &entry);
    }
    // Whose entries a frame has that has none makes no difference.
    if header.entries > 0 {
        assert!(run.finish().0 == bytes, "not the same bytes");
    }
}
