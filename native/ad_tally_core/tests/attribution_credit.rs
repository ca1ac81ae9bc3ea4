//! Paths and credits against twins that are slow and obviously right, and the weights against exact arithmetic.
#![cfg(not(loom))]

use ad_tally_core::attribution::path::{MAX_REPEATS, eligible};
use ad_tally_core::attribution::{Model, Step, VALUES, credit};
use proptest::collection::vec;
use proptest::prelude::*;

const WEEK: u64 = 7 * 24 * 3_600_000;

fn step(id: i64, at: u64, kind: u8, dimensions: u32) -> Step {
    Step { id, at, first_at: at, kind, dimensions, repeats: 0 }
}

fn find(path: &[Step], at: u64, lookbacks: &[u64], is_prevailing: bool, is_collapsing: bool) -> Vec<Step> {
    let mut found = vec![step(0, 0, 0, 0)];
    eligible(path, at, lookbacks, is_prevailing, is_collapsing, &mut found);
    found
}

fn weights(model: Model, steps: &[Step], at: u64) -> Vec<u64> {
    let mut weights = vec![7];
    credit::weights(model, steps, at, &mut weights);
    weights
}

fn split(amount: i64, weights: &[u64]) -> Vec<i64> {
    let mut shares = vec![7];
    credit::split(amount, weights, &mut shares);
    shares
}

fn decay(half_life: u64, ages: &[u64]) -> Vec<u64> {
    let at = 1 << 46;
    let steps: Vec<Step> = ages.iter().map(|age| step(0, at - age, 0, 0)).collect();
    weights(Model::TimeDecay { half_life }, &steps, at)
}

#[test]
fn both_ends_of_a_lookback_are_eligible() {
    let path =
        [step(1, 999, 0, 0), step(2, 1_000, 0, 0), step(3, 1_998, 1, 0), step(4, 1_999, 1, 0), step(5, 2_000, 0, 0)];
    let ids = |at| find(&path, at, &[1_000, 1], false, false).iter().map(|step| step.id).collect::<Vec<_>>();
    assert_eq!(ids(2_000), [2, 4, 5]);
    assert_eq!(ids(1_999), [1, 2, 3, 4]);
    assert_eq!(ids(998), [0_i64; 0]);
}

#[test]
fn the_strongest_eligible_kind_prevails() {
    let path = [step(1, 0, 0, 0), step(2, 50, 1, 0), step(3, 90, 2, 0), step(4, 95, 1, 0)];
    let ids =
        |lookbacks: &[u64]| find(&path, 100, lookbacks, true, false).iter().map(|step| step.id).collect::<Vec<_>>();
    assert_eq!(ids(&[100, 100, 100]), [1]);
    assert_eq!(ids(&[99, 100, 100]), [2, 4]);
    assert_eq!(ids(&[99, 0, 100]), [3]);
    assert_eq!(ids(&[0, 0, 0]), [0_i64; 0]);
}

#[test]
fn a_run_is_one_step_before_its_lookback_is_asked_for() {
    let path = [
        step(1, 0, 0, 7),
        step(2, 60, 0, 7),
        step(3, 70, 0, 8),
        step(4, 71, 1, 8),
        step(5, 80, 1, 8),
        step(6, 90, 1, 8),
    ];
    let found = find(&path, 85, &[50, 50], false, true);
    let repeated = |step: Step, first_at, repeats| Step { repeats, first_at, ..step };
    assert_eq!(found, [repeated(path[1], 0, 1), path[2], repeated(path[4], 71, 1)]);
    // The first of the run alone is near enough at 50, the run is not any more.
    assert_eq!(find(&path, 111, &[50, 0], false, true), [path[2]]);
}

#[test]
fn a_run_of_a_ring_counts_each_of_its_touches_once() {
    // First and last touch of five, and then one more.
    let path = [step(1, 0, 0, 7), Step { repeats: 4, ..step(5, 4, 0, 7) }, step(6, 5, 0, 7)];
    assert_eq!(find(&path, 4, &[9], false, true)[0].repeats, 4);
    assert_eq!(find(&path, 5, &[9], false, true)[0].repeats, 5);
    let path = [Step { repeats: MAX_REPEATS, ..step(5, 4, 0, 7) }, step(6, 5, 0, 7)];
    assert_eq!(find(&path, 5, &[9], false, true)[0].repeats, MAX_REPEATS);
}

#[test]
fn weights_are_those_that_the_models_name() {
    let steps: Vec<Step> = (0..5).map(|at| step(at as i64, at, 0, 0)).collect();
    let all = |model| [0, 1, 2, 3, 5].map(|count| weights(model, &steps[..count], 9));
    assert_eq!(all(Model::LastTouch), [vec![], vec![1], vec![0, 1], vec![0, 0, 1], vec![0, 0, 0, 0, 1]]);
    assert_eq!(all(Model::FirstTouch), [vec![], vec![1], vec![1, 0], vec![1, 0, 0], vec![1, 0, 0, 0, 0]]);
    assert_eq!(all(Model::Linear), [vec![], vec![1], vec![1; 2], vec![1; 3], vec![1; 5]]);
    assert_eq!(all(Model::PositionBased), [vec![], vec![1], vec![1, 1], vec![2, 1, 2], vec![6, 1, 1, 1, 6]]);
}

#[test]
fn the_middle_of_a_path_has_a_fifth_of_a_position() {
    for count in 3..=255 {
        let steps = vec![step(0, 0, 0, 0); count];
        let weights = weights(Model::PositionBased, &steps, 0);
        let total: u64 = weights.iter().sum();
        assert_eq!([weights[0] * 5, weights[count - 1] * 5], [total * 2, total * 2]);
        assert_eq!(weights[1..count - 1].iter().sum::<u64>() * 5, total);
    }
}

/// A number of any size, its lowest digit of 32 bits first, without zeros at its end.
#[derive(PartialEq, Eq, Debug)]
struct Big(Vec<u32>);

impl Big {
    fn times(&self, other: &Big) -> Big {
        let mut digits = vec![0; self.0.len() + other.0.len()];
        for (i, one) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (j, two) in other.0.iter().enumerate() {
                let sum = u64::from(*one) * u64::from(*two) + u64::from(digits[i + j]) + carry;
                digits[i + j] = sum as u32;
                carry = sum >> 32;
            }
            digits[i + other.0.len()] = carry as u32;
        }
        while digits.pop_if(|digit| *digit == 0).is_some() {}
        Big(digits)
    }

    /// The number's power of 256.
    fn power(of: u64) -> Big {
        (0..8).fold(Big(vec![of as u32, (of >> 32) as u32]), |power, _| power.times(&power))
    }

    fn is_below(&self, other: &Big) -> bool {
        let reversed = |big: &Big| big.0.iter().rev().copied().collect::<Vec<_>>();
        (self.0.len(), reversed(self)) < (other.0.len(), reversed(other))
    }
}

#[test]
fn the_weights_of_decay_are_rounded_powers_of_two() {
    // With a half-life of 256 ms an age of j ms is j/256 of one. `w` is `2^32 2^(-j/256)` rounded if and only if
    // `(2w - 1)^256 < 2^(33 * 256 - j) < (2w + 1)^256`: a comparison of integers.
    for j in 0..256 {
        let weight = decay(256, &[j])[0];
        let bits = 33 * 256 - j as usize;
        let mut exact = vec![0; bits / 32 + 1];
        exact[bits / 32] = 1 << (bits % 32);
        let exact = Big(exact);
        assert!(Big::power(2 * weight - 1).is_below(&exact), "{j}: {weight} is too great");
        assert!(exact.is_below(&Big::power(2 * weight + 1)), "{j}: {weight} is too small");
    }
}

#[test]
fn decay_halves_by_half_life_and_never_reaches_zero() {
    let one = 1_u64 << 32;
    assert_eq!(
        decay(WEEK, &[0, WEEK - 1, WEEK, 2 * WEEK, 31 * WEEK, 32 * WEEK, 1 << 46]),
        [one, decay(256, &[255])[0], one / 2, one / 4, 2, 1, 1]
    );
    assert_eq!(decay(1, &[0, 1, 31, 32, 1 << 46]), [one, one / 2, 2, 1, 1]);
    assert_eq!(decay(1 << 47, &[0, 1 << 46]), [one, decay(256, &[128])[0]]);
}

#[test]
fn equal_remainders_go_to_later_touches() {
    assert_eq!(split(100, &[1, 1, 1]), [33, 33, 34]);
    assert_eq!(split(101, &[1, 1, 1]), [33, 34, 34]);
    assert_eq!(split(-100, &[1, 1, 1]), [-33, -33, -34]);
    assert_eq!(split(2, &[1, 1, 1]), [0, 1, 1]);
    assert_eq!(split(1_000_000, &[2, 1, 2]), [400_000, 200_000, 400_000]);
}

#[test]
fn a_touch_of_weight_zero_gets_nothing() {
    assert_eq!(split(7, &[0, 1, 0]), [0, 7, 0]);
    assert_eq!(split(-7, &[3, 0, 3, 0]), [-3, 0, -4, 0]);
    assert_eq!(split(7, &[0, 0]), [0, 0]);
    assert_eq!(split(7, &[]), [0; 0]);
}

#[test]
fn the_greatest_amounts_are_split_exactly() {
    for amount in [VALUES - 1, 1 - VALUES, i64::MAX, i64::MIN] {
        for weights in [vec![1 << 32; 255], vec![1; 255], vec![1 << 32, 1], vec![1], vec![(1 << 32) - 1, 1 << 32, 1]] {
            assert_eq!(split(amount, &weights), split_by_sorting(amount, &weights), "{amount} by {weights:?}");
        }
    }
}

/// The definition, in 128 bits and by sorting.
fn split_by_sorting(amount: i64, weights: &[u64]) -> Vec<i64> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let product = |place: usize| u128::from(amount.unsigned_abs()) * u128::from(weights[place]);
    let mut shares: Vec<i128> = (0..weights.len()).map(|place| (product(place) / total) as i128).collect();
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse((product(*place) % total, *place)));
    let left = i128::from(amount.unsigned_abs()) - shares.iter().sum::<i128>();
    places.iter().take(left as usize).for_each(|place| shares[*place] += 1);
    shares.into_iter().map(|share| (share * i128::from(amount.signum())) as i64).collect()
}

/// The definition, group by group.
fn eligible_by_groups(
    path: &[Step],
    at: u64,
    lookbacks: &[u64],
    is_prevailing: bool,
    is_collapsing: bool,
) -> Vec<Step> {
    let before: Vec<Step> = path.iter().filter(|step| step.at <= at).copied().collect();
    let groups =
        before.chunk_by(|one, next| is_collapsing && (one.kind, one.dimensions) == (next.kind, next.dimensions));
    let near: Vec<Step> = groups
        .map(|run| Step { repeats: run.len() as u16 - 1, first_at: run[0].at, ..*run.last().unwrap() })
        .filter(|step| step.at + lookbacks[usize::from(step.kind)] >= at)
        .collect();
    let strongest = (0..8).find(|kind| near.iter().any(|step| step.kind == *kind));
    near.into_iter().filter(|step| !is_prevailing || Some(step.kind) == strongest).collect()
}

fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![1 - VALUES..VALUES, -1_000_i64..1_000, Just(1_000_000), Just(59_990_000)]
}

fn all_weights() -> impl Strategy<Value = Vec<u64>> {
    let weight = prop_oneof![0_u64..4, 0_u64..=1 << 32, Just(1 << 32)];
    prop_oneof![vec(weight.clone(), 1..20), vec(weight, 1..=255)]
        .prop_filter("nobody", |all| all.iter().any(|one| *one > 0))
}

fn paths() -> impl Strategy<Value = Vec<Step>> {
    vec((0_u64..60, -9_i64..9, 0_u8..3, 0_u32..2), 0..40).prop_map(|touches| {
        let mut path: Vec<Step> = touches.into_iter().map(|(at, id, kind, dims)| step(id, at, kind, dims)).collect();
        path.sort_by_key(Step::order);
        path.dedup_by_key(|step| step.order());
        path
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_split_is_that_of_the_definition(amount in amounts(), weights in all_weights()) {
        let shares = split(amount, &weights);
        prop_assert_eq!(&shares, &split_by_sorting(amount, &weights));
        prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), i128::from(amount));
    }

    #[test]
    fn a_share_is_less_than_one_unit_from_the_exact_fraction(amount in amounts(), weights in all_weights()) {
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        for (share, weight) in split(amount, &weights).into_iter().zip(&weights) {
            let difference = i128::from(share) * total - i128::from(amount) * i128::from(*weight);
            prop_assert!(difference.abs() < total, "{share} for {weight} of {total}");
        }
    }

    #[test]
    fn a_negative_amount_is_split_as_its_magnitude(amount in amounts(), weights in all_weights()) {
        let negated: Vec<i64> = split(-amount, &weights).into_iter().map(|share| -share).collect();
        prop_assert_eq!(negated, split(amount, &weights));
    }

    #[test]
    fn shares_do_not_depend_on_the_order_of_weights_but_for_equal_remainders(
        amount in amounts(),
        (weights, order) in all_weights().prop_flat_map(|all| {
            let places: Vec<usize> = (0..all.len()).collect();
            (Just(all), Just(places).prop_shuffle())
        }),
    ) {
        let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        let remainder = |weight: u64| u128::from(amount.unsigned_abs()) * u128::from(weight) % total;
        let shuffled: Vec<u64> = order.iter().map(|place| weights[*place]).collect();
        let (shares, others) = (split(amount, &weights), split(amount, &shuffled));
        for (at, place) in order.iter().enumerate() {
            let is_tied = weights.iter().filter(|weight| remainder(**weight) == remainder(weights[*place])).count() > 1;
            prop_assert!((others[at] - shares[*place]).abs() <= i64::from(is_tied));
        }
    }

    #[test]
    fn a_path_is_that_of_the_definition(
        path in paths(),
        at in 0_u64..70,
        lookbacks in [0_u64..60, 0..60, 0..60],
        is_prevailing: bool,
        is_collapsing: bool,
    ) {
        let found = find(&path, at, &lookbacks, is_prevailing, is_collapsing);
        prop_assert_eq!(found, eligible_by_groups(&path, at, &lookbacks, is_prevailing, is_collapsing));
    }

    #[test]
    fn decay_is_within_a_256th_of_the_power(age in 0_u64..1 << 46, half_life in prop_oneof![1_u64..=1 << 47, 1_u64..WEEK]) {
        let exact = 4_294_967_296.0 * (-(age as f64) / half_life as f64).exp2();
        let weight = decay(half_life, &[age])[0] as f64;
        prop_assert!(weight <= exact * 1.002_712 + 1.0 && weight >= exact - 1.0, "{weight} for {exact}");
    }
}
