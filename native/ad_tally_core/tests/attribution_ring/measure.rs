//! What the constants of the ring are chosen by. To be run alone on a machine, with 3 GB free:
//! `cargo test --release -p ad_tally_core --lib attribution::ring::tests::measure -- --ignored --nocapture --test-threads 1`

use std::time::Instant;

use super::super::Ring;
use super::{path, touch};
use crate::attribution::{Attribution, Config, Counting, Model, Touch};
use crate::key::{Domain, HashedKey, Seed, integer_words};

/// SplitMix64.
fn mix(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

const USERS: u64 = 10_000_000;

/// Sends touches of `users` at random, as many as `touches`, in tenths that are timed each.
fn fill(ring: &Ring, users: u64, from: u64, touches: u64, ahead: u64) {
    for tenth in 0..10 {
        let begin = Instant::now();
        let range = from + touches * tenth / 10..from + touches * (tenth + 1) / 10;
        let count = range.end - range.start;
        for number in range {
            if ahead > 0 {
                ring.fetch(mix(mix(number + ahead) % users));
                ring.fetch_overflow(mix(mix(number + ahead / 2) % users));
            }
            let inserted = ring.insert(mix(mix(number) % users), &touch(number as i64, number >> 10), 0);
            assert!(!inserted.is_duplicate);
        }
        let (info, nanoseconds) = (ring.info(), begin.elapsed().as_nanos() as f64 / count as f64);
        println!("{nanoseconds:6.1} ns a touch, {:5.1} bytes: {info:?}", info.bytes as f64 / info.touches as f64);
    }
}

/// Sends the last touches again.
fn copy(ring: &Ring, users: u64, end: u64, ahead: u64) {
    let (begin, copies) = (Instant::now(), 2_000_000);
    for number in end - copies..end {
        if ahead > 0 {
            ring.fetch(mix(mix(number + ahead) % users));
            ring.fetch_overflow(mix(mix(number + ahead / 2) % users));
        }
        let copy = touch(number as i64, number >> 10);
        assert!(ring.insert(mix(mix(number) % users), &copy, 0).is_duplicate);
    }
    println!("{:6.1} ns a copy, asked for {ahead} ahead", begin.elapsed().as_nanos() as f64 / copies as f64);
}

#[test]
#[ignore = "takes 2 GB"]
fn touches_of_ten_million_users() {
    let ring = Ring::new(USERS as usize, 16, false).unwrap();
    fill(&ring, USERS, 0, 3 * USERS, 0);
    copy(&ring, USERS, 3 * USERS, 0);
    copy(&ring, USERS, 3 * USERS, 8);
}

#[test]
#[ignore = "takes 2 GB"]
fn touches_of_ten_million_users_each_asked_for_ahead() {
    fill(&Ring::new(USERS as usize, 16, false).unwrap(), USERS, 0, 3 * USERS, 8);
}

#[test]
#[ignore = "takes 2 GB"]
fn touches_of_twice_as_many_users_as_there_is_room_for() {
    fill(&Ring::new(USERS as usize, 16, false).unwrap(), 2 * USERS, 0, 6 * USERS, 8);
}

/// An attribution of ten million users, and the dimensions of 10,000 keys with their hashes.
fn attribution() -> (Attribution, Vec<([u64; 2], u64)>) {
    let config = Config {
        window: 1 << 40,
        lateness: 0,
        max_ahead: None,
        lookbacks: vec![1 << 40; 2],
        prevail: true,
        collapse: false,
        models: vec![Model::LastTouch],
        actions: vec![Counting::Every],
        touches_per_user: 16,
        users: USERS as usize,
        orders: 1_000,
        adjustable_for: 0,
        max_keys: 20_000,
    };
    let attribution = Attribution::new(&config, Seed::random()).unwrap();
    let key = |key| {
        let words = integer_words(key);
        (words, attribution.seed().hash(Domain::Key, &words))
    };
    let keys = (0..10_000).map(key).collect();
    (attribution, keys)
}

#[test]
#[ignore = "takes 2 GB"]
fn touches_as_attribution_takes_them() {
    const GROUP: usize = 100;
    let (attribution, keys) = attribution();
    let touch = |number: u64| {
        let (words, hash) = &keys[(mix(number) >> 32) as usize % keys.len()];
        let dimensions = HashedKey { hash: *hash, words };
        Touch { id: number as i64, user: mix(mix(number) % USERS), at: number, kind: 0, dimensions, cost: 1 }
    };
    for (what, end) in
        [("one by one", 24), ("by 100", 27), ("one by one", 30), ("copies one by one", 30), ("copies by 100", 30)]
    {
        let (end, is_group) = (end * USERS / 10, what.ends_with("by 100"));
        let from = if what.starts_with("copies") { end - USERS / 10 } else { attribution.info().kept_touches as u64 };
        let begin = Instant::now();
        let mut outcomes = [0; 5];
        if is_group {
            for number in (from..end).step_by(GROUP) {
                let touches: [Touch<'_>; GROUP] = std::array::from_fn(|at| touch(number + at as u64));
                attribution.touch_all(touches.len(), |at| touches[at], &mut outcomes, || 0, || true);
            }
        } else {
            for number in from..end {
                let touch = touch(number);
                attribution.fetch(touch.user);
                outcomes[attribution.touch(&touch, || 0).unwrap() as usize] += 1;
            }
        }
        let nanoseconds = begin.elapsed().as_nanos() as f64 / (end - from) as f64;
        println!("{nanoseconds:6.1} ns a touch, {what}: {outcomes:?}");
    }
}

#[test]
#[ignore = "measures"]
fn touches_of_users_that_lie_in_the_cache() {
    let ring = Ring::new(10_000, 16, false).unwrap();
    fill(&ring, 10_000, 0, 30_000, 0);
    let ring = Ring::new(10_000, 16, false).unwrap();
    fill(&ring, 10_000, 0, 2_000_000, 0);
}

#[test]
#[ignore = "measures"]
fn locks_held_for_users_with_many_touches() {
    for touches in [16, 255] {
        let ring = Ring::new(100_000, 255, false).unwrap();
        let users = 2_000_u64;
        for at in 0..touches {
            (0..users).for_each(|user| drop(ring.insert(mix(user), &touch((at << 32 | user) as i64, at), 0)));
        }
        let each = |what: &str, run: &mut dyn FnMut(u64)| {
            let begin = Instant::now();
            (0..users).for_each(&mut *run);
            println!("{touches} touches: {what} {:.2} us", begin.elapsed().as_secs_f64() * 1e6 / users as f64);
        };
        each("begin", &mut |user| drop(ring.begin(mix(user), user, touches, false)));
        each("insert", &mut |user| drop(ring.insert(mix(user), &touch(-1 - user as i64, 9), 0)));
        each("end", &mut |user| ring.end(mix(user), user));
        each("link", &mut |user| drop(ring.link(mix(user), mix(user ^ 1))));
        each("forget", &mut |user| drop(ring.forget(mix(user))));
        assert_eq!(path(&ring, mix(1)), []);
    }
}
