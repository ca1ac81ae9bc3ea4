//! Plans that come, change and go.

use ad_tally_core::Error;
use ad_tally_core::pacer::ledger::{Lease, PutError};
use ad_tally_core::pacer::message::Report;
use ad_tally_core::pacer::{Pace, Period, Plan};

use crate::support::{BEGIN, DAY, HOUR, MINUTE, daily, flight, key, ledger, node, renew, report, seed, status};

const SHARED: Lease = Lease::Shared { nodes: 2 };

#[test]
fn a_plan_that_cannot_be_is_refused_and_changes_nothing() {
    let ledger = ledger(SHARED, daily(10_000));
    assert_eq!(ledger.put(key(), daily(0), BEGIN), Err(PutError::Plan(Error::Budget(0))));
    let lifetime = Plan { period: Period::Lifetime, ..daily(1) };
    assert_eq!(ledger.put(key(), lifetime, BEGIN), Err(PutError::Plan(Error::LifetimePace)));
    assert_eq!((status(&ledger, BEGIN).wall, ledger.version()), (10_000, 1));
}

#[test]
fn campaigns_are_as_many_as_there_may_be() {
    let ledger = ledger(SHARED, daily(10_000));
    let full = (1..20).map(|other| ledger.put(seed().key(&[0, 1_000 + other]), daily(1), BEGIN)).find(Result::is_err);
    assert_eq!(full, Some(Err(PutError::Full(10))));
    assert_eq!(ledger.put(key(), daily(20_000), BEGIN), Ok(11));
}

#[test]
fn a_campaign_whose_key_has_the_same_hash_is_refused() {
    let ledger = ledger(SHARED, daily(10_000));
    let other = ad_tally_core::HashedKey { hash: key().hash, words: &[0, 43] };
    assert_eq!(ledger.put(other, daily(1), BEGIN), Err(PutError::Collision));
    assert_eq!((ledger.delete(other, BEGIN), ledger.status(other, BEGIN)), (Ok(false), None));
}

#[test]
fn the_same_plan_again_changes_nothing() {
    let ledger = ledger(SHARED, daily(10_000));
    assert_eq!((ledger.put(key(), daily(10_000), BEGIN), ledger.version()), (Ok(1), 1));
    assert_eq!((ledger.put(key(), daily(10_001), BEGIN), ledger.version()), (Ok(2), 2));
}

#[test]
fn a_larger_budget_is_granted_from_at_once() {
    let ledger = ledger(Lease::Whole, daily(10_000));
    assert_eq!(renew(&ledger, node(1), report(0, 1), BEGIN).granted, 10_000);
    ledger.put(key(), daily(15_000), BEGIN + MINUTE).expect("a plan");
    assert_eq!(renew(&ledger, node(1), report(10_000, 1), BEGIN + MINUTE).granted, 15_000);
}

/// Each node gives back the same part, and then all is as if the budget had always been that.
#[test]
fn of_a_smaller_budget_than_what_is_out_nodes_give_back_their_part() {
    let ledger = ledger(SHARED, daily(1_000_000));
    let mut reports = [(node(1), 300_000), (node(2), 100_000)].map(|(node, wanted)| (node, report(0, wanted)));
    for _ in 0..20 {
        for (node, report) in &mut reports {
            report.granted = renew(&ledger, *node, *report, BEGIN).granted;
        }
    }
    assert_eq!(reports.map(|(_, report)| report.granted), [300_000, 100_000]);
    let spent = Report { spent: 100_000, confirms: 100, ..reports[0].1 };
    reports[0].1 = Report { granted: renew(&ledger, node(1), spent, BEGIN).granted, ..spent };
    assert_eq!(reports[0].1.granted, 400_000);
    ledger.put(key(), daily(300_000), BEGIN).expect("a plan");
    for (node, report) in &mut reports {
        let grant = renew(&ledger, *node, *report, BEGIN);
        assert_eq!(grant.granted, report.granted);
        let available = report.granted - report.spent;
        // 400,000 are available, and 200,000 too much.
        assert_eq!(grant.keep, available / 2);
        report.returned = available - grant.keep;
    }
    for (node, report) in &reports {
        renew(&ledger, *node, *report, BEGIN);
    }
    let status = status(&ledger, BEGIN);
    assert_eq!((status.wall, status.money.spent, status.money.leased), (300_000, 100_000, 200_000));
}

#[test]
fn a_budget_that_is_spent_already_leaves_nothing_to_keep() {
    let ledger = ledger(SHARED, daily(1_000_000));
    renew(&ledger, node(1), report(0, 100_000), BEGIN);
    let spent = Report { spent: 60_000, confirms: 60, ..report(100_000, 100_000) };
    renew(&ledger, node(1), spent, BEGIN);
    ledger.put(key(), daily(50_000), BEGIN).expect("a plan");
    let grant = renew(&ledger, node(1), Report { granted: 160_000, ..spent }, BEGIN);
    assert_eq!((grant.granted, grant.keep), (160_000, 0));
}

#[test]
fn an_end_that_moves_changes_what_a_day_may_spend() {
    let ledger = ledger(Lease::Whole, flight(10_000_000));
    assert_eq!(status(&ledger, BEGIN).money.budget, 1_000_000);
    let shorter = Plan { period: Period::Flight { from: BEGIN, to: BEGIN + 5 * DAY }, ..flight(10_000_000) };
    ledger.put(key(), shorter, BEGIN + HOUR).expect("a plan");
    assert_eq!(status(&ledger, BEGIN + HOUR).money.budget, 2_000_000);
    let over = Plan { period: Period::Flight { from: BEGIN, to: BEGIN + HOUR }, ..flight(10_000_000) };
    ledger.put(key(), over, BEGIN + 2 * HOUR).expect("a plan");
    assert_eq!(status(&ledger, BEGIN + 2 * HOUR).period, None);
}

#[test]
fn a_pace_is_followed_from_the_next_tick_on() {
    let ledger = ledger(SHARED, daily(10_000));
    ledger.put(key(), Plan { pace: Pace::Asap, ..daily(10_000) }, BEGIN).expect("a plan");
    assert!(ledger.tick(BEGIN + MINUTE, || true));
    assert_eq!(status(&ledger, BEGIN + MINUTE).pass, 1.0);
}

#[test]
fn a_campaign_that_is_deleted_gives_all_back_and_goes_on_where_it_was_if_it_comes_again() {
    let ledger = ledger(SHARED, daily(10_000));
    renew(&ledger, node(1), report(0, 5_000), BEGIN);
    assert_eq!((ledger.delete(key(), BEGIN), ledger.delete(key(), BEGIN)), (Ok(true), Ok(false)));
    assert_eq!(ledger.status(key(), BEGIN), None);
    let spent = Report { spent: 4_000, confirms: 4, ..report(5_000, 5_000) };
    let grant = renew(&ledger, node(1), spent, BEGIN);
    assert_eq!((grant.granted, grant.keep, grant.pass, grant.plan), (5_000, 0, 0, 2));
    assert_eq!(ledger.put(key(), daily(10_000), BEGIN + HOUR), Ok(3));
    let status = status(&ledger, BEGIN + HOUR);
    assert_eq!((status.money.spent, status.money.leased, status.wall), (4_000, 1_000, 10_000));
}

#[test]
fn a_campaign_that_was_deleted_is_gone_after_two_days() {
    let ledger = ledger(SHARED, daily(10_000));
    ledger.delete(key(), BEGIN).expect("no journal");
    assert!(ledger.tick(BEGIN + 2 * DAY - 1, || true));
    assert_eq!((ledger.len(), ledger.plans(1, 0, 9).plans.len()), (1, 1));
    assert!(ledger.tick(BEGIN + 2 * DAY, || true));
    assert_eq!((ledger.is_empty(), ledger.plans(1, 0, 9).plans.len(), ledger.version()), (true, 0, 2));
}

#[test]
fn a_node_gets_the_plans_that_it_has_not_in_the_order_of_their_versions() {
    let ledger = ledger(SHARED, daily(10_000));
    ledger.put(seed().key(&[0, 1]), daily(1), BEGIN).expect("a plan");
    ledger.put(seed().key(&[0, 2]), daily(2), BEGIN).expect("a plan");
    ledger.put(key(), daily(20_000), BEGIN).expect("a plan");
    ledger.delete(seed().key(&[0, 1]), BEGIN).expect("no journal");
    let versions = |after, most| {
        let plans = ledger.plans(77, after, most);
        assert_eq!((plans.from, plans.after), (77, after));
        (plans.plans.iter().map(|plan| plan.version).collect::<Vec<_>>(), plans.version)
    };
    assert_eq!(versions(0, 9), (vec![3, 4, 5], 5));
    assert_eq!(versions(0, 2), (vec![3, 4], 4));
    assert_eq!(versions(4, 2), (vec![5], 5));
    assert_eq!(versions(5, 2), (vec![], 5));
    let plans = ledger.plans(77, 3, 9).plans;
    assert_eq!((plans[0].key.as_ref(), plans[0].plan.as_ref().map(|plan| plan.budget)), (key().words, Some(20_000)));
    assert_eq!(plans[1].plan, None);
}
