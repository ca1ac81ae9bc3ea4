//! The page `guides/internals/store-format.md` says what is so.

use ad_tally_core::Coupon;
use ad_tally_core::journal::{EntryKind, TickChange};

use crate::any::{self, Element};
use crate::owned::{Key, Owned, State, Value, written};

fn page() -> String {
    let path = format!("{}/../../guides/internals/store-format.md", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of its example.
fn example() -> Vec<Owned> {
    let key = |number| any::words(&[Element::Integer(42), Element::Integer(number)]);
    let entries = [
        (Key::Meta(0), Value::Number(1_790_000_000_000)),
        (Key::Window(4_294_967_297), Value::Window { number: 497_222, config: 1, state: State::Open }),
        (Key::Row(4_294_967_297, key(7)), Value::Sums(vec![1, 2_500])),
        (Key::Row(4_294_967_297, key(8)), Value::Sums(vec![1, -1])),
        (Key::Sketch(4_294_967_297, key(7)), Value::Coupons(12, vec![Coupon::of_integer(1, None)])),
        (Key::Id(1_000), Value::Number(1_988_888)),
        (Key::Id(1_300), Value::Number(0)),
        (Key::Ticks(0, 77), Value::Changes(vec![TickChange::Released(300), TickChange::Added(305)])),
    ];
    entries.into_iter().map(|(key, value)| (1, key, value)).collect()
}

#[test]
fn the_page_has_every_kind_with_its_number() {
    let page = page();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).filter_map(|line| {
        let mut cells = line.split(" | ");
        Some((cells.next()?.parse::<u8>().ok()?, cells.next()?.to_owned()))
    });
    let expected: Vec<(u8, String)> = EntryKind::ALL.iter().map(|kind| (*kind as u8, kind.text().to_owned())).collect();
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn the_example_of_the_page_is_how_its_entries_are_written() {
    let page = page();
    let example_of_page =
        page.split("## An example").nth(1).and_then(|rest| rest.split("```").nth(1)).expect("an example");
    let bytes: Vec<u8> = example_of_page
        .lines()
        .skip(1)
        .flat_map(|line| line.split("  ").next().unwrap_or_default().split_whitespace())
        .map(|byte| u8::from_str_radix(byte, 16).expect("a byte"))
        .collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    assert_eq!(hex(&bytes), hex(&written(&example())));
}
