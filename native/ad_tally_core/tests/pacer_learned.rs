//! What is learned of traffic, against a twin that keeps all that it was told.
#![cfg(not(loom))]

use ad_tally_core::pacer::Learned;
use ad_tally_core::pacer::learned::WORDS;
use ad_tally_core::pacer::plan::HOURS_OF_WEEK;
use ad_tally_core::time::Zone;
use proptest::prelude::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// 2026-01-05, a Monday.
const MONDAY: u64 = 20_458 * DAY;

fn berlin() -> Zone {
    Zone::named("Europe/Berlin").expect("a zone of the database")
}

fn utc() -> Zone {
    Zone::fixed(0)
}

/// Tells hour by hour, from a Monday on, what `requests` has of each.
fn told(zone: &Zone, hours: u64, requests: impl Fn(u64) -> Option<u64>) -> Learned {
    let mut learned = Learned::default();
    for hour in 0..=hours {
        let at = MONDAY + hour * HOUR;
        if let Some(requests) = requests(hour) {
            learned.tick(zone, at, at + HOUR, requests, 1.0);
        }
    }
    learned
}

#[test]
fn two_weeks_have_to_be_known() {
    assert_eq!(Learned::default().profile(), None);
    let hours = 2 * HOURS_OF_WEEK as u64;
    let almost = told(&utc(), hours - 1, |_| Some(10));
    assert_eq!((almost.known_hours(), almost.profile()), (335, None));
    let learned = told(&utc(), hours, |_| Some(10));
    assert_eq!((learned.known_hours(), learned.profile()), (336, Some([10.0; HOURS_OF_WEEK])));
    assert_eq!(told(&utc(), hours, |_| Some(0)).profile(), None, "no traffic is no profile");
}

#[test]
fn requests_are_those_that_passed_by_the_rate_of_their_tick() {
    let mut learned = Learned::default();
    for hour in 0..400 {
        let at = MONDAY + hour * HOUR;
        let ends = (0..60).filter(|minute| {
            let at = at + minute * 60_000;
            let (passed, p) = if minute % 2 == 0 { (1, 0.125) } else { (3, 0.5) };
            learned.tick(&utc(), at, at + 60_000, passed, p)
        });
        assert_eq!(ends.count(), usize::from(hour > 0), "an hour is known with the first tick of the next");
    }
    let profile = learned.profile().expect("two weeks");
    profile.iter().for_each(|requests| assert!((requests - 30.0 * (8.0 + 6.0)).abs() < 1e-3, "{requests}"));
}

#[test]
fn what_is_three_weeks_older_counts_half_and_eight_weeks_are_all() {
    let week = HOURS_OF_WEEK as u64;
    // One week in four has requests.
    let learned = told(&utc(), 4 * week, |hour| Some(if hour < week { 300 } else { 0 }));
    let weight = |ago: i32| 0.5_f64.powf(f64::from(ago) / 3.0);
    let expected = 300.0 * weight(3) / (0..4).map(weight).sum::<f64>();
    // Of the hour that goes on now the oldest week is not four ago.
    assert!((learned.profile().expect("four weeks")[5] - expected).abs() < 1e-3);
    let learned = told(&utc(), 9 * week, |hour| Some(if hour < week { 300 } else { 1 }));
    assert_eq!(learned.profile(), Some([1.0; HOURS_OF_WEEK]));
    assert_eq!(learned.known_hours(), 8 * HOURS_OF_WEEK - 1);
}

#[test]
fn missing_hours_are_not_hours_without_requests() {
    let week = HOURS_OF_WEEK as u64;
    // Mondays are unknown, Tuesdays have none.
    let learned = told(&utc(), 3 * week, |hour| match hour % week / 24 {
        0 => None,
        1 => Some(0),
        _ => Some(60),
    });
    let profile = learned.profile().expect("18 days");
    assert_eq!(profile[30], 0.0);
    assert!((profile[100] - 60.0).abs() < 1e-9);
    // As the others are in the mean.
    assert!((profile[3] - 50.0).abs() < 1e-9, "{}", profile[3]);
}

#[test]
fn an_hour_that_was_seen_in_part_is_scaled_and_one_that_was_hardly_seen_is_missing() {
    let mut learned = Learned::default();
    learned.tick(&utc(), MONDAY, MONDAY + HOUR * 3 / 4, 30, 1.0);
    assert!(learned.tick(&utc(), MONDAY + HOUR, MONDAY + HOUR * 5 / 4, 30, 1.0));
    assert_eq!(learned.known_hours(), 1);
    assert!(!learned.tick(&utc(), MONDAY + 2 * HOUR, MONDAY + 3 * HOUR, 30, 1.0));
    assert_eq!(learned.known_hours(), 1, "a quarter of an hour is not an hour");
}

#[test]
fn a_repeated_hour_is_one_of_the_same_traffic() {
    let week = HOURS_OF_WEEK as u64;
    // Clocks go back in the second week, on 2026-10-25: one hour of the week has twice the requests.
    let (zone, monday) = (berlin(), 20_744 * DAY - 2 * HOUR);
    let mut learned = Learned::default();
    for hour in 0..=2 * week + 1 {
        learned.tick(&zone, monday - WEEK + hour * HOUR, monday - WEEK + (hour + 1) * HOUR, 10, 1.0);
    }
    assert_eq!(learned.profile(), Some([10.0; HOURS_OF_WEEK]));
}

#[test]
fn ticks_that_tell_nothing_change_nothing() {
    let mut learned = told(&utc(), 400, Some);
    let before = learned.clone();
    let now = MONDAY + 401 * HOUR;
    for (from, to, p) in
        [(now, now, 0.5), (now, now - 1, 0.5), (now, now + DAY + 1, 0.5), (now, now + 1, 0.0), (now, now + 1, f64::NAN)]
    {
        assert!(!learned.tick(&utc(), from, to, 7, p));
    }
    assert!(!learned.tick(&utc(), MONDAY, MONDAY + HOUR, 7, 0.5), "it is of a time before");
    assert_eq!(learned, before);
}

#[test]
fn words_that_are_nothing_learned_are_refused() {
    let learned = told(&berlin(), 500, |hour| Some(hour * hour));
    let words = learned.to_words();
    assert_eq!(words.len(), WORDS);
    assert_eq!(Learned::from_words(&words), Some(learned));
    assert_eq!(Learned::from_words(&words[1..]), None);
    for (at, word) in [
        (0, f32::NAN.to_bits().into()),
        (3, u64::from((-2.0_f32).to_bits()) << 32),
        (WORDS - 3, u64::MAX),
        (WORDS - 2, f64::NAN.to_bits()),
        (WORDS - 1, u64::MAX),
    ] {
        let mut words = words.clone();
        words[at] = word;
        assert_eq!(Learned::from_words(&words), None, "{word:x} in word {at}");
    }
}

/// Keeps the requests and the time of each hour, in UTC.
#[derive(Default)]
struct Naive {
    hours: std::collections::BTreeMap<u64, (f64, u64)>,
}

impl Naive {
    fn tick(&mut self, from: u64, to: u64, passed: u64, p: f64) {
        let mut at = from;
        while at < to {
            let end = to.min((at / HOUR + 1) * HOUR);
            let hour = self.hours.entry(at / HOUR).or_default();
            hour.0 += passed as f64 / p * (end - at) as f64 / (to - from) as f64;
            hour.1 += end - at;
            at = end;
        }
    }

    fn known(&self) -> Vec<(u64, f64)> {
        let now = *self.hours.last_key_value().expect("a tick").0;
        let known =
            self.hours.iter().filter(|(hour, (_, seen))| *hour + 8 * 168 > now && **hour < now && *seen >= HOUR / 2);
        known.map(|(hour, (requests, seen))| (*hour, requests * HOUR as f64 / *seen as f64)).collect()
    }

    fn profile(&self) -> Option<Vec<f64>> {
        let (known, now) = (self.known(), *self.hours.last_key_value()?.0);
        let means = (0..168).map(|of_week| {
            let hours = known.iter().filter(|(hour, _)| (hour + 72) % 168 == of_week);
            let weighted = hours.map(|(hour, requests)| {
                let weight = 0.5_f64.powf(((now - hour) / 168) as f64 / 3.0);
                (requests * weight, weight)
            });
            let (sum, weights) = weighted.fold((0.0, 0.0), |all, of| (all.0 + of.0, all.1 + of.1));
            (weights > 0.0).then_some(sum / weights)
        });
        let means: Vec<Option<f64>> = means.collect();
        let there: Vec<f64> = means.iter().flatten().copied().collect();
        let mean = there.iter().sum::<f64>() / there.len() as f64;
        let is_enough = known.len() >= 336 && there.iter().any(|requests| *requests > 0.0);
        is_enough.then(|| means.into_iter().map(|of| of.unwrap_or(mean)).collect())
    }
}

proptest! {
    #[test]
    fn learns_what_the_twin_has_kept(
        ticks in prop::collection::vec((0..40_u64, 1..9 * 60_u64, 0..1_000_u64, 1..=100_u32), 100..600),
    ) {
        let (mut learned, mut naive) = (Learned::default(), Naive::default());
        let mut at = MONDAY;
        for (gap, minutes, passed, percent) in ticks {
            // Most ticks follow on the one before, some come hours later.
            at += if gap > 36 { gap * HOUR } else { 0 };
            let (to, p) = (at + minutes * 60_000, f64::from(percent) / 100.0);
            learned.tick(&utc(), at, to, passed, p);
            naive.tick(at, to, passed, p);
            at = to;
        }
        prop_assert_eq!(learned.known_hours(), naive.known().len());
        match (learned.profile(), naive.profile()) {
            (None, None) => {}
            (Some(profile), Some(expected)) => {
                for (one, other) in profile.iter().zip(expected) {
                    prop_assert!((one - other).abs() <= 1e-5 * other, "{one} {other}");
                }
            }
            (one, other) => prop_assert!(false, "{one:?} {other:?}"),
        }
        prop_assert_eq!(Learned::from_words(&learned.to_words()), Some(learned));
    }

    #[test]
    fn any_ticks_are_taken(ticks in prop::collection::vec((0..1_u64 << 47, 0..2 * DAY, any::<u64>(), any::<f64>()), 1..50)) {
        let mut learned = Learned::default();
        for (from, length, passed, p) in ticks {
            learned.tick(&berlin(), from, from + length, passed, p);
            prop_assert_eq!(Learned::from_words(&learned.to_words()), Some(learned.clone()));
        }
    }
}
