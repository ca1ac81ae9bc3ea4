//! Threads that add to the same keyed sketches at once: whatever the order, they make what one thread makes.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Barrier;

use ad_tally_core::reach::Registers;
use ad_tally_core::sketch::MIN_PRECISION;
use ad_tally_core::{Coupon, Reach, Sketch};
use proptest::prelude::*;

mod support;
use support::{Key, Part};

fn empty(precision: u8) -> Sketch {
    Sketch::new(precision, None).expect("a precision of 4 to 18")
}

fn coupons(users: &[u64]) -> Vec<Coupon> {
    users.iter().map(|user| Coupon::of_integer(*user, None)).collect()
}

/// What a thread does to a table with a row for each of two keys, and none for the third.
#[derive(Debug, Clone)]
enum Step {
    Add { key: i64, users: Vec<u64> },
    Merge { key: i64, sketch: Sketch },
}

fn key(number: i64) -> Key {
    Key::Bare(Part::Integer(number))
}

impl Step {
    fn take(&self, reach: &Reach) {
        match self {
            Self::Add { key: number, users } => {
                key(*number).with(reach.seed(), |key| reach.add_users(key, &coupons(users)));
            }
            Self::Merge { key: number, sketch } => {
                key(*number).with(reach.seed(), |key| reach.merge(key, sketch)).expect("no secrets, and fine enough");
            }
        }
    }
}

fn step(precision: u8) -> impl Strategy<Value = Step> {
    let some = (0..3_000_u64, 1..200_u64).prop_map(|(first, count)| (first..first + count).collect::<Vec<u64>>());
    let registers = (some.clone(), any::<bool>(), precision..=precision + 2);
    prop_oneof![
        4 => (0..3_i64, some).prop_map(|(key, users)| Step::Add { key, users }),
        1 => (0..3_i64, registers).prop_map(|(key, (users, registers, precision))| {
            let mut sketch = empty(precision);
            coupons(&users).into_iter().for_each(|coupon| sketch.insert(coupon));
            if registers {
                sketch.to_registers();
            }
            Step::Merge { key, sketch }
        }),
    ]
}

/// The bytes of all sketches of a table after steps, taken by any number of threads.
fn after(precision: u8, threads: &[Vec<Step>]) -> BTreeMap<i64, Vec<u8>> {
    let reach = Reach::new(precision, 2, None).expect("a table");
    for key in [0, 1] {
        Step::Add { key, users: vec![0] }.take(&reach);
    }
    let together = Barrier::new(threads.len());
    std::thread::scope(|scope| {
        for steps in threads {
            scope.spawn(|| {
                together.wait();
                steps.iter().for_each(|step| step.take(&reach));
            });
        }
    });
    let mut drained = reach.drain();
    let mut bytes = BTreeMap::from([(2, drained.overflow.to_bytes())]);
    drained.rows.walk(|found, sketch| {
        let Key::Bare(Part::Integer(number)) = Key::read(found) else { panic!("keys are integers") };
        bytes.insert(number, sketch.to_bytes());
        ControlFlow::Continue(())
    });
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn four_threads_make_bit_for_bit_what_one_makes_in_another_order(
        (precision, steps, shuffled) in (MIN_PRECISION..=14).prop_flat_map(|precision| {
            let steps = prop::collection::vec(step(precision), 4..60);
            (Just(precision), steps).prop_flat_map(|(precision, steps)| {
                let shuffled = Just(steps.clone()).prop_shuffle();
                (Just(precision), Just(steps), shuffled)
            })
        }),
    ) {
        let four: Vec<Vec<Step>> = shuffled.chunks(steps.len().div_ceil(4)).map(<[Step]>::to_vec).collect();
        let (by_four, by_one) = (after(precision, &four), after(precision, &[steps]));
        prop_assert_eq!(by_one.len(), 3);
        prop_assert_eq!(by_four, by_one);
    }
}

/// A coupon as no user need have it.
fn coupon(register: u32, value: u32) -> Coupon {
    Coupon::from_word(value << 26 | register).expect("a value of 1 to 63")
}

#[test]
fn of_values_that_threads_raise_registers_to_at_the_same_moment_the_largest_stays() {
    const PRECISION: u8 = 14;
    const THREADS: u32 = 4;
    // All threads walk over the registers in step, so that they meet in one again and again.
    let value = |thread, round, register| 1 + (register * 5 + thread * 17 + round * 29) % 63;
    let registers = || 0..1_u32 << PRECISION;
    for round in 0..20_u32 {
        let of_thread = |thread| registers().map(move |register| coupon(register, value(thread, round, register)));
        let largest = |register| (0..THREADS).map(|thread| value(thread, round, register) as u8).max();
        let expected: Vec<u8> = registers().filter_map(largest).collect();

        let raised = Registers::new(PRECISION);
        let reach = Reach::new(PRECISION, 1, None).expect("a table");
        let mut start = empty(PRECISION);
        start.to_registers();
        Step::Merge { key: 0, sketch: start.clone() }.take(&reach);
        let together = Barrier::new(THREADS as usize);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let mut sketch = start.clone();
                of_thread(thread).for_each(|coupon| sketch.insert(coupon));
                let (raised, reach, together) = (&raised, &reach, &together);
                scope.spawn(move || {
                    together.wait();
                    of_thread(thread).for_each(|coupon| _ = raised.view().raise(0, coupon));
                    together.wait();
                    Step::Merge { key: 0, sketch }.take(reach);
                });
            }
        });
        assert_eq!(raised.view().values().collect::<Vec<u8>>(), expected, "by users, round {round}");
        reach.drain().rows.walk(|_, sketch| {
            assert_eq!(sketch.registers(), Some(&expected[..]), "by sketches, round {round}");
            ControlFlow::Continue(())
        });
    }
}
