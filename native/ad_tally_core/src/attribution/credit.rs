//! How a conversion's credit is divided among its touches, in integers that sum exactly.
//!
//! Every model gives its steps integer weights, and an amount is split by the largest remainder: each share is the exact
//! fraction rounded down, and the units that are left go to the largest remainders, one each. So another
//! program that follows the same rules, such as a query in SQL, comes to the same integers.

use super::types::{MAX_TOUCHES, Model, Step};

/// Puts the weight of every step of a path into `weights`, instead of what was there.
///
/// The steps are those that [`eligible`](super::path::eligible) found for a conversion at `at`. A weight is at most 2^32.
///
/// * last and first touch: 1 for that step, 0 for the others
/// * linear: 1
/// * position: two steps have 1 each; of `n` steps the first and the last one have `2 (n - 2)`, the others 1,
///   which is exactly 40 %, 20 % and 40 %
/// * decay: `2^32 2^(-age / half_life)`, with the age rounded down to 1/256 of a half-life, rounded, and at
///   least 1
pub fn weights(model: Model, steps: &[Step], at: u64, weights: &mut Vec<u64>) {
    let count = steps.len();
    weights.clear();
    match model {
        Model::LastTouch => weights.extend((1..=count).map(|place| u64::from(place == count))),
        Model::FirstTouch => weights.extend((0..count).map(|place| u64::from(place == 0))),
        Model::Linear => weights.resize(count, 1),
        Model::PositionBased => {
            weights.resize(count, 1);
            if let [first, _, .., last] = &mut weights[..]
                && count > 2
            {
                (*first, *last) = (2 * (count as u64 - 2), 2 * (count as u64 - 2));
            }
        }
        Model::TimeDecay { half_life } => {
            debug_assert!((1..=1 << 47).contains(&half_life));
            weights.extend(steps.iter().map(|step| decay(at - step.at, half_life)));
        }
    }
}

/// Splits an amount in proportion to `weights` into `shares`, instead of what was there. The shares sum exactly to the amount.
///
/// Of equal remainders the later one is served first. A negative amount is split as its magnitude is. There are at most 255
/// weights, which sum to less than 2^55. Without a weight above 0 there is nobody to give the amount to, and all shares are 0.
pub fn split(amount: i64, weights: &[u64], shares: &mut Vec<i64>) {
    debug_assert!(weights.len() <= MAX_TOUCHES);
    let count = weights.len();
    shares.clear();
    let total: u64 = weights.iter().sum();
    debug_assert!(total < 1 << 55);
    if total == 0 {
        shares.resize(count, 0);
        return;
    }
    // With an amount of `whole * total + rest`, a share is `whole * weight` and the fraction of the rest: its product is
    // mostly within 64 bits, where a division is several times as fast.
    let magnitude = amount.unsigned_abs();
    let (whole, rest) = (magnitude / total, magnitude % total);
    let mut left = magnitude;
    // Behind the shares are the keys by which the remainders are sorted.
    shares.resize(2 * count, 0);
    let (out, keys) = shares.split_at_mut(count);
    for (place, weight) in weights.iter().enumerate() {
        let (floor, remainder) = fraction(rest, *weight, total);
        let share = whole * weight + floor;
        left -= share;
        out[place] = share as i64;
        keys[place] = (remainder << 8) as i64 | place as i64;
    }
    if left > 0 {
        // Less than one unit is left for each remainder above 0, so a share of weight 0 never gets one.
        let first = count - left as usize;
        keys.select_nth_unstable(first);
        for key in &keys[first..] {
            out[(key & 0xff) as usize] += 1;
        }
    }
    shares.truncate(count);
    if amount < 0 {
        shares.iter_mut().for_each(|share| *share = share.wrapping_neg());
    }
}

/// `rest * weight / total` and the remainder, for a rest below the total and a weight of at most the total.
#[inline(always)]
fn fraction(rest: u64, weight: u64, total: u64) -> (u64, u64) {
    match rest.checked_mul(weight) {
        Some(product) => (product / total, product % total),
        None => {
            let product = u128::from(rest) * u128::from(weight);
            ((product / u128::from(total)) as u64, (product % u128::from(total)) as u64)
        }
    }
}

/// The weight of a touch of an age of less than 2^47 ms.
fn decay(age: u64, half_life: u64) -> u64 {
    let steps = age * 256 / half_life;
    match steps / 256 {
        halvings @ 0..32 => (DECAY[(steps % 256) as usize] >> halvings).max(1),
        _ => 1,
    }
}

/// `2^32 2^(-j / 256)`, rounded, for every `j`.
static DECAY: [u64; 256] = decay_table();

const fn decay_table() -> [u64; 256] {
    // Fractions of 64 bits. Each root is exact to 2^-64, and 255 products of them to 2^-56: that is 2^-24 of a unit of the
    // table, and no value is that near to a half.
    let mut root: u128 = 1 << 63;
    let mut roots = 0;
    while roots < 8 {
        root = (root << 64).isqrt();
        roots += 1;
    }
    let mut table = [1 << 32; 256];
    let mut power: u128 = root;
    let mut j = 1;
    while j < 256 {
        table[j] = ((power + (1 << 31)) >> 32) as u64;
        power = (power * root) >> 64;
        j += 1;
    }
    table
}
