//! Measures how far the estimates of sketches are from the truth, prints that as tables, and judges it. Ends with 1 if
//! anything is not as `guides/accuracy.md` says, and with 2 for an argument it does not know.
//!
//! ```text
//! cargo run --release -p ad_tally_core --example accuracy -- [--runs N] [--csv FILE]
//! ```
//!
//! `--runs` is 1,000 unless given; of fewer, less is demanded, because their errors say less. `--csv` measures all
//! estimators at many more sizes, up to ten million users, and writes what `bench/accuracy/picture.py` draws.

use std::io::IsTerminal as _;
use std::process::ExitCode;

#[path = "accuracy/mod.rs"]
mod accuracy;

use accuracy::attack::{self, Attack};
use accuracy::overlaps::{self, CASES};
use accuracy::rivals::{self, NAMES};
use accuracy::runs::{Errors, in_parallel};
use accuracy::sketches;

const PRECISIONS: [u8; 4] = [10, 11, 12, 14];
/// That of the rivals, the overlaps and the attacks: the default of a table.
const PRECISION: u8 = 12;
const RUNS: u64 = 1_000;
const USAGE: &str = "usage: accuracy [--runs N] [--csv FILE], N from 10 to 1000000";

struct Options {
    runs: u64,
    csv: Option<String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { runs: RUNS, csv: None };
        while let Some(name) = arguments.next() {
            match (name.as_str(), arguments.next()?) {
                ("--runs", value) => {
                    options.runs = value.parse().ok().filter(|runs| (10..=1_000_000).contains(runs))?;
                }
                ("--csv", file) => options.csv = Some(file),
                _ => return None,
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(Options { runs, csv }) = Options::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut faults = measure_sketches(runs);
    faults.extend(measure_overlaps(runs));
    faults.extend(measure_attacks());
    let rows = measure_rivals(runs, csv.is_some());
    if let Some(file) = csv
        && let Err(error) = std::fs::write(&file, rows)
    {
        faults.push(format!("{file}: {error}"));
    }
    if faults.is_empty() {
        println!("\nEverything is as it should be.");
        return ExitCode::SUCCESS;
    }
    println!("\nNot as it should be:");
    faults.iter().for_each(|fault| println!("- {fault}"));
    ExitCode::FAILURE
}

/// Tells how far it is, ten times: in one line where somebody watches.
fn progress(what: String, runs: u64) -> impl Fn(u64) + Sync {
    let watched = std::io::stderr().is_terminal();
    move |done| {
        if done * 10 / runs > (done - 1) * 10 / runs {
            let (begin, end) = if watched { ("\r", "") } else { ("", "\n") };
            let end = if done == runs { "\n" } else { end };
            eprint!("{begin}{what}: {done} of {runs} runs{end}");
        }
    }
}

/// Begins a table: the first column is the name of the row.
fn table(columns: &[&str]) {
    println!("| {} |", columns.join(" | "));
    println!("| --- |{}", " --: |".repeat(columns.len() - 1));
}

fn measure_sketches(runs: u64) -> Vec<String> {
    println!(
        "Errors of an estimate of n users by m registers, {runs} runs each: with registers from the first user on\n\
         (dense), and as it comes. RMSE·√m may be {:.1} % from what is expected. Bounds at 1, 2 and 3 standard\n\
         deviations hold the truth in so many of 100 runs.\n",
        100.0 * sketches::tolerance(runs as usize)
    );
    let dense = ["dense: mean", "RMSE", "RMSE·√m", "expected"];
    let natural = ["as it comes: mean", "RMSE", "RMSE·√m", "bounds hold"];
    table(&[&["precision", "n", "n/m"][..], &dense, &natural].concat());
    let mut faults = Vec::new();
    for precision in PRECISIONS {
        let done = progress(format!("precision {precision}"), runs);
        for row in sketches::measure(precision, f64::INFINITY, runs, &done) {
            let cells = |errors| format!("{} | {:.3}", both(errors), row.scaled(errors));
            let [one, two, three] = row.held.map(|share| 100.0 * share);
            println!(
                "| {precision} | {} | {} | {} | {} | {} | {one:.1}, {two:.1}, {three:.1} |",
                grouped(row.users),
                row.ratio,
                cells(&row.dense),
                row.expected,
                cells(&row.natural),
            );
            faults.extend(row.faults());
        }
    }
    faults
}

fn measure_overlaps(runs: u64) -> Vec<String> {
    println!(
        "\nErrors of the users that two sketches of precision {PRECISION} have in common, {runs} runs each, and of the\n\
         same as a difference: both less their union. Bounds are at 2 standard deviations; wide ones are further apart\n\
         than the estimate is from nothing. Both in so many of 100 runs.\n"
    );
    table(&["one", "other", "in common", "mean", "RMSE", "difference: RMSE", "bounds hold", "bounds are wide"]);
    let mut faults = Vec::new();
    for case in CASES {
        let done = progress(format!("{} users in common", case.common), runs);
        let row = overlaps::measure(PRECISION, case, runs, &done);
        println!(
            "| {} | {} | {} | {} | {} | {:.1} | {:.1} |",
            grouped(case.one),
            grouped(case.other),
            grouped(case.common),
            both(&row.errors),
            percent(row.difference.rmse),
            100.0 * row.held,
            100.0 * row.wide,
        );
        faults.extend(row.faults());
    }
    faults
}

fn measure_attacks() -> Vec<String> {
    println!("\nUsers chosen against the public hash, at precision {PRECISION}.\n");
    table(&["chosen to", "users", "estimate", "times off", "estimate under a secret"]);
    // A hash for each user that is pretended: 100 million take half a second.
    let inflating = attack::attack(PRECISION, &attack::inflating(PRECISION, 100_000_000), 20_000.0);
    let unnoticed = attack::attack(PRECISION, &attack::unnoticed(1_000_000), 100.0);
    let row = |what: &str, attack: &Attack| {
        let [users, open, secret] =
            [attack.users as f64, attack.open, attack.secret].map(|number| grouped(number.round() as u64));
        println!("| {what} | {users} | {open} | {} | {secret} |", grouped(attack.factor().round() as u64));
    };
    row("inflate", &inflating);
    row("hold down", &unnoticed);
    [inflating, unnoticed].iter().flat_map(Attack::faults).collect()
}

/// Prints the errors at powers of ten, and returns them at all sizes, as CSV.
fn measure_rivals(runs: u64, picture: bool) -> String {
    let is_power = |users: u64| 10_u64.pow(users.ilog10()) == users;
    let sizes = if picture { sizes_for_a_picture() } else { (0..=6).map(|power| 10_u64.pow(power)).collect() };
    let done = progress("rivals".into(), runs);
    let estimates = in_parallel(runs, &done, |run| rivals::estimates(PRECISION, run, &sizes));
    println!("\nRMSE at precision {PRECISION} over the same users, {runs} runs, and the mean error.\n");
    table(&[&["users"][..], &NAMES].concat());
    let mut rows = String::from("users,estimator,mean,rmse\n");
    for (at, users) in sizes.into_iter().enumerate() {
        let errors: [Errors; NAMES.len()] =
            std::array::from_fn(|name| Errors::of(users, estimates.iter().map(|run| run[name][at])));
        if is_power(users) {
            let cells = errors.map(|errors| format!("{} ({})", percent(errors.rmse), percent(errors.mean)));
            println!("| {} | {} |", grouped(users), cells.join(" | "));
        }
        for (name, errors) in NAMES.iter().zip(errors) {
            rows += &format!("{users},{name},{},{}\n", errors.mean, errors.rmse);
        }
    }
    rows
}

/// Every number up to ten, then 24 to each power of ten, up to ten million.
fn sizes_for_a_picture() -> Vec<u64> {
    let mut sizes: Vec<u64> = (0..=7 * 24).map(|step| 10_f64.powf(f64::from(step) / 24.0).round() as u64).collect();
    sizes.dedup();
    sizes
}

fn both(errors: &Errors) -> String {
    format!("{} | {}", percent(errors.mean), percent(errors.rmse))
}

fn percent(error: f64) -> String {
    format!("{:.3} %", 100.0 * error)
}

/// A number with a comma between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}
