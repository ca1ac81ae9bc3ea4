//! How far estimates are from the truth, with the measurements and the verdicts of `examples/accuracy.rs`, in fewer runs.
#![cfg(not(loom))]

use ad_tally_core::sketch::relative_standard_error;

#[path = "../examples/accuracy/mod.rs"]
mod accuracy;

use accuracy::attack::{attack, inflating, unnoticed};
use accuracy::overlaps::{self, CASES};
use accuracy::rivals::{self, NAMES};
use accuracy::sketches;

const NONE: [String; 0] = [];

#[test]
fn estimates_are_unbiased_and_as_good_as_their_precision_promises() {
    for precision in [10, 12] {
        let rows = sketches::measure(precision, 10.0, 200, &|_| ());
        assert_eq!(rows.len(), 8);
        assert!(rows[0].coupons && !rows[7].coupons, "coupons first, registers in the end");
        rows.iter().for_each(|row| assert_eq!(row.faults(), NONE));
    }
}

#[test]
fn bounds_hold_where_thousands_of_users_make_it_likely_that_two_have_the_same_coupon() {
    let rows = sketches::measure(17, 0.05, 500, &|_| ());
    assert!(rows[0].coupons && rows[0].users > 6_000);
    assert_eq!(rows[0].faults(), NONE);
}

#[test]
fn worse_estimates_would_be_found() {
    let row = sketches::measure(10, 1.0, 200, &|_| ()).pop().expect("one user a register");
    assert_eq!(row.faults(), NONE);
    let found = |part: &str, change: &dyn Fn(&mut sketches::Row)| {
        let mut row = row.clone();
        change(&mut row);
        let faults = row.faults();
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
    };
    found("dense, the mean error", &|row| row.dense.mean += 0.5 * row.dense.rmse);
    found("as it comes, the mean error", &|row| row.natural.mean -= 0.5 * row.natural.rmse);
    found("as it comes, the mean error", &|row| row.natural.mean = f64::NAN);
    found("dense, RMSE * sqrt(m)", &|row| row.dense.rmse *= 1.3);
    found("dense, RMSE * sqrt(m)", &|row| row.dense.rmse *= 0.7);
    found("coupons have an RMSE", &|row| row.coupons = true);
    found("bounds at 2 deviations", &|row| row.held[1] = 0.8);
}

#[test]
fn hyperloglogplus_and_ours_come_close_to_the_truth_over_the_same_users() {
    let sizes = [100, 1_000, 10_000, 100_000];
    for run in 0..3 {
        let estimates = rivals::estimates(12, run, &sizes);
        for (name, estimates) in NAMES.iter().zip(estimates) {
            for (users, estimate) in sizes.iter().zip(estimates) {
                let off = (estimate / *users as f64 - 1.0).abs() / relative_standard_error(1 << 12);
                assert!(off < 5.0, "run {run}, {name}: {estimate} for {users} users");
            }
        }
    }
}

#[test]
fn users_chosen_against_the_public_hash_inflate_an_estimate_unless_there_is_a_secret() {
    let users = inflating(12, 1_000_000);
    assert_eq!(users.len(), 1 << 12, "one a register");
    let chosen = attack(12, &users, 100.0);
    assert_eq!(chosen.faults(), NONE);
    // What they look like is all that were searched.
    assert!((chosen.open / 1_000_000.0 - 1.0).abs() < 5.0 * relative_standard_error(1 << 12), "{}", chosen.open);
    // As many users that nobody chose: no secret is needed.
    let others: Vec<u64> = (0..users.len() as u64).collect();
    assert_eq!(attack(12, &others, 1.0).faults(), NONE);
    assert_eq!(attack(12, &others, 1.1).faults().len(), 1, "they are not an attack");
}

#[test]
fn users_chosen_to_go_unnoticed_are_held_down_unless_there_is_a_secret() {
    assert_eq!(attack(12, &unnoticed(100_000), 10.0).faults(), NONE);
}

#[test]
fn overlaps_are_better_than_differences_and_their_bounds_hold() {
    // Not the last one, which takes a million users a run.
    for case in &CASES[..3] {
        assert_eq!(overlaps::measure(12, *case, 20, &|_| ()).faults(), NONE);
    }
}
