//! Any operations one after the other: the ring does what the naive twin does.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Begun, Key, Mark, Owned, Ring};
use super::LATEST;
use super::naive::{Naive, User};
use crate::attribution::Step;

#[derive(Debug, Clone)]
enum Operation {
    Insert(u64, Step),
    Begin(u64, u64, u64, bool),
    End(u64, u64),
    Mark(u64, u8, Option<i64>, u64, u64),
    Link(u64, u64),
    Forget(u64),
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
    let step = step.prop_map(|(id, at, kind, dimensions)| Step {
        id,
        at,
        first_at: at,
        kind: kind * 7,
        dimensions,
        repeats: 0,
    });
    prop_oneof![
        8 => (user(), step).prop_map(|(user, step)| Operation::Insert(user, step)),
        2 => (user(), 0..9_u64, at(), any::<bool>()).prop_map(|(u, o, at, late)| Operation::Begin(u, o, at, late)),
        1 => (user(), 0..9_u64).prop_map(|(user, order)| Operation::End(user, order)),
        1 => (user(), 62..64_u8, prop::option::of(id()), prop_oneof![0..4_u64, Just(1 << 29)], at())
            .prop_map(|(user, action, touch, order, at)| Operation::Mark(user, action, touch, order, at)),
        1 => (user(), user()).prop_map(|(alias, user)| Operation::Link(alias, user)),
        1 => user().prop_map(Operation::Forget),
    ]
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all
}

fn apply(ring: &Ring, naive: &mut Naive, operation: &Operation) {
    match *operation {
        Operation::Insert(user, step) => {
            let inserted = ring.insert(user, &step, 0);
            let (is_duplicate, pending) = naive.insert(user, step);
            assert_eq!((ring.user_of(user), inserted.is_duplicate), (naive.user_of(user), is_duplicate));
            assert_eq!(sorted(inserted.pending), pending);
        }
        Operation::Begin(user, order, at, is_late) => {
            let Begun { path, evicted, forgotten } = ring.begin(user, order, at, is_late);
            assert_eq!((path, evicted), naive.begin(user, order, at, is_late));
            let own = naive.user_of(user);
            let pending: Vec<(u64, u64)> = naive.users[&own].pending.clone().into_iter().collect();
            assert_eq!((ring.user_of(user), sorted(ring.pending(user))), (own, pending));
            assert_eq!(forgotten, None);
        }
        Operation::End(user, order) => {
            ring.end(user, order);
            naive.end(user, order);
        }
        Operation::Mark(user, action, touch, order, at) => {
            assert_eq!(ring.mark(user, action, touch, order, at), naive.mark(user, action, touch, order, at));
            for order in [order, order + 1] {
                let is_marked = ring.is_marked(user, action, touch, order);
                assert_eq!(is_marked, naive.is_marked(user, action, touch, order));
            }
            assert!(!ring.is_marked(user, 3, touch, order));
        }
        Operation::Link(alias, user) => {
            let linked = ring.link(alias, user);
            let both = naive.link(alias, user);
            assert_eq!(linked.as_ref().map(|linked| (linked.steps.clone(), linked.evicted)), both);
            if let Some(linked) = linked {
                let own = &naive.users[&naive.user_of(user)];
                assert_eq!((linked.user, linked.forgotten), (naive.user_of(user), Vec::new()));
                assert_eq!(sorted(linked.pending), own.pending.clone().into_iter().collect::<Vec<_>>());
            }
            assert_eq!(ring.user_of(alias), naive.user_of(user));
        }
        Operation::Forget(user) => {
            assert_eq!(sorted(ring.forget(user).pending), naive.forget(user).into_iter().collect::<Vec<_>>());
            assert_eq!(ring.user_of(user), user);
        }
    }
}

/// All that a ring has of users, in order.
fn all(ring: &Ring) -> BTreeMap<Key, Owned> {
    let (mut all, mut next) = (BTreeMap::new(), Some(0));
    while let Some(from) = next {
        next = ring.visit(from, 3, |key, mut owned| {
            owned.pending.sort_unstable();
            owned.aliases.sort_unstable();
            owned.marks.sort_unstable_by_key(|mark| (mark.action, mark.touch));
            assert_eq!(all.insert(key, owned), None, "each user is shown once");
        });
    }
    all
}

/// The same of the naive twin.
fn expected(ring: &Ring, naive: &Naive) -> BTreeMap<Key, Owned> {
    let own = |(user, own): (&u64, &User)| {
        let mark = |((action, touch), (at, order)): (&(u8, Option<i64>), &(u64, u64))| Mark {
            action: *action,
            touch: *touch,
            order: *order as u32,
            at: *at,
        };
        let owned = Owned {
            touches: own.touches.clone(),
            pending: own.pending.clone().into_iter().collect(),
            marks: own.marks.iter().map(mark).collect(),
            aliases: naive.aliases.iter().filter(|(_, of)| *of == user).map(|(alias, _)| *alias).collect(),
            evicted: own.evicted,
            converted: own.converted,
        };
        (ring.key_of(*user), owned)
    };
    naive.users.iter().map(own).collect()
}

fn check(operations: &[Operation], users: usize, touches_per_user: usize, collapse: bool) {
    let ring = Ring::new(users, touches_per_user, collapse).unwrap();
    let mut naive = Naive::new(touches_per_user, collapse);
    for operation in operations {
        apply(&ring, &mut naive, operation);
    }
    assert_eq!(all(&ring), expected(&ring, &naive));
    let info = ring.info();
    assert_eq!(info.users, naive.users.len());
    assert_eq!(info.touches, naive.users.values().map(|user| user.touches.len()).sum::<usize>());
    assert_eq!((info.evicted_touches, info.evicted_users), (naive.evicted, 0));
    for alias in naive.aliases.keys() {
        assert_eq!(ring.user_of(*alias), naive.user_of(*alias));
    }
    restored_is_the_same(&ring, users, touches_per_user, collapse);
    naive.users.keys().for_each(|user| {
        ring.forget(*user);
    });
    assert_eq!((all(&ring).len(), ring.info().users, ring.info().touches), (0, 0, 0));
    let is_empty = (0..ring.buckets()).all(|bucket| ring.is_empty(bucket as usize));
    assert!(is_empty, "what is forgotten leaves no byte");
}

fn restored_is_the_same(ring: &Ring, users: usize, touches_per_user: usize, collapse: bool) {
    let other = Ring::new(users, touches_per_user, collapse).unwrap();
    for (key, owned) in all(ring) {
        assert!(other.restore(key, owned.clone()).is_some());
        assert!(other.restore(key, owned).is_some(), "again");
    }
    for aliases in all(ring).into_values().map(|owned| owned.aliases) {
        aliases.iter().for_each(|alias| {
            other.link(*alias, ring.user_of(*alias));
        });
    }
    assert_eq!(all(&other), all(ring));
    let (one, other) = (ring.info(), other.info());
    assert_eq!((one.users, one.touches), (other.users, other.touches));
}

#[test]
fn marks_of_the_same_conversion_give_way_in_the_order_of_their_touches() {
    let mark = |user, touch| Operation::Mark(user, 63, Some(touch), 7, 20);
    for touches in [[0, 1], [1, 0]] {
        let operations = [mark(1 << 63, touches[0]), mark(0, touches[1]), Operation::Link(1 << 63, 0)];
        check(&operations, 1_000, 1, false);
    }
    for touches in [[0, 1, 2], [2, 1, 0]] {
        check(&touches.map(|touch| mark(0, touch)), 1_000, 2, false);
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
