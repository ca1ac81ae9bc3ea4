//! Keyed sketches against one sketch a key, from one thread and from several, and what two sketches have in common.

use std::collections::HashMap;
use std::ops::ControlFlow;

use ad_tally_core::sketch::{Coupon, Secret, Sketch};
use ad_tally_core::{Added, Batch, Reach};

mod support;
use support::{Key, Part};

fn key(number: i64) -> Key {
    Key::Tuple(vec![Part::Integer(number), Part::Bytes(b"us".to_vec())])
}

fn add(reach: &Reach, number: i64, users: &[Coupon]) -> Added {
    key(number).with(reach.seed(), |key| reach.add_users(key, users))
}

fn estimate(reach: &Reach, number: i64) -> f64 {
    key(number).with(reach.seed(), |key| reach.estimate(key))
}

fn drain(reach: &Reach) -> HashMap<Key, Sketch> {
    let mut rows = HashMap::new();
    let mut drained = reach.drain();
    drained.rows.walk(|key, sketch| {
        assert!(rows.insert(Key::read(key), sketch.clone()).is_none(), "a key is shown once");
        ControlFlow::Continue(())
    });
    rows
}

fn coupons(users: impl IntoIterator<Item = u64>) -> Vec<Coupon> {
    users.into_iter().map(|user| Coupon::of_integer(user, None)).collect()
}

fn sketch_of(precision: u8, coupons: &[Coupon]) -> Sketch {
    let mut sketch = Sketch::new(precision, None).expect("a precision");
    coupons.iter().for_each(|coupon| sketch.insert(*coupon));
    sketch
}

/// Users of key `number`: from none to enough for registers at any precision below 16.
fn users_of(number: i64) -> Vec<Coupon> {
    let counts = [1, 7, 8, 9, 25, 100, 385, 2_000, 5, 20_000];
    coupons((0..counts[number as usize % counts.len()]).map(|user| user * 1_000 + number as u64))
}

#[test]
fn a_drain_shows_one_sketch_a_key_of_all_its_users() {
    for precision in [4, 7, 8, 12, 14] {
        let reach = Reach::new(precision, 1_000, None).expect("a table");
        for number in 0..100 {
            users_of(number).iter().for_each(|user| assert_eq!(add(&reach, number, &[*user]), Added::Row));
            let expected = sketch_of(precision, &users_of(number));
            assert_eq!(estimate(&reach, number), expected.estimate());
        }
        let info = reach.info();
        assert_eq!((info.keys, info.overflow), (100, 0));
        let rows = drain(&reach);
        assert_eq!(rows.len(), 100);
        for number in 0..100 {
            assert_eq!(rows[&key(number)], sketch_of(precision, &users_of(number)), "key {number} at {precision}");
        }
        assert_eq!(estimate(&reach, 1), 0.0);
    }
}

/// What a table notes about registers (none is below a value) and where it has put them must outlast the growth of its
/// index, more users, and users whose values are the smallest and the largest there are.
#[test]
fn users_of_every_value_count_when_the_registers_of_their_key_are_high_already() {
    const DENSE: i64 = 40;
    let value = |register: u32, value: u32| Coupon::from_word(value << 26 | register).expect("a value of 1 to 63");
    for precision in [4, 6, 12] {
        // All keys are of one shard, so that its index grows six times after the rows were moved.
        let reach = Reach::new(precision, 4_000, None).expect("a table");
        let mut expected: HashMap<i64, Sketch> = HashMap::new();
        let mut show = |number: i64, user: Coupon| {
            key(number).with(reach.seed(), |key| assert_eq!(reach.add(key, user), Added::Row));
            expected.entry(number).or_insert_with(|| sketch_of(precision, &[])).insert(user);
        };
        for number in 0..DENSE {
            // Raised evenly to 0 to 63 and one register after the other, so that the last one raised is the lowest.
            for height in 1..=(number as u32 * 2).min(63) {
                (0..1 << precision).for_each(|register| show(number, value(register, height)));
            }
        }
        (DENSE..3_000).for_each(|number| show(number, value(0, 1)));
        for number in 0..DENSE {
            for (register, height) in [(1, 1), (2, 63), (3, number as u32 + 1), (0, 2), (5, number as u32 * 2 % 63 + 1)]
            {
                show(number, value(register, height));
            }
        }
        let rows = drain(&reach);
        assert_eq!(rows.len(), 3_000);
        for (number, sketch) in &expected {
            assert_eq!(&rows[&key(*number)], sketch, "key {number} at {precision}");
        }
    }
}

#[test]
fn threads_make_the_sketches_that_one_makes_and_every_user_is_in_a_drain() {
    let reach = Reach::new(12, 1_000, None).expect("a table");
    let mut all: HashMap<Key, Sketch> = HashMap::new();
    let mut unite = |rows: HashMap<Key, Sketch>| {
        for (key, sketch) in rows {
            all.entry(key).or_insert_with(|| sketch_of(12, &[])).merge(&sketch).expect("no secrets");
        }
    };
    std::thread::scope(|scope| {
        let adders: Vec<_> = (0..4_usize)
            .map(|thread| {
                let reach = &reach;
                scope.spawn(move || {
                    for number in 0..100 {
                        // Halves that overlap, in an order of its own.
                        let users = users_of(number);
                        users.iter().skip(thread % 2).chain(users.iter().rev()).for_each(|user| {
                            add(reach, number, &[*user]);
                        });
                    }
                })
            })
            .collect();
        while !adders.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            unite(drain(&reach));
        }
    });
    unite(drain(&reach));
    for number in 0..100 {
        assert_eq!(all[&key(number)], sketch_of(12, &users_of(number)), "key {number}");
    }
}

#[test]
fn a_batch_adds_as_single_adds_do() {
    let (single, many) = (Reach::new(12, 1_000, None).expect("a table"), Reach::new(12, 1_000, None).expect("a table"));
    let mut batch = Batch::default();
    for user in 0..5_000_u64 {
        let (number, coupon) = ((user * user % 37) as i64, Coupon::of_integer(user, None));
        add(&single, number, &[coupon]);
        let words = key(number).with(many.seed(), |key| (key.hash, key.words.to_vec()));
        let room = batch.room(words.1.len());
        room.iter_mut().zip(&words.1).for_each(|(room, word)| {
            room.write(*word);
        });
        // SAFETY: the key's words were written at the start of the room just now.
        unsafe { batch.push(words.0, words.1.len(), coupon) };
    }
    assert_eq!(many.add_batch(&batch, || true), Ok((5_000, 0)));
    assert_eq!(drain(&many), drain(&single));
}

#[test]
fn what_has_no_row_is_in_the_overflow_sketch() {
    let reach = Reach::new(12, 1, None).expect("a table");
    assert_eq!(add(&reach, 1, &coupons(0..10)), Added::Row);
    assert_eq!(add(&reach, 2, &coupons(0..1_000)), Added::Overflow);
    assert_eq!(reach.info().overflow, 1_000);
    let overflow = reach.drain().overflow;
    let mut expected = sketch_of(12, &coupons(0..1_000));
    expected.to_registers();
    assert_eq!(overflow, expected);
    assert_eq!(reach.info().overflow, 1_000);
}

#[test]
fn a_merge_keeps_the_precision_and_refuses_what_it_cannot_keep() {
    let reach = Reach::new(12, 10, None).expect("a table");
    let merge = |sketch: &Sketch| key(1).with(reach.seed(), |key| reach.merge(key, sketch));
    let users = coupons(0..50_000);
    add(&reach, 1, &users[..100]);
    assert_eq!(merge(&sketch_of(14, &users[50..])), Ok(Added::Row));
    assert!(merge(&sketch_of(11, &users)).is_err());
    // Coupons and nobody have no precision to lose.
    assert_eq!(merge(&sketch_of(4, &users[..7])), Ok(Added::Row));
    let mut nobody = sketch_of(4, &[]);
    nobody.to_registers();
    assert_eq!(merge(&nobody), Ok(Added::Row));
    let secret = Secret::new([1; 16]);
    assert!(merge(&Sketch::new(12, Some(secret.check())).expect("a precision")).is_err());
    assert_eq!(drain(&reach)[&key(1)], sketch_of(12, &users));
}

#[test]
fn unions_are_the_sketch_of_all_users_whatever_the_order_and_the_precision() {
    let users = coupons(0..30_000);
    let parts = [sketch_of(14, &users[..5]), sketch_of(12, &users[3..400]), sketch_of(18, &users[300..])];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut union = parts[order[0]].clone();
        order[1..].iter().for_each(|part| union.merge(&parts[*part]).expect("no secrets"));
        assert_eq!(union, sketch_of(12, &users), "{order:?}");
    }
}

#[test]
fn the_bounds_of_an_overlap_hold_the_truth_in_93_of_100_runs() {
    for common in [50_000, 10_000, 1_000] {
        let held = (0..100_u64).filter(|run| {
            let from = run * 1_000_000;
            let a = sketch_of(12, &coupons(from..from + 100_000));
            let b = sketch_of(12, &coupons(from + 100_000 - common..from + 200_000 - common));
            let overlap = a.overlap(&b, 2).expect("no secrets");
            (overlap.low..=overlap.high).contains(&(common as f64))
        });
        let held = held.count();
        assert!(held >= 93, "{held} of 100 with {common} users in common");
    }
}

#[test]
fn coupons_are_those_of_the_datasketches_crate() {
    use datasketches::hll::{HllSketch, HllType};
    for precision in [8, 12, 14] {
        for count in [5_u64, 20, 50_000] {
            let mut theirs = HllSketch::new(precision, HllType::Hll8).expect("a precision");
            (0..count).for_each(|user| theirs.update(user));
            let ours = sketch_of(precision, &coupons(0..count));
            assert_eq!(Sketch::from_bytes(&theirs.serialize()), Ok(ours), "{count} users at {precision}");
        }
    }
}
