//! The controller: its bounds for whatever it is told, what an edit does, and where it arrives.
#![cfg(not(loom))]

use ad_tally_core::pacer::controller::{LEAST, START, WORDS, threshold};
use ad_tally_core::pacer::plan::MILLION;
use ad_tally_core::pacer::{Ahead, Controller, Curve, Pace, Period, Plan, Tick, day_budget};
use ad_tally_core::time::Zone;
use proptest::prelude::*;

const MINUTE: u64 = 60_000;
const MINUTES: u64 = 1_440;

/// A tick in an even day, of which so many minutes are over, in which so much was spent.
fn minute(over: u64, spent: i64, left: u64) -> Tick {
    let share = 1.0 / MINUTES as f64;
    let ahead = Ahead { share, rest: 1.0 - over as f64 * share, traffic: share, days: 1.0 };
    Tick { elapsed: MINUTE, traffic: share, spent, left, price: 1_000, ahead, begins: over == 0 }
}

/// So many minutes of days of a budget, in each of which `a_day` could be spent. Calls `see` after each tick with the minutes
/// of the day that are over, what is spent of the day, and p.
fn run(controller: &mut Controller, a_day: f64, budget: u64, minutes: u64, mut see: impl FnMut(u64, u64, f64)) {
    let mut spent = 0.0;
    for over in 1..=minutes {
        let before = spent;
        spent = (spent + controller.p() * a_day / MINUTES as f64).min(budget as f64);
        let now = (spent - before) as i64;
        see(over % MINUTES, spent as u64, controller.p());
        if over % MINUTES == 0 {
            spent = 0.0;
        }
        controller.tick(&minute(over % MINUTES, now, budget - spent as u64));
    }
}

/// One that has spent a quarter of what it could for a day and a half.
fn at_noon() -> Controller {
    let mut controller = Controller::new(1e7);
    run(&mut controller, 1e7, 2_500_000, MINUTES * 3 / 2, |_, _, _| {});
    assert!((controller.p() - 0.25).abs() < 0.01, "{}", controller.p());
    controller
}

#[test]
fn spends_a_budget_evenly_whatever_was_expected() {
    for expected in [1e6, 1e7, 1e8] {
        let mut controller = Controller::new(expected);
        run(&mut controller, 1e7, 2_500_000, 3 * MINUTES, |over, spent, p| {
            // The last minute of a day is 0.
            let target = if over == 0 { 2_500_000 } else { 2_500_000 * over / MINUTES };
            let off = spent.abs_diff(target);
            assert!(off < 50_000, "{expected}: {spent} of {target} after {over} minutes");
            if (120..1_400).contains(&over) {
                assert!((p - 0.25).abs() < 0.02, "{expected}: {p} after {over} minutes");
            }
            if over == 0 {
                assert!(spent > 2_499_000, "{spent}");
            }
        });
    }
}

#[test]
fn an_edit_of_the_budget_changes_nothing_but_what_is_wanted() {
    let seen = at_noon();
    let (mut cut, mut raised) = (seen.clone(), seen.clone());
    cut.tick(&minute(720, 1_700, 625_000));
    raised.tick(&minute(720, 1_700, 1_875_000));
    // All that was seen is the same, whatever is left.
    assert_eq!(cut.to_words()[..WORDS - 1], raised.to_words()[..WORDS - 1]);
    assert!(cut.p() < seen.p() && seen.p() < raised.p());
    // A budget that is cut for a minute and raised again has the rate that it would have had, once that has risen again.
    let mut never = seen;
    never.tick(&minute(720, 1_700, 1_250_000));
    for over in 721..723 {
        cut.tick(&minute(over, 1_700, 1_248_000));
        never.tick(&minute(over, 1_700, 1_248_000));
    }
    assert!((cut.p() / never.p() - 1.0).abs() < 0.02, "{} {}", cut.p(), never.p());
}

#[test]
fn the_rate_is_kept_while_nothing_can_be_spent() {
    let mut controller = at_noon();
    let before = controller.p();
    for over in 721..800 {
        assert_eq!(controller.tick(&minute(over, 0, 999)), before, "not even one impression");
    }
    // A budget that was cut below what was spent, and is raised again: it begins with a rate that is about right.
    assert!(controller.tick(&minute(800, 0, 1_250_000)) < 0.4);
}

#[test]
fn a_day_begins_with_what_is_wanted_however_the_last_one_ended() {
    for end in [LEAST, 1.0] {
        let mut words = at_noon().to_words();
        words[WORDS - 1] = end.to_bits();
        let mut controller = Controller::from_words(words).expect("a rate");
        controller.tick(&minute(0, 0, 2_500_000));
        // At a rate of 1 there was much traffic in the minute in which nothing was spent.
        assert!((controller.p() - 0.25).abs() < 0.02, "{}", controller.p());
    }
    // Without anything seen, nothing is known of what is wanted.
    let mut new = Controller::new(1e8);
    let p = new.tick(&minute(0, 0, 50_000_000));
    assert!((p - 0.15).abs() < 1e-9, "{p}");
}

#[test]
fn what_was_spent_in_the_last_hour_counts_more_than_the_day() {
    // Requests double at noon.
    let mut controller = at_noon();
    let (mut left, mut p) = (1_250_000, controller.p());
    let mut right = 0.0;
    for over in 720..960 {
        let spent = (p * 2e7 / MINUTES as f64) as u64;
        left -= spent;
        p = controller.tick(&minute(over, spent as i64, left));
        right = left as f64 / (2e7 * (0.99 - over as f64 / MINUTES as f64));
        if over == 780 {
            assert!((1.0..1.5).contains(&(p / right)), "an hour is the half-life: {p}, {right}");
        }
    }
    // Some 80 impressions of the last hours stand against 20 by which the day is believed.
    assert!((1.0..1.2).contains(&(p / right)), "{p}, {right}");
}

#[test]
fn a_minute_without_traffic_has_the_rate_of_a_mean_one() {
    let mut controller = at_noon();
    let mut night = minute(720, 0, 1_237_500);
    night.traffic = 0.0;
    (night.ahead.share, night.ahead.traffic) = (0.0, 0.0);
    for _ in 0..60 {
        assert!((controller.tick(&night) - 0.25).abs() < 0.01, "{}", controller.p());
    }
}

/// A flight over the two days around a change of clocks, each with its part of the budget. Calls `see` once an hour with the
/// share of the day's curve, and what was spent of the day's budget.
fn fly(pace: Pace, mut see: impl FnMut(f64, f64)) {
    let zone = Zone::named("Europe/Berlin").expect("a zone of the database");
    // Saturday and Sunday, 2026-10-24 and 25, of 24 and 25 hours.
    let (from, to) = (1_792_792_800_000, 1_792_969_200_000);
    let period = Period::Flight { from, to };
    let plan = Plan { budget: 5_000_000, period, zone, pace, daily_max: Some(1_250_000), price: 1_000 };
    let at = |number, begin, end| ad_tally_core::pacer::PeriodOf { number, begin, end };
    let whole = Curve::new(&plan, None, at(0, from, to));
    let mut controller = Controller::new(1e7);
    let (mut now, mut left, mut told) = (from, plan.budget, 0);
    while let Some(period) = plan.period_at(now) {
        let curve = Curve::new(&plan, None, period);
        let budget = day_budget(&plan, &whole, period, left).target;
        let mut spent = 0.0;
        while now < period.end {
            let before = if now == period.begin { period.end } else { now };
            controller.tick(&Tick {
                elapsed: MINUTE,
                traffic: curve.traffic(before - MINUTE, before),
                spent: told,
                left: budget - spent as u64,
                price: 1_000,
                ahead: curve.ahead(now, now + MINUTE),
                begins: now == period.begin,
            });
            let minute = (controller.p() * 1e7 * curve.traffic(now, now + MINUTE)).min(budget as f64 - spent);
            (spent, told, now) = (spent + minute, minute as i64, now + MINUTE);
            if now % (60 * MINUTE) == 0 {
                see(curve.share(period.begin, now), spent / budget as f64);
            }
        }
        left -= spent as u64;
    }
    assert_eq!(now, to);
    assert!(left < 10_000, "{left} are left of the flight");
}

#[test]
fn days_of_a_flight_are_spent_along_its_curve_when_clocks_change_as_well() {
    let weights = Pace::Traffic(Box::new(std::array::from_fn(|hour| 1 + (hour as u32 % 24) * 3)));
    for pace in [Pace::Even, Pace::FrontLoaded(500_000), Pace::FrontLoaded(MILLION), weights] {
        let mut hours = 0;
        fly(pace.clone(), |share, spent| {
            hours += 1;
            assert!((share - spent).abs() < 0.03, "{pace:?}, hour {hours}: {spent} of {share}");
        });
        assert_eq!(hours, 49);
    }
}

#[test]
fn thresholds_are_rates_of_all_hashes_and_1_is_all() {
    assert_eq!(threshold(1.0), u64::MAX);
    assert_eq!(threshold(0.5), 1 << 63);
    assert_eq!(threshold(0.0), 0);
    assert_eq!(threshold(f64::NAN), 0);
    assert_eq!(threshold(LEAST), 1_844_674_407_370_955);
}

#[test]
fn words_that_are_no_state_are_refused() {
    let words = Controller::new(5e6).to_words();
    assert_eq!(Controller::from_words(words), Some(Controller::new(5e6)));
    for (at, number) in [(0, f64::NAN), (1, f64::INFINITY), (2, -1.0), (5, 0.5), (6, 0.0), (6, 1.5), (6, LEAST / 2.0)] {
        let mut words = words;
        words[at] = number.to_bits();
        assert_eq!(Controller::from_words(words), None, "{number} in word {at}");
    }
}

/// Any number, most of them such as there are.
fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![4 => 0.0..=1.0, 2 => 0.0..1e-6_f64, 1 => any::<f64>(), 1 => Just(0.0), 1 => Just(f64::NAN)]
}

fn ticks() -> impl Strategy<Value = Tick> {
    let elapsed = prop_oneof![4 => Just(MINUTE), 2 => 0..10 * MINUTE, 1 => any::<u64>()];
    let amounts = || prop_oneof![4 => 0..10_000_000_u64, 1 => 0..=1_u64 << 62, 1 => any::<u64>()];
    let spent = prop_oneof![4 => -10_000..1_000_000_i64, 1 => any::<i64>()];
    let ahead = [numbers(), numbers(), numbers(), numbers()];
    (elapsed, numbers(), spent, amounts(), amounts(), ahead, any::<bool>()).prop_map(
        |(elapsed, traffic, spent, left, price, [share, rest, ahead, days], begins)| {
            let ahead = Ahead { share, rest, traffic: ahead, days };
            Tick { elapsed, traffic, spent, left, price, ahead, begins }
        },
    )
}

proptest! {
    #[test]
    fn a_rate_is_within_its_bounds_and_changes_by_so_much_a_minute(
        expected in prop_oneof![1.0..1e12, any::<f64>()],
        ticks in prop::collection::vec(ticks(), 1..50),
    ) {
        let mut controller = Controller::new(expected);
        prop_assert_eq!(controller.p(), START);
        for tick in &ticks {
            let before = controller.p();
            let p = controller.tick(tick);
            prop_assert_eq!(p, controller.p());
            prop_assert!((LEAST..=1.0).contains(&p), "{p}");
            // So it can be written at any moment, and there is no NaN in it.
            let words = controller.to_words();
            prop_assert_eq!(Controller::from_words(words), Some(controller.clone()), "{:?}", words.map(f64::from_bits));
            let minutes = tick.elapsed as f64 / MINUTE as f64;
            if tick.begins {
                continue;
            }
            let rounding = 1.0 + 1e-9;
            prop_assert!(p <= before * 1.5_f64.powf(minutes) * rounding, "{before} to {p} in {minutes} minutes");
            prop_assert!(p * rounding >= before * 0.5_f64.powf(minutes), "{before} to {p} in {minutes} minutes");
        }
    }

    #[test]
    fn more_that_is_left_is_never_a_lower_rate(before in prop::collection::vec(ticks(), 0..20), last in ticks(), more in 0..1_000_000_000_u64) {
        // With less than a price the rate is kept.
        let last = Tick { left: last.left.max(last.price), ..last };
        let mut one = Controller::new(1e7);
        before.iter().for_each(|tick| { one.tick(tick); });
        let mut other = one.clone();
        let most = Tick { left: last.left.saturating_add(more), ..last };
        prop_assert!(one.tick(&last) <= other.tick(&most));
    }

    #[test]
    fn any_words_are_refused_or_a_state_of_which_more_ticks_can_be_told(
        words in prop::array::uniform7(prop_oneof![any::<u64>(), numbers().prop_map(f64::to_bits)]),
        ticks in prop::collection::vec(ticks(), 1..5),
    ) {
        if let Some(mut controller) = Controller::from_words(words) {
            prop_assert_eq!(controller.to_words(), words);
            for tick in &ticks {
                let p = controller.tick(tick);
                prop_assert!((LEAST..=1.0).contains(&p), "{p}");
            }
        }
    }
}
