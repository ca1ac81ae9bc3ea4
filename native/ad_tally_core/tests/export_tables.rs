//! Counters and reach, out as frames and in again: a table that took them answers as the one they came from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ad_tally_core::codec::{Frame, FrameError, Imported, Settings};
use ad_tally_core::key::{AtomFault, AtomNames, atom_hash};
use ad_tally_core::sketch::Coupon;
use ad_tally_core::table::{Drainable, Portable};
use ad_tally_core::{Counters, HashedKey, KeyWriter, Reach, Secret, Seed};
use proptest::prelude::*;

const ATOMS: [&str; 3] = ["us", "über", ""];

/// Knows [`ATOMS`] and what it was told of.
#[derive(Default)]
struct Names(BTreeMap<u64, String>);

impl Names {
    fn known() -> Self {
        Self(ATOMS.map(|text| (atom_hash(text), text.to_owned())).into())
    }
}

impl AtomNames for Names {
    fn text(&self, hash: u64) -> Option<Cow<'_, str>> {
        self.0.get(&hash).map(|text| Cow::from(text.as_str()))
    }

    fn atom(&mut self, text: &str) -> Result<u64, AtomFault> {
        self.0.insert(atom_hash(text), text.to_owned());
        Ok(atom_hash(text))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Integer(i64),
    Bytes(Vec<u8>),
    Atom(usize),
}

/// A key: bare where it is one part and `false`.
type Key = (bool, Vec<Part>);

fn part() -> impl Strategy<Value = Part> {
    let long = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![any::<i64>().prop_map(Part::Integer), long.prop_map(Part::Bytes), (0..3_usize).prop_map(Part::Atom)]
}

fn key() -> impl Strategy<Value = Key> {
    (any::<bool>(), prop::collection::vec(part(), 1..4)).prop_map(|(tuple, parts)| (tuple || parts.len() > 1, parts))
}

fn with_key<R>(seed: &Seed, (is_tuple, parts): &Key, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
    let mut room = vec![std::mem::MaybeUninit::uninit(); 1_000];
    let mut writer = if *is_tuple {
        KeyWriter::tuple(&mut room, parts.len()).expect("an arity")
    } else {
        KeyWriter::bare(&mut room)
    };
    for part in parts {
        match part {
            Part::Integer(value) => writer.integer(*value),
            Part::Bytes(bytes) => writer.bytes(bytes).expect("not too long"),
            Part::Atom(at) => writer.atom(atom_hash(ATOMS[*at])),
        }
    }
    act(seed.key(writer.finish()))
}

fn export<V: Portable>(table: &Drainable<V>, settings: &Settings) -> Vec<Vec<u8>> {
    let mut export = table.export(settings);
    std::iter::from_fn(|| export.next_frame(&Names::known())).collect()
}

fn import<V: Portable>(table: &Drainable<V>, settings: &Settings, bytes: &[u8]) -> Result<Imported, FrameError> {
    table.import(settings, &Frame::read(bytes)?, &mut Names::default())
}

fn metrics() -> Vec<String> {
    vec!["clicks".to_owned(), "spend".to_owned()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the halves are, and in whatever order they come.
    #[test]
    fn counters_that_took_two_halves_have_the_sums(
        adds in prop::collection::vec((key(), 0..2_u32, any::<i32>(), any::<bool>()), 0..60),
        is_turned in any::<bool>(),
    ) {
        let halves = [Counters::new(2, 1_000).unwrap(), Counters::new(2, 1_000).unwrap()];
        let mut twin: BTreeMap<Key, [i128; 2]> = BTreeMap::new();
        for (key, metric, amount, half) in &adds {
            let counters = &halves[usize::from(*half)];
            with_key(counters.seed(), key, |key| counters.add(key, *metric as usize, i64::from(*amount)));
            twin.entry(key.clone()).or_default()[*metric as usize] += i128::from(*amount);
        }
        let mut frames: Vec<Vec<u8>> =
            halves.iter().flat_map(|half| export(half, &half.settings(metrics()))).collect();
        if is_turned {
            frames.reverse();
        }
        let table = Counters::new(2, 500).unwrap();
        let settings = table.settings(metrics());
        for (turn, frame) in frames.iter().chain(&frames).enumerate() {
            let is_again = turn >= frames.len();
            let imported = import(&table, &settings, frame).expect("a frame");
            prop_assert_eq!(imported == Imported::AlreadyTaken, is_again);
        }
        prop_assert_eq!(table.info().keys, twin.len());
        for (key, totals) in &twin {
            prop_assert_eq!(with_key(table.seed(), key, |key| table.get(key)), Some(totals.to_vec()));
        }
        prop_assert_eq!(table.info().overflow, vec![0, 0]);
    }

    #[test]
    fn sketches_that_took_two_halves_are_those_of_all_users(
        users in prop::collection::vec((0..3_i64, 0..20_000_u64, any::<bool>()), 0..300),
        many in 0..3_000_u64,
        precision in 4..=12_u8,
    ) {
        let secret = || Some(Secret::new([7; 16]));
        let new = || Reach::new(precision, 100, secret()).unwrap();
        let (halves, whole, table) = ([new(), new()], new(), new());
        let of_many = (0..many).map(|user| (7, user, user % 3 == 0));
        for (place, user, half) in users.iter().copied().chain(of_many) {
            let (key, user) = ((false, vec![Part::Integer(place)]), Coupon::of_integer(user, secret().as_ref()));
            for reach in [&halves[usize::from(half)], &whole] {
                with_key(reach.seed(), &key, |key| reach.add(key, user));
            }
        }
        for half in &halves {
            for frame in export(half, &half.settings()) {
                import(&table, &table.settings(), &frame).expect("a frame");
            }
        }
        prop_assert_eq!(table.info().keys, whole.info().keys);
        for place in [0, 1, 2, 7] {
            let key = (false, vec![Part::Integer(place)]);
            let bytes = |reach: &Reach| with_key(reach.seed(), &key, |key| reach.get(key)).map(|sketch| sketch.to_bytes());
            prop_assert_eq!(bytes(&table), bytes(&whole));
        }
    }
}

#[test]
fn what_had_no_row_is_exported_too() {
    let counters = Counters::new(2, 1).unwrap();
    for (place, amount) in [(1, 5), (2, i64::MAX), (3, i64::MAX)] {
        with_key(counters.seed(), &(false, vec![Part::Integer(place)]), |key| counters.add(key, 0, amount));
    }
    let table = Counters::new(2, 1).unwrap();
    let frames = export(&counters, &counters.settings(metrics()));
    let imported = frames.iter().map(|frame| import(&table, &table.settings(metrics()), frame)).collect::<Vec<_>>();
    assert_eq!(imported, [Ok(Imported::Rows { rows: 1, overflow: 0 })]);
    assert_eq!(table.info().overflow, [2 * i128::from(i64::MAX), 0]);

    let reach = Reach::new(12, 1, None).unwrap();
    let table = Reach::new(12, 1, None).unwrap();
    for place in 0..4 {
        let key = (false, vec![Part::Integer(place)]);
        with_key(reach.seed(), &key, |key| reach.add(key, Coupon::of_integer(place as u64, None)));
    }
    for frame in export(&reach, &reach.settings()) {
        import(&table, &table.settings(), &frame).expect("a frame");
    }
    assert_eq!(table.info().overflow, 3);
    assert_eq!(table.drain().overflow.to_bytes(), reach.drain().overflow.to_bytes());
}

#[test]
fn rows_beyond_the_budget_go_into_the_overflow() {
    let counters = Counters::new(2, 100).unwrap();
    for place in 0..10 {
        with_key(counters.seed(), &(false, vec![Part::Integer(place)]), |key| counters.add(key, 1, 3));
    }
    let table = Counters::new(2, 4).unwrap();
    let frame = export(&counters, &counters.settings(metrics())).remove(0);
    let imported = import(&table, &table.settings(metrics()), &frame);
    assert_eq!(imported, Ok(Imported::Rows { rows: 10, overflow: 6 }));
    assert_eq!(table.info().overflow, [0, 18]);
}

/// Frames that agree with their checksum, and have anything else wrong.
#[test]
fn rejects_rows_that_are_wrong_and_changes_nothing() {
    let counters = Counters::new(2, 100).unwrap();
    for key in [(true, vec![Part::Atom(1), Part::Bytes(vec![9; 40])]), (false, vec![Part::Integer(-4)])] {
        with_key(counters.seed(), &key, |key| counters.add(key, 1, 300));
    }
    let reach = Reach::new(4, 100, None).unwrap();
    with_key(reach.seed(), &(false, vec![Part::Integer(8)]), |key| {
        (0..30).for_each(|user| _ = reach.add(key, Coupon::of_integer(user, None)));
    });
    let counters_frame = export(&counters, &counters.settings(metrics())).remove(0);
    let reach_frame = export(&reach, &reach.settings()).remove(0);
    let counters_table = Counters::new(2, 100).unwrap();
    let reach_table = Reach::new(4, 100, None).unwrap();
    for (bytes, is_counters) in [(&counters_frame, true), (&reach_frame, false)] {
        let mut refused = 0;
        for at in 32..bytes.len() - 4 {
            for change in [1, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= change;
                let end = bytes.len() - 4;
                let checksum = crc32c::crc32c(&bytes[..end]).to_le_bytes();
                bytes[end..].copy_from_slice(&checksum);
                // Tables of their own for those that are no worse than what they were made from.
                let imported = if is_counters {
                    let table = Counters::new(2, 100).unwrap();
                    let imported = import(&table, &table.settings(metrics()), &bytes);
                    assert_eq!(imported.is_err(), table.taken().info().frames == 0);
                    assert!(imported.is_ok() || table.info() == counters_table.info());
                    imported
                } else {
                    let table = Reach::new(4, 100, None).unwrap();
                    let imported = import(&table, &table.settings(), &bytes);
                    assert_eq!(imported.is_err(), table.taken().info().frames == 0);
                    assert!(imported.is_ok() || table.info() == reach_table.info());
                    imported
                };
                refused += usize::from(imported.is_err_and(|error| error.at < bytes.len()));
            }
        }
        assert!(refused > 50, "{refused}");
    }
}

#[test]
fn an_export_goes_on_while_others_add_and_drain() {
    let counters = Counters::new(2, 100_000).unwrap();
    let key = |place| (true, vec![Part::Integer(place), Part::Bytes(vec![5; 60])]);
    let add = |places: std::ops::Range<i64>| {
        places.for_each(|place| _ = with_key(counters.seed(), &key(place), |key| counters.add(key, 0, 1)));
    };
    add(0..30_000);
    let settings = counters.settings(metrics());
    let mut frames = counters.export(&settings);
    let mut taken = vec![frames.next_frame(&Names::known()).expect("the first of several")];
    add(30_000..60_000);
    let drained = counters.drain();
    drop(drained);
    taken.extend(std::iter::from_fn(|| frames.next_frame(&Names::known())));
    let table = Counters::new(2, 100_000).unwrap();
    for frame in &taken {
        import(&table, &settings, frame).expect("a frame");
    }
    assert!(taken.len() > 2);
    // All that was there when it began, and some of what came later, each once.
    assert!((30_000..=60_000).contains(&table.info().keys));
    for place in 0..30_000 {
        assert_eq!(with_key(table.seed(), &key(place), |key| table.get(key)), Some(vec![1, 0]));
    }
}
