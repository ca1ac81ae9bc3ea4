//! Bytes that are not what was written: an error that names the field, and never a panic or much memory.

use ad_tally_core::journal::{Chain, FRAME_HEADER_BYTES, RunFrame, run_frame_bytes};
use proptest::prelude::*;

use crate::change::{Change, change};
use crate::entries::{mend, read};
use crate::golden;
use crate::owned::written;

/// A frame with entries of every kind.
fn frame() -> Vec<u8> {
    let entries = golden::entries().into_iter().filter(|(part, ..)| *part == 3).collect::<Vec<_>>();
    written(&entries)
}

#[test]
fn every_bit_that_is_flipped_and_every_byte_that_is_missing_is_found() {
    let right = frame();
    let refused =
        |bytes: &[u8]| RunFrame::read(bytes, &mut Chain::default()).map(|_| ()).expect_err("not what was written");
    for bit in 0..8 * right.len() {
        let mut bytes = right.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(!refused(&bytes).field.is_empty(), "bit {bit}");
    }
    for length in 0..right.len() {
        assert!(!refused(&right[..length]).field.is_empty(), "{length} bytes");
    }
    assert_eq!(refused(&[&right[..], &[0]].concat()).field, "length");
}

#[test]
fn every_bit_that_is_flipped_under_a_right_checksum_is_refused_or_another_entry() {
    let right = frame();
    assert_eq!(read(&right).map(|entries| entries > 20), Ok(true));
    let (mut refused, mut fields) = (0, std::collections::BTreeSet::new());
    for bit in 8 * 12..8 * right.len() {
        let mut bytes = right.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        mend(&mut bytes);
        if let Err(error) = read(&bytes) {
            refused += 1;
            fields.insert(error.field);
        }
    }
    assert!(refused > right.len(), "{refused} of {} bits", 8 * right.len());
    // Each kind has fields that can be wrong.
    for field in [
        "kind",
        "table",
        "entries",
        "key",
        "words",
        "text",
        "state",
        "sums",
        "precision",
        "coupon",
        "register",
        "tick",
        "touch",
    ] {
        assert!(fields.contains(field), "{field} is not among {fields:?}");
    }
}

#[test]
fn every_frame_that_ends_early_under_a_right_checksum_is_refused() {
    let right = frame();
    for length in FRAME_HEADER_BYTES..right.len() {
        let mut bytes = right[..length].to_vec();
        mend(&mut bytes);
        assert!(read(&bytes).is_err(), "{length} bytes");
    }
}

#[test]
fn lengths_that_lie_are_refused_before_memory_is_taken_for_them() {
    let mut bytes = frame();
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    let message = "payload length: 4294967295, expected at most 1073741788 (byte 8 of the frame)";
    assert_eq!(run_frame_bytes(&bytes).map_err(|error| error.to_string()), Err(message.to_owned()));

    // Of each kind one entry whose lengths are the largest that its bytes can say.
    let largest = [0xff; 40];
    for kind in 0..13_u8 {
        for table in [0, 200] {
            for head in [0x11, 0x18, 0x88, 0x81, 0x08, 0x80] {
                for middle in [
                    &largest[..9],
                    &[1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f],
                    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
                ] {
                    let entry = [&[kind, table, 1, 0, 0, 0, head][..], middle, &largest].concat();
                    let mut bytes = [&[0; FRAME_HEADER_BYTES][..], &entry].concat();
                    bytes[20] = 1;
                    mend(&mut bytes);
                    assert!(read(&bytes).is_err(), "{bytes:x?}");
                }
            }
        }
    }
    // More entries than there are.
    let mut bytes = frame();
    bytes[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    mend(&mut bytes);
    assert!(read(&bytes).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn bytes_that_are_changed_are_refused_or_other_entries(changes in prop::collection::vec(change(), 1..4)) {
        let right = frame();
        let files = [(String::new(), right.clone())];
        let mut bytes = right;
        changes.iter().for_each(|change: &Change| change.make(&mut bytes, &files));
        mend(&mut bytes);
        let _ = read(&bytes);
    }

    #[test]
    fn any_payload_is_refused_or_the_entries_that_it_is_written_as(
        entries in 0..4_u8,
        kind in 0..14_u8,
        payload in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..60),
    ) {
        let mut bytes = [&[0; FRAME_HEADER_BYTES][..], &[kind, 0, entries, 0, 0, 0], &payload].concat();
        bytes[20] = entries;
        mend(&mut bytes);
        let _ = read(&bytes);
    }
}
