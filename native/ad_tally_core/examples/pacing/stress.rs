//! One day with an edit, or with a forecast that is wrong.

use super::controllers::{LINKEDIN, MYSTIQUE, NAMES, OURS};
use super::figures::quantile;
use super::parallel::in_parallel;
use super::run::{Day, run};
use super::world::{NOTHING, Special, World};

/// Requests a minute.
const RATES: [f64; 3] = [0.5, 5.0, 50.0];
const SHOWN: [usize; 3] = [OURS, LINKEDIN, MYSTIQUE];

/// A case, and which of the figures tells of it.
struct Case {
    name: &'static str,
    special: Special,
    is_of_rest: bool,
}

const CASES: [Case; 6] = [
    Case { name: "nothing special", special: NOTHING, is_of_rest: false },
    Case { name: "budget × 0.75 at noon", special: Special { at_noon: 0.75, ..NOTHING }, is_of_rest: true },
    Case { name: "budget × 2 at noon", special: Special { at_noon: 2.0, ..NOTHING }, is_of_rest: true },
    Case { name: "forecast even, traffic not", special: Special { is_flat: true, ..NOTHING }, is_of_rest: false },
    Case {
        name: "forecast of spend 10 × too low",
        special: Special { level: Some(0.1), ..NOTHING },
        is_of_rest: false,
    },
    Case {
        name: "forecast of spend 10 × too high",
        special: Special { level: Some(10.0), ..NOTHING },
        is_of_rest: false,
    },
];
/// The case of a budget that is cut.
const CUT: usize = 1;
/// What ours may deviate from the rest by then.
const MOST_OF_REST: f64 = 0.1;

/// What each case came to, by controller: medians of the deviation and of delivery.
pub struct Stress(Vec<[(f64, f64, u64); NAMES.len()]>);

/// Paces so many campaigns of each rate for a day, in all cases.
pub fn measure(campaigns: u64) -> Stress {
    let cases = CASES.iter().map(|case| {
        let days = in_parallel(campaigns * RATES.len() as u64, |number| {
            let rate = RATES[number as usize % RATES.len()];
            // Other campaigns than those of the table.
            let world = World::new(1 << 32 | number, rate, 1, case.special);
            run(&world, case.special).map(|mut days| days.pop().unwrap_or_default())
        });
        std::array::from_fn(|name| {
            let all = |figure: &dyn Fn(&Day) -> f64| days.iter().map(|days| figure(&days[name])).collect::<Vec<_>>();
            let deviation = all(&|day| if case.is_of_rest { day.deviation_of_rest } else { day.deviation });
            let over = days.iter().map(|days| days[name].over).sum();
            (quantile(deviation, 0.5), quantile(all(&|day| day.delivery), 0.5), over)
        })
    });
    Stress(cases.collect())
}

impl Stress {
    /// What is not as it must be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (deviation, ..) = self.0[CUT][OURS];
        if deviation >= MOST_OF_REST {
            faults.push(format!(
                "{}: the deviation of the rest is {deviation:.4}, at most {MOST_OF_REST}",
                CASES[CUT].name
            ));
        }
        for (case, of) in CASES.iter().zip(&self.0) {
            for (name, (.., over)) in NAMES.iter().zip(of).filter(|(_, (.., over))| *over > 0) {
                faults.push(format!("{}, {name}: {over} micros over", case.name));
            }
        }
        faults
    }

    /// The cases in Markdown.
    pub fn markdown(&self) -> String {
        let names = SHOWN.map(|name| NAMES[name]).join(" | ");
        let mut text = format!("| one day | of | {names} |\n| --- | --- |{}\n", " --: |".repeat(SHOWN.len()));
        for (case, of) in CASES.iter().zip(&self.0) {
            let cells = SHOWN.map(|name| {
                let (deviation, delivery, _) = of[name];
                format!("{:.1} ({:.1})", 100.0 * deviation, 100.0 * delivery)
            });
            let what = if case.is_of_rest { "the rest" } else { "the day" };
            text += &format!("| {} | {what} | {} |\n", case.name, cells.join(" | "));
        }
        text
    }
}
