//! From coupons or registers to a number of users, and between which bounds it lies.

/// Registers by value, 0 to 63.
pub type Histogram = [u32; 64];

/// The largest value that a register has is `LARGEST + 1`, for whatever is rarer than that.
const LARGEST: usize = 62;

/// No estimate is above that. Registers that are full to the brim, which no users fill, would have none.
const MOST: f64 = 18_446_744_073_709_551_616.0;

/// Two users have the same coupon with this probability: the slot's 26 bits are equal and so are the leading zeros,
/// `2^-26 * (1/4 + 1/16 + ...)`.
pub(super) const COLLISION: f64 = 1.0 / (3.0 * (1 << 26) as f64);

/// Users behind `count` different coupons: `n` users are expected to have `n - n(n-1)/2 * COLLISION` of them, solved for
/// `n`. The third order is a user in 10^8 at the 24,576 coupons that a sketch has at most.
#[must_use]
pub fn of_coupons(count: usize) -> f64 {
    let count = count as f64;
    count + count * (count - 1.0).max(0.0) / 2.0 * COLLISION
}

/// The probability that a normal variable is more than one, two or three standard deviations below its mean.
const TAILS: [f64; 3] = [0.158_655, 0.022_750, 0.001_350];

/// Bounds at one, two or three standard deviations for users behind `count` coupons. There are never fewer users than
/// coupons; how many more is a number of rare collisions, whole users, which has Poisson's distribution. So bounds are its
/// quantiles: the mean is 1.5 at most, where a normal distribution's would be too narrow.
#[must_use]
pub fn bounds_of_coupons(count: usize, deviations: u8) -> (f64, f64) {
    let tail = TAILS[usize::from(deviations) - 1];
    let estimate = of_coupons(count);
    let mean = estimate - count as f64;
    debug_assert!(mean < 10.0, "or the sum below takes long, and from 745 on for ever");
    let mut probability = (-mean).exp();
    let (mut least, mut most, mut up_to_most) = (0.0, 0.0, probability);
    while up_to_most < 1.0 - tail {
        if up_to_most <= tail {
            least = most + 1.0;
        }
        most += 1.0;
        probability *= mean / most;
        up_to_most += probability;
    }
    let users = |hidden: f64| count as f64 + hidden;
    (users(least).min(estimate), users(most).max(estimate))
}

/// Users behind registers: the improved raw estimator of Ertl (arXiv 1702.01284, algorithm 6), which is unbiased from the
/// first user on and needs no tables.
#[must_use]
pub fn of_registers(histogram: &Histogram) -> f64 {
    let registers = f64::from(histogram.iter().sum::<u32>());
    let share = |value: usize| f64::from(histogram[value]) / registers;
    let mut sum = registers * tau(1.0 - share(LARGEST + 1));
    for value in (1..=LARGEST).rev() {
        sum = 0.5 * (sum + f64::from(histogram[value]));
    }
    sum += registers * sigma(share(0));
    (registers * registers / (2.0 * std::f64::consts::LN_2 * sum)).min(MOST)
}

/// The relative standard error of an estimate from so many registers, for large numbers of users. It is smaller for fewer
/// users than registers.
#[must_use]
pub fn relative_standard_error(registers: usize) -> f64 {
    1.039 / (registers as f64).sqrt()
}

/// Bounds at `deviations` standard deviations for users behind registers. A register is raised by a user, so there are at
/// least as many users as raised registers.
#[must_use]
pub fn bounds_of_registers(histogram: &Histogram, deviations: f64) -> (f64, f64) {
    let estimate = of_registers(histogram);
    let registers = histogram.iter().sum::<u32>();
    let error = deviations * relative_standard_error(registers as usize);
    let raised = f64::from(registers - histogram[0]);
    let low = (estimate / (1.0 + error)).max(raised.min(estimate));
    (low, (estimate / (1.0 - error)).min(MOST))
}

/// `x + x^2 + 2 x^4 + 4 x^8 + ...`: what the registers that are zero stand for.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut weight) = (x, 1.0);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// `(1 - x - (1 - x^(1/2))^2 / 2 - (1 - x^(1/4))^2 / 4 - ...) / 3`: what the registers at their limit stand for.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut sum, mut weight) = (1.0 - x, 1.0);
    loop {
        x = x.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}
