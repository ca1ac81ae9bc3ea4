//! What two sketches have in common, against the truth.

use ad_tally_core::sketch::Overlap;
use ad_tally_core::{Coupon, Sketch};

use super::runs::{Errors, as_often, in_parallel, share, user};
use super::sketches::WITHIN;

/// Users of one sketch, of the other, and of both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Case {
    pub one: u64,
    pub other: u64,
    pub common: u64,
}

/// A half, a tenth and a hundredth in common; and a small sketch, half of which is in a large one.
pub const CASES: [Case; 4] = [
    Case { one: 100_000, other: 100_000, common: 50_000 },
    Case { one: 100_000, other: 100_000, common: 10_000 },
    Case { one: 100_000, other: 100_000, common: 1_000 },
    Case { one: 10_000, other: 1_000_000, common: 5_000 },
];

/// What all runs say of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub case: Case,
    /// Of the users in common.
    pub errors: Errors,
    /// Of the same as a difference: both sketches less their union.
    pub difference: Errors,
    /// In which share of the runs the truth was within the bounds at two standard deviations.
    pub held: f64,
    /// In which share of the runs those were further apart than the estimate is from nothing.
    pub wide: f64,
}

fn sketch_of(precision: u8, run: u64, users: std::ops::Range<u64>) -> Sketch {
    let mut sketch = Sketch::new(precision, None).expect("a precision");
    users.for_each(|index| sketch.insert(Coupon::of_integer(user(run, index), None)));
    sketch
}

/// The overlap at two standard deviations, and the difference.
fn read(precision: u8, run: u64, case: &Case) -> (Overlap, f64) {
    let one = sketch_of(precision, run, 0..case.one);
    let first = case.one - case.common;
    let other = sketch_of(precision, run, first..first + case.other);
    let mut union = one.clone();
    union.merge(&other).expect("no secrets");
    (one.overlap(&other, 2).expect("no secrets"), one.estimate() + other.estimate() - union.estimate())
}

/// Measures a case.
pub fn measure(precision: u8, case: Case, runs: u64, done: &(impl Fn(u64) + Sync)) -> Row {
    let all = in_parallel(runs, done, |run| read(precision, run, &case));
    let overlaps = || all.iter().map(|(overlap, _)| overlap);
    let truth = case.common as f64;
    Row {
        case,
        errors: Errors::of(case.common, overlaps().map(|overlap| overlap.estimate)),
        difference: Errors::of(case.common, all.iter().map(|(_, difference)| *difference)),
        held: share(overlaps().map(|overlap| (overlap.low..=overlap.high).contains(&truth))),
        wide: share(overlaps().map(|overlap| overlap.high - overlap.low > overlap.estimate)),
    }
}

impl Row {
    /// What is not as it should be.
    pub fn faults(&self) -> Vec<String> {
        let Case { one, other, common } = self.case;
        let mut faults = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                faults.push(format!("{common} users common to {one} and {other}: {what}"));
            }
        };
        let often = as_often(self.held, WITHIN[1], self.errors.runs);
        check(often, format!("bounds at 2 deviations hold in {} of the runs, not in {}", self.held, WITHIN[1]));
        let (likely, difference) = (self.errors.rmse, self.difference.rmse);
        check(likely < difference, format!("the RMSE is {likely:.3}, that of a difference is {difference:.3}"));
        faults
    }
}
