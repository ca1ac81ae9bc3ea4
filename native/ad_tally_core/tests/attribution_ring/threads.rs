//! Threads that touch, convert, unite and forget the same users.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread;

use super::super::Ring;
use super::{path, touch};

const THREADS: u64 = 4;

/// Runs `work` in threads that begin together, each with its number and its own random numbers, others in every round.
fn race<T: Send>(round: u64, work: impl Fn(u64, &mut Random) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        let run = |thread: u64| {
            let (work, barrier) = (&work, &barrier);
            scope.spawn(move || {
                let mut random = Random(round << 8 | thread);
                barrier.wait();
                work(thread, &mut random)
            })
        };
        let all: Vec<_> = (0..THREADS).map(run).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }
}

/// The hash of a user: few buckets, so that many are united within one.
fn user(number: u64) -> u64 {
    number << 61 | number
}

#[test]
fn no_touch_is_lost_or_doubled_while_users_are_united() {
    for round in 0..100 {
        let ring = Ring::new(30, 255, false).unwrap();
        let sent = race(round, |thread, random| {
            let mut sent = Vec::new();
            for id in 0..60 {
                let id = (id * THREADS + thread) as i64;
                let (one, other) = (random.below(20), random.below(20));
                if random.below(4) == 0 {
                    ring.link(user(one), user(other));
                }
                assert!(!ring.insert(user(one), &touch(id, 7), 0).is_duplicate);
                sent.push((id, one));
            }
            sent
        });
        let mut of_users: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
        for (id, one) in sent.into_iter().flatten() {
            assert!(of_users.entry(ring.user_of(user(one))).or_default().insert(id));
        }
        assert_eq!(ring.info().touches, 60 * THREADS as usize, "{round}");
        for (user, ids) in of_users {
            assert_eq!(path(&ring, user).iter().map(|step| step.id).collect::<BTreeSet<_>>(), ids, "{round}");
        }
    }
}

#[test]
fn every_conversion_is_told_of_every_touch_before_it_by_its_path_or_the_touch_or_a_link() {
    for round in 0..100 {
        let ring = Ring::new(30, 255, false).unwrap();
        let told = race(round, |thread, random| {
            let (mut touches, mut conversions, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
            for number in 0..50 {
                let number = number * THREADS + thread;
                let (one, at) = (random.below(8), random.below(100));
                match random.below(10) {
                    0 => {
                        let linked = ring.link(user(one), user(random.below(8)));
                        for (order, at) in linked.iter().flat_map(|linked| &linked.pending) {
                            let steps = linked.iter().flat_map(|linked| &linked.steps);
                            told.extend(steps.filter(|step| step.at <= *at).map(|step| (*order, step.id)));
                        }
                    }
                    1..4 => {
                        let begun = ring.begin(user(one), number, at, false);
                        told.extend(begun.path.iter().map(|step| (number, step.id)));
                        conversions.push((number, one, at));
                    }
                    _ => {
                        let inserted = ring.insert(user(one), &touch(number as i64, at), 0);
                        told.extend(inserted.pending.iter().map(|(order, _)| (*order, number as i64)));
                        touches.push((number as i64, one, at));
                    }
                }
            }
            (touches, conversions, told)
        });
        let all_told: BTreeSet<(u64, i64)> = told.iter().flat_map(|(_, _, told)| told.iter().copied()).collect();
        let mut expected = BTreeSet::new();
        for (order, of, at) in told.iter().flat_map(|(_, conversions, _)| conversions) {
            let is_before = |(_, one, touched): &&(i64, u64, u64)| {
                touched <= at && ring.user_of(user(*one)) == ring.user_of(user(*of))
            };
            let touches = told.iter().flat_map(|(touches, ..)| touches).filter(is_before);
            expected.extend(touches.map(|(id, ..)| (*order, *id)));
        }
        assert_eq!(all_told, expected, "{round}");
    }
}

#[test]
fn what_is_forgotten_beside_others_leaves_nothing_and_counts_are_true_at_rest() {
    for round in 0..100 {
        let ring = Ring::new(12, 5, round % 2 == 0).unwrap();
        race(round, |thread, random| {
            for number in 0..200_u64 {
                let (one, other) = (random.below(20), random.below(20));
                let order = number * THREADS + thread;
                match random.below(10) {
                    0 => drop(ring.link(user(one), user(other))),
                    1 => drop(ring.forget(user(one))),
                    2 => drop(ring.begin(user(one), order, number, false)),
                    3 => ring.end(user(one), order.saturating_sub(THREADS)),
                    4 => drop(ring.mark(user(one), 1, Some(number as i64 % 4), order, number)),
                    _ => drop(ring.insert(user(one), &touch(order as i64, number), number.saturating_sub(150))),
                }
            }
        });
        let (mut users, mut touches) = (0, 0);
        ring.visit(0, usize::MAX, |_, owned| {
            users += 1;
            touches += owned.touches.len();
        });
        let info = ring.info();
        assert_eq!((info.users, info.touches), (users, touches), "{round}");
        (0..20).for_each(|one| drop(ring.forget(user(one))));
        (0..20).for_each(|one| assert_eq!(ring.user_of(user(one)), user(one)));
        assert_eq!((ring.info().users, ring.info().touches), (0, 0), "{round}");
        assert!((0..ring.buckets()).all(|bucket| ring.is_empty(bucket as usize)), "{round}");
    }
}

#[test]
fn an_alias_of_an_alias_leads_to_the_user_however_many_there_are() {
    let ring = Ring::new(200, 255, false).unwrap();
    for one in 0..100 {
        ring.insert(user(one), &touch(one as i64, one), 0);
        assert_eq!(ring.link(user(one), user(one + 1)).unwrap().steps.len(), one as usize + 1);
    }
    for one in 0..100 {
        assert_eq!(ring.user_of(user(one)), user(100));
        assert!(ring.insert(user(one), &touch(one as i64, one), 0).is_duplicate);
        assert_eq!(ring.link(user(100), user(one)), None);
    }
    assert_eq!([3, 50].map(|one| path(&ring, user(one)).len()), [100, 100]);
    assert_eq!((ring.info().users, ring.info().touches), (1, 100));
    ring.forget(user(50));
    assert!((0..ring.buckets()).all(|bucket| ring.is_empty(bucket as usize)));
}
