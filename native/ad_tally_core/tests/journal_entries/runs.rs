//! Runs: entries become frames, and entries again.

use ad_tally_core::journal::{
    Chain, Entry, FRAME_HEADER_BYTES, FrameHeader, RunFrame, RunWriter, frame_magic_at, rechain,
};
use proptest::prelude::*;

use crate::any::{self, Element};
use crate::owned::{Key, Owned, Value, read, written};

proptest! {
    #[test]
    fn entries_are_read_as_they_were_written(entries in any::run(60)) {
        prop_assert_eq!(read(&written(&entries)), Ok(entries));
    }
}

/// Eight binaries as long as they may be, of which the last byte tells keys apart.
fn huge_key(last: u8) -> Vec<u64> {
    let mut elements = vec![Element::Bytes(vec![7; 65_536]); 8];
    elements[7] = Element::Bytes([&[7; 65_535][..], &[last]].concat());
    any::words(&elements)
}

#[test]
fn huge_keys_and_many_frames_are_read_as_they_were_written() {
    let mut entries: Vec<Owned> = Vec::new();
    for instance in 0..3 {
        for last in 0..4 {
            entries.push((1, Key::Row(instance, huge_key(last)), Value::Sums(vec![i128::MIN, i128::MAX])));
        }
    }
    entries.extend((0..100_000).map(|hash| (1, Key::Id(hash << 40), Value::Number(hash))));
    let bytes = written(&entries);
    // A frame is full with the first of them, and in the next one a key is written whole.
    assert!(bytes.len() < 12 * (8 * 65_536 + 100) + 10 * 100_000, "{} bytes", bytes.len());
    assert_eq!(read(&bytes), Ok(entries));
}

#[test]
fn a_run_without_entries_is_a_frame() {
    let bytes = written(&[]);
    assert_eq!(bytes.len(), FRAME_HEADER_BYTES);
    assert_eq!(read(&bytes), Ok(Vec::new()));
}

#[test]
fn frames_that_are_whole_can_be_taken_before_the_run_ends() {
    let mut writers = [RunWriter::new(Chain::default()), RunWriter::new(Chain::default())];
    let mut taken = Vec::new();
    for hash in 0..200_000 {
        writers.iter_mut().for_each(|writer| writer.push(9, &Entry::Id { hash, generation: u64::MAX - hash }));
        if hash % 30_000 == 0 {
            taken.extend_from_slice(writers[1].whole());
            writers[1].clear_whole();
            assert!(writers[1].whole().is_empty());
        }
    }
    let [(all, end), (rest, other_end)] = writers.map(RunWriter::finish);
    taken.extend_from_slice(&rest);
    assert_eq!(taken.len(), all.len());
    assert!(taken == all);
    assert_eq!(end, other_end);
    assert!(end.number > 4, "{end:?}");
}

#[test]
fn a_frame_is_of_one_part_and_of_the_interval_that_the_run_is() {
    let mut writer = RunWriter::of_interval(Chain { number: 3, checksum: 9 }, 17);
    for part in 1..4 {
        writer.push(part, &Entry::Id { hash: 1, generation: 1 });
        writer.push(part, &Entry::Id { hash: 2, generation: 1 });
    }
    let (bytes, end) = writer.finish();
    assert_eq!(end.number, 6);
    let (mut rest, mut parts) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let header = FrameHeader::read(rest).unwrap();
        assert_eq!((header.interval, header.entries), (17, 2));
        parts.push((header.part, header.is_last));
        rest = &rest[header.bytes..];
    }
    assert_eq!(parts, [(1, false), (2, false), (3, true)]);
}

#[test]
fn frames_get_their_places_in_another_file_and_are_refused_in_the_one_before() {
    let mut writer = RunWriter::new(Chain::default());
    (1..4).for_each(|part| writer.push(part, &Entry::Id { hash: 1, generation: 1 }));
    let (bytes, end) = writer.finish();
    let other = Chain { number: 7, checksum: 0xdead_beef };
    let mut moved = bytes.clone();
    let mut moved_end = other;
    rechain(&mut moved, &mut moved_end);
    assert_eq!(moved_end.number, 10);
    let read = |mut bytes: &[u8], mut chain: Chain| {
        while !bytes.is_empty() {
            let (frame, rest) = bytes.split_at(FrameHeader::read(bytes)?.bytes);
            RunFrame::read(frame, &mut chain)?;
            bytes = rest;
        }
        Ok::<_, ad_tally_core::codec::FrameError>(chain)
    };
    assert_eq!(read(&moved, other), Ok(moved_end));
    assert_eq!(read(&moved, Chain::default()).unwrap_err().field, "number");
    assert_eq!(read(&bytes, Chain::default()), Ok(end));
    let mut back = moved.clone();
    rechain(&mut back, &mut Chain::default());
    assert!(back == bytes);
    assert_eq!(frame_magic_at(&[&[0; 5], &bytes[..]].concat()), Some(5));
}
