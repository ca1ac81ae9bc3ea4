//! Books of days: each campaign has one of each day that may still matter.

use ad_tally_core::pacer::Node;
use ad_tally_core::pacer::message::Grant;
use ad_tally_core::pacer::node::{Config, Reserved};

use super::support::{BEGIN, DAY, config, grant, plan, reports, seed, with_key};

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
