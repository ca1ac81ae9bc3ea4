//! Any operations one after the other: the ring does what the naive twin does.

use proptest::prelude::*;

use super::super::Ring;
use super::naive::Naive;
use super::{LATEST, path};
use crate::attribution::Step;

#[derive(Debug, Clone)]
enum Operation {
    Insert(u64, Step),
    Begin(u64, u64, u64, bool),
    End(u64, u64),
}

/// Few users, some of which are in one bucket, and one whose fingerprint is 0.
fn user() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(2), Just(u64::MAX), Just(1 << 63), Just(7 << 37), any::<u64>()]
}

fn at() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 1 => LATEST - 3..=LATEST, 1 => 0..=LATEST]
}

fn id() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -30..30_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()]
}

fn operation() -> impl Strategy<Value = Operation> {
    let step = (id(), at(), 0..2_u8, prop_oneof![0..2_u32, Just((1 << 24) - 1)]);
    let step = step.prop_map(|(id, at, kind, dimensions)| Step { id, at, kind: kind * 7, dimensions, repeats: 0 });
    prop_oneof![
        8 => (user(), step).prop_map(|(user, step)| Operation::Insert(user, step)),
        2 => (user(), 0..9_u64, at(), any::<bool>()).prop_map(|(u, o, at, late)| Operation::Begin(u, o, at, late)),
        1 => (user(), 0..9_u64).prop_map(|(user, order)| Operation::End(user, order)),
    ]
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all
}

fn check(operations: &[Operation], users: usize, touches_per_user: usize, collapse: bool) {
    let ring = Ring::new(users, touches_per_user, collapse).unwrap();
    let mut naive = Naive::new(touches_per_user, collapse);
    for operation in operations {
        match *operation {
            Operation::Insert(user, step) => {
                let inserted = ring.insert(user, &step, 0);
                let (is_duplicate, pending) = naive.insert(user, step);
                assert_eq!((inserted.user, inserted.is_duplicate), (user, is_duplicate), "{operation:?}");
                assert_eq!(sorted(inserted.pending), pending, "{operation:?}");
            }
            Operation::Begin(user, order, at, is_late) => {
                let mut path = Vec::new();
                let begun = ring.begin(user, order, at, is_late, &mut path);
                let others = naive.users.get(&user).map(|own| own.pending.clone()).unwrap_or_default();
                let others: Vec<(u64, u64)> = others.into_iter().filter(|(other, _)| *other != order).collect();
                assert_eq!((path, begun.evicted), naive.begin(user, order, at, is_late), "{operation:?}");
                assert_eq!((begun.user, sorted(begun.others), begun.forgotten), (user, others, None));
            }
            Operation::End(user, order) => {
                ring.end(user, order);
                naive.end(user, order);
            }
        }
    }
    let info = ring.info();
    assert_eq!(info.users, naive.users.len());
    assert_eq!(info.touches, naive.users.values().map(|user| user.touches.len()).sum::<usize>());
    assert_eq!((info.evicted_touches, info.evicted_users), (naive.evicted, 0));
    for (user, own) in &naive.users {
        assert_eq!(path(&ring, *user), own.touches);
        assert_eq!(sorted(ring.pending(*user)), own.pending.clone().into_iter().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_does_what_the_naive_one_does(
        operations in prop::collection::vec(operation(), 0..150),
        users in prop_oneof![Just(1_000_usize), Just(150)],
        touches_per_user in prop_oneof![Just(1_usize), Just(2), Just(3), 4..16_usize, Just(255)],
        collapse in any::<bool>(),
    ) {
        check(&operations, users, touches_per_user, collapse);
    }
}
