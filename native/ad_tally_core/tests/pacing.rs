//! How budgets are paced, with the simulation and the verdicts of `examples/pacing.rs`, of fewer campaigns.
#![cfg(not(loom))]

#[path = "../examples/pacing/mod.rs"]
mod pacing;

use pacing::controllers::{LINKEDIN, OURS};
use pacing::figures::{self, RATES, Table};
use pacing::{picture, stress};

const NONE: [String; 0] = [];

/// 500 requests a minute take as long as all others together.
fn table() -> Table {
    figures::measure(&RATES[..4], 100)
}

#[test]
fn budgets_are_paced_better_than_by_the_rules_of_others_and_never_overspent() {
    let table = table();
    assert_eq!(table.faults(), NONE);
    // And worse figures would be found.
    let found = |part: &str, change: &dyn Fn(&mut Table)| {
        let mut table = table.clone();
        change(&mut table);
        let faults = table.faults();
        assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
    };
    found("the deviation", &|table| table.third[1][OURS].deviation = table.third[1][LINKEDIN].deviation);
    found("5th percentile", &|table| table.third[2][OURS].low_delivery = table.third[2][LINKEDIN].low_delivery - 0.001);
    found("the rate changes", &|table| table.third[3][OURS].change *= 10.0);
    found("1 micros over", &|table| table.first[0][LINKEDIN].over = 1);
}

#[test]
fn a_budget_that_is_cut_at_noon_is_spread_over_the_rest_of_the_day() {
    assert_eq!(stress::measure(60).faults(), NONE);
}

#[test]
fn the_same_campaigns_come_to_the_same_figures_again() {
    let markdown = || figures::measure(&[0.5], 10).markdown() + &stress::measure(2).markdown();
    assert_eq!(markdown(), markdown());
}

#[test]
fn the_picture_of_the_guide_is_what_the_command_draws() {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../guides/assets/pacing.svg");
    let drawn = std::fs::read_to_string(guide).expect("the picture of the guide");
    // Digits of another machine's logarithms may differ, not what there is.
    let shape =
        |svg: &str| svg.lines().map(|line| line.split(" d=").next().unwrap_or("").to_owned()).collect::<Vec<_>>();
    assert_eq!(shape(&picture::svg()), shape(&drawn), "bin/pacing --picture draws it again");
}
