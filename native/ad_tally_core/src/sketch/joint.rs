//! How many users two sketches have in common, from their registers.
//!
//! Inclusion and exclusion takes a difference of three large estimates, whose errors add up. Two registers side by side
//! tell more: a common user raises both to the same value. This is the joint maximum likelihood estimator of Ertl
//! (arXiv 1702.01284 and 1706.07290): users are three independent Poisson streams, those of `a` only, those of `b`
//! only, and the common ones, and what is sought are their rates.
//!
//! ```text
//! registers ── Likelihood   how many pairs of registers have which values: all that is ever needed of them
//!              └─ profile   the likelihood of a rate of common users, at the best rates of the others
//!                 ├─ estimate   where it is greatest
//!                 └─ low, high  where its logarithm has fallen by deviations^2 / 2
//! ```
//!
//! Rates are users per register. A register of a stream of rate `r` is at most `k` with probability `exp(-r / 2^k)`, so
//! it is `k` with probability `exp(-r * left) * (1 - exp(-r * step))`, where `left` is the share of users that would
//! have raised it further, and `step` that of users that raise it just there.
//!
//! Two sets of 100,000 users, 10 % of them in common, at 2^12 registers: the root mean square error is 1,070 users,
//! where that of inclusion and exclusion is 2,200 (1,000 runs of `examples/accuracy.rs`).

/// A register is never above that.
const LARGEST: usize = 63;

/// No number of users is above that. Registers full to the brim would otherwise have no best rate.
const MOST: f64 = 18_446_744_073_709_551_616.0;

/// So few users stand for none: a logarithm of zero is never taken, and 2^18 registers still have a rate above the
/// smallest float.
const NONE: f64 = 1e-9;

/// A logarithm of a likelihood this close to the greatest one is the greatest: at two standard deviations it has fallen
/// by 2. Rounding errors are below 1e-10 at 2^18 registers.
const NEGLIGIBLE: f64 = 1e-9;

/// A bound this many standard deviations off is exact enough.
const CLOSE: f64 = 1e-4;

/// The numbers of common users that are looked at first, as shares of the smaller sketch. They only have to find the
/// right hill.
const SHARES: [f64; 8] = [1.0 / 1024.0, 1.0 / 128.0, 1.0 / 32.0, 0.125, 0.375, 0.75, 1.0, 1.5];

/// Users that two sketches have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlap {
    /// The most likely number of them.
    pub estimate: f64,
    /// The true number is hardly below that.
    pub low: f64,
    /// The true number is hardly above that.
    pub high: f64,
}

/// Joint estimate of the users that two sketches have in common, from their registers, with bounds at
/// `standard_deviations` (1, 2 or 3): the true number is between them with a probability of 68, 95 or 99.7 %.
///
/// Both have the same number of registers, with values of 0 to 63. For sets that are small next to that number the
/// bounds are wider than they need be: the model takes how many users there were for chance as well.
#[must_use]
pub fn overlap(a: &[u8], b: &[u8], standard_deviations: f64) -> Overlap {
    debug_assert_eq!(a.len(), b.len());
    let likelihood = Likelihood::new(a, b);
    // A sketch without a raised register has seen nobody. The streams would allow for a user or two by bad luck.
    if likelihood.rough_a.min(likelihood.rough_b) <= likelihood.least {
        return Overlap { estimate: 0.0, low: 0.0, high: 0.0 };
    }
    let best = likelihood.best();
    let low = likelihood.low(&best, standard_deviations);
    let high = likelihood.high(&best, standard_deviations);
    let users = |rate: f64| if rate <= likelihood.least { 0.0 } else { rate * likelihood.registers };
    let estimate = users(best.common);
    Overlap { estimate, low: users(low).min(estimate), high: users(high).max(estimate) }
}

/// Pairs of registers of which at least one has some given value.
#[derive(Debug)]
struct Row {
    /// The share of users that raise a register just to that value.
    step: f64,
    /// Pairs in which the register of `a` has that value and is the smaller one.
    smaller_a: f64,
    /// Pairs in which the register of `a` has that value and is the larger one.
    larger_a: f64,
    smaller_b: f64,
    larger_b: f64,
    equal: f64,
}

/// The pairs of registers as a function of the three rates.
struct Likelihood {
    rows: Vec<Row>,
    registers: f64,
    /// The rates that stand for no users and for the most users.
    least: f64,
    most: f64,
    /// Roughly the rates of users of `a` and of `b`, common or not.
    rough_a: f64,
    rough_b: f64,
    /// What the logarithm loses for every unit of rate: the sums of `left`.
    loss_a: f64,
    loss_b: f64,
    loss_common: f64,
}

/// The logarithm of the likelihood and its derivatives.
#[derive(Debug, Clone, Copy, Default)]
struct Slopes {
    value: f64,
    a: f64,
    b: f64,
    common: f64,
    /// Second derivatives, with their signs changed: positive on the diagonal.
    bend_a: f64,
    bend_b: f64,
    bend_ab: f64,
}

/// A rate of common users at the best rates of the others.
#[derive(Debug, Clone, Copy)]
struct Profile {
    common: f64,
    value: f64,
    slope: f64,
}

/// The share of users that would raise a register above `value`.
fn left(value: usize) -> f64 {
    if value == LARGEST { 0.0 } else { 0.5_f64.powi(value as i32) }
}

/// How many pairs of registers have which two values: those of `a` by rows, those of `b` by columns.
fn count_pairs(a: &[u8], b: &[u8]) -> Vec<u32> {
    // Without a branch on which register is larger: it is wrong half of the time.
    let mut pairs = vec![0; 64 * 64];
    for (&a, &b) in a.iter().zip(b) {
        pairs[usize::from(a % 64) * 64 + usize::from(b % 64)] += 1;
    }
    pairs
}

impl Row {
    fn new(pairs: &[u32], value: usize) -> Self {
        let sum = |others: std::ops::Range<usize>, at: fn(usize, usize) -> usize| {
            others.map(|other| f64::from(pairs[at(value, other)])).sum()
        };
        let of_a = |value, other| value * 64 + other;
        let of_b = |value, other| other * 64 + value;
        Self {
            step: left(value.min(LARGEST - 1)),
            smaller_a: sum(value + 1..64, of_a),
            larger_a: sum(0..value, of_a),
            smaller_b: sum(value + 1..64, of_b),
            larger_b: sum(0..value, of_b),
            equal: f64::from(pairs[of_a(value, value)]),
        }
    }

    fn all_a(&self) -> f64 {
        self.smaller_a + self.larger_a + self.equal
    }

    fn all_b(&self) -> f64 {
        self.smaller_b + self.larger_b + self.equal
    }

    /// Adds registers that were raised just here by one stream, or by the common one and another: `smaller` of `a` are
    /// raised by its own users or common ones, `larger` by its own.
    #[inline]
    fn add_unequal(&self, (a, b, common): (f64, f64, f64), slopes: &mut Slopes) {
        let (value, slope, bend) = weighted(self.smaller_a, a + common, self.step);
        slopes.value += value;
        slopes.a += slope;
        slopes.common += slope;
        slopes.bend_a += bend;
        let (value, slope, bend) = weighted(self.smaller_b, b + common, self.step);
        slopes.value += value;
        slopes.b += slope;
        slopes.common += slope;
        slopes.bend_b += bend;
        let (value, slope, bend) = weighted(self.larger_a, a, self.step);
        slopes.value += value;
        slopes.a += slope;
        slopes.bend_a += bend;
        let (value, slope, bend) = weighted(self.larger_b, b, self.step);
        slopes.value += value;
        slopes.b += slope;
        slopes.bend_b += bend;
    }

    /// Adds pairs of equal registers: a common user raised both just here, or none did and both had one of their own.
    /// As a sum of these two it is free of the cancellation of a double difference.
    #[inline]
    fn add_equal(&self, (a, b, common): (f64, f64, f64), slopes: &mut Slopes) {
        if self.equal == 0.0 {
            return;
        }
        let (step, equal) = (self.step, self.equal);
        let share = |rate: f64| -(-rate * step).exp_m1();
        let (share_a, share_b, share_common) = (share(a), share(b), share(common));
        let alone = 1.0 - share_common;
        let chance = share_common + alone * share_a * share_b;
        let slope_a = step * alone * share_b * (1.0 - share_a) / chance;
        let slope_b = step * alone * share_a * (1.0 - share_b) / chance;
        let both = step * step * alone * (1.0 - share_a) * (1.0 - share_b) / chance;
        slopes.value += equal * chance.ln();
        slopes.a += equal * slope_a;
        slopes.b += equal * slope_b;
        slopes.common += equal * step * alone * (1.0 - share_a * share_b) / chance;
        slopes.bend_a += equal * slope_a * (step + slope_a);
        slopes.bend_b += equal * slope_b * (step + slope_b);
        slopes.bend_ab += equal * (slope_a * slope_b - both);
    }
}

/// `count` times the logarithm of `1 - exp(-rate * step)`, its first derivative by the rate, and its second one with
/// the sign changed.
#[inline]
fn weighted(count: f64, rate: f64, step: f64) -> (f64, f64, f64) {
    if count == 0.0 {
        return (0.0, 0.0, 0.0);
    }
    let share = -(-rate * step).exp_m1();
    let slope = step * (1.0 - share) / share;
    (count * share.ln(), count * slope, count * slope * step / share)
}

impl Likelihood {
    fn new(a: &[u8], b: &[u8]) -> Self {
        let pairs = count_pairs(a, b);
        let rows: Vec<Row> = (0..=LARGEST).map(|value| Row::new(&pairs, value)).collect();
        let loss = |count: fn(&Row) -> f64| rows.iter().enumerate().map(|(value, row)| left(value) * count(row)).sum();
        let (loss_a, loss_b): (f64, f64) = (loss(Row::all_a), loss(Row::all_b));
        let loss_common = loss(|row| row.smaller_a + row.smaller_b + row.equal);
        let registers = a.len().min(b.len()).max(1) as f64;
        let (least, most) = (NONE / registers, MOST / registers);
        let rough = |count: fn(&Row) -> f64, loss: f64| {
            let raised: f64 = rows[1..].iter().map(count).sum();
            if raised == 0.0 { least } else { (raised / loss).clamp(least, most) }
        };
        let (rough_a, rough_b) = (rough(Row::all_a, loss_a), rough(Row::all_b, loss_b));
        let rows = rows.into_iter().skip(1).filter(|row| row.all_a() + row.all_b() > 0.0).collect();
        Self { rows, registers, least, most, rough_a, rough_b, loss_a, loss_b, loss_common }
    }

    fn slopes(&self, rates: (f64, f64, f64)) -> Slopes {
        let (a, b, common) = rates;
        let mut slopes = Slopes {
            value: -self.loss_a * a - self.loss_b * b - self.loss_common * common,
            a: -self.loss_a,
            b: -self.loss_b,
            common: -self.loss_common,
            ..Slopes::default()
        };
        for row in &self.rows {
            row.add_unequal(rates, &mut slopes);
            row.add_equal(rates, &mut slopes);
        }
        slopes
    }

    /// The best rates of the users of one sketch only, by Newton's method. In each of them alone the logarithm of the
    /// likelihood is concave.
    fn profile(&self, common: f64) -> Profile {
        let start = |rough: f64| (rough - common).max(rough / 64.0).max(self.least);
        let mut rates = (start(self.rough_a), start(self.rough_b), common);
        let mut slopes = self.slopes(rates);
        for _ in 0..100 {
            let Some(better) = self.climb(rates, &slopes) else { break };
            (rates, slopes) = better;
        }
        Profile { common, value: slopes.value, slope: slopes.common }
    }

    /// Better rates of the users of one sketch only, unless there are none that matter.
    fn climb(&self, rates: (f64, f64, f64), slopes: &Slopes) -> Option<((f64, f64, f64), Slopes)> {
        let (a, b, common) = rates;
        let within = |rate: f64| rate.clamp(self.least, self.most);
        // Where a slope is nothing, so may be its bend.
        let alone = |rate: f64, slope: f64, bend: f64| within(rate + slope / bend.max(f64::MIN_POSITIVE)) - rate;
        let separate = (alone(a, slopes.a, slopes.bend_a), alone(b, slopes.b, slopes.bend_b));
        if slopes.a * separate.0 + slopes.b * separate.1 < NEGLIGIBLE {
            return None;
        }
        let joint = slopes.newton().filter(|step| within(a + step.0) == a + step.0 && within(b + step.1) == b + step.1);
        joint.into_iter().chain([separate]).find_map(|step| {
            (0..50).find_map(|halvings| {
                let part = 0.5_f64.powi(halvings);
                let next = (within(a + part * step.0), within(b + part * step.1), common);
                let reached = self.slopes(next);
                (reached.value > slopes.value).then_some((next, reached))
            })
        })
    }

    /// The greatest likelihood of all.
    fn best(&self) -> Profile {
        let limit = self.rough_a.min(self.rough_b);
        let mut below = self.profile(self.least);
        let (mut best, mut above) = (below, None);
        for share in SHARES {
            let next = self.profile((share * limit).clamp(self.least, self.most));
            if next.value > best.value {
                (below, best, above) = (best, next, None);
            } else if above.is_none() {
                above = Some(next);
            }
        }
        if best.slope <= 0.0 {
            return self.top(below, best);
        }
        let mut above = above.unwrap_or(best);
        while above.slope > 0.0 && above.value >= best.value {
            if above.common >= self.most {
                return above;
            }
            best = above;
            above = self.profile((2.0 * above.common).min(self.most));
        }
        self.top(best, above)
    }

    /// The greatest likelihood between a rate where it rises and one where it falls.
    fn top(&self, rising: Profile, falling: Profile) -> Profile {
        let width = falling.common - rising.common;
        // A plateau, whose slope is rounding errors, or no width at all.
        if rising.slope <= 0.0 || width <= 0.0 {
            return if rising.value > falling.value { rising } else { falling };
        }
        // What is left to climb is less than the slope times the width.
        self.crossing(rising, falling, |at| at.slope * width, 100.0 * NEGLIGIBLE)
    }

    /// The least rate of common users that is likely enough.
    fn low(&self, best: &Profile, deviations: f64) -> f64 {
        let spare = |at: &Profile| deviations - best.fall(at);
        let none = self.profile(self.least);
        if spare(&none) >= 0.0 { self.least } else { self.crossing(*best, none, spare, CLOSE).common }
    }

    /// The greatest rate of common users that is likely enough.
    fn high(&self, best: &Profile, deviations: f64) -> f64 {
        let spare = |at: &Profile| deviations - best.fall(at);
        let mut inside = *best;
        let mut stride = self.rough_a.min(self.rough_b) / 64.0;
        while inside.common < self.most {
            let next = self.profile((best.common + stride).min(self.most));
            if spare(&next) <= 0.0 {
                return self.crossing(inside, next, spare, CLOSE).common;
            }
            inside = next;
            stride *= (1.25 * deviations / best.fall(&next)).clamp(1.5, 64.0);
        }
        self.most
    }

    /// Where `height` is nothing, between a rate where it is positive and one where it is negative: by false position
    /// in the Illinois way, and every fourth time by halves, so that the number of steps is bounded.
    fn crossing(&self, above: Profile, below: Profile, height: impl Fn(&Profile) -> f64, close: f64) -> Profile {
        let (mut above, mut height_above) = (above, height(&above).max(close));
        let (mut below, mut height_below) = (below, height(&below).min(-close));
        let mut last = 0.0;
        for turn in 1..=120 {
            let width = below.common - above.common;
            let part = if turn % 4 == 0 { 0.5 } else { height_above / (height_above - height_below) };
            let next = self.profile(above.common + part * width);
            let height_next = height(&next);
            if height_next.abs() <= close || width.abs() <= 1e-9 * next.common {
                return next;
            }
            // An end that stays twice in a row draws the next step closer to it.
            let pull = if height_next * last > 0.0 { 0.5 } else { 1.0 };
            if height_next > 0.0 {
                (above, height_above, height_below) = (next, height_next, pull * height_below);
            } else {
                (below, height_below, height_above) = (next, height_next, pull * height_above);
            }
            last = height_next;
        }
        above
    }
}

impl Slopes {
    /// The step of Newton's method in both rates at once, where there is a top to go to.
    fn newton(&self) -> Option<(f64, f64)> {
        let determinant = self.bend_a * self.bend_b - self.bend_ab * self.bend_ab;
        (determinant > 0.0).then(|| {
            let a = (self.bend_b * self.a - self.bend_ab * self.b) / determinant;
            let b = (self.bend_a * self.b - self.bend_ab * self.a) / determinant;
            (a, b)
        })
    }
}

impl Profile {
    /// How many standard deviations another rate is away from this best one.
    fn fall(&self, other: &Self) -> f64 {
        (2.0 * (self.value - other.value).max(0.0)).sqrt()
    }
}
