//! Bytes that another implementation wrote (`golden/README.md`): the same users make the same sketch here.

use std::path::Path;

use ad_tally_core::sketch::{Coupon, Secret, Sketch};

fn of_integers(precision: u8, users: impl IntoIterator<Item = u64>) -> Sketch {
    let mut sketch = Sketch::new(precision, None).expect("a precision of 4 to 18");
    users.into_iter().for_each(|user| sketch.insert(Coupon::of_integer(user, None)));
    sketch
}

fn of_strings(precision: u8, count: u64) -> Sketch {
    let mut sketch = Sketch::new(precision, None).expect("a precision of 4 to 18");
    (1..=count).for_each(|user| sketch.insert(Coupon::of_bytes(format!("user-{user}").as_bytes(), None)));
    sketch
}

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn number(part: &str) -> u64 {
    part[1..].parse().unwrap_or_else(|_| panic!("{part} is a letter and a number"))
}

#[test]
fn bytes_of_every_kind_are_read_as_the_sketch_of_the_same_users() {
    let mut read = 0;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let name = entry.expect("it can be read").file_name().into_string().expect("plain names");
        let parts: Vec<&str> = name.trim_end_matches(".sk").split('_').collect();
        if !name.starts_with("hll") {
            continue;
        }
        let (precision, count) = (number(parts[1]) as u8, number(parts[2]));
        let expected =
            if name.contains("strings") { of_strings(precision, count) } else { of_integers(precision, 1..=count) };
        let sketch = Sketch::from_bytes(&golden(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(sketch, expected, "{name}");
        // What is read is written, and read again, as the same sketch.
        assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Ok(expected), "{name}");
        read += 1;
    }
    assert!(read > 100, "{read} files");
}

#[test]
fn a_union_is_that_of_the_other_implementation() {
    let expected = Sketch::from_bytes(&golden("union_p12_1_1000_501_1500_compact.sk")).expect("a sketch");
    let mut union = of_integers(12, 1..=1_000);
    union.merge(&of_integers(12, 501..=1_500)).expect("no secrets");
    assert_eq!(union, expected);
}

#[test]
fn coupons_are_those_of_the_format() {
    assert_eq!(Coupon::of_bytes(b"apple", None).word().to_le_bytes(), [0x84, 0x14, 0xb6, 0x08]);
    assert_eq!(Coupon::of_integer(1, None).word().to_le_bytes(), [0x2b, 0xf2, 0xfb, 0x06]);
    assert_eq!(Coupon::of_integer(1, None), Coupon::of_bytes(&1_u64.to_le_bytes(), None));
}

#[test]
fn written_bytes_are_those_of_the_other_implementation_where_there_is_one_way_to_write_them() {
    for (name, count) in [("hll8_p12_n0_compact.sk", 0), ("hll8_p12_n1_compact.sk", 1)] {
        assert_eq!(of_integers(12, 1..=count).to_bytes(), golden(name), "{name}");
    }
    let (ours, theirs) = (of_integers(12, 1..=100_000).to_bytes(), golden("hll8_p12_n100000_compact.sk"));
    // But for the flag that says that there was no order, and the estimate that holds only where there was one.
    assert_eq!(ours[..5], theirs[..5]);
    assert_eq!(ours[5], theirs[5] | 16);
    assert_eq!(ours[6..8], theirs[6..8]);
    assert_eq!(ours[16..], theirs[16..]);
}

#[test]
fn a_changed_byte_or_a_cut_gives_a_sketch_or_an_error_and_never_a_panic() {
    let names = [
        "hll8_p12_n7_updatable.sk",
        "hll6_p8_n100_compact.sk",
        "hll4_p8_n1000_updatable.sk",
        "hll8_p12_n100_compact.sk",
    ];
    for name in names {
        let bytes = golden(name);
        for at in 0..bytes.len() {
            assert!(Sketch::from_bytes(&bytes[..at]).is_err(), "{name} cut at {at}");
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(sketch) = Sketch::from_bytes(&changed) {
                    assert!(sketch.estimate().is_finite(), "{name}, byte {at}");
                    assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Ok(sketch), "{name}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn a_secret_makes_other_users_of_them_and_refuses_those_of_another() {
    let (secret, other) = (Secret::new([7; 16]), Secret::new([8; 16]));
    assert_ne!(Coupon::of_integer(1, Some(&secret)), Coupon::of_integer(1, None));
    assert_ne!(secret.check(), other.check());
    let mut hidden = Sketch::new(12, Some(secret.check())).expect("a precision");
    let before = hidden.clone();
    assert!(hidden.merge(&Sketch::new(12, Some(other.check())).expect("a precision")).is_err());
    assert!(hidden.merge(&of_integers(12, 1..=10)).is_err());
    assert_eq!(hidden, before);
}
