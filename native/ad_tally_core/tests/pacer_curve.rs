//! Curves against a twin that goes through a period minute by minute, and the days of a flight.
#![cfg(not(loom))]

use ad_tally_core::pacer::plan::{HOURS_OF_WEEK, MILLION};
use ad_tally_core::pacer::{Curve, Learned, Pace, Period, PeriodOf, Plan, day_budget};
use ad_tally_core::time::Zone;
use proptest::prelude::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// 2026-03-28 and 2026-10-24, the days before clocks change in Berlin.
const SPRING: u64 = 20_540 * DAY;
const AUTUMN: u64 = 20_750 * DAY;

fn plan(zone: &str, period: Period, pace: Pace) -> Plan {
    let zone = Zone::named(zone).expect("a zone of the database");
    let plan = Plan { budget: 1_000_000, period, zone, pace, daily_max: Some(1_250_000), price: 1_000 };
    plan.check().expect("a plan");
    plan
}

fn curve_at(plan: &Plan, at: u64) -> (Curve, PeriodOf) {
    let period = plan.period_at(at).expect("a period");
    (Curve::new(plan, None, period), period)
}

/// Weights that are the hour of the week, and 1 more.
fn hours() -> Pace {
    Pace::Traffic(Box::new(std::array::from_fn(|hour| hour as u32 + 1)))
}

/// The weight of a minute: by its local hour of the week, or by the line.
fn naive_weight(plan: &Plan, at: u64, line: (u64, u64)) -> f64 {
    match &plan.pace {
        Pace::Asap | Pace::Even | Pace::Learned => 1.0,
        Pace::FrontLoaded(more) => {
            let middle = (at - line.0) as f64 + MINUTE as f64 / 2.0;
            1.0 + f64::from(*more) / f64::from(MILLION) * (1.0 - 2.0 * middle / (line.1 - line.0) as f64)
        }
        Pace::Traffic(weights) => {
            let local = at as i64 + plan.zone.offset(at);
            // Thursday is the fourth day of a week.
            let minutes = local / MINUTE as i64 + 3 * 24 * 60;
            weights[(minutes / 60) as usize % HOURS_OF_WEEK].into()
        }
    }
}

fn naive_share(plan: &Plan, period: PeriodOf, from: u64, to: u64) -> f64 {
    let line = match plan.period {
        Period::Flight { from, to } => (from, to),
        _ => (period.begin, period.end),
    };
    let sum =
        |from: u64, to: u64| (from..to).step_by(MINUTE as usize).map(|at| naive_weight(plan, at, line)).sum::<f64>();
    let total = sum(period.begin, period.end);
    if total > 0.0 { sum(from, to) / total } else { (to - from) as f64 / (period.end - period.begin) as f64 }
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn a_skipped_hour_has_no_share_and_a_repeated_one_has_twice() {
    let plan = plan("Europe/Berlin", Period::Daily, hours());
    // Sundays: hours 144 to 167 of the week, weights 145 to 168, less or more the one from 2 to 3, of 147.
    let sum = f64::from((145..=168).sum::<u32>());
    let spring = SPRING + DAY + 2 * HOUR;
    let (curve, period) = curve_at(&plan, spring);
    assert_eq!(period.end - period.begin, 23 * HOUR);
    assert!(is_near(curve.share(period.begin, period.begin + HOUR), 145.0 / (sum - 147.0)));
    // 3 o'clock follows on 2 o'clock.
    assert!(is_near(curve.share(period.begin + 2 * HOUR, period.begin + 3 * HOUR), 148.0 / (sum - 147.0)));
    let (curve, period) = curve_at(&plan, AUTUMN + DAY + 2 * HOUR);
    assert_eq!(period.end - period.begin, 25 * HOUR);
    let repeated = curve.share(period.begin + 2 * HOUR, period.begin + 4 * HOUR);
    assert!(is_near(repeated, 2.0 * 147.0 / (sum + 147.0)));
}

#[test]
fn traffic_of_a_week_is_seven_mean_days() {
    for pace in [hours(), Pace::Even, Pace::FrontLoaded(MILLION)] {
        let plan = plan("Asia/Kathmandu", Period::Flight { from: SPRING, to: SPRING + 7 * DAY }, pace);
        let whole = Curve::new(&plan, None, PeriodOf { number: 0, begin: SPRING, end: SPRING + 7 * DAY });
        assert!(is_near(whole.traffic(SPRING, SPRING + 7 * DAY), 7.0));
        assert!(is_near(whole.ahead(SPRING, SPRING + DAY).days, 7.0));
    }
}

#[test]
fn a_front_loaded_budget_falls_in_a_line_and_its_traffic_does_not() {
    let plan = plan("Etc/UTC", Period::Daily, Pace::FrontLoaded(500_000));
    let (curve, period) = curve_at(&plan, SPRING);
    let half = period.begin + 12 * HOUR;
    assert!(is_near(curve.share(period.begin, half), 0.625));
    assert!(is_near(curve.traffic(period.begin, half), 0.5));
    let minute = |at: u64| curve.share(at, at + MINUTE) * 1440.0;
    assert!((minute(period.begin) - 1.5).abs() < 0.001 && (minute(period.end - MINUTE) - 0.5).abs() < 0.001);
}

#[test]
fn hours_of_another_zone_are_another_curve() {
    let [berlin, kathmandu] = ["Europe/Berlin", "Asia/Kathmandu"].map(|zone| {
        let plan = plan(zone, Period::Flight { from: SPRING, to: SPRING + DAY }, hours());
        Curve::new(&plan, None, PeriodOf { number: 0, begin: SPRING, end: SPRING + DAY })
            .share(SPRING, SPRING + 30 * MINUTE)
    });
    // Saturday 1:00 in Berlin, and 5:45 in Kathmandu: 15 minutes of one hour and 15 of the next.
    let of = |weights: f64, from: u32| weights / 2.0 / f64::from((from..from + 24).sum::<u32>());
    assert!(is_near(berlin, of(122.0, 122)));
    // 15 minutes of Saturday 5 h, then 18 h 15 min of its other hours, then of Sunday.
    let total = 126.0 / 4.0 + f64::from((127..=149).sum::<u32>()) + 150.0 * 0.75;
    assert!(is_near(kathmandu, (126.0 + 127.0) / 4.0 / total), "{kathmandu}");
}

#[test]
fn a_period_without_any_weight_is_even() {
    let mut weights = Box::new([0; HOURS_OF_WEEK]);
    weights[0] = 5;
    let plan = plan("Etc/UTC", Period::Daily, Pace::Traffic(weights));
    // A Saturday, then a Monday.
    let (curve, period) = curve_at(&plan, SPRING);
    assert!(is_near(curve.share(period.begin, period.begin + 6 * HOUR), 0.25));
    let (curve, period) = curve_at(&plan, SPRING + 2 * DAY);
    assert!(is_near(curve.share(period.begin, period.begin + HOUR), 1.0));
    assert!(is_near(curve.share(period.begin + HOUR, period.end), 0.0));
}

#[test]
fn what_is_learned_is_even_until_two_weeks_are_known_and_says_so() {
    let plan = plan("Europe/Berlin", Period::Daily, Pace::Learned);
    let period = plan.period_at(SPRING).expect("a day");
    let even = Curve::new(&plan, None, period);
    assert!(even.awaits_history());
    let mut learned = Learned::default();
    let begin = SPRING - 15 * DAY;
    for hour in 0..15 * 24 {
        let at = begin + hour * HOUR;
        let local = (at as i64 + plan.zone.offset(at)) as u64 / HOUR % 24;
        let is_known = learned.known_hours() >= 2 * HOURS_OF_WEEK;
        assert_eq!(Curve::new(&plan, Some(&learned), period).awaits_history(), !is_known);
        learned.tick(&plan.zone, at, at + HOUR, if local < 12 { 100 } else { 300 }, 0.5);
    }
    let curve = Curve::new(&plan, Some(&learned), period);
    assert!(!curve.awaits_history());
    assert!(is_near(curve.share(period.begin, period.begin + 12 * HOUR), 0.25));
    assert!(is_near(even.share(period.begin, period.begin + 12 * HOUR), 0.5));
}

#[test]
fn a_day_of_a_flight_has_its_share_of_what_is_left_and_at_most_daily_max_of_its_plan() {
    let (from, to) = (SPRING, SPRING + 10 * DAY);
    let mut plan = plan("Etc/UTC", Period::Flight { from, to }, Pace::Even);
    let whole = Curve::new(&plan, None, PeriodOf { number: 0, begin: from, end: to });
    let budget = |plan: &Plan, day: u64, left: u64| {
        let day = day_budget(plan, &whole, plan.period_at(SPRING + day * DAY).expect("a day"), left);
        [day.target, day.wall]
    };
    assert_eq!(budget(&plan, 0, 1_000_000), [100_000, 125_000]);
    // Days that spent too little leave more to those after them, as far as a day may have more.
    assert_eq!(budget(&plan, 5, 550_000), [110_000, 125_000]);
    assert_eq!(budget(&plan, 5, 1_000_000), [125_000, 125_000]);
    assert_eq!(budget(&plan, 9, 90_000), [90_000, 90_000]);
    assert_eq!(budget(&plan, 9, 0), [0, 0]);
    // A small budget has whole prices all the same.
    plan.budget = 3_000;
    assert_eq!(budget(&plan, 0, 3_000), [300, 1_000]);
    plan.daily_max = None;
    assert_eq!(budget(&plan, 0, 1_000_000), [1_000_000, 1_000_000]);
}

#[test]
fn days_of_a_flight_together_have_its_budget_if_each_spends_its_target() {
    for pace in [Pace::Even, Pace::FrontLoaded(MILLION), hours()] {
        let (from, to) = (AUTUMN - 5 * DAY + 7 * HOUR, AUTUMN + 9 * DAY + 5 * HOUR);
        let plan = plan("Europe/Berlin", Period::Flight { from, to }, pace);
        let whole = Curve::new(&plan, None, PeriodOf { number: 0, begin: from, end: to });
        let (mut at, mut left) = (from, plan.budget);
        while let Some(period) = plan.period_at(at) {
            let budget = day_budget(&plan, &whole, period, left);
            let share = whole.share(period.begin, period.end) * plan.budget as f64;
            assert!((budget.target as f64 - share).abs() < 20.0, "{budget:?}, {share}");
            assert!(budget.target <= budget.wall && budget.wall <= left);
            left -= budget.target;
            at = period.end;
        }
        assert_eq!(left, 0);
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let zones = prop::sample::select(&["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Beirut"][..]);
    let weights = prop::collection::vec(prop_oneof![Just(0_u32), 1..1_000_u32, any::<u32>()], HOURS_OF_WEEK);
    let paces = prop_oneof![
        Just(Pace::Even),
        (0..=MILLION).prop_map(Pace::FrontLoaded),
        weights.prop_map(|weights| Pace::Traffic(weights.try_into().map(Box::new).expect("168 of them"))),
    ];
    // 2007 to 2037, so that clocks change within the hour in St John's until 2011.
    let flights = (13_514 * 1_440..24_472 * 1_440_u64, 1..20 * 1_440_u64)
        .prop_map(|(from, length)| Period::Flight { from: from * MINUTE, to: (from + length) * MINUTE });
    let plans = (zones, prop_oneof![Just(Period::Daily), flights], paces, any::<bool>());
    let plans = plans.prop_map(|(zone, period, pace, has_days)| Plan {
        budget: 1_000_000,
        period,
        zone: Zone::named(zone).expect("a zone of the database"),
        pace,
        daily_max: has_days.then_some(1_250_000),
        price: 1,
    });
    plans.prop_filter("weights that are all zero", |plan| plan.check().is_ok())
}

/// A moment within a plan's time, on a minute. Half of them are on days when clocks change.
fn moments() -> impl Strategy<Value = (u64, u64)> {
    let changes = prop::sample::select(&[SPRING, SPRING + DAY, AUTUMN, AUTUMN + DAY, SPRING - 2 * DAY][..]);
    (prop_oneof![changes, (13_514..24_472_u64).prop_map(|day| day * DAY)], 0..1_440_u64)
        .prop_map(|(day, minute)| (day, minute * MINUTE))
}

proptest! {
    #[test]
    fn a_share_is_that_of_its_minutes(plan in plans(), (day, minute) in moments(), parts in [0.0..=1.0, 0.0..=1.0_f64]) {
        let at = match plan.period {
            Period::Flight { from, .. } => from,
            _ => day + minute,
        };
        let (curve, period) = curve_at(&plan, at);
        let [one, other] = parts.map(|part| {
            period.begin + ((period.end - period.begin) as f64 * part) as u64 / MINUTE * MINUTE
        });
        let (from, to) = (one.min(other), one.max(other));
        let (share, naive) = (curve.share(from, to), naive_share(&plan, period, from, to));
        prop_assert!((share - naive).abs() < 1e-7, "{share}, {naive}");
    }

    #[test]
    fn a_curve_rises_from_0_to_1_and_adds_up(plan in plans(), (day, minute) in moments(), parts in [0.0..=1.0, 0.0..=1.0, 0.0..=1.0_f64]) {
        let at = match plan.period {
            Period::Flight { from, .. } => from,
            _ => day + minute,
        };
        let (curve, period) = curve_at(&plan, at);
        let PeriodOf { begin, end, .. } = period;
        prop_assert_eq!(curve.share(begin, begin), 0.0);
        prop_assert_eq!(curve.share(begin, end), 1.0);
        prop_assert_eq!(curve.share(0, u64::MAX), 1.0);
        prop_assert_eq!(curve.share(end, begin), 0.0);
        let mut at = parts.map(|part| begin + ((end - begin) as f64 * part) as u64);
        at.sort_unstable();
        let [a, b, c] = at;
        prop_assert!(curve.share(begin, a) <= curve.share(begin, b) + 1e-12);
        let (whole, parts) = (curve.share(a, c), curve.share(a, b) + curve.share(b, c));
        prop_assert!((whole - parts).abs() < 1e-12, "{whole}, {parts}");
        for number in [curve.share(a, b), curve.traffic(a, b), curve.traffic(b, c)] {
            prop_assert!(number.is_finite() && number >= 0.0, "{number}");
        }
    }
}
