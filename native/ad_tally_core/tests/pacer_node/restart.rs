//! A node from what its journal has kept: whatever was cut, no money is given out twice, and after a crash what may have been lost
//! counts as spent.

use ad_tally_core::journal::{Config as Room, Journal, Part};
use ad_tally_core::pacer::node::{Config, Confirmed, Reason, Released, Reserved, Totals, WithoutRoom};
use ad_tally_core::pacer::{Node, Token};
use proptest::prelude::*;

use super::stored::{PART, Stored};
use super::support::{BEGIN, DAY, HOUR, config, grant, plan, seed, with_key};

#[test]
fn a_grant_is_used_only_once_it_is_on_disk() {
    let mut stored = Stored::new();
    stored.fund(100);
    assert_eq!(stored.reserve(1, 10), Reserved::NoBudget);
    let mut stored = stored.crash();
    // Nothing of it is known, so the coordinator says again what it has granted.
    stored.fund(100);
    stored.sync();
    assert_eq!((stored.totals().available, stored.totals().presumed), (100, 0));
}

#[test]
fn after_an_orderly_stop_all_is_as_it_was() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let (open, confirmed, released) = (stored.token(1, 30), stored.token(2, 20), stored.token(3, 10));
    assert_eq!(stored.node.confirm(&confirmed, 15, BEGIN), Confirmed::Confirmed);
    assert_eq!(stored.node.release(&released), Released::Released);
    let stored = stored.stop();
    let totals = stored.totals();
    assert_eq!((totals.available, totals.reserved(), totals.spent, totals.presumed), (55, 30, 15, 0));
    assert_eq!(stored.node.confirm(&confirmed, 15, BEGIN), Confirmed::Duplicate);
    assert_eq!(stored.node.release(&released), Released::Released);
    assert_eq!(stored.reserve(1, 30), Reserved::Again(open));
    assert_eq!(stored.node.confirm(&open, 30, BEGIN), Confirmed::Confirmed);
    assert!(matches!(stored.reserve(4, 55), Reserved::Reserved(_)));
}

#[test]
fn after_a_crash_what_may_have_been_spent_is_presumed_to_be() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let (confirmed, expiring) = (stored.token(1, 30), stored.token(2, 20));
    stored.sync();
    let lost = stored.token(3, 40);
    let mut stored = stored.crash();
    let totals = stored.totals();
    assert_eq!((totals.available, totals.pending, totals.reserved(), totals.presumed), (0, 0, 50, 50));
    assert_eq!(stored.reserve(9, 1), Reserved::NoBudget);
    // One that survived is confirmed as any other. What is left of it is free.
    assert_eq!(stored.node.confirm(&confirmed, 25, BEGIN), Confirmed::Confirmed);
    // One that was lost is booked from what is presumed, once.
    assert_eq!(stored.node.confirm(&lost, 35, BEGIN), Confirmed::Confirmed);
    assert_eq!(stored.node.confirm(&lost, 35, BEGIN), Confirmed::Duplicate);
    stored.advance(60_001);
    stored.sync();
    // What one that survived and expired has held may have been spent.
    let totals = stored.totals();
    assert_eq!((totals.available, totals.spent, totals.presumed, totals.overspent), (5, 60, 35, 0));
    assert_eq!(stored.node.confirm(&expiring, 20, BEGIN), Confirmed::Expired);
    let totals = stored.totals();
    assert_eq!((totals.available, totals.spent, totals.presumed, totals.overspent), (5, 80, 15, 0));
    // A second crash presumes no more than there is.
    stored.sync();
    let stored = stored.crash();
    let totals = stored.totals();
    assert_eq!((totals.available, totals.spent, totals.presumed, totals.reserved()), (0, 80, 20, 0));
}

#[test]
fn a_confirm_of_a_reservation_that_a_crash_has_lost_says_whether_it_is_in_time() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let (in_time, late) = (stored.token(1, 40), stored.token(2, 40));
    let stored = stored.crash();
    assert_eq!(stored.node.confirm(&late, 30, late.expires() + 1), Confirmed::Expired);
    assert_eq!(stored.node.confirm(&in_time, 30, in_time.expires()), Confirmed::Confirmed);
    let totals = stored.totals();
    assert_eq!((totals.spent, totals.presumed, totals.overspent), (60, 40, 0));
}

#[test]
fn what_is_done_with_a_release_is_done_once_before_and_after_a_restart() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let token = stored.token(1, 30);
    stored.advance(60_001);
    let release = |stored: &Stored| {
        let mut is_done = false;
        assert_eq!(stored.node.release_with(&token, || is_done = true), Released::Released);
        is_done
    };
    // It has expired before.
    assert_eq!(stored.totals().reserved(), 0);
    assert_eq!((release(&stored), release(&stored)), (true, false));
    let mut stored = stored.stop();
    assert!(!release(&stored));
    stored.sync();
    assert_eq!((stored.totals().available, stored.totals().presumed), (100, 0));
}

#[test]
fn a_campaign_that_was_removed_leaves_its_room_to_another_one_after_a_restart() {
    let config = Config { max_campaigns: 2, ..config() };
    let (mut stored, _) = Stored::open_with(config, Vec::new(), 1, BEGIN);
    stored.fund(100);
    stored.sync();
    let install = |stored: &Stored, campaign, version| {
        with_key(campaign, |key| stored.node.install(key, version, &plan(), BEGIN)).is_ok()
    };
    let remove = |stored: &Stored, campaign| with_key(campaign, |key| stored.node.remove(key, 9, BEGIN));
    assert!(install(&stored, 2, 2));
    remove(&stored, 2);
    assert!(!install(&stored, 3, 4), "a removed one has its room until the next start");
    // This one has money, that may still be spent: it stays.
    let token = stored.token(1, 30);
    remove(&stored, 1);
    stored.sync();
    let (mut stored, without_room) = Stored::open_with(config, stored.runs, 2, BEGIN);
    assert_eq!(without_room, WithoutRoom::default());
    assert_eq!(stored.node.info().rows, 1);
    assert!(install(&stored, 3, 4) && !install(&stored, 4, 5));
    assert_eq!(stored.node.confirm(&token, 30, BEGIN), Confirmed::Confirmed);
    // With fewer campaigns than before nothing is missing either.
    remove(&stored, 3);
    stored.sync();
    let (stored, without_room) = Stored::open_with(Config { max_campaigns: 1, ..config }, stored.runs, 3, BEGIN);
    assert_eq!((without_room, stored.node.info().rows), (WithoutRoom::default(), 1));
}

/// A node that cannot read a plan takes the campaign away as of before that plan.
#[test]
fn a_plan_that_could_not_be_read_is_taken_after_a_restart_that_can() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let token = stored.token(1, 30);
    with_key(1, |key| stored.node.remove(key, 1, BEGIN));
    assert_eq!(stored.reserve(2, 10), Reserved::Unknown);
    let stored = stored.stop();
    assert_eq!(stored.reserve(2, 10), Reserved::Unknown);
    with_key(1, |key| stored.node.install(key, 2, &plan(), BEGIN)).expect("there is room");
    assert_eq!(stored.reserve(1, 10), Reserved::Again(token));
}

#[test]
fn a_crash_right_after_an_orderly_start_is_a_crash() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let stored = stored.stop();
    let token = stored.token(1, 100);
    assert_eq!(stored.node.confirm(&token, 100, BEGIN), Confirmed::Confirmed);
    let stored = stored.crash();
    assert_eq!((stored.totals().available, stored.totals().presumed), (0, 100));
}

#[test]
fn what_the_coordinator_knows_better_comes_out_of_what_is_presumed() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let token = stored.token(1, 40);
    assert_eq!(stored.node.confirm(&token, 40, BEGIN), Confirmed::Confirmed);
    let stored = stored.crash();
    let known = ad_tally_core::pacer::message::Grant { spent: 40, returned: 10, ..grant(1, BEGIN / DAY, 100) };
    stored.node.apply(&[known, known], BEGIN);
    let totals = stored.totals();
    assert_eq!((totals.spent, totals.returned, totals.presumed, totals.available), (40, 10, 50, 0));
}

#[test]
fn where_the_store_has_no_room_nothing_is_changed() {
    let part = Part::new(Journal::new(Room { buffer_bytes: 1 << 16, wake_bytes: 1 << 16 }, 1), PART);
    let node = Node::new(&config(), seed(), Some(part.clone())).expect("a small node");
    let mut stored = Stored { node, part, opened: 1, runs: Vec::new(), now: BEGIN };
    stored.fund(100);
    stored.sync();
    let token = stored.token(1, 40);
    while part_has_room(&stored.part) {}
    let before = stored.totals();
    assert_eq!(stored.reserve(2, 10), Reserved::Refused(Reason::Busy));
    assert_eq!(stored.node.confirm(&token, 40, BEGIN), Confirmed::Busy);
    assert_eq!(stored.node.release(&token), Released::Busy);
    assert_eq!(stored.totals(), before);
    assert_eq!(stored.reserve(1, 10), Reserved::Again(token));
    stored.sync();
    assert_eq!(stored.node.confirm(&token, 40, BEGIN), Confirmed::Confirmed);
}

fn part_has_room(part: &Part) -> bool {
    let Ok(scribe) = part.journal.begin() else { return false };
    scribe.record(9, 1, 100, |words| words.extend(&[0; 100]));
    true
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Grant(u64),
    Reserve { request: u64, amount: u64 },
    Confirm { which: usize, part: u64 },
    Release { which: usize },
    Advance(u64),
    Sync,
    Compact,
    Crash,
    Stop,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        3 => (1..300_u64).prop_map(Grant),
        12 => (0..40_u64, 1..60_u64).prop_map(|(request, amount)| Reserve { request, amount }),
        8 => (any::<usize>(), 0..=100_u64).prop_map(|(which, part)| Confirm { which, part }),
        3 => any::<usize>().prop_map(|which| Release { which }),
        2 => prop_oneof![3 => 0..40_000_u64, 1 => 0..HOUR].prop_map(Advance),
        4 => Just(Sync),
        1 => Just(Compact),
        1 => Just(Crash),
        1 => Just(Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Each price that was answered as booked in time is counted here, whatever crashed later: together they are never more than what was
    /// granted. Times stay within a day.
    #[test]
    fn whatever_crashes_no_more_is_spent_than_was_granted(operations in prop::collection::vec(operation(), 1..150)) {
        let mut stored = Stored::new();
        stored.fund(1);
        let (mut granted, mut paid, mut late, mut tokens) = (1, 0, 0, Vec::<Token>::new());
        let mut confirmed = Vec::<Token>::new();
        // With time for as many starts as there are operations.
        let last = (BEGIN / DAY + 1) * DAY - 200_000;
        for operation in operations {
            match operation {
                Operation::Grant(more) => {
                    granted += more;
                    stored.fund(granted);
                }
                // After a crash that has lost a confirm, its request is told of its reservation again.
                Operation::Reserve { request, amount } => {
                    let token = stored.reserve(request, amount).token();
                    tokens.extend(token.filter(|token| !confirmed.contains(token)));
                }
                Operation::Confirm { which, part } if !tokens.is_empty() => {
                    let which = which % tokens.len();
                    let price = tokens[which].amount() * part / 100;
                    match stored.node.confirm(&tokens[which], price, tokens[which].at()) {
                        Confirmed::Confirmed => paid += price,
                        Confirmed::Expired => late += price,
                        Confirmed::Duplicate | Confirmed::Unknown => {}
                        other => panic!("{other:?}"),
                    }
                    // Who has confirmed it does not do so again: what a crash has lost of it is not known to the node.
                    let token = tokens.swap_remove(which);
                    tokens.retain(|other| *other != token);
                    confirmed.push(token);
                }
                Operation::Release { which } if !tokens.is_empty() => {
                    let token = tokens.swap_remove(which % tokens.len());
                    stored.node.release(&token);
                    tokens.retain(|other| *other != token);
                }
                Operation::Advance(by) => {
                    let by = by.min(last.saturating_sub(stored.now));
                    stored.advance(by);
                }
                Operation::Sync => stored.sync(),
                Operation::Compact => stored.compact(),
                Operation::Crash => {
                    // A start takes a moment: so what is reserved after it is told by when it expires from what was lost, also where
                    // one request had several reservations in a millisecond.
                    stored.now += 1_000;
                    stored = stored.crash();
                    stored.fund(granted);
                }
                Operation::Stop => {
                    let before = stored.totals();
                    stored = stored.stop();
                    let after = stored.totals();
                    prop_assert_eq!(before.available + before.pending, after.available + after.pending);
                    prop_assert_eq!(Totals { available: 0, pending: 0, ..before }, Totals { available: 0, pending: 0, ..after });
                }
                Operation::Confirm { .. } | Operation::Release { .. } => {}
            }
            let totals = stored.totals();
            let held = totals.available + totals.pending + totals.presumed + totals.returned + totals.reserved();
            prop_assert_eq!(totals.granted, held + totals.spent - totals.overspent);
            prop_assert!(paid <= granted, "{} of {}", paid, granted);
            prop_assert!(totals.overspent <= late);
        }
    }
}
