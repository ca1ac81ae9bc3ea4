//! An interval: records in any order are the entries that they come to.

use std::sync::Mutex;

use ad_tally_core::journal::{Atoms, Chain, Entries, NO_KEY, RunWriter, TickChange, TouchEntry, WindowState};
use ad_tally_core::key::atom_hash;
use ad_tally_core::sketch::most_coupons;
use ad_tally_core::{Coupon, Seed, Sketch};

use crate::any::{self, Element};
use crate::owned::{Key, Owned, State, Value, read};

fn no_atoms() -> Atoms {
    Atoms::new(Box::new(|_| None))
}

fn written(entries: &mut Entries, atoms: &mut Atoms) -> Vec<Owned> {
    let mut run = RunWriter::new(Chain::default());
    entries.write(atoms, &mut run);
    read(&run.finish().0).expect("a run")
}

#[test]
fn amounts_of_a_key_are_added_and_ids_have_their_newest_generation() {
    let seed = Seed::new(7);
    let (one, other) = (any::words(&[Element::Integer(1)]), any::words(&[Element::Integer(2)]));
    let mut entries = Entries::new();
    entries.row(3, 8, seed.key(&other), 2, [(0, 1), (1, i64::MIN)]);
    entries.row(3, 8, seed.key(&one), 2, [(0, i64::MAX)]);
    entries.row(3, 7, seed.key(&one), 2, [(1, 5)]);
    entries.row(3, 8, seed.key(&other), 2, [(1, i64::MIN)]);
    entries.row_sums(3, 8, seed.key(&one), &[i128::from(i64::MAX), 1, 2]);
    entries.overflow(3, 8, &[9, 9]);
    entries.overflow(3, 8, &[-9, 1]);
    for (hash, generation) in [(9, 1), (u64::MAX, 3), (9, 2), (u64::MAX, 2)] {
        entries.id(3, hash, generation);
    }
    entries.meta(3, 0, 5);
    entries.meta(3, 0, 4);
    let sums = |sums: &[i128]| Value::Sums(sums.to_vec());
    let expected = [
        (3, Key::Meta(0), Value::Number(5)),
        (3, Key::Row(7, one.clone()), sums(&[0, 5])),
        (3, Key::Row(8, vec![]), sums(&[0, 10])),
        (3, Key::Row(8, one), sums(&[2 * i128::from(i64::MAX), 1, 2])),
        (3, Key::Row(8, other), sums(&[1, 2 * i128::from(i64::MIN)])),
        (3, Key::Id(9), Value::Number(2)),
        (3, Key::Id(u64::MAX), Value::Number(3)),
    ];
    assert_eq!(written(&mut entries, &mut no_atoms()), expected);
    // They stay as they are, and are forgotten once that is asked for.
    assert_eq!(written(&mut entries, &mut no_atoms()), expected);
    entries.clear();
    assert_eq!(written(&mut entries, &mut no_atoms()), []);
    entries.id(1, 1, 1);
    assert_eq!(written(&mut entries, &mut no_atoms()), [(1, Key::Id(1), Value::Number(1))]);
}

#[test]
fn keys_are_told_apart_and_found_again_however_many_there_are() {
    let seed = Seed::new(7);
    let words: Vec<Vec<u64>> = (0..300).map(|number| any::words(&[Element::Integer(number)])).collect();
    let mut entries = Entries::new();
    for instance in [7, 8, 7] {
        words.iter().for_each(|words| entries.row(3, instance, seed.key(words), 1, [(0, 1)]));
    }
    let mut sums: Vec<(u64, i128)> = Vec::new();
    for (_, key, value) in written(&mut entries, &mut no_atoms()) {
        let (Key::Row(instance, _), Value::Sums(sum)) = (key, value) else { panic!("rows alone") };
        sums.push((instance, sum[0]));
    }
    assert_eq!(sums, [[(7, 2)].repeat(300), [(8, 1)].repeat(300)].concat());
}

#[test]
fn users_are_coupons_and_become_registers_once_they_are_many() {
    let seed = Seed::new(7);
    let key = any::words(&[Element::Bytes(b"campaign".to_vec())]);
    let coupon = |user: usize| Coupon::of_integer(user as u64, None);
    for users in [1, most_coupons(8), most_coupons(8) + 1, 5_000] {
        let mut entries = Entries::new();
        let mut sketch = Sketch::new(8, None).expect("a precision");
        for user in (0..users).chain(0..users / 2) {
            entries.coupon(1, 4, seed.key(&key), 8, coupon(user));
            entries.coupon(1, 4, NO_KEY, 8, coupon(user));
            sketch.insert(coupon(user));
        }
        // The same users as a sketch make no difference.
        let mut twice = Entries::new();
        twice.sketch(1, 4, seed.key(&key), &sketch);
        twice.sketch(1, 4, NO_KEY, &sketch);
        twice.coupon(1, 4, NO_KEY, 8, coupon(0));
        let value = match sketch.registers() {
            Some(registers) => Value::Registers(8, registers.to_vec()),
            None => {
                let mut coupons: Vec<Coupon> = sketch.coupons().expect("no registers").iter().collect();
                coupons.sort_unstable();
                Value::Coupons(8, coupons)
            }
        };
        let expected = [(1, Key::Sketch(4, vec![]), value.clone()), (1, Key::Sketch(4, key.clone()), value)];
        assert_eq!(written(&mut entries, &mut no_atoms()), expected, "{users}");
        assert_eq!(written(&mut twice, &mut no_atoms()), expected, "{users}");
    }
}

#[test]
fn what_goes_with_a_window_that_is_gone_is_not_written() {
    let key = any::words(&[Element::Integer(1)]);
    let key = Seed::new(7).key(&key);
    let mut entries = Entries::new();
    for instance in [4, 5] {
        entries.row(1, instance, key, 1, [(0, 1)]);
        entries.coupon(1, instance, key, 8, Coupon::of_integer(1, None));
        entries.item(1, 0, instance, b"posting", b"");
        entries.item(1, 128, instance, b"of a user", b"");
    }
    entries.gone(1, 4);
    let closed = WindowState::Closed { sequence: 9, partial: true, node: "a@b", closed_at: 77 };
    entries.window(1, 5, 3, 2, closed);
    entries.window(1, 5, 3, 2, WindowState::Open);
    entries.window(1, 4, 3, 2, closed);
    let keys: Vec<Key> = written(&mut entries, &mut no_atoms()).into_iter().map(|(_, key, _)| key).collect();
    let words = key.words.to_vec();
    let expected = [
        Key::Window(4),
        Key::Window(5),
        Key::Row(5, words.clone()),
        Key::Sketch(5, words),
        Key::Item(0, 5, b"posting".to_vec()),
        Key::Item(128, 4, b"of a user".to_vec()),
        Key::Item(128, 5, b"of a user".to_vec()),
    ];
    assert_eq!(keys, expected);
    let states: Vec<Value> =
        written(&mut entries, &mut no_atoms()).into_iter().map(|(_, _, value)| value).take(2).collect();
    let closed = State::Closed(9, true, "a@b".to_owned(), 77);
    let expected = [
        Value::Window { number: 0, config: 0, state: State::Gone },
        Value::Window { number: 3, config: 2, state: closed },
    ];
    assert_eq!(states, expected);
}

#[test]
fn pairs_touches_records_and_items_come_to_one_each() {
    let mut entries = Entries::new();
    for tick in [5, 3, 5] {
        entries.tick(2, 1, 77, tick);
    }
    entries.release(2, 1, 77, 5);
    entries.release(2, 1, 77, 1);
    entries.tick(2, 0, 77, 8);
    entries.tick(2, 0, 78, 8);
    entries.release(2, 0, 78, 8);
    for change in [i64::MAX, 1, -3] {
        entries.count(2, 9, 77, change);
    }
    entries.count(2, 9, 78, 4);
    entries.count(2, 9, 78, -4);
    let touch = |at, id| TouchEntry { at, id, kind: 1, dimensions: 7, repeats: 0 };
    for touch in [touch(9, 1), touch(3, -2), touch(9, 1), touch(9, i64::MIN)] {
        entries.touch(2, 5, touch);
    }
    entries.evicted(2, 5, 2);
    entries.evicted(2, 6, 1);
    entries.evicted(2, 6, 4);
    entries.latest(2, 0, 1, 2, &[20]);
    entries.latest(2, 0, 1, 3, &[]);
    entries.latest(2, 0, 1, 1, &[10]);
    entries.item(2, 200, 5, b"one", b"1");
    entries.item(2, 200, 5, b"one", b"1");
    entries.item(2, 200, 5, b"on", b"");
    entries.forgotten(2, 9);
    entries.forgotten(2, 9);
    entries.number(2, 4, &any::words(&[Element::Integer(4)]));
    let (added, released) = (TickChange::Added, TickChange::Released);
    let expected = [
        (2, Key::Forgotten(9), Value::Nothing),
        (2, Key::Ticks(0, 77), Value::Changes(vec![added(8)])),
        (2, Key::Ticks(1, 77), Value::Changes(vec![released(1), added(3), added(5)])),
        (2, Key::Count(9, 77), Value::Change(i64::MAX - 2)),
        (2, Key::Touches(5), Value::Touches(vec![touch(3, -2), touch(9, i64::MIN), touch(9, 1)], 2)),
        (2, Key::Touches(6), Value::Touches(vec![], 4)),
        (2, Key::Latest(0, 1), Value::Version(3, vec![])),
        (2, Key::Item(200, 5, b"on".to_vec()), Value::Bytes(vec![])),
        (2, Key::Item(200, 5, b"one".to_vec()), Value::Bytes(b"1".to_vec())),
        (2, Key::Number(4), Value::Words(any::words(&[Element::Integer(4)]))),
    ];
    assert_eq!(written(&mut entries, &mut no_atoms()), expected);
}

#[test]
fn the_text_of_an_atom_is_written_once_and_before_all_that_has_it() {
    let asked: &'static Mutex<Vec<u64>> = Box::leak(Box::default());
    let mut atoms = Atoms::new(Box::new(|hash| {
        asked.lock().expect("no panic").push(hash);
        ["click", "käufe"].into_iter().find(|text| atom_hash(text) == hash).map(str::to_owned)
    }));
    let seed = Seed::new(7);
    let atom = |text: &str| Element::Atom(text.to_owned());
    let key = any::words(&[atom("click"), atom("unknown"), Element::Integer(1)]);
    let mut entries = Entries::new();
    entries.meta(0, 0, 1);
    entries.row(1, 1, seed.key(&key), 1, [(0, 1)]);
    entries.coupon(2, 1, seed.key(&key), 4, Coupon::of_integer(1, None));
    let text = |text: &str| (0, Key::Atom(atom_hash(text)), Value::Text(text.to_owned()));
    let first = written(&mut entries, &mut atoms);
    assert_eq!(first[..2], [(0, Key::Meta(0), Value::Number(1)), text("click")]);
    assert_eq!(first.len(), 4);
    // It is there now, unlike one that nobody knew.
    entries.number(1, 1, &any::words(&[atom("käufe")]));
    asked.lock().expect("no panic").clear();
    let second = written(&mut entries, &mut atoms);
    assert_eq!(second[..2], [(0, Key::Meta(0), Value::Number(1)), text("käufe")]);
    assert_eq!(second.len(), 5);
    let mut expected = vec![atom_hash("unknown"), atom_hash("käufe")];
    expected.sort_unstable();
    assert_eq!(*asked.lock().expect("no panic"), expected);
    // What was read from files is there as well.
    let mut atoms = Atoms::new(Box::new(|_| Some("click".to_owned())));
    atoms.note(atom_hash("click"));
    let mut entries = Entries::new();
    entries.atoms_of(&any::words(&[atom("click")]));
    assert_eq!(written(&mut entries, &mut atoms), []);
}

#[test]
fn keys_come_in_order_however_long_they_are_alike() {
    let seed = Seed::new(7);
    let mut keys: Vec<Vec<u64>> = vec![vec![]];
    for number in 0..60_u8 {
        keys.push(any::words(&[Element::Integer(i64::from(number) - 30)]));
        keys.push(any::words(&[Element::Integer(7), Element::Integer(i64::from(number))]));
        // As long as they may be, and told apart by the last byte.
        keys.push(any::words(&[Element::Bytes([&[1; 200][..], &[number]].concat())]));
        keys.push(any::words(&[Element::Bytes([&vec![2; 65_000][..], &[number]].concat())]));
    }
    let mut entries = Entries::new();
    let mut expected = Vec::new();
    for instance in [9, 0, u64::MAX] {
        for (number, words) in keys.iter().enumerate().rev() {
            entries.row(1, instance, seed.key(words), 1, [(0, number as i64)]);
            expected.push((1, Key::Row(instance, words.clone()), Value::Sums(vec![number as i128])));
        }
    }
    expected.sort_by(|one, other| one.1.cmp(&other.1));
    assert!(written(&mut entries, &mut no_atoms()) == expected);
}

#[test]
fn ids_come_in_order_however_their_hashes_are_spread() {
    for count in [0, 1, 2, 17, 5_000_u64] {
        for spread in [0, 1, 1 << 30, u64::MAX / 5_000_u64] {
            let mut entries = Entries::new();
            let mut expected = std::collections::BTreeMap::new();
            for number in 0..count {
                let (hash, generation) = ((number * 7_919 % count.max(1)).wrapping_mul(spread), number % 5);
                entries.id(1, hash, generation);
                let newest = expected.entry(hash).or_insert(generation);
                *newest = generation.max(*newest);
            }
            let ids = written(&mut entries, &mut no_atoms());
            let expected = expected.into_iter().map(|(hash, newest)| (1, Key::Id(hash), Value::Number(newest)));
            assert!(ids == expected.collect::<Vec<_>>(), "{count} of {spread}");
        }
    }
}
