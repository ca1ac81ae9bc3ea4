//! The table: what came of the first and the third day, by requests a minute, and what must hold of it.

use super::controllers::{LINKEDIN, MYSTIQUE, NAMES, OURS};
use super::parallel::in_parallel;
use super::run::{Day, run};
use super::world::{NOTHING, World};

/// Requests a minute.
pub const RATES: [f64; 5] = [0.05, 0.5, 5.0, 50.0, 500.0];
const DAYS: usize = 3;
/// Of fewer requests no rule makes an even spend: there are some 70 a day, and the budget is for a few of them.
const JUDGED_FROM: f64 = 0.5;

/// What all campaigns of a rate and a controller came to on a day.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub delivery: f64,
    /// That which 95 of 100 campaigns are not below.
    pub low_delivery: f64,
    pub deviation: f64,
    pub change: f64,
    pub stops_early: f64,
    /// Of all campaigns, in micros.
    pub over: u64,
}

type Figure = fn(&Figures) -> f64;

/// The figures by rate, then by controller, of the first day and of the third.
#[derive(Debug, Clone)]
pub struct Table {
    pub rates: Vec<f64>,
    pub first: Vec<[Figures; NAMES.len()]>,
    pub third: Vec<[Figures; NAMES.len()]>,
}

/// Paces `campaigns` of each rate for three days, by all controllers.
pub fn measure(rates: &[f64], campaigns: u64) -> Table {
    let all = in_parallel(campaigns * rates.len() as u64, |number| {
        // Those of many requests take longest: all threads have some of each.
        let rate = rates[number as usize % rates.len()];
        let days = run(&World::new(number, rate, DAYS, NOTHING), NOTHING);
        days.map(|days| [&days[0], &days[DAYS - 1]].map(|day| Day { spent: vec![], traffic: vec![], ..day.clone() }))
    });
    let figures = |at: usize| -> Vec<[Figures; NAMES.len()]> {
        let of_rate = |rate: usize| all.iter().skip(rate).step_by(rates.len());
        let of = |rate, name: usize| Figures::of(&of_rate(rate).map(|days| &days[name][at]).collect::<Vec<_>>());
        (0..rates.len()).map(|rate| std::array::from_fn(|name| of(rate, name))).collect()
    };
    Table { rates: rates.to_vec(), first: figures(0), third: figures(1) }
}

impl Figures {
    fn of(days: &[&Day]) -> Self {
        let all = |figure: fn(&Day) -> f64| days.iter().map(|day| figure(day)).collect::<Vec<_>>();
        Self {
            delivery: quantile(all(|day| day.delivery), 0.5),
            low_delivery: quantile(all(|day| day.delivery), 0.05),
            deviation: quantile(all(|day| day.deviation), 0.5),
            change: quantile(all(|day| day.change), 0.5),
            stops_early: all(|day| f64::from(u8::from(day.stops_early))).iter().sum::<f64>() / days.len() as f64,
            over: days.iter().map(|day| day.over).sum(),
        }
    }
}

/// The value that so large a part of all is not above.
pub fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = ((values.len() - 1) as f64 * part).round() as usize;
    values[at]
}

impl Table {
    /// What is not as it must be.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (rate, of) in self.rates.iter().zip(&self.third).filter(|(rate, _)| **rate >= JUDGED_FROM) {
            let ours = &of[OURS];
            for other in [LINKEDIN, MYSTIQUE] {
                let (name, other) = (NAMES[other], &of[other]);
                let mut must = |holds: bool, what: &str, ours: f64, other: f64| {
                    if !holds {
                        faults.push(format!("{rate} a minute: {what} is {ours:.5}, that of {name} is {other:.5}"));
                    }
                };
                must(ours.deviation < other.deviation, "the deviation", ours.deviation, other.deviation);
                must(
                    ours.low_delivery >= other.low_delivery,
                    "the 5th percentile of delivery",
                    ours.low_delivery,
                    other.low_delivery,
                );
            }
            if ours.change > of[LINKEDIN].change / 4.0 {
                let most = of[LINKEDIN].change / 4.0;
                faults.push(format!("{rate} a minute: the rate changes by {:.4}, at most {most:.4}", ours.change));
            }
        }
        for (rate, of) in self.rates.iter().zip(self.first.iter().zip(&self.third)) {
            for ((name, first), third) in NAMES.iter().zip(of.0).zip(of.1) {
                if first.over + third.over > 0 {
                    faults.push(format!("{rate} a minute, {name}: {} micros over", first.over + third.over));
                }
            }
        }
        faults
    }

    /// The third day, and ours on the first, in Markdown: a table a figure.
    pub fn markdown(&self) -> String {
        let figures: [(&str, Figure); 5] = [
            ("delivery, median, %", |of| of.delivery),
            ("delivery, 5th percentile, %", |of| of.low_delivery),
            ("largest deviation, median, % of the budget", |of| of.deviation),
            ("change of the rate a minute, median, %", |of| of.change),
            ("spent before 90 % of the traffic, % of campaigns", |of| of.stops_early),
        ];
        let mut text = String::new();
        for (what, figure) in figures {
            let rates: Vec<String> = self.rates.iter().map(f64::to_string).collect();
            text += &format!("| {what} | {} |\n", rates.join(" | "));
            text += &format!("| --- |{}\n", " --: |".repeat(self.rates.len()));
            let mut row = |name: &str, of: &dyn Fn(usize) -> f64| {
                let cells: Vec<String> = (0..self.rates.len()).map(|rate| format!("{:.1}", 100.0 * of(rate))).collect();
                text += &format!("| {name} | {} |\n", cells.join(" | "));
            };
            for (at, name) in NAMES.iter().enumerate() {
                row(name, &|rate| figure(&self.third[rate][at]));
            }
            row("ours, first day", &|rate| figure(&self.first[rate][OURS]));
            text += "\n";
        }
        let over: u64 = self.first.iter().chain(&self.third).flatten().map(|of| of.over).sum();
        text + &format!("Overspend of all together: {over} micros.\n")
    }
}
