//! A sketch at one precision, from few users for its registers to many.

use ad_tally_core::{Coupon, Sketch};

use super::runs::{Errors, as_often, in_parallel, pass, share, slack};

/// Users over registers, and `RMSE * sqrt(registers)` of registers that is expected there, as first measured (to two
/// digits). At 0.05 it is that of the share of registers that are zero, `sqrt(exp(t) - t - 1) / t`, which is all that so
/// few users tell.
pub const RATIOS: [(f64, f64); 9] = [
    (0.05, 0.71),
    (0.1, 0.72),
    (0.5, 0.75),
    (1.0, 0.78),
    (2.0, 0.85),
    (3.0, 0.88),
    (5.0, 0.94),
    (10.0, 0.98),
    (100.0, 1.04),
];

/// The probability that the truth is within one, two and three standard deviations.
pub const WITHIN: [f64; 3] = [0.6827, 0.9545, 0.9973];

/// Two users have the same coupon with this probability.
const COLLISION: f64 = 1.0 / (3.0 * (1 << 26) as f64);

/// What one run says at one size.
struct Reading {
    natural: f64,
    dense: f64,
    coupons: bool,
    /// Whether the truth was within the bounds at one, two and three standard deviations.
    held: [bool; 3],
}

/// What all runs say at one size.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub precision: u8,
    pub users: u64,
    pub ratio: f64,
    /// `RMSE * sqrt(registers)` as it should be.
    pub expected: f64,
    /// Of the sketch as it comes, with coupons first.
    pub natural: Errors,
    /// Of the sketch that has registers from the first user on.
    pub dense: Errors,
    /// Whether it still had coupons, in all runs.
    pub coupons: bool,
    /// In which share of the runs the truth was within the bounds.
    pub held: [f64; 3],
}

fn read(precision: u8, run: u64, sizes: &[u64]) -> Vec<Reading> {
    let natural = Sketch::new(precision, None).expect("a precision");
    let mut dense = natural.clone();
    dense.to_registers();
    let show = |(natural, dense): &mut (Sketch, Sketch), user| {
        let coupon = Coupon::of_integer(user, None);
        natural.insert(coupon);
        dense.insert(coupon);
    };
    pass(run, sizes, &mut (natural, dense), show, |(natural, dense), users| {
        let held = |deviations| {
            let (low, high) = natural.bounds(deviations);
            (low..=high).contains(&(users as f64))
        };
        Reading {
            natural: natural.estimate(),
            dense: dense.estimate(),
            coupons: natural.coupons().is_some(),
            held: [held(1), held(2), held(3)],
        }
    })
}

/// Measures a precision at the ratios up to `most`.
pub fn measure(precision: u8, most: f64, runs: u64, done: &(impl Fn(u64) + Sync)) -> Vec<Row> {
    let registers = f64::from(1_u32 << precision);
    let ratios: Vec<(f64, f64)> = RATIOS.into_iter().filter(|(ratio, _)| *ratio <= most).collect();
    let sizes: Vec<u64> = ratios.iter().map(|(ratio, _)| (ratio * registers).round() as u64).collect();
    let readings = in_parallel(runs, done, |run| read(precision, run, &sizes));
    let row = |(at, (ratio, expected)): (usize, &(f64, f64))| {
        let all = || readings.iter().map(|run| &run[at]);
        Row {
            precision,
            users: sizes[at],
            ratio: *ratio,
            expected: *expected,
            natural: Errors::of(sizes[at], all().map(|reading| reading.natural)),
            dense: Errors::of(sizes[at], all().map(|reading| reading.dense)),
            coupons: all().all(|reading| reading.coupons),
            held: [0, 1, 2].map(|deviations| share(all().map(|reading| reading.held[deviations]))),
        }
    };
    ratios.iter().enumerate().map(row).collect()
}

/// How far `RMSE * sqrt(registers)` may be from what is expected, as a share of it: four standard errors, an RMSE of so
/// many runs being off by one in `sqrt(2 * runs)`, and one per cent for the two digits of the expectation. That is 9 %
/// after 1,000 runs, and 20 % after 200.
pub fn tolerance(runs: usize) -> f64 {
    (4.0 / (2.0 * runs as f64).sqrt()).hypot(0.01)
}

impl Row {
    /// `RMSE * sqrt(registers)`.
    pub fn scaled(&self, errors: &Errors) -> f64 {
        errors.rmse * f64::from(1_u32 << self.precision).sqrt()
    }

    /// What is not as it should be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        // What holds is said in a way that a number which is none fails.
        let mut check = |holds: bool, what: String| {
            if !holds {
                faults.push(format!("precision {}, {} users: {what}", self.precision, self.users));
            }
        };
        let (natural, dense) = (&self.natural, &self.dense);
        let allowed = if self.coupons { self.missed_collisions() } else { four_deviations(natural) };
        check(natural.mean.abs() <= allowed, format!("as it comes, the mean error is {:.2e}", natural.mean));
        check(dense.mean.abs() <= four_deviations(dense), format!("dense, the mean error is {:.2e}", dense.mean));
        let (scaled, expected) = (self.scaled(dense), self.expected);
        let close = (scaled / expected - 1.0).abs() <= tolerance(dense.runs);
        check(close, format!("dense, RMSE * sqrt(m) is {scaled:.3}, expected is {expected}"));
        let better = natural.rmse < dense.rmse || !self.coupons;
        check(better, format!("coupons have an RMSE of {:.2e}, registers one of {:.2e}", natural.rmse, dense.rmse));
        for (deviations, (held, expected)) in (1..).zip(self.held.into_iter().zip(WITHIN)) {
            let often = as_often(held, expected, natural.runs);
            check(often, format!("bounds at {deviations} deviations hold in {held} of the runs, not in {expected}"));
        }
        faults
    }

    /// What the mean error of coupons may be by chance. It is made of users whose coupon another one has. They are so rare
    /// that the runs hardly show their spread, but how many are expected is known.
    fn missed_collisions(&self) -> f64 {
        let (users, runs) = (self.users as f64, self.natural.runs as f64);
        slack(runs * users * (users - 1.0) / 2.0 * COLLISION) / (runs * users)
    }
}

/// What the mean error may be by chance.
fn four_deviations(errors: &Errors) -> f64 {
    4.0 * errors.rmse / (errors.runs as f64).sqrt()
}
