//! How much a node gets.

use ad_tally_core::pacer::Plan;
use ad_tally_core::pacer::ledger::Lease;
use ad_tally_core::pacer::message::{NodeRef, Report};

use crate::support::{BEGIN, SECOND, daily, key, ledger, node, renew, report, status};

const SHARED: Lease = Lease::Shared { nodes: 2 };

#[test]
fn a_node_gets_what_it_wants_and_no_more_than_that() {
    let ledger = ledger(SHARED, daily(1_000_000));
    assert_eq!(renew(&ledger, node(1), report(0, 20_000), BEGIN).granted, 20_000);
    // What it has is taken off: 15,000 are left of the first grant.
    let spent = Report { spent: 5_000, confirms: 5, ..report(20_000, 20_000) };
    assert_eq!(renew(&ledger, node(1), spent, BEGIN).granted, 25_000);
    let reserved = Report { reserved: 7_000, ..Report { granted: 25_000, ..spent } };
    assert_eq!(renew(&ledger, node(1), reserved, BEGIN).granted, 32_000);
    assert_eq!(renew(&ledger, node(1), Report { granted: 32_000, ..reserved }, BEGIN).granted, 32_000);
}

#[test]
fn grants_become_smaller_as_the_end_comes_near_and_end_with_it() {
    let ledger = ledger(SHARED, daily(1_000_000));
    let mut granted = 0;
    let mut steps = Vec::new();
    loop {
        let all = renew(
            &ledger,
            node(1),
            Report { spent: granted, confirms: granted / 1_000, ..report(granted, 400_000) },
            BEGIN,
        );
        if all.granted == granted {
            break;
        }
        steps.push(all.granted - granted);
        granted = all.granted;
    }
    assert_eq!(granted, 1_000_000);
    // A quarter of what is free, for two nodes, but never less than what is used in a second.
    assert_eq!(steps[..3], [250_000, 187_500, 140_625]);
    assert!(steps.is_sorted_by(|one, next| one >= next) && steps.len() < 12, "{steps:?}");
}

#[test]
fn all_nodes_together_get_no_more_than_the_wall() {
    let ledger = ledger(SHARED, daily(10_500));
    let granted: Vec<u64> = (1..=3).map(|name| renew(&ledger, node(name), report(0, 5_000), BEGIN).granted).collect();
    assert_eq!(granted, [5_000, 5_000, 500]);
    assert_eq!(renew(&ledger, node(1), report(5_000, 50_000), BEGIN).granted, 5_000);
    let status = status(&ledger, BEGIN);
    assert_eq!((status.wall, status.money.leased, status.leases.len()), (10_500, 10_500, 3));
}

#[test]
fn what_is_returned_is_free_again() {
    let ledger = ledger(SHARED, daily(10_000));
    renew(&ledger, node(1), report(0, 10_000), BEGIN);
    renew(&ledger, node(1), report(5_000, 10_000), BEGIN);
    assert_eq!(renew(&ledger, node(2), report(0, 5_000), BEGIN).granted, 0);
    renew(&ledger, node(1), Report { returned: 4_000, ..report(10_000, 1_000) }, BEGIN);
    assert_eq!(renew(&ledger, node(2), report(0, 5_000), BEGIN).granted, 4_000);
}

#[test]
fn of_the_highest_price_a_node_gets_what_it_wants() {
    let ledger = ledger(SHARED, Plan { price: 1 << 62, ..daily(1_000_000) });
    assert_eq!(renew(&ledger, node(1), report(0, 600_000), BEGIN).granted, 600_000);
}

#[test]
fn a_node_may_keep_twice_what_it_wants() {
    let ledger = ledger(SHARED, daily(1_000_000));
    assert_eq!(renew(&ledger, node(1), report(0, 6_000), BEGIN).keep, 12_000);
}

#[test]
fn who_looks_between_two_rounds_takes_nothing_away() {
    let ledger = ledger(SHARED, daily(1_000_000));
    renew(&ledger, node(1), report(0, 100_000), BEGIN);
    // The node makes its report, spends more, and somebody looks before that report comes.
    let earlier = Report { spent: 1_000, ..report(100_000, 100_000) };
    let now = Report { spent: 5_000, reserved: 2_000, wanted: 0, ..earlier };
    assert_eq!(ledger.look(node(1), &now, BEGIN), Ok(()));
    let seen = status(&ledger, BEGIN);
    assert_eq!((seen.money.spent, seen.money.reserved, seen.money.leased), (5_000, 2_000, 93_000));
    let grant = renew(&ledger, node(1), earlier, BEGIN);
    assert_eq!((grant.granted, grant.keep), (107_000, u64::MAX));
    assert_eq!(renew(&ledger, node(1), Report { wanted: 10_000, ..now }, BEGIN).keep, 20_000);
    // Who looks grants nothing, not even what is wanted, and opens no account.
    assert_eq!(ledger.look(node(1), &Report { wanted: 500_000, ..now }, BEGIN), Ok(()));
    assert_eq!(ledger.look(node(2), &report(0, 500_000), BEGIN), Ok(()));
    assert_eq!(status(&ledger, BEGIN).leases.len(), 1);
    assert_eq!(renew(&ledger, node(1), Report { wanted: 10_000, ..now }, BEGIN).granted, 107_000);
}

#[test]
fn a_report_that_is_overtaken_may_still_have_to_give_back_what_was_cut() {
    let ledger = ledger(SHARED, daily(1_000_000));
    renew(&ledger, node(1), report(0, 100_000), BEGIN);
    let spent = Report { spent: 10_000, ..report(100_000, 100_000) };
    renew(&ledger, node(1), spent, BEGIN);
    ledger.put(key(), daily(40_000), BEGIN).expect("a plan");
    assert_eq!(renew(&ledger, node(1), report(100_000, 100_000), BEGIN).keep, 30_000);
}

#[test]
fn one_node_without_a_store_gets_all_at_once() {
    let ledger = ledger(Lease::Whole, daily(1_000_000));
    let grant = renew(&ledger, node(1), report(0, 1_000), BEGIN);
    assert_eq!((grant.granted, grant.keep), (1_000_000, u64::MAX));
}

#[test]
fn overspend_takes_what_is_still_free() {
    let ledger = ledger(SHARED, daily(10_000));
    renew(&ledger, node(1), report(0, 5_000), BEGIN);
    renew(&ledger, node(1), Report { spent: 8_000, overspent: 3_000, ..report(5_000, 0) }, BEGIN);
    assert_eq!(renew(&ledger, node(2), report(0, 5_000), BEGIN).granted, 2_000);
    // More than all of it: nothing is granted, and nothing wraps around.
    renew(&ledger, node(1), Report { spent: 50_000, overspent: 45_000, ..report(5_000, 5_000) }, BEGIN);
    assert_eq!(renew(&ledger, node(2), report(2_000, 5_000), BEGIN).granted, 2_000);
}

#[test]
fn what_a_dead_node_had_stays_granted() {
    let ledger = ledger(SHARED, daily(10_000));
    renew(&ledger, node(1), report(0, 5_000), BEGIN);
    let later = BEGIN + 3_600 * SECOND;
    let mut granted = 0;
    for _ in 0..9 {
        granted = renew(&ledger, node(2), Report { spent: granted, ..report(granted, 9_000) }, later).granted;
    }
    assert_eq!(granted, 5_000);
}

/// A node without a store is another one each time that it starts, and a campaign must not keep all of them for ever.
#[test]
fn incarnations_of_a_node_are_put_together_without_losing_money() {
    let ledger = ledger(SHARED, daily(1_000_000));
    for incarnation in 1..=20 {
        let from = NodeRef { name: 1, incarnation };
        let now = BEGIN + incarnation * SECOND;
        assert_eq!(renew(&ledger, from, report(0, 10_000), now).granted, 10_000);
        let spent = Report { spent: 1_000, confirms: 1, ..report(10_000, 5_000) };
        assert_eq!(renew(&ledger, from, spent, now).granted, 10_000);
    }
    let status = status(&ledger, BEGIN);
    assert_eq!((status.money.spent, status.money.leased), (20_000, 180_000));
    assert!(status.leases.len() <= 5, "{:?}", status.leases);
    // One that was put together is heard no more, and gets nothing: it may be neither a new one nor the old one.
    let earlier = NodeRef { name: 1, incarnation: 0 };
    assert_eq!(ledger.renew(earlier, &[report(0, 10_000)], BEGIN), Ok(Vec::new()));
}

#[test]
fn a_report_of_a_campaign_that_is_not_known_is_answered_by_nothing() {
    let ledger = ledger(SHARED, daily(10_000));
    let other = Report { campaign: 1, ..report(0, 1_000) };
    let grants = ledger.renew(node(1), &[other, report(0, 1_000), other], BEGIN).expect("no journal");
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].campaign, key().hash);
}
