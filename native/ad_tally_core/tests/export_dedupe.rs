//! Ids, out as frames and in again: a table that took them answers as the one they came from.

use std::collections::HashMap;

use ad_tally_core::codec::{Frame, FrameError, Imported};
use ad_tally_core::dedupe::Config;
use ad_tally_core::{Dedupe, Seed};
use proptest::prelude::*;

const WINDOW: u64 = 4_000;
const BEGIN: u64 = 1_000_000;

fn table(capacity: usize, wide: bool) -> Dedupe {
    Dedupe::with_seed(&Config { window: WINDOW, capacity, wide }, Seed::new(7)).expect("a table")
}

fn frames(table: &Dedupe) -> Vec<Vec<u8>> {
    let mut export = table.frames();
    std::iter::from_fn(|| export.next_frame(table)).collect()
}

fn import(table: &Dedupe, bytes: &[u8]) -> Result<Imported, FrameError> {
    table.import_frame(&Frame::read(bytes)?, || BEGIN * 2)
}

fn first(table: &Dedupe, id: u64, at: u64) -> bool {
    // Spread as the hash of an id is.
    table.first(id.wrapping_mul(0x9e37_79b9_7f4a_7c15), BEGIN + at, || BEGIN * 2).expect("a time")
}

/// Ids and how much later each comes than the one before it.
fn events(most: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..most, prop_oneof![4 => 0..40_u64, 1 => 0..3_000_u64]), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_answers_as_the_one_whose_frames_it_took(
        before in events(200),
        after in events(250),
        wide in any::<bool>(),
        capacity in prop_oneof![Just(1_usize), Just(300), Just(5_000)],
    ) {
        let one = table(capacity, wide);
        let mut at = 0;
        for (id, later) in before {
            at += later;
            first(&one, id, at);
        }
        let other = table(capacity, wide);
        for frame in frames(&one) {
            import(&other, &frame).expect("a frame");
        }
        prop_assert_eq!((one.info().ids, one.newest()), (other.info().ids, other.newest()));
        for (id, later) in after {
            at += later;
            // Of a table that is too small, which of the oldest is forgotten depends on the order in which they came.
            let (own, its) = (first(&one, id, at), first(&other, id, at));
            prop_assert!(own == its || capacity == 1);
        }
    }

    /// Whatever the sizes are, and whatever comes twice: no copy passes within the window.
    #[test]
    fn ids_of_two_tables_are_known_to_a_third_one(
        before in prop::collection::vec((0..300_u64, 0..20_u64, any::<bool>()), 0..300),
        capacities in prop::array::uniform3(prop_oneof![Just(400_usize), Just(650), Just(3_000)]),
        wide in any::<bool>(),
        is_turned in any::<bool>(),
    ) {
        let [one, other, third] = capacities.map(|capacity| table(capacity, wide));
        let (mut last, mut at) = (HashMap::new(), 0);
        for (id, later, half) in before {
            at += later;
            first(if half { &one } else { &other }, id, at);
            last.insert(id, at);
        }
        let mut all = [frames(&one), frames(&other)].concat();
        if is_turned {
            all.reverse();
        }
        for frame in all.iter().chain(&all) {
            prop_assert!(import(&third, frame).is_ok());
        }
        for (id, seen) in last {
            prop_assert!(at - seen >= WINDOW || third.info().forgotten > 0 || !first(&third, id, at));
        }
    }
}

#[test]
fn rejects_rows_that_are_wrong_and_changes_nothing() {
    for wide in [false, true] {
        let one = table(100, wide);
        (0..20).for_each(|id| assert!(first(&one, id, id * 200)));
        let frame = frames(&one).remove(0);
        let mut refused = 0;
        for at in 32..frame.len() - 4 {
            for change in [1, 8, 0x80, 0xff] {
                let mut bytes = frame.clone();
                bytes[at] ^= change;
                let end = bytes.len() - 4;
                let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
                bytes[end..].copy_from_slice(&checksum);
                let other = table(100, wide);
                let imported = import(&other, &bytes);
                assert_eq!(imported.is_err(), other.taken().info().frames == 0);
                if let Err(error) = imported {
                    assert!(error.at <= bytes.len());
                    assert_eq!((other.info().ids, other.newest()), (0, 0), "{error}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }
}

#[test]
fn a_table_takes_no_frame_twice_and_none_of_another_window() {
    let one = table(100, false);
    first(&one, 7, 0);
    let frame = frames(&one).remove(0);
    assert_eq!(import(&one, &frame), Ok(Imported::Rows { rows: 1, overflow: 0 }));
    assert_eq!(import(&one, &frame), Ok(Imported::AlreadyTaken));
    let other = Dedupe::with_seed(&Config { window: 1, capacity: 100, wide: false }, Seed::new(7)).expect("a table");
    assert_eq!(import(&other, &frame).expect_err("another window").field, "window");
    assert_eq!(import(&table(100, true), &frame).expect_err("another format").field, "fingerprint_bits");
    let larger = table(1_000_000, false);
    assert_eq!(import(&larger, &frame).expect_err("too much smaller").field, "id");
}
