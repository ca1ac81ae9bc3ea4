//! Runs: entries become frames, and entries again.

use ad_tally_core::journal::{Chain, Entry, FRAME_HEADER_BYTES, RunWriter};
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
