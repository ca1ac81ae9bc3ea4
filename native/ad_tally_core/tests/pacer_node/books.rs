//! Books of days: each campaign has one of each day that may still matter.

use ad_tally_core::pacer::Node;
use ad_tally_core::pacer::message::Grant;
use ad_tally_core::pacer::node::{Config, Reserved};

use super::support::{BEGIN, DAY, config, funded, grant, plan, reports, seed, with_key};

fn reserve(node: &Node, campaign: i64, now: u64) -> Reserved {
    with_key(campaign, |key| node.reserve(key, now, 10, now, 60_000, || now))
}

/// The coordinator knows all that a node has.
fn tell_all(node: &Node, now: u64) {
    for report in reports(node, now) {
        let of = Grant { campaign: report.campaign, ..grant(0, report.period.into(), report.granted) };
        node.apply(&[Grant { spent: report.spent, returned: report.returned, ..of }], now);
    }
}

/// A day of each campaign: it is granted money, spends some of it, and what is left is returned at the day's end.
fn spend(node: &Node, campaigns: i64, now: u64) {
    while !node.sweep(now, || true) {}
    tell_all(node, now);
    for campaign in 0..campaigns {
        node.apply(&[grant(campaign, now / DAY, 100)], now);
        let reserved = reserve(node, campaign, now);
        let token = reserved.token().unwrap_or_else(|| panic!("campaign {campaign} at {now}: {reserved:?}"));
        node.confirm(&token, 10, now);
    }
    tell_all(node, now);
}

#[test]
fn all_campaigns_have_money_on_each_day_of_a_week() {
    const CAMPAIGNS: i64 = 200;
    let node = Node::new(&Config { max_campaigns: CAMPAIGNS as usize, ..config() }, seed(), None).expect("a node");
    for campaign in 0..CAMPAIGNS {
        with_key(campaign, |key| node.install(key, 1, &plan(), BEGIN)).expect("there is room");
    }
    (0..7).for_each(|day| spend(&node, CAMPAIGNS, BEGIN / DAY * DAY + day * DAY));
    assert_eq!(node.info().counts.no_book, 0);
}

#[test]
fn a_grant_for_which_there_is_no_book_is_counted() {
    let node = Node::new(&Config { max_campaigns: 1, ..config() }, seed(), None).expect("a node");
    with_key(0, |key| node.install(key, 1, &plan(), BEGIN)).expect("there is room");
    // Nobody knows what became of the days that are over, so their books are kept.
    let mut day = BEGIN / DAY;
    loop {
        reports(&node, day * DAY);
        node.apply(&[grant(0, day, 100)], day * DAY);
        if node.info().counts.no_book > 0 {
            break;
        }
        assert!(matches!(reserve(&node, 0, day * DAY), Reserved::Reserved(_)), "day {day}");
        day += 1;
        assert!(day < BEGIN / DAY + 1_000, "there are not so many books");
    }
    assert_eq!((reserve(&node, 0, day * DAY), node.info().counts.no_book), (Reserved::NoBudget, 1));
}

/// Also where the new day has no money left, so that there is nothing to reserve.
#[test]
fn a_reservation_of_before_midnight_is_found_again_after_it_until_its_time_ends() {
    const MIDNIGHT: u64 = (BEGIN / DAY + 1) * DAY;
    let node = funded(10);
    let ask = |request, now| with_key(1, |key| node.reserve(key, request, 10, now, 60_000, || now));
    let held = ask(1, MIDNIGHT - 1_000).token().expect("there is money");
    node.apply(&[grant(1, MIDNIGHT / DAY, 10)], MIDNIGHT);
    reports(&node, MIDNIGHT);
    let spent = ask(2, MIDNIGHT).token().expect("there is money");
    node.confirm(&spent, 10, MIDNIGHT);
    reports(&node, MIDNIGHT);
    assert_eq!(ask(1, MIDNIGHT + 1_000).token().map(|token| token.expires()), Some(held.expires()));
    assert!(with_key(1, |key| node.is_open(key, 1, MIDNIGHT + 1_000)));
    assert_eq!(ask(3, MIDNIGHT + 1_000), Reserved::NoBudget);
    assert!(!with_key(1, |key| node.is_open(key, 3, MIDNIGHT + 1_000)));

    let later = MIDNIGHT + 120_000;
    while !node.sweep(later, || true) {}
    reports(&node, later);
    assert_eq!(ask(1, later), Reserved::NoBudget);
    assert!(!with_key(1, |key| node.is_open(key, 1, later)));
}
