//! Frames that are wrong, and those of another attribution: nothing of them is taken.

use ad_tally_core::attribution::{Change, Config, Counting, Model};
use ad_tally_core::codec::Imported;

use super::table::{BEGIN, Click, HOUR, MINUTE, Order, SECOND, Table, config};

/// A table with something of everything.
fn filled() -> Table {
    let table = Table::new(&config());
    for id in 0..12 {
        table.touch(&Click {
            id,
            user: id as u64 % 4,
            at: BEGIN + id as u64 * SECOND,
            kind: (id % 2) as u8,
            campaign: id,
        });
    }
    table.link(3, 0);
    for order in 0..6 {
        let at = BEGIN + order as u64 * 50 * SECOND;
        table.convert(&Order { order, user: order as u64 % 3, at, action: order as u8 % 3, value: 1_000 * order });
    }
    assert_eq!(table.adjust(3, Change::Restate(7), BEGIN + MINUTE), Ok(()));
    table.now.set(BEGIN + 7 * MINUTE);
    table.close();
    table
}

#[test]
fn rejects_rows_that_are_wrong_and_changes_nothing() {
    let frame = filled().frames().remove(0);
    let (mut refused, mut taken) = (0, 0);
    for at in 32..frame.len() - 4 {
        for change in [1, 8, 0x80, 0xff] {
            let mut bytes = frame.clone();
            bytes[at] ^= change;
            let end = bytes.len() - 4;
            let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
            bytes[end..].copy_from_slice(&checksum);
            let table = Table::new(&config());
            let before = table.attribution.info();
            match table.import(&bytes) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert!(error.at <= bytes.len(), "{error}");
                    assert_eq!(
                        (table.attribution.info(), table.attribution.taken().info().frames),
                        (before, 0),
                        "{error}"
                    );
                    refused += 1;
                }
            }
        }
    }
    // What is an id, a time or a value may be any other.
    assert!(refused > 1_000 && taken > 1_000, "{refused} and {taken}");
}

#[test]
fn rejects_any_byte_that_is_changed_without_the_checksum() {
    let frame = filled().frames().remove(0);
    let table = Table::new(&config());
    let before = table.attribution.info();
    for at in 0..frame.len() {
        for bit in 0..8 {
            let mut bytes = frame.clone();
            bytes[at] ^= 1 << bit;
            assert!(table.import(&bytes).is_err());
        }
        assert!(table.import(&frame[..at]).is_err());
    }
    assert_eq!(table.attribution.info(), before);
}

#[test]
fn a_table_takes_no_frame_twice_and_none_of_another_attribution() {
    let frame = filled().frames().remove(0);
    let table = Table::new(&config());
    assert!(matches!(table.import(&frame), Ok(Imported::Rows { rows: 9, overflow: 0 })), "{:?}", table.import(&frame));
    assert_eq!(table.import(&frame), Ok(Imported::AlreadyTaken));
    let refused = |config: Config| Table::new(&config).import(&frame).expect_err("another attribution").field;
    assert_eq!(refused(Config { lookbacks: vec![HOUR, HOUR], ..config() }), "touches");
    assert_eq!(refused(Config { prevail: false, ..config() }), "prevail");
    assert_eq!(refused(Config { collapse: true, ..config() }), "collapse");
    assert_eq!(refused(Config { models: vec![Model::LastTouch], ..config() }), "models");
    assert_eq!(refused(Config { actions: vec![Counting::Every; 3], ..config() }), "conversions");
    assert_eq!(refused(Config { touches_per_user: 15, ..config() }), "touches_per_user");
    assert_eq!(refused(Config { users: 999, ..config() }), "users");
    let other = Config {
        window: HOUR,
        lateness: 0,
        max_ahead: None,
        orders: 10,
        adjustable_for: HOUR,
        max_keys: 50,
        ..config()
    };
    assert!(Table::new(&other).import(&frame).is_ok());
}
