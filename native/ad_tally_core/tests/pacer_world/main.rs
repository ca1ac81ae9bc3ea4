//! A simulated world: the pacer's own code on clocks that are wrong, a network that loses, doubles and delays, and disks that
//! refuse, with machines that are killed. An observer books what callers were told, and nothing that the code says of itself. A run is
//! that of its seed.
//!
//! * `world`: what happens, in the order of time; `machine`: a process, its clock and its disk; `truth`: the observer
//!
//! `bin/soak pacer-world` has a thousand days of it.
#![cfg(not(loom))]

#[path = "../support/in_memory.rs"]
mod in_memory;

mod machine;
mod random;
mod truth;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use self::world::{Outcome, Rules, World};

/// What may stay with machines that died, of all budgets.
const MOST_STRANDED: f64 = 0.005;
/// What may be refused though budget was free, where nothing went wrong.
const MOST_REFUSED: f64 = 0.01;

fn run(seed: u64, rules: Rules) -> Result<Outcome, String> {
    World::new(seed, rules).run().map_err(|fault| format!("seed {seed}: {fault}"))
}

fn of_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Runs seeds on two threads, and adds up what came of them.
fn run_all(first: u64, count: u64, rules: Rules) -> Outcome {
    let next = AtomicU64::new(first);
    let work = || {
        let mut all = Outcome::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return all;
            }
            all.add(&run(seed, rules).unwrap_or_else(|fault| panic!("{fault}")));
        }
    };
    let mut all = thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut all = work();
        all.add(&other.join().expect("no fault"));
        all
    });
    all.runs = count;
    all
}

#[test]
fn never_a_micro_over_without_faults_and_next_to_nothing_refused() {
    let all = run_all(1, 1, Rules { faults: 0, ..Rules::default() });
    println!("{all}");
    assert!(all.refused_part() <= MOST_REFUSED && all.stranded_part() <= MOST_STRANDED, "{all}");
    assert!(all.confirmed > 10_000, "{all}");
}

#[test]
fn never_a_micro_over_with_faults() {
    let all = run_all(100, 2, Rules::default());
    println!("{all}");
    assert!(all.stranded_part() <= MOST_STRANDED, "{all}");
    assert!(all.faults >= 10 && all.overspent > 0, "{all}");
}

#[test]
fn never_a_micro_over_where_something_goes_wrong_all_the_time() {
    let all = run_all(300, 2, Rules { faults: 400, hours: 4, ..Rules::default() });
    println!("{all}");
    assert!(all.faults > 200, "{all}");
}

#[test]
fn a_seed_is_a_run() {
    let rules = Rules { hours: 3, ..Rules::default() };
    let [one, again, other] = [7, 7, 8].map(|seed| run(seed, rules).expect("no fault").digest);
    assert_eq!(one, again);
    assert_ne!(one, other);
}

/// Whether one of a few runs finds a fault of a world whose processes do something wrong, and are killed often.
fn is_found(rules: Rules) -> bool {
    (1..=6).any(|seed| {
        run(seed, Rules { faults: 400, edits: 200, ..rules }).inspect_err(|fault| println!("{fault}")).is_err()
    })
}

#[test]
fn a_coordinator_that_answers_before_it_has_synced_is_found() {
    assert!(is_found(Rules { answers_before_sync: true, ..Rules::default() }));
}

#[test]
fn a_node_that_uses_money_again_before_it_has_synced_is_found() {
    assert!(is_found(Rules { frees_before_sync: true, ..Rules::default() }));
}

#[test]
#[ignore = "minutes: bin/soak pacer-world"]
fn a_thousand_days() {
    let (first, count) = (of_environment("SEED", 1_000), of_environment("RUNS", 1_000));
    let all = run_all(first, count, Rules::default());
    println!("{all}");
    assert!(all.stranded_part() <= MOST_STRANDED, "{all}");
    let all = run_all(first, count.div_ceil(20), Rules { faults: 0, ..Rules::default() });
    println!("without faults: {all}");
    assert!(all.refused_part() <= MOST_REFUSED && all.stranded_part() <= MOST_STRANDED, "{all}");
}
