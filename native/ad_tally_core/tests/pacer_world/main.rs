//! A simulated world: the pacer's own code on clocks that are wrong, a network that loses, doubles and delays, and disks that
//! refuse, with machines that are killed. An observer books what callers were told and what was said on the wire, and nothing that
//! the code says of itself. A run is that of its seed.
//!
//! * `world`: what happens, in the order of time; `schedule`: what is to happen, and a log of what has
//! * `machine`: a process, its `clock` and its `disk`; `network`: messages and who answers them
//! * `budgets`: campaigns and their plans; `traffic`: requests and their callers; `faults`: what goes wrong
//! * `observer`: what is true; `rules`: what is to happen, and what processes do wrong; `outcome`: what came of it
//!
//! `bin/soak pacer-world` has a thousand days of it.
#![cfg(not(loom))]

#[path = "../support/in_memory.rs"]
mod in_memory;

mod budgets;
mod clock;
mod disk;
mod faults;
mod machine;
mod network;
mod observer;
mod outcome;
mod random;
mod rules;
mod schedule;
mod traffic;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use self::outcome::Outcome;
use self::rules::Rules;
use self::world::World;

/// What may stay with machines that died, of all budgets.
const MOST_STRANDED: f64 = 0.005;
/// What may be refused though budget was free, where nothing went wrong.
const MOST_REFUSED: f64 = 0.01;
/// How often a long test says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

fn run(seed: u64, rules: Rules) -> Result<Outcome, String> {
    World::new(seed, rules).run().map_err(|fault| format!("seed {seed}: {fault}"))
}

/// Runs seeds on two threads, and adds up what came of them.
fn run_all(first: u64, count: u64, rules: Rules) -> Outcome {
    let next = AtomicU64::new(first);
    let begin = Instant::now();
    let all = Mutex::new((Outcome::default(), begin));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let outcome = run(seed, rules).unwrap_or_else(|fault| panic!("{fault}"));
            let (all, told) = &mut *all.lock().expect("no fault");
            all.add(&outcome);
            if told.elapsed() >= PROGRESS {
                *told = Instant::now();
                println!("{} of {count} after {} s: {all}", all.runs, begin.elapsed().as_secs());
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    all.into_inner().expect("no fault").0
}

#[test]
fn never_a_micro_over_without_faults_and_next_to_nothing_refused() {
    let all = run_all(1, 1, Rules { faults: 0, hours: 10, ..Rules::default() });
    println!("{all}");
    assert!(all.refused_part() <= MOST_REFUSED && all.stranded_part() <= MOST_STRANDED, "{all}");
    assert!(all.confirmed > 10_000, "{all}");
}

#[test]
fn never_a_micro_over_with_faults() {
    // What is stranded differs much from day to day.
    let all = run_all(100, 4, Rules::default());
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
fn never_a_micro_over_where_nodes_that_seldom_sync_are_killed_all_the_time() {
    let all = run_all(400, 4, Rules::harsh());
    println!("{all}");
    assert!(all.faults > 400, "{all}");
}

#[test]
fn a_seed_is_a_run() {
    let rules = Rules { faults: 400, hours: 4, ..Rules::default() };
    for seed in [7, 9] {
        // At the same time, so that nothing may depend on threads.
        let [one, again] = thread::scope(|scope| {
            let runs = [(); 2].map(|()| scope.spawn(|| run(seed, rules).expect("no fault").log));
            runs.map(|run| run.join().expect("a run"))
        });
        let differs = one.iter().zip(&again).position(|(one, again)| one != again);
        assert_eq!(differs, None, "seed {seed}: the first minute in which something else happens");
        assert_eq!(one.len(), again.len());
    }
    let [one, other] = [7, 8].map(|seed| run(seed, Rules { hours: 1, ..rules }).expect("no fault").log);
    assert_ne!(one.last(), other.last());
}

/// Whether one of a few runs finds a fault of a world whose processes do something wrong, and are killed often.
fn is_found(rules: Rules) -> bool {
    (1..=6).any(|seed| run(seed, rules).inspect_err(|fault| println!("{fault}")).is_err())
}

/// Days of which each has a fault every few minutes, and an edit every few as well.
fn restless() -> Rules {
    Rules { faults: 400, edits: 200, ..Rules::default() }
}

#[test]
fn a_coordinator_that_answers_before_it_has_synced_is_found() {
    assert!(is_found(Rules { answers_before_sync: true, ..restless() }));
}

#[test]
fn a_node_that_uses_money_again_before_it_has_synced_is_found() {
    assert!(is_found(Rules { frees_before_sync: true, ..restless() }));
}

#[test]
fn a_node_that_uses_again_what_a_crash_may_have_lost_is_found() {
    assert!(is_found(Rules { gives_back_after_crash: true, ..Rules::harsh() }));
    assert!(!is_found(Rules::harsh()), "without that fault there is none");
}

fn of_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
#[ignore = "minutes: bin/soak pacer-world"]
fn a_thousand_days() {
    let (first, count) = (of_environment("SEED", 1_000), of_environment("RUNS", 1_000));
    let all = run_all(first, count, Rules::default());
    println!("days with faults: {all}");
    assert!(all.stranded_part() <= MOST_STRANDED, "{all}");
    let all = run_all(first, count.div_ceil(20), Rules { faults: 0, ..Rules::default() });
    println!("days without faults: {all}");
    assert!(all.refused_part() <= MOST_REFUSED && all.stranded_part() <= MOST_STRANDED, "{all}");
    let all = run_all(first, count.div_ceil(4), Rules { faults: 400, hours: 4, ..Rules::default() });
    println!("hours where something goes wrong all the time: {all}");
    let all = run_all(first, count.div_ceil(4), Rules::harsh());
    println!("hours of nodes that seldom sync: {all}");
}
