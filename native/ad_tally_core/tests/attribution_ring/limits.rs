//! At the budgets, and at the ends of what numbers can be.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use super::super::Ring;
use super::{LATEST, path, touch};

#[test]
fn a_user_too_many_has_the_least_recently_touched_one_go() {
    let ring = Ring::new(2, 4, false).unwrap();
    ring.insert(1, &touch(1, 10), 0);
    ring.insert(2, &touch(2, 30), 0);
    ring.insert(1, &touch(3, 20), 0);
    ring.insert(3, &touch(4, 5), 0);
    assert_eq!([path(&ring, 2).len(), path(&ring, 3).len()], [1, 1]);
    let info = ring.info();
    assert_eq!((info.users, info.touches, info.evicted_users, info.evicted_touches), (2, 2, 1, 0));
}

#[test]
fn a_user_with_a_provisional_conversion_stays_if_another_can_go() {
    let ring = Ring::new(2, 4, false).unwrap();
    ring.begin(1, 77, 1, false);
    ring.insert(2, &touch(2, 30), 0);
    ring.insert(3, &touch(4, 5), 0);
    assert_eq!(ring.pending(1), [(77, 1)]);
    assert_eq!((ring.info().users, ring.info().evicted_users), (2, 1));
    ring.begin(3, 78, 1, false);
    ring.insert(2, &touch(2, 30), 0);
    assert_eq!(ring.info().users, 2);
    assert_eq!(ring.info().evicted_users, 2);
}

#[test]
fn there_are_never_more_users_than_the_budget_at_rest() {
    for users in [1, 2, 10, 100, 1_000] {
        let ring = Ring::new(users, 2, false).unwrap();
        for user in 0..3_000_u64 {
            ring.insert(user.wrapping_mul(0x9e37_79b9_7f4a_7c15), &touch(1, user), 0);
            assert!(ring.info().users <= users, "{:?} of {users}", ring.info());
        }
        assert_eq!(ring.info().users, users);
        assert_eq!(ring.info().touches, users);
        assert_eq!(ring.info().evicted_users, 3_000 - users as u64);
    }
}

#[test]
fn touches_too_old_for_any_conversion_give_way_and_are_not_counted_as_evicted() {
    let ring = Ring::new(1, 2, false).unwrap();
    for at in 0..6 {
        ring.insert(9, &touch(at, at as u64), at as u64);
    }
    assert_eq!(path(&ring, 9), [touch(4, 4), touch(5, 5)]);
    assert_eq!((ring.info().touches, ring.info().evicted_touches), (2, 0));
    ring.insert(9, &touch(6, 6), 0);
    assert_eq!((ring.info().touches, ring.info().evicted_touches), (2, 1));
    assert_eq!(ring.begin(9, 1, 9, true).evicted, 4);
}

#[test]
fn memory_does_not_grow_where_old_touches_can_go() {
    let ring = Ring::new(1_000, 8, false).unwrap();
    let mut bytes = Vec::new();
    for round in 0..200_u64 {
        for user in 0..500_u64 {
            let hash = user.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ring.insert(hash, &touch(round as i64, round), round.saturating_sub(2));
        }
        bytes.push(ring.info().bytes);
    }
    assert_eq!(bytes[50], bytes[199]);
    assert_eq!(ring.info().evicted_touches, 0);
}

#[test]
fn a_full_ring_of_many_touches_keeps_the_newest_in_whatever_order_they_come() {
    for most in [1, 2, 255_usize] {
        let ring = Ring::new(3, most, false).unwrap();
        let mut all: Vec<_> = (0..600_u64).map(|at| touch(at as i64 % 7 - 3 + 10 * at as i64, at / 2)).collect();
        for at in 0..600 {
            ring.insert(0, &all[at * 7 % 600], 0);
        }
        // 7 and 600 have no divisor in common: each came once.
        all.sort_by_key(|step| step.order());
        assert_eq!(path(&ring, 0), all[600 - most..], "{most}");
        assert_eq!(ring.info().evicted_touches, 600 - most as u64);
        assert_eq!(ring.begin(0, 1, LATEST, true).evicted, all[600 - most - 1].at);
    }
}

#[test]
fn a_bucket_without_another_overflow_bucket_has_users_go() {
    // 200 provisional conversions of each of 200 users need more than all overflow buckets.
    let ring = Ring::new(2_000, 1, false).unwrap();
    let bytes = ring.info().bytes;
    for order in 0..40_000_u64 {
        ring.begin((order % 200) << 20, order, order, false);
    }
    let info = ring.info();
    assert!(info.evicted_users > 0, "{info:?}");
    assert!(info.bytes < bytes + 2_000 * 256, "{info:?}");
    let pending = ring.pending(199 << 20);
    assert!(pending.contains(&(39_999, 39_999)));
    assert!(pending.len() <= 255);
}

#[test]
fn of_more_provisional_conversions_than_are_kept_the_oldest_is_forgotten_and_named() {
    let ring = Ring::new(1, 1, false).unwrap();
    for order in 0..255_u64 {
        assert_eq!(ring.begin(5, order, 1_000 - order, false).forgotten, None);
    }
    assert_eq!(ring.begin(5, 255, 2_000, false).forgotten, Some(254));
    assert_eq!(ring.begin(5, 255, 2_000, false).forgotten, None);
    assert_eq!(ring.pending(5).len(), 255);
    assert_eq!(ring.info().users, 1);
    (0..256).for_each(|order| ring.end(5, order));
    assert_eq!(ring.pending(5), []);
    assert_eq!(ring.info().users, 1, "it is remembered that the user has converted");
}

/// Whoever begins to write there has begun after all whose touches it finds.
#[test]
fn whether_a_conversion_may_begin_is_asked_while_touches_of_its_user_wait() {
    let ring = Ring::new(10, 4, false).unwrap();
    let is_there = AtomicBool::new(false);
    thread::scope(|scope| {
        let begun = ring.begin_if(1, 7, 9, false, || {
            scope.spawn(|| {
                ring.insert(1, &touch(1, 5), 0);
                is_there.store(true, Relaxed);
            });
            thread::sleep(Duration::from_millis(20));
            !is_there.load(Relaxed)
        });
        assert_eq!(begun.unwrap().path, []);
    });
    assert_eq!(ring.begin_if(1, 8, 9, false, || false), None, "nothing has changed");
    assert_eq!(ring.pending(1), [(7, 9)]);
}
