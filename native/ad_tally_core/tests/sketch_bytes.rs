//! Bytes from outside: whatever they are, they are a sketch of which everything holds (`support/hostile.rs`), or refused
//! with an error that names the field.
#![cfg(not(loom))]

use std::collections::HashSet;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use ad_tally_core::sketch::{FormatError, most_coupons};
use ad_tally_core::{Coupon, Sketch};
use proptest::prelude::*;

#[path = "support/change.rs"]
mod change;
#[path = "support/hostile.rs"]
mod hostile;

use change::change;

/// The files of `golden/`, by name.
static GOLDEN: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<(String, Vec<u8>)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "sk"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("it can be read"))
        })
        .collect();
    files.sort();
    files
});

fn golden(name: &str) -> Vec<u8> {
    let file = GOLDEN.iter().find(|(file, _)| file == name);
    file.unwrap_or_else(|| panic!("there is no {name}")).1.clone()
}

fn with(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

/// Every mode, kind of registers and form, in few bytes.
const SMALL: [&str; 11] = [
    "hll8_p12_n0_compact",
    "hll8_p12_n7_compact",
    "hll4_p12_n7_updatable",
    "hll6_p12_n8_compact",
    "hll8_p8_n8_updatable",
    "edge_hll4_p4_exceptions_compact",
    "edge_hll4_p4_exceptions_updatable",
    "hll4_p4_n100000_compact",
    "edge_hll4_p4_full_size_updatable",
    "hll6_p4_n8_compact",
    "hll8_p4_n100_compact",
];

#[test]
fn any_byte_may_have_any_value() {
    for name in SMALL {
        let bytes = golden(name);
        let whole = Sketch::from_bytes(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for at in 0..bytes.len() {
            let mut last = Ok(whole.clone());
            for value in 0..=u8::MAX {
                let changed = with(bytes.clone(), at, &[value]);
                // What is read as the sketch before it has been looked at.
                let read = Sketch::from_bytes(&changed);
                if read != last {
                    last = hostile::read(&changed);
                }
                assert_eq!(read, last, "{name}, byte {at} as {value}");
            }
        }
    }
}

#[test]
fn bytes_that_are_cut_or_go_on_are_refused() {
    for (name, bytes) in GOLDEN.iter() {
        for length in 0..bytes.len() {
            let error = Sketch::from_bytes(&bytes[..length]).expect_err(name);
            assert_eq!(error.field(), "length", "{name} cut at {length}: {error}");
            let FormatError::Truncated { needed, there } = error else { panic!("{name} cut at {length}: {error}") };
            assert!(there == length && length < needed && needed <= bytes.len(), "{name}: {error}");
        }
        for more in [1, 4, 1_000] {
            let mut longer = bytes.clone();
            longer.resize(bytes.len() + more, 0);
            let expected = FormatError::TooLong { needed: bytes.len(), there: longer.len() };
            assert_eq!(Sketch::from_bytes(&longer), Err(expected), "{name} and {more} bytes more");
        }
    }
}

#[test]
fn an_error_names_the_field_that_was_wrong() {
    let (list, set) = (golden("hll8_p12_n7_compact"), golden("hll8_p12_n8_compact"));
    let (list_slots, set_slots) = (golden("hll8_p12_n7_updatable"), golden("hll8_p12_n8_updatable"));
    let (hll_4, hll_8) = (golden("edge_hll4_p4_exceptions_updatable"), golden("hll8_p4_n100_compact"));
    let cases: [(&[u8], usize, &[u8], &str); 26] = [
        (&list, 0, &[3], "preamble"),
        (&hll_8, 0, &[2], "preamble"),
        (&list, 1, &[2], "serial version"),
        (&list, 2, &[3], "family"),
        (&list, 3, &[3], "precision"),
        (&hll_8, 3, &[19], "precision"),
        (&list_slots, 4, &[4], "slots"),
        (&set_slots, 4, &[4], "slots"),
        (&set_slots, 4, &[10], "slots"),
        (&hll_4, 4, &[255], "slots"),
        (&list, 5, &[8 + 4], "flags"),
        (&set, 5, &[8 + 4], "flags"),
        (&hll_8, 5, &[8 + 4], "flags"),
        (&list, 6, &[8], "list count"),
        (&hll_8, 6, &[64], "smallest register"),
        (&hll_4, 6, &[64], "smallest register"),
        (&list, 7, &[3], "mode"),
        (&list, 7, &[12], "mode"),
        (&set, 8, &[255; 4], "set count"),
        (&list, 8, &[1, 0, 0, 0], "coupons"),
        (&set, 12, &set[16..20], "coupons"),
        (&hll_8, 32, &[255; 4], "count of the smallest register"),
        (&hll_8, 36, &[1], "number of exceptions"),
        (&hll_4, 36, &[17], "number of exceptions"),
        (&hll_8, 40, &[64], "register"),
        (&hll_4, 48, &[0; 64], "exceptions"),
    ];
    // An exception that four bits had room for.
    let exception = 3 + (48..).step_by(4).find(|at| hll_4[*at..at + 4] != [0; 4]).expect("there are seven");
    let small = (&hll_4[..], exception, &[14 << 2][..], "exceptions");
    // A set at a precision that has none.
    let one = [&[3, 1, 7, 8, 5, 8, 0, 9, 1, 0, 0, 0], &list[8..12]].concat();
    hostile::read(&one).expect("a set of one coupon");
    let coarse = (&one[..], 3, &[7][..], "set count");
    for (bytes, at, value, field) in cases.into_iter().chain([small, coarse]) {
        let error = hostile::read(&with(bytes.to_vec(), at, value)).expect_err(field);
        assert_eq!(error.field(), field, "byte {at} as {value:?}: {error}");
    }
    assert_eq!(Sketch::from_bytes(&[]), Err(FormatError::Truncated { needed: 8, there: 0 }));
}

#[test]
fn coupons_that_are_announced_and_have_no_slots_take_no_memory() {
    // A set of 32 slots, all of them empty, that says it holds as many coupons as there are at this precision.
    let mut bytes = vec![3, 1, 7, 18, 5, 0, 0, 9];
    bytes.extend((most_coupons(18) as u32).to_le_bytes());
    bytes.resize(bytes.len() + 4 * 32, 0);
    assert!(hostile::read(&bytes).is_err());
}

#[test]
fn what_a_union_last_counted_may_have_changed_since() {
    // A union of DataSketches counts the smallest registers when it is asked for an estimate. Users that come after that
    // raise registers, and as none of them is zero any more, both numbers stay as they were.
    let mut users = Sketch::new(8, None).expect("a precision");
    (1..=9_000).for_each(|user| users.insert(Coupon::of_integer(user, None)));
    assert_eq!(hostile::read(&golden("edge_hll8_p8_stale_count_compact")), Ok(users));
    let bytes = golden("edge_hll8_p8_cur_min_compact");
    let expected = Sketch::from_bytes(&bytes).expect("a sketch");
    assert!(bytes[6] > 1, "the smallest register is counted");
    let stale = with(with(bytes, 6, &[1]), 32, &7_u32.to_le_bytes());
    assert_eq!(hostile::read(&stale).as_ref(), Ok(&expected));
    // Others leave the counting to the reader altogether.
    let uncounted = with(with(stale, 5, &[8 + 16 + 32]), 6, &[0]);
    assert_eq!(hostile::read(&uncounted), Ok(expected));
    let wrong = with(uncounted, 5, &[8 + 16]);
    assert_eq!(hostile::read(&wrong).expect_err("none is zero").field(), "count of the smallest register");
}

#[test]
fn registers_that_no_users_raise_are_a_sketch_too() {
    for precision in [4, 5, 8, 11] {
        for value in 0..64_u8 {
            // All the same; two halves; one other.
            for others in [0, (1 << precision) / 2, 1] {
                for other in [0, 1, 62, 63] {
                    let mut bytes = vec![10, 1, 7, precision, 0, 8, 0, 2 | 2 << 2];
                    bytes.resize(40, 0);
                    bytes.resize(40 + others, other);
                    bytes.resize(40 + (1 << precision), value);
                    hostile::mend::mend(&mut bytes);
                    hostile::read(&bytes).unwrap_or_else(|error| panic!("{others} of {other}, else {value}: {error}"));
                }
            }
        }
    }
}

/// The inverse of an odd number, modulo 2^32.
fn inverse(odd: u32) -> u32 {
    // Each round of Newton's method doubles how many of the low bits are right, of which three are at first.
    (0..4).fold(odd, |inverse, _| inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse))))
}

#[test]
fn coupons_that_are_chosen_to_meet_take_no_longer_than_others() {
    // The products of these with 2^32 over the golden ratio are 0, 1, 2 and so on: a set that found slots by it, as is usual
    // (Fibonacci hashing), would have them all in one.
    let chosen = (0..).map(|product: u32| product.wrapping_mul(inverse(0x9e37_79b1))).filter(|word| word >> 26 != 0);
    let others = (0..).map(|user| Coupon::of_integer(user, None).word());
    let time = |words: &mut dyn Iterator<Item = u32>| {
        let different: HashSet<u32> = words.take(most_coupons(17)).collect();
        let mut bytes = vec![3, 1, 7, 17, 14, 8, 0, 9];
        bytes.extend((different.len() as u32).to_le_bytes());
        bytes.extend(different.into_iter().flat_map(u32::to_le_bytes));
        let begin = Instant::now();
        Sketch::from_bytes(&bytes).expect("a set of coupons");
        begin.elapsed()
    };
    let usual = (0..3).map(|_| time(&mut others.clone())).min().expect("three");
    let taken = (0..3).map(|_| time(&mut chosen.clone())).min().expect("three");
    assert!(taken < 10 * usual, "{taken:?}, and {usual:?} for others");
}

fn ours(precision: u8, users: u64, first: u64) -> Vec<u8> {
    let mut sketch = Sketch::new(precision, None).expect("a precision");
    (first..first + users).for_each(|user| sketch.insert(Coupon::of_integer(user, None)));
    sketch.to_bytes()
}

/// Bytes that are a sketch: another implementation's, our own, and such as nobody's users make.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let few: Vec<Vec<u8>> = GOLDEN.iter().map(|(_, bytes)| bytes.clone()).filter(|bytes| bytes.len() < 4_200).collect();
    let made = (0..=2_u8, 0..=2_u8, 4..=10_u8, any::<[u8; 3]>(), prop::collection::vec(any::<u8>(), 0..900));
    prop_oneof![
        4 => prop::sample::select(few),
        1 => prop::sample::select(&GOLDEN[..]).prop_map(|(_, bytes)| bytes),
        3 => (4..=12_u8, 0..3_000_u64, any::<u64>()).prop_map(|(precision, users, first)| ours(precision, users, first >> 1)),
        1 => (13..=18_u8, 0..700_u64, any::<u64>()).prop_map(|(precision, users, first)| ours(precision, users, first >> 1)),
        4 => made.prop_map(|(mode, kind, precision, [slots, flags, count], rest)| {
            let mut bytes = vec![0, 0, 0, precision, slots, flags, count, mode | kind << 2];
            bytes.extend(rest);
            hostile::mend::mend(&mut bytes);
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn changed_bytes_are_a_sketch_or_refused(
        mut bytes in valid(),
        changes in prop::collection::vec(change(), 0..4),
        mended in any::<bool>(),
    ) {
        changes.iter().for_each(|change| change.make(&mut bytes, &GOLDEN));
        if mended {
            hostile::mend::mend(&mut bytes);
        }
        let read = hostile::read(&bytes);
        // Without that, nearly all would be refused, and little be tried.
        prop_assert!(!mended && !changes.is_empty() || read.is_ok(), "{:?}", read);
    }

    #[test]
    fn any_bytes_are_a_sketch_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = hostile::read(&bytes);
    }
}
