//! Days, flights, and what is left of them.

use ad_tally_core::pacer::ledger::{Lease, Ledger};
use ad_tally_core::pacer::message::Report;
use ad_tally_core::pacer::{Pace, Period, Plan};

use crate::support::{
    BEGIN, DAY, HOUR, MINUTE, TODAY, config, daily, flight, ledger, node, renew, report, seed, status,
};

const ALL: Lease = Lease::Whole;

const ONE: Lease = Lease::Shared { nodes: 1 };

/// A node that wants all that there is on a day, and spends a part of it: how much that is.
fn spend(ledger: &Ledger, day: u32, part: f64) -> u64 {
    let now = BEGIN + u64::from(day) * DAY + HOUR;
    let today = Report { period: TODAY + day, ..report(0, 1 << 40) };
    let mut granted = 0;
    loop {
        let all = renew(ledger, node(1), Report { granted, ..today }, now).granted;
        if all == granted {
            break;
        }
        granted = all;
    }
    let spent = (granted as f64 * part) as u64;
    let confirms = 1 + spent / 1_000;
    renew(ledger, node(1), Report { granted, spent, returned: granted - spent, confirms, wanted: 0, ..today }, now);
    spent
}

#[test]
fn each_day_has_the_whole_budget_and_an_account_of_its_own() {
    let ledger = ledger(ALL, daily(10_000));
    for day in 0..3 {
        let now = BEGIN + u64::from(day) * DAY;
        let grant = renew(&ledger, node(1), Report { period: TODAY + day, ..report(0, 1) }, now);
        assert_eq!((grant.granted, grant.begin, grant.until), (10_000, now, now + DAY));
    }
}

#[test]
fn nothing_is_granted_of_a_day_before_it_has_begun_here_or_after_it_is_over() {
    let ledger = ledger(ALL, daily(10_000));
    let tomorrow = Report { period: TODAY + 1, ..report(0, 1) };
    assert_eq!(ledger.renew(node(1), &[tomorrow], BEGIN + DAY - 1), Ok(Vec::new()));
    assert_eq!(renew(&ledger, node(1), tomorrow, BEGIN + DAY).granted, 10_000);
    assert_eq!(ledger.renew(node(1), &[report(0, 1)], BEGIN + DAY), Ok(Vec::new()));
}

#[test]
fn what_yesterday_spends_late_is_booked_on_yesterday() {
    let ledger = ledger(ALL, daily(10_000));
    renew(&ledger, node(1), report(0, 1), BEGIN + HOUR);
    let morning = BEGIN + DAY + MINUTE;
    let late = Report { spent: 9_000, confirms: 9, reserved: 500, ..report(10_000, 0) };
    let grant = renew(&ledger, node(1), late, morning);
    assert_eq!((grant.granted, grant.period, grant.keep), (10_000, TODAY, 0));
    let status = status(&ledger, morning);
    assert_eq!((status.money.spent, status.spent_in_all, status.wall), (0, 9_000, 10_000));
}

#[test]
fn a_flight_is_spent_exactly_and_no_day_more_than_a_quarter_above_its_part() {
    let budget = 10_000_000;
    let ledger = ledger(ONE, flight(budget));
    let mut days = Vec::new();
    for day in 0..10 {
        // The third day spends next to nothing: those after it have its part as well.
        days.push(spend(&ledger, day, if day == 2 { 0.01 } else { 1.0 }));
    }
    assert_eq!(days.iter().sum::<u64>(), budget, "{days:?}");
    assert!(days[..9].iter().all(|spent| *spent <= 1_250_000), "{days:?}");
    assert_eq!((days[0], days[1], days[2]), (1_250_000, 1_250_000, 12_500));
}

#[test]
fn what_a_day_of_a_flight_spends_late_is_not_there_for_others() {
    let ledger = ledger(ALL, Plan { daily_max: Some(100_000_000), ..flight(10_000_000) });
    let granted = renew(&ledger, node(1), report(0, 1), BEGIN).granted;
    assert_eq!(granted, 10_000_000);
    // It gives half of it back at midnight, and still has reservations.
    let back =
        Report { returned: 5_000_000, reserved: 100_000, spent: 4_900_000, confirms: 4_900, ..report(granted, 0) };
    let morning = BEGIN + DAY;
    renew(&ledger, node(1), back, morning);
    let today = Report { period: TODAY + 1, ..report(0, 1) };
    assert_eq!(renew(&ledger, node(1), today, morning).granted, 5_000_000);
    // What yesterday's reservations did not cost comes back as well.
    renew(&ledger, node(1), Report { reserved: 0, returned: 5_100_000, ..back }, morning + MINUTE);
    let more = Report { granted: 5_000_000, spent: 5_000_000, confirms: 5_000, ..today };
    assert_eq!(renew(&ledger, node(1), more, morning + MINUTE).granted, 5_100_000);
}

#[test]
fn nothing_is_granted_before_a_flight_begins_and_after_it_has_ended() {
    let ledger = ledger(ALL, flight(10_000));
    for (now, day) in [(BEGIN - 1, 0), (BEGIN + 10 * DAY, 10)] {
        let today = Report { period: TODAY + day, ..report(0, 1) };
        assert_eq!(ledger.renew(node(1), &[today], now), Ok(Vec::new()), "{now}");
    }
    assert_eq!(status(&ledger, BEGIN - 1).period, None);
}

#[test]
fn a_flight_without_days_and_a_lifetime_are_one_period() {
    let lifetime = Plan { period: Period::Lifetime, pace: Pace::Asap, ..daily(10_000) };
    for plan in [Plan { daily_max: None, ..flight(10_000) }, lifetime] {
        let ledger = ledger(ALL, plan);
        let whole = Report { period: 0, ..report(0, 1) };
        assert_eq!(renew(&ledger, node(1), whole, BEGIN).granted, 10_000);
        assert_eq!(renew(&ledger, node(1), Report { granted: 10_000, ..whole }, BEGIN + 5 * DAY).granted, 10_000);
    }
}

/// The coordinator's clock jumps ahead by a day, and comes back.
#[test]
fn a_clock_that_jumps_over_midnight_and_back_opens_no_day_twice() {
    let ledger = ledger(ALL, daily(10_000));
    renew(&ledger, node(1), report(0, 1), BEGIN + HOUR);
    let tomorrow = Report { period: TODAY + 1, ..report(0, 1) };
    assert_eq!(renew(&ledger, node(1), tomorrow, BEGIN + DAY + HOUR).granted, 10_000);
    assert_eq!(renew(&ledger, node(1), report(10_000, 1), BEGIN + 2 * HOUR).granted, 10_000);
    assert_eq!(renew(&ledger, node(2), report(0, 1), BEGIN + 2 * HOUR).granted, 0);
    assert_eq!(renew(&ledger, node(2), tomorrow, BEGIN + DAY).granted, 0);
}

/// It jumps so far that accounts are closed: then their day has no more money, and is not a new one.
#[test]
fn a_day_that_was_closed_is_not_granted_from_again() {
    let ledger = ledger(ALL, daily(10_000));
    renew(&ledger, node(1), report(0, 1), BEGIN + HOUR);
    assert!(ledger.tick(BEGIN + 9 * DAY, || true));
    assert_eq!(ledger.renew(node(2), &[report(0, 1)], BEGIN + 2 * HOUR), Ok(Vec::new()));
    assert_eq!(ledger.renew(node(1), &[report(10_000, 1)], BEGIN + 2 * HOUR), Ok(Vec::new()));
    assert_eq!(renew(&ledger, node(1), Report { period: TODAY + 9, ..report(0, 1) }, BEGIN + 9 * DAY).granted, 10_000);
}

#[test]
fn accounts_of_a_flight_that_are_closed_count_against_its_budget() {
    let ledger = ledger(ONE, Plan { daily_max: Some(100_000_000), ..flight(10_000_000) });
    // Of what it gets it says nothing any more.
    let lost = renew(&ledger, node(1), report(0, 600_000), BEGIN).granted;
    assert_eq!(lost, 600_000);
    assert!(ledger.tick(BEGIN + 5 * DAY, || true));
    assert_eq!(spend(&ledger, 5, 1.0) + lost, 10_000_000);
    assert_eq!(status(&ledger, BEGIN + 5 * DAY + HOUR).leases.len(), 1);
}

#[test]
fn the_rate_follows_what_is_spent() {
    let ledger = ledger(ALL, daily(86_400_000));
    let rate = |now| status(&ledger, now).pass;
    assert!((rate(BEGIN) - 0.1).abs() < 1e-9);
    let (mut spent, mut now, mut granted) = (0, BEGIN, renew(&ledger, node(1), report(0, 1), BEGIN).granted);
    // Where all requests cost 200,000 a minute, a third of them is the budget of the day.
    for _ in 0..12 * 60 {
        now += MINUTE;
        spent += (200_000.0 * rate(now)) as u64;
        let so_far = Report { spent, confirms: spent / 1_000 + 1, ..report(granted, 1) };
        granted = renew(&ledger, node(1), so_far, now).granted;
        assert!(ledger.tick(now, || true));
    }
    let status = status(&ledger, now);
    assert!((0.25..0.35).contains(&status.pass), "{}", status.pass);
    assert!((0.97..1.03).contains(&status.delivery.expect("a target")), "{status:?}");
    assert_eq!((status.money.target, status.money.spent), (43_200_000, spent));
}

#[test]
fn a_campaign_that_spends_what_it_can_takes_part_in_all() {
    let ledger = ledger(ALL, Plan { pace: Pace::Asap, ..daily(10_000) });
    assert_eq!(renew(&ledger, node(1), report(0, 1), BEGIN).pass, u64::MAX);
    assert!(ledger.tick(BEGIN + MINUTE, || true));
    let status = status(&ledger, BEGIN + MINUTE);
    assert_eq!((status.pass, status.money.target), (1.0, 10_000));
}

#[test]
fn a_tick_goes_on_where_it_was_interrupted() {
    let ledger = Ledger::new(config(ALL), seed(), None);
    for number in 0..10 {
        ledger.put(seed().key(&[0, number]), daily(1_000_000), BEGIN).expect("room");
    }
    let mut steps = 1;
    while !ledger.tick(BEGIN + MINUTE, || false) {
        steps += 1;
    }
    assert_eq!(steps, 2);
    assert!(ledger.tick(BEGIN + 2 * MINUTE, || true));
    let all = (0..10).map(|number| ledger.status(seed().key(&[0, number]), BEGIN + 2 * MINUTE));
    // All rates have risen twice.
    assert!(all.map(|status| status.expect("a campaign").pass).all(|pass| (pass - 0.225).abs() < 1e-6));
}
