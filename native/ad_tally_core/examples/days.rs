//! The days of all time zones, for `test/judges/zones.py` to compare: of each zone its name on a line, then as many words of
//! eight bytes, little-endian: when each date from 1970-01-01 to 2038-01-01 begins.
//!
//! ```text
//! TZDIR=DATABASE cargo run --release -p ad_tally_core --example days -- FIRST_DATE LAST_DATE [bundled]
//! ```
//!
//! Dates are days since 1970. Ends with 1 unless the day of each first and last moment is the one that it was taken from.

use std::io::{self, Write};
use std::process::ExitCode;

use ad_tally_core::time::{Zone, names, release};

fn main() -> ExitCode {
    let is_bundled = std::env::args().next_back().is_some_and(|last| last == "bundled");
    let dates: Vec<i32> = std::env::args().skip(1).filter_map(|date| date.parse().ok()).collect();
    let [first, last] = dates[..] else {
        eprintln!(
            "usage: days FIRST_DATE LAST_DATE [bundled], in days since 1970; the bundled database is {}",
            release()
        );
        return ExitCode::from(2);
    };
    match write(first, last, is_bundled, &mut io::BufWriter::new(io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(first: i32, last: i32, is_bundled: bool, out: &mut impl Write) -> io::Result<()> {
    for name in names() {
        let found = if is_bundled { Zone::bundled(&name) } else { Zone::named(&name) };
        let zone = match found {
            Ok(zone) => zone,
            // One that only the system has.
            Err(_) if is_bundled => continue,
            Err(unknown) => return Err(io::Error::other(unknown)),
        };
        writeln!(out, "{name}")?;
        for number in first..=last {
            let day = zone.day_of(number);
            out.write_all(&day.begin.to_le_bytes())?;
            for at in [day.begin, day.end.saturating_sub(1)] {
                if day.begin < day.end && zone.day(at) != day {
                    return Err(io::Error::other(format!("{name}: {at} is in {:?}, not in {day:?}", zone.day(at))));
                }
            }
        }
    }
    out.flush()
}
