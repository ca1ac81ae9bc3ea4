//! A coordinator that dies, at any point.

use ad_tally_core::journal::{Busy, Entry, Restore};
use ad_tally_core::pacer::ledger::{Lease, Ledger, NodeLease, PutError, Status};
use ad_tally_core::pacer::message::{NodeRef, Report};
use ad_tally_core::pacer::{Pace, Plan};

use crate::support::{
    BEGIN, DAY, Durable, HOUR, MINUTE, SECOND, campaign, daily, flight, key, node, renew, report, seed, status,
};

const SHARED: Lease = Lease::Shared { nodes: 2 };

fn durable(plan: Plan) -> Durable {
    let mut durable = Durable::new(SHARED);
    durable.ledger.put(key(), plan, BEGIN).expect("a plan");
    durable.sync();
    durable
}

#[test]
fn a_grant_that_was_synced_is_given_again_and_not_once_more() {
    let mut durable = durable(daily(10_000));
    assert_eq!(renew(&durable.ledger, node(1), report(0, 6_000), BEGIN).granted, 5_000);
    durable.sync();
    let durable = durable.die(BEGIN);
    // The answer was lost with it.
    assert_eq!(renew(&durable.ledger, node(1), report(0, 5_000), BEGIN).granted, 5_000);
    assert_eq!(renew(&durable.ledger, node(2), report(0, 9_000), BEGIN).granted, 5_000);
}

#[test]
fn a_grant_that_was_not_synced_is_nobodys() {
    let durable = durable(daily(10_000));
    renew(&durable.ledger, node(1), report(0, 5_000), BEGIN);
    let durable = durable.die(BEGIN);
    assert_eq!(status(&durable.ledger, BEGIN).money.leased, 0);
    assert_eq!(renew(&durable.ledger, node(2), report(0, 5_000), BEGIN).granted, 5_000);
}

#[test]
fn all_is_as_it_was_after_a_restart() {
    let mut durable = durable(Plan { pace: Pace::Learned, ..flight(1_000_000) });
    for minute in 1..=90_u64 {
        let now = BEGIN + minute * MINUTE;
        for name in 1..=3 {
            let grant = renew(&durable.ledger, node(name), Report { passed: 40 * minute, ..report(0, 5_000) }, now);
            let spent =
                Report { spent: grant.granted / 2, confirms: 9, passed: 40 * minute, ..report(grant.granted, 5_000) };
            renew(&durable.ledger, node(name), spent, now);
        }
        assert!(durable.ledger.tick(now, || true));
        if minute % 7 == 0 {
            durable.sync();
        }
    }
    durable.sync();
    let now = BEGIN + 90 * MINUTE;
    let (before, plans) = (status(&durable.ledger, now), durable.ledger.plans(1, 0, 9));
    for compacts in [false, true] {
        if compacts {
            durable.compact();
        }
        durable = durable.die(now);
        let after = status(&durable.ledger, now);
        let sorted = |mut leases: Vec<NodeLease>| {
            leases.sort_by_key(|lease| lease.node);
            // Who was heard when is not written down.
            leases.iter().map(|lease| (lease.node, lease.leased)).collect::<Vec<_>>()
        };
        assert_eq!(sorted(after.leases.clone()), sorted(before.leases.clone()));
        let leases = before.leases.clone();
        assert_eq!(Status { leases, ..after }, before);
        assert_eq!(durable.ledger.plans(1, 0, 9), plans);
    }
}

#[test]
fn a_ledger_that_has_forgotten_plans_gives_those_that_it_has_versions_above_those_of_nodes() {
    let mut durable = durable(daily(10_000));
    let other = |number| seed().key(Box::leak(Box::new([0, number])));
    for number in 1..=9 {
        durable.ledger.put(other(number), daily(number), BEGIN).expect("a plan");
    }
    durable.ledger.delete(other(4), BEGIN).expect("there is room");
    let of = |ledger: &Ledger, after| {
        let plans = ledger.plans(1, after, 99);
        assert!(plans.plans.is_sorted_by_key(|plan| plan.version));
        assert!(plans.plans.iter().all(|plan| after < plan.version && plan.version <= plans.version));
        plans.plans.into_iter().map(|plan| (plan.key, plan.plan)).collect::<Vec<_>>()
    };
    let (version, plans) = (durable.ledger.version(), of(&durable.ledger, 0));
    assert_eq!((version, plans.len()), (11, 10));
    // Who has no later ones than it was sent, or than there were at the start.
    assert_eq!(durable.ledger.overtake(11, 11), Ok(()));
    durable.sync();
    durable = durable.die(BEGIN);
    for (has, sent) in [(0, 0), (11, 0), (12, 12)] {
        assert_eq!(durable.ledger.overtake(has, sent), Ok(()));
        assert_eq!((durable.ledger.version(), of(&durable.ledger, 0)), (11, plans.clone()));
    }

    // In the middle of a tick, and when there are as many as the node has.
    assert!(!durable.ledger.tick(BEGIN, || false));
    for budget in [20_000, 30_000, 40_000, 10_000] {
        durable.ledger.put(key(), daily(budget), BEGIN).expect("a plan");
    }
    let plans = [&plans[1..], &plans[..1]].concat();
    assert_eq!(durable.ledger.overtake(15, 9), Ok(()));
    assert_eq!((durable.ledger.version(), of(&durable.ledger, 15)), (25, plans.clone()));
    // Another one has later ones, or fewer than that.
    assert_eq!(durable.ledger.overtake(14, 0), Ok(()));
    assert_eq!(durable.ledger.version(), 25);
    assert_eq!(durable.ledger.overtake(20, 0), Ok(()));
    assert_eq!((durable.ledger.version(), of(&durable.ledger, 25)), (35, plans.clone()));
    assert!(durable.ledger.tick(BEGIN, || true));
    assert_eq!(durable.ledger.put(other(4), daily(4), BEGIN), Ok(36));

    durable.sync();
    durable = durable.die(BEGIN);
    let mut plans = plans;
    plans.retain(|(key, _)| **key != *other(4).words);
    plans.push((other(4).words.into(), Some(daily(4))));
    assert_eq!((durable.ledger.version(), of(&durable.ledger, 25)), (36, plans.clone()));
    // There are not as many versions.
    assert_eq!(durable.ledger.overtake(u32::MAX, 0), Ok(()));
    assert_eq!((durable.ledger.version(), of(&durable.ledger, 25)), (36, plans));
}

#[test]
fn the_controller_goes_on_where_it_was() {
    let mut one = durable(daily(86_400_000));
    let mut other = durable(daily(86_400_000));
    let mut spent = 0;
    for minute in 1..=120_u64 {
        let now = BEGIN + minute * MINUTE;
        spent += 10_000 + minute;
        for durable in [&mut one, &mut other] {
            renew(&durable.ledger, node(1), Report { spent, confirms: minute, ..report(spent, 1) }, now);
            assert!(durable.ledger.tick(now, || true));
            durable.sync();
        }
        if minute % 10 == 0 {
            other = other.die(now);
        }
        assert_eq!(status(&one.ledger, now).pass, status(&other.ledger, now).pass);
    }
}

#[test]
fn a_version_of_plans_is_never_given_twice() {
    let mut durable = durable(daily(10_000));
    for round in 0..4 {
        let version = durable.ledger.put(key(), daily(10_001 + round), BEGIN).expect("a plan");
        assert_eq!(version, 2 * round as u32 + 2);
        durable.sync();
        assert_eq!(durable.ledger.delete(key(), BEGIN), Ok(true));
        durable.sync();
        durable = durable.die(BEGIN);
    }
    // Also where the campaign is gone that had the last one.
    assert!(durable.ledger.tick(BEGIN + 3 * DAY, || true));
    durable.sync();
    durable.compact();
    durable = durable.die(BEGIN + 3 * DAY);
    assert!(durable.ledger.is_empty());
    assert_eq!(durable.ledger.put(key(), daily(1), BEGIN + 3 * DAY), Ok(10));
}

#[test]
fn a_campaign_that_comes_again_after_it_is_gone_survives() {
    let mut durable = durable(daily(10_000));
    durable.ledger.delete(key(), BEGIN).expect("room");
    assert!(durable.ledger.tick(BEGIN + 3 * DAY, || true));
    durable.sync();
    durable.ledger.put(key(), daily(20_000), BEGIN + 3 * DAY).expect("a plan");
    durable.sync();
    durable = durable.die(BEGIN + 3 * DAY);
    assert_eq!(status(&durable.ledger, BEGIN + 3 * DAY).wall, 20_000);
}

#[test]
fn accounts_that_are_closed_or_put_together_are_so_after_a_restart() {
    let mut durable = durable(Plan { daily_max: Some(100_000_000), ..flight(10_000_000) });
    let mut granted = 0;
    for incarnation in 1..=9 {
        let from = NodeRef { name: 1, incarnation };
        granted += renew(&durable.ledger, from, report(0, 10_000), BEGIN + incarnation * SECOND).granted;
    }
    durable.sync();
    durable = durable.die(BEGIN + HOUR);
    assert_eq!(status(&durable.ledger, BEGIN + HOUR).money.leased, granted);
    assert!(durable.ledger.tick(BEGIN + 4 * DAY, || true));
    let wall = status(&durable.ledger, BEGIN + 4 * DAY).money.budget;
    durable.sync();
    durable = durable.die(BEGIN + 4 * DAY);
    let after = status(&durable.ledger, BEGIN + 4 * DAY);
    assert_eq!((after.money.budget, after.leases.len()), (wall, 0));
    assert_eq!(wall, (10_000_000 - granted).div_ceil(6));
    // The days that were closed stay closed.
    assert_eq!(durable.ledger.renew(node(2), &[report(0, 1_000)], BEGIN + HOUR), Ok(Vec::new()));
}

/// The store was replaced by a copy of it, so that the ledger has forgotten what it granted.
#[test]
fn who_knows_of_more_than_was_granted_is_believed() {
    let mut durable = durable(daily(10_000));
    assert_eq!(renew(&durable.ledger, node(1), report(0, 5_000), BEGIN).granted, 5_000);
    durable.sync();
    durable = durable.die_with_an_old_disk(1, BEGIN);
    assert_eq!(renew(&durable.ledger, node(1), report(5_000, 5_000), BEGIN).granted, 5_000);
    assert_eq!(renew(&durable.ledger, node(2), report(0, 9_000), BEGIN).granted, 5_000);
    // Also of yesterday, which it has no account of, and which counts where days are of one flight.
    let mut durable = self::durable(flight(10_000_000));
    let granted = renew(&durable.ledger, node(1), report(0, 500_000), BEGIN).granted;
    durable.sync();
    durable = durable.die_with_an_old_disk(1, BEGIN + DAY);
    renew(&durable.ledger, node(1), report(granted, 0), BEGIN + DAY);
    assert!(durable.ledger.tick(BEGIN + DAY + MINUTE, || true));
    assert_eq!(status(&durable.ledger, BEGIN + DAY + MINUTE).money.budget, (10_000_000 - granted).div_ceil(9));
}

#[test]
fn a_full_journal_refuses_and_changes_nothing() {
    let durable = durable(daily(10_000));
    durable.refuse();
    assert_eq!(durable.ledger.renew(node(1), &[report(0, 5_000)], BEGIN), Err(Busy));
    assert_eq!(durable.ledger.put(key(), daily(1), BEGIN), Err(PutError::Busy(Busy)));
    assert_eq!(durable.ledger.delete(key(), BEGIN), Err(Busy));
    assert!(durable.ledger.tick(BEGIN + MINUTE, || true));
    let status = status(&durable.ledger, BEGIN + MINUTE);
    assert_eq!((status.money.leased, status.wall, status.version), (0, 10_000, 1));
}

#[test]
fn what_no_ledger_wrote_is_refused() {
    let durable = Durable::new(SHARED);
    let restoring = durable.ledger.restoring();
    let refused = |entry: Entry<'_>| restoring.restore(entry).expect_err("no entry of a ledger");
    assert_eq!(refused(Entry::Id { hash: 1, generation: 1 }), "a ledger has no ids like this");
    assert_eq!(
        refused(Entry::Latest { table: 0, hash: 1, version: 1, words: &[] }),
        "a ledger has no records like this"
    );
    for (table, words) in [(16, &[1; 30][..]), (16, &[1]), (17, &[1; 11]), (17, &[9, 9, 9, 9, 9, 9, 1, 2, 3, 4, 5, 6])]
    {
        let error = refused(Entry::Latest { table, hash: campaign(), version: 1, words });
        assert!(error.contains("is wrong"), "{error}");
    }
}
