//! Plans: what is refused, the periods of time, and bytes that are a plan or are refused.
#![cfg(not(loom))]

use ad_tally_core::Error;
use ad_tally_core::error::TIMES;
use ad_tally_core::pacer::plan::{HOURS_OF_WEEK, LONGEST_FLIGHT, MILLION, MOST_MICROS};
use ad_tally_core::pacer::{Pace, Period, PeriodOf, Plan};
use ad_tally_core::time::Zone;
use proptest::prelude::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const NAMES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Etc/UTC"];

fn zone(name: &str) -> Zone {
    Zone::named(name).expect("a zone of the database")
}

fn daily(name: &str) -> Plan {
    Plan {
        budget: 50_000_000_000,
        period: Period::Daily,
        zone: zone(name),
        pace: Pace::Even,
        daily_max: Some(1_250_000),
        price: 1_250,
    }
}

#[test]
fn refuses_what_is_no_plan_and_says_what_would_have_been_right() {
    let good = daily("Europe/Berlin");
    assert_eq!(good.check(), Ok(()));
    let refused = |change: &dyn Fn(&mut Plan), error: Error| {
        let mut plan = good.clone();
        change(&mut plan);
        assert_eq!(plan.check(), Err(error), "{plan:?}");
    };
    refused(&|plan| plan.budget = 0, Error::Budget(0));
    refused(&|plan| plan.budget = MOST_MICROS + 1, Error::Budget(MOST_MICROS + 1));
    refused(&|plan| plan.price = 0, Error::Price(0));
    refused(&|plan| plan.daily_max = Some(MILLION - 1), Error::DailyMax(MILLION - 1));
    refused(&|plan| plan.daily_max = Some(100 * MILLION + 1), Error::DailyMax(100 * MILLION + 1));
    refused(&|plan| plan.period = Period::Flight { from: 5, to: 5 }, Error::Flight { from: 5, to: 5 });
    let to = LONGEST_FLIGHT + 6;
    refused(&|plan| plan.period = Period::Flight { from: 5, to }, Error::Flight { from: 5, to });
    refused(&|plan| plan.period = Period::Flight { from: 5, to: TIMES }, Error::Time(TIMES));
    refused(&|plan| plan.period = Period::Lifetime, Error::LifetimePace);
    refused(&|plan| plan.pace = Pace::FrontLoaded(MILLION + 1), Error::FrontLoaded(MILLION + 1));
    refused(&|plan| plan.pace = Pace::Traffic(Box::new([0; HOURS_OF_WEEK])), Error::Weights);
    let lifetime = Plan { period: Period::Lifetime, pace: Pace::Asap, ..good };
    assert_eq!(lifetime.check(), Ok(()));
    assert_eq!(
        Error::Flight { from: 7, to: 5 }.to_string(),
        "a flight ends after it begins, and within ten years (315619200000 ms), not at 5 when it begins at 7"
    );
}

#[test]
fn a_budget_of_a_day_has_a_period_a_local_day_of_23_24_or_25_hours() {
    let plan = daily("Europe/Berlin");
    // 2026-03-28, 29, 30 and 2026-10-25, each at 12:00 UTC.
    let lengths = [(20_540, 24), (20_541, 23), (20_542, 24), (20_751, 25)].map(|(day, hours)| {
        let period = plan.period_at(day * DAY + 12 * HOUR).expect("a day");
        assert_eq!(u64::from(period.number), day);
        assert_eq!(plan.period_at(period.begin), Some(period));
        assert_eq!(plan.period_at(period.end - 1), Some(period));
        assert_eq!(plan.period_at(period.end).map(|next| u64::from(next.number)), Some(day + 1));
        (period.end - period.begin, hours * HOUR)
    });
    lengths.iter().for_each(|(length, expected)| assert_eq!(length, expected));
}

#[test]
fn a_flight_is_cut_at_local_midnights_unless_it_has_no_daily_walls() {
    let from = 20_540 * DAY + 10 * HOUR;
    let to = from + 2 * DAY;
    let mut plan = Plan { period: Period::Flight { from, to }, ..daily("America/New_York") };
    let number = |at: u64| plan.period_at(at).map(|period| period.number);
    assert_eq!([from - 1, to].map(number), [None; 2]);
    let midnight = 20_541 * DAY + 4 * HOUR;
    assert_eq!(plan.period_at(from), Some(PeriodOf { number: 20_540, begin: from, end: midnight }));
    assert_eq!(plan.period_at(midnight).map(|period| period.number), Some(20_541));
    assert_eq!(plan.period_at(to - 1), Some(PeriodOf { number: 20_542, begin: midnight + DAY, end: to }));
    plan.daily_max = None;
    assert_eq!(plan.period_at(midnight), Some(PeriodOf { number: 0, begin: from, end: to }));
    let lifetime = Plan { period: Period::Lifetime, pace: Pace::Asap, ..plan };
    assert_eq!(lifetime.period_at(0), Some(PeriodOf { number: 0, begin: 0, end: TIMES }));
}

#[test]
fn hours_of_1969_are_in_no_period() {
    assert_eq!(daily("America/New_York").period_at(4 * HOUR), None);
    assert_eq!(daily("America/New_York").period_at(5 * HOUR).map(|period| period.number), Some(0));
    assert_eq!(daily("Europe/Berlin").period_at(TIMES), None);
}

#[test]
fn bytes_of_before_are_read_as_they_were_meant() {
    let daily = daily("Europe/Berlin");
    let bytes = b"\x01\x80\xe8\xed\xa1\xba\x01\xe2\x09\xd0\xa5\x4c\x0dEurope/Berlin\x00\x01";
    assert_eq!(daily.to_bytes(), bytes);
    assert_eq!(Plan::from_bytes(bytes), Ok(daily));
    let mut weights = Box::new([1; HOURS_OF_WEEK]);
    weights[167] = 300;
    let flight = Plan {
        budget: 7,
        period: Period::Flight { from: 1_000, to: 1_001 },
        zone: Zone::fixed(-19_800_000),
        pace: Pace::Traffic(weights),
        daily_max: None,
        price: 1,
    };
    let bytes = [b"\x01\x07\x01\x00\x00\xff\xfe\xf0\x12\x01\xe8\x07\xe9\x07\x03", &[1; 167][..], b"\xac\x02"].concat();
    assert_eq!(flight.to_bytes(), bytes);
    assert_eq!(Plan::from_bytes(&bytes), Ok(flight));
    let lifetime = b"\x01\x07\x01\x00\x07Etc/UTC\x02\x00";
    assert_eq!(Plan::from_bytes(lifetime).map(|plan| plan.to_bytes()), Ok(lifetime.to_vec()));
}

#[test]
fn errors_of_bytes_name_the_field_and_what_was_expected() {
    let error = |bytes: &[u8]| Plan::from_bytes(bytes).expect_err("no plan").to_string();
    assert_eq!(error(b""), "version: cut off after 0 bytes, expected 1 bytes (byte 0 of the frame)");
    assert_eq!(error(b"\x02"), "version: 2, expected 1 (byte 0 of the frame)");
    assert_eq!(error(b"\x01\x00"), "budget: 0, expected 1 to 4611686018427387904 (byte 1 of the frame)");
    let unknown = error(b"\x01\x07\x01\x00\x07Etc/UTD\x02\x00");
    assert!(unknown.starts_with("zone: no time zone is named \"Etc/UTD\""), "{unknown}");
    assert!(error(b"\x01\x07\x01\x00\x07Etc/UTC\x02\x01").starts_with("plan: a budget for a lifetime has no end"));
    assert!(error(b"\x01\x07\x01\x00\x07Etc/UTC\x02\x00\x00").starts_with("plan: 1 bytes after it, expected none"));
}

fn plans() -> impl Strategy<Value = Plan> {
    let zones = prop_oneof![
        prop::sample::select(&NAMES[..]).prop_map(zone),
        (1 - DAY as i64..DAY as i64).prop_map(Zone::fixed),
    ];
    let weights = prop::collection::vec(any::<u32>(), HOURS_OF_WEEK);
    let paces = prop_oneof![
        Just(Pace::Asap),
        Just(Pace::Even),
        (0..=MILLION).prop_map(Pace::FrontLoaded),
        weights.prop_map(|weights| Pace::Traffic(weights.try_into().map(Box::new).expect("168 of them"))),
        Just(Pace::Learned),
    ];
    let flight = (0..TIMES - LONGEST_FLIGHT, 1..=LONGEST_FLIGHT);
    let periods = prop_oneof![
        Just(Period::Daily),
        flight.prop_map(|(from, length)| Period::Flight { from, to: from + length }),
        Just(Period::Lifetime),
    ];
    let daily_max = prop::option::of(MILLION..=100 * MILLION);
    let plan = (1..=MOST_MICROS, periods, zones, paces, daily_max, 1..=MOST_MICROS);
    let plans = plan.prop_map(|(budget, period, zone, pace, daily_max, price)| {
        let pace = if period == Period::Lifetime { Pace::Asap } else { pace };
        Plan { budget, period, zone, pace, daily_max, price }
    });
    plans.prop_filter("weights that are all zero", |plan| plan.check().is_ok())
}

proptest! {
    #[test]
    fn what_is_read_from_bytes_is_the_plan_that_was_written(plan in plans()) {
        prop_assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan));
    }

    #[test]
    fn changed_bytes_are_refused_or_are_another_plan(plan in plans(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = plan.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(other) = Plan::from_bytes(&bytes) {
            prop_assert_ne!(&other, &plan);
            prop_assert_eq!(other.check(), Ok(()));
            prop_assert_eq!(other.to_bytes(), bytes);
        }
    }

    #[test]
    fn bytes_that_are_cut_off_are_refused(plan in plans(), at in any::<prop::sample::Index>()) {
        let bytes = plan.to_bytes();
        prop_assert!(Plan::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn any_bytes_are_refused_or_a_plan(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&[1][..], &bytes].concat();
        if let Ok(plan) = Plan::from_bytes(&bytes) {
            prop_assert_eq!(plan.to_bytes(), bytes);
        }
    }

    #[test]
    fn each_time_is_in_the_period_that_it_is_said_to_be_in(plan in plans(), part in 0.0..1.0_f64) {
        let (from, to) = match plan.period {
            Period::Flight { from, to } => (from, to),
            // The year 9999 has an end: times go on.
            _ => (2 * DAY, TIMES),
        };
        let at = from + ((to - from - 1) as f64 * part) as u64;
        let period = plan.period_at(at).expect("within the plan's time");
        prop_assert!(period.begin <= at && at < period.end, "{at} in {period:?}");
        prop_assert!(from.min(period.begin) <= period.begin && period.end <= to);
        prop_assert_eq!(plan.period_at(period.begin), Some(period));
        prop_assert_eq!(plan.period_at(period.end - 1), Some(period));
    }
}
