//! A run as it was written once: it is read for ever, and entries are written as the same bytes for as long as the format is this one.

use ad_tally_core::Coupon;
use ad_tally_core::journal::{TickChange, TouchEntry};
use ad_tally_core::key::atom_hash;

use crate::any::{self, Element};
use crate::owned::{Key, Owned, State, Value, read, written};

/// Entries of every kind, in three parts.
pub fn entries() -> Vec<Owned> {
    let atom = |text: &str| (0, Key::Atom(atom_hash(text)), Value::Text(text.to_owned()));
    let mut atoms = vec![atom("click"), atom("käufe"), atom("")];
    atoms.sort_by(|one, other| one.1.cmp(&other.1));
    let key = |elements: &[Element]| any::words(elements);
    let text = |text: &str| Element::Bytes(text.as_bytes().to_vec());
    let number = Element::Integer;
    let window = |number, config, state| Value::Window { number, config, state };
    let closed = State::Closed(41, true, "ads@10.0.0.7".to_owned(), 1_790_000_000_123);
    let touch = |at, id| TouchEntry { at, id, kind: 1, dimensions: 77, repeats: 2 };
    let sums = |sums: &[i128]| Value::Sums(sums.to_vec());
    let coupons = |users: std::ops::Range<u64>| {
        let mut coupons: Vec<Coupon> = users.map(|user| Coupon::of_integer(user, None)).collect();
        coupons.sort_unstable();
        coupons
    };
    let registers = (0..16).map(|at| if at == 15 { 63 } else { at }).collect();
    let (added, released) = (TickChange::Added, TickChange::Released);
    let third = [
        (Key::Meta(0), Value::Number(1_790_000_000_000)),
        (Key::Meta(255), Value::Number(u64::MAX)),
        (Key::Forgotten(0), Value::Nothing),
        (Key::Forgotten(u64::MAX), Value::Nothing),
        (Key::Window(1 << 32 | 1), window(497_222, 1, State::Open)),
        (Key::Window(1 << 32 | 2), window(497_221, 1, closed)),
        (Key::Window(1 << 32 | 3), window(0, 0, State::Gone)),
        (Key::Row(1 << 32 | 1, vec![]), sums(&[1, 2_500])),
        (Key::Row(1 << 32 | 1, key(&[number(42), text("creative-7")])), sums(&[3, -1])),
        (Key::Row(1 << 32 | 1, key(&[number(42), text("creative-8")])), sums(&[0, i128::MIN])),
        (Key::Row(1 << 32 | 2, key(&[number(42), text("creative-7")])), sums(&[i128::MAX])),
        (Key::Sketch(1 << 32 | 1, vec![]), Value::Coupons(12, coupons(0..3))),
        (Key::Sketch(1 << 32 | 1, key(&[number(42)])), Value::Registers(4, registers)),
        (Key::Id(7), Value::Number(1_988_888)),
        (Key::Id(0x1234_5678_9abc_def0), Value::Number(0)),
        (Key::Ticks(0, 9), Value::Changes(vec![added(29_833_333)])),
        (Key::Ticks(0, 10), Value::Changes(vec![released(29_833_333), added(29_833_330), added(29_833_330)])),
        (Key::Ticks(2, 9), Value::Changes(vec![added((1 << 63) - 1)])),
        (Key::Count(3, 9), Value::Change(1)),
        (Key::Count(3, 10), Value::Change(i64::MIN)),
        (Key::Touches(5), Value::Touches(vec![touch(1_790_000_000_000, -1), touch(1_790_000_000_000, 1)], 0)),
        (Key::Touches(6), Value::Touches(vec![], 1_780_000_000_000)),
        (Key::Latest(0, 5), Value::Version(3, vec![1, u64::MAX])),
        (Key::Latest(128, 5), Value::Version(4, vec![])),
        (Key::Item(0, 5, b"".to_vec()), Value::Bytes(b"posting".to_vec())),
        (Key::Item(0, 5, b"key".to_vec()), Value::Bytes(b"".to_vec())),
        (Key::Item(200, 5, b"mark".to_vec()), Value::Bytes(vec![0, 255])),
        (Key::Number(1), Value::Words(key(&[Element::Atom("click".to_owned())]))),
        (Key::Number(u32::MAX), Value::Words(key(&[number(-1), text(&"long".repeat(20))]))),
    ];
    let of_part = third.into_iter().map(|(key, value)| (3, key, value));
    let last = [(u16::MAX, Key::Id(0), Value::Number(u64::MAX))];
    atoms.into_iter().chain(of_part).chain(last).collect()
}

fn path() -> String {
    format!("{}/tests/golden/entries.run", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_run_is_read_and_written_as_it_was_once() {
    let bytes = std::fs::read(path()).unwrap_or_else(|error| panic!("{}: {error}", path()));
    assert_eq!(read(&bytes), Ok(entries()));
    assert!(written(&entries()) == bytes, "entries are written as other bytes: that is another version of the format");
}

#[test]
#[ignore = "for a new version of the format only: the run of the old one stays, and is read by a test of its own"]
fn write_the_golden_run() {
    std::fs::write(path(), written(&entries())).expect("it can be written");
}
