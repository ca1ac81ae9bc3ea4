//! Simulates how controllers of budgets pace campaigns, prints that as tables, and judges it. Ends with 1 if anything is not
//! as `guides/pacing.md` says, and with 2 for an argument it does not know.
//!
//! ```text
//! cargo run --release -p ad_tally_core --example pacing -- [--campaigns N] [--picture FILE]
//! ```
//!
//! `--campaigns` is 4,000 unless given. `--picture` writes an SVG of four of them.

use std::process::ExitCode;

#[path = "pacing/mod.rs"]
mod pacing;

use pacing::figures::{self, RATES};
use pacing::{picture, stress};

const CAMPAIGNS: u64 = 4_000;
/// Of each rate, for a case of stress.
const STRESSED: u64 = 200;
const USAGE: &str = "usage: pacing [--campaigns N] [--picture FILE], N from 500 to 1000000";

struct Options {
    campaigns: u64,
    picture: Option<String>,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { campaigns: CAMPAIGNS, picture: None };
        while let Some(name) = arguments.next() {
            match (name.as_str(), arguments.next()?) {
                ("--campaigns", value) => {
                    options.campaigns = value.parse().ok().filter(|count| (500..=1_000_000).contains(count))?;
                }
                ("--picture", file) => options.picture = Some(file),
                _ => return None,
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(Options { campaigns, picture }) = Options::read(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let of_each = campaigns / RATES.len() as u64;
    println!("{of_each} campaigns of each rate, in requests a minute, on the third day.\n");
    let table = figures::measure(&RATES, of_each);
    println!("{}", table.markdown());
    let stress = stress::measure(STRESSED);
    println!("The largest deviation, and in brackets what was delivered; medians in %.\n\n{}", stress.markdown());
    let mut faults = table.faults();
    faults.extend(stress.faults());
    if let Some(file) = picture
        && let Err(error) = std::fs::write(&file, picture::svg())
    {
        faults.push(format!("{file}: {error}"));
    }
    if faults.is_empty() {
        println!("Everything is as it should be.");
        return ExitCode::SUCCESS;
    }
    println!("Not as it should be:");
    faults.iter().for_each(|fault| println!("- {fault}"));
    ExitCode::FAILURE
}
