//! What a node says, case by case.

use ad_tally_core::key::Domain;
use ad_tally_core::pacer::node::{Config, Confirmed, Reason, Released, Reserved};
use ad_tally_core::pacer::token::Parts;
use ad_tally_core::pacer::{MOST_PRICE, MOST_TTL, Node, Token};

use super::support::{BEGIN, DAY, HOUR, config, fund, funded, grant, hash, node, plan, reports, seed, with_key};

fn reserve(node: &Node, request: u64, amount: u64) -> Reserved {
    with_key(1, |key| node.reserve(key, request, amount, BEGIN, 60_000, || BEGIN))
}

fn token(node: &Node, request: u64, amount: u64) -> Token {
    reserve(node, request, amount).token().expect("there is money")
}

fn available(node: &Node) -> u64 {
    with_key(1, |key| node.status(key)).expect("it is known").current.available
}

#[test]
fn a_price_is_booked_and_the_rest_is_free_again() {
    let node = funded(100);
    let token = token(&node, 1, 60);
    assert_eq!(reserve(&node, 2, 60), Reserved::NoBudget);
    assert_eq!(node.confirm(&token, 45, BEGIN), Confirmed::Confirmed);
    assert_eq!(node.confirm(&token, 45, BEGIN), Confirmed::Duplicate);
    assert_eq!(node.release(&token), Released::Confirmed);
    assert_eq!(available(&node), 55);
}

#[test]
fn a_request_asked_again_has_the_same_reservation() {
    let node = funded(100);
    let first = token(&node, 1, 60);
    assert_eq!(reserve(&node, 1, 10), Reserved::Again(first));
    assert_eq!(node.release(&first), Released::Released);
    assert_eq!(node.release(&first), Released::Released);
    let second = token(&node, 1, 70);
    assert!(second.expires() > first.expires());
    assert_eq!(node.confirm(&first, 10, BEGIN), Confirmed::Unknown);
    assert_eq!(node.release(&first), Released::Unknown);
    assert_eq!(node.confirm(&second, 10, BEGIN), Confirmed::Confirmed);
}

#[test]
fn what_was_denied_when_it_was_reported_is_so_until_there_is_money_or_a_reservation_to_be_found_again() {
    let node = funded(100);
    let report = || reports(&node, BEGIN);
    report();
    assert_eq!((reserve(&node, 1, 101), reserve(&node, 2, MOST_PRICE)), (Reserved::NoBudget, Reserved::NoBudget));
    let small = token(&node, 1, 100);
    assert_eq!(reserve(&node, 1, 101), Reserved::Again(small));
    report();
    assert_eq!((reserve(&node, 2, 1), reserve(&node, 1, 101)), (Reserved::NoBudget, Reserved::Again(small)));
    assert_eq!(node.confirm(&small, 30, BEGIN), Confirmed::Confirmed);
    report();
    assert_eq!(reserve(&node, 2, 71), Reserved::NoBudget);
    let rest = token(&node, 2, 70);
    assert_eq!(node.confirm(&rest, 70, BEGIN), Confirmed::Confirmed);
    report();
    let is_open = || with_key(1, |key| node.is_open(key, 3, BEGIN));
    assert_eq!((reserve(&node, 3, 1), is_open()), (Reserved::NoBudget, false));
    node.apply(&[grant(1, report()[0].period.into(), 120)], BEGIN);
    assert!(is_open());
    assert_eq!(reserve(&node, 3, 21), Reserved::NoBudget);
    token(&node, 3, 20);
}

#[test]
fn what_is_above_the_reserved_price_or_late_is_booked_as_overspent() {
    let node = funded(100);
    let (over, late) = (token(&node, 1, 40), token(&node, 2, 40));
    assert_eq!(node.confirm(&over, 45, BEGIN), Confirmed::OverPrice);
    assert_eq!(node.confirm(&late, 40, BEGIN + 60_001), Confirmed::Expired);
    let totals = with_key(1, |key| node.status(key)).expect("it is known").current;
    assert_eq!((totals.spent, totals.overspent, totals.available, totals.reserved()), (85, 45, 60, 0));
}

#[test]
fn a_released_reservation_that_is_confirmed_is_booked_all_the_same() {
    let node = funded(100);
    let token = token(&node, 1, 40);
    assert_eq!(node.release(&token), Released::Released);
    assert_eq!(node.confirm(&token, 40, BEGIN), Confirmed::Expired);
    assert_eq!(node.confirm(&token, 40, BEGIN), Confirmed::Duplicate);
}

#[test]
fn a_token_with_any_bit_flipped_is_unknown_and_changes_nothing() {
    let node = funded(100);
    let token = token(&node, 1, 40);
    let bytes = token.to_bytes();
    assert_eq!(Token::from_bytes(&bytes), Some(token));
    for bit in 0..8 * bytes.len() {
        let mut other = bytes;
        other[bit / 8] ^= 1 << (bit % 8);
        let other = Token::from_bytes(&other).expect("it is as long");
        assert_eq!(node.confirm(&other, 10, BEGIN), Confirmed::Unknown, "bit {bit}");
        assert_eq!(node.release(&other), Released::Unknown, "bit {bit}");
    }
    for length in (0..bytes.len()).chain([57, 64]) {
        assert_eq!(Token::from_bytes(&[0; 64][..length]), None, "{length}");
    }
    assert_eq!((available(&node), node.confirm(&token, 40, BEGIN)), (60, Confirmed::Confirmed));
}

#[test]
fn a_token_of_another_node_or_another_pacer_changes_nothing() {
    let (node, other) = (funded(100), Node::new(&Config { name: 5, ..config() }, seed(), None).expect("a node"));
    fund(&other, 1, 100);
    let elsewhere = with_key(1, |key| other.reserve(key, 1, 40, BEGIN, 60_000, || BEGIN)).token().expect("money");
    assert_eq!(node.confirm(&elsewhere, 40, BEGIN), Confirmed::Elsewhere(5));
    assert_eq!(node.release(&elsewhere), Released::Elsewhere(5));
    let reservation = seed().hash(Domain::Request, &[hash(1), 1]);
    let parts =
        Parts { node: 5, campaign: hash(1), reservation, amount: 40, at: BEGIN, expires: BEGIN + 60_000, pair: 0 };
    assert_eq!(Token::new(&parts, other.seed()), elsewhere);
    let strange = Token::new(&parts, &ad_tally_core::Seed::new(8));
    assert_eq!(other.confirm(&strange, 40, BEGIN), Confirmed::Unknown);
    let paired = Token::new(&Parts { pair: 3, ..parts }, other.seed());
    assert_eq!((paired.pair(), paired.at()), (3, BEGIN));
    assert_eq!(other.confirm(&paired, 40, BEGIN), Confirmed::Confirmed);
}

#[test]
fn the_money_of_a_day_is_returned_when_it_is_over_and_late_spend_books_on_it() {
    let node = funded(100);
    let (spent, open) = (token(&node, 1, 40), token(&node, 2, 30));
    let tomorrow = BEGIN + DAY;
    node.apply(&[grant(1, tomorrow / DAY, 50)], tomorrow);
    assert_eq!(node.confirm(&spent, 25, BEGIN), Confirmed::Confirmed);
    let all = reports(&node, tomorrow);
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].granted, all[0].spent, all[0].returned, all[0].reserved), (100, 25, 45, 30));
    assert_eq!((all[1].granted, all[1].spent, all[1].returned), (50, 0, 0));
    // Yesterday's event gets nothing of today.
    let late = with_key(1, |key| node.reserve(key, 3, 1, BEGIN, 60_000, || tomorrow));
    assert_eq!(late, Reserved::NoBudget);
    assert_eq!(node.release(&open), Released::Released);
    assert_eq!(reports(&node, tomorrow)[0].returned, 75);
}

#[test]
fn what_is_above_what_may_be_kept_is_returned() {
    let node = funded(100);
    node.apply(&[ad_tally_core::pacer::message::Grant { keep: 30, ..grant(1, BEGIN / DAY, 100) }], BEGIN);
    assert_eq!(available(&node), 30);
    assert_eq!(reports(&node, BEGIN)[0].returned, 70);
    // One that is older than what is known has no say.
    node.apply(&[ad_tally_core::pacer::message::Grant { keep: 0, pass: 0, ..grant(1, BEGIN / DAY, 99) }], BEGIN);
    assert_eq!(available(&node), 30);
}

#[test]
fn a_removed_campaign_is_unknown_and_goes_on_with_its_money_when_it_comes_back() {
    let node = funded(100);
    let open = token(&node, 1, 40);
    with_key(1, |key| node.remove(key, 2, BEGIN));
    assert_eq!(reserve(&node, 2, 1), Reserved::Unknown);
    assert_eq!(node.confirm(&open, 30, BEGIN), Confirmed::Confirmed);
    let report = reports(&node, BEGIN)[0];
    assert_eq!((report.granted, report.spent, report.returned, report.wanted), (100, 30, 70, 0));
    // An older plan does not bring it back.
    with_key(1, |key| node.install(key, 2, &plan(), BEGIN)).expect("there is room");
    assert_eq!(reserve(&node, 2, 1), Reserved::Unknown);
    with_key(1, |key| node.install(key, 3, &plan(), BEGIN)).expect("there is room");
    assert_eq!(reserve(&node, 2, 1), Reserved::NoBudget);
    node.apply(&[grant(1, BEGIN / DAY, 110)], BEGIN);
    assert_eq!(available(&node), 10);
}

#[test]
fn amounts_and_times_at_the_ends_of_their_ranges() {
    let node = funded((1 << 63) - 1);
    for amount in [MOST_PRICE + 1, 1 << 62, u64::MAX] {
        assert_eq!(reserve(&node, amount, amount), Reserved::NoBudget);
    }
    let most = token(&node, 1, MOST_PRICE);
    assert_eq!(node.confirm(&most, u64::MAX, BEGIN), Confirmed::Confirmed);
    // Nothing cannot be reserved.
    let least = token(&node, 2, 0);
    assert_eq!(least.amount(), 1);
    for price in 0..2_000 {
        let token = token(&node, 10 + price, 1);
        assert_eq!(node.confirm(&token, MOST_PRICE, BEGIN), Confirmed::OverPrice);
    }
    let totals = with_key(1, |key| node.status(key)).expect("it is known").current;
    assert_eq!((totals.overspent, totals.reserved()), (1 << 62, 1));
    assert_eq!(node.confirm(&least, 0, u64::MAX), Confirmed::Expired);
    let at = |at: u64, ttl: u64| with_key(1, |key| node.reserve(key, at ^ ttl, 1, at, ttl, || BEGIN));
    for far in [BEGIN + 60_001, 1 << 47, u64::MAX] {
        assert_eq!(at(far, 1), Reserved::Refused(Reason::Future), "{far}");
    }
    assert_eq!(at(0, 1), Reserved::NoBudget);
    assert_eq!(at(BEGIN, u64::MAX).token().map(|token| token.expires()), Some(BEGIN + MOST_TTL));
}

#[test]
fn a_node_is_full_only_of_what_is_live() {
    let small = Config { max_reservations: 20, ..config() };
    let node = Node::new(&small, seed(), None).expect("a small node");
    fund(&node, 1, 1_000_000);
    let mut tokens: Vec<Token> = Vec::new();
    loop {
        match reserve(&node, tokens.len() as u64, 1) {
            Reserved::Reserved(token) => tokens.push(token),
            Reserved::Refused(Reason::Full) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(tokens.len() >= 20, "{}", tokens.len());
    let live = tokens.len() as u64;
    assert_eq!(with_key(1, |key| node.status(key)).expect("known").current.reserved(), live);
    let later = BEGIN + HOUR;
    while !node.sweep(later, || true) {}
    assert_eq!(with_key(1, |key| node.status(key)).expect("known").current.reserved(), 0);
    let again = with_key(1, |key| node.reserve(key, live, 1, later, 60_000, || later));
    assert!(matches!(again, Reserved::Reserved(_)), "{again:?}");
    assert_eq!(node.info().counts.expired, live);
}

#[test]
fn a_request_without_money_wakes_once_until_the_next_report() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    let (node, woken) = (node(), Arc::new(AtomicUsize::new(0)));
    let counter = woken.clone();
    node.set_waker(Box::new(move || {
        counter.fetch_add(1, Relaxed);
    }));
    fund(&node, 1, 0);
    (0..3).for_each(|request| assert_eq!(reserve(&node, request, 1_000), Reserved::NoBudget));
    assert_eq!(woken.load(Relaxed), 1);
    assert_eq!(reports(&node, BEGIN)[0].wanted, 10_000);
    reserve(&node, 9, 1);
    assert_eq!(woken.load(Relaxed), 2);
}

#[test]
fn a_request_that_no_grant_can_help_asks_for_no_money() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    let (node, woken) = (node(), Arc::new(AtomicUsize::new(0)));
    let counter = woken.clone();
    node.set_waker(Box::new(move || {
        counter.fetch_add(1, Relaxed);
    }));
    fund(&node, 1, 100);
    // The event of yesterday, and an amount that is above all prices.
    let late = with_key(1, |key| node.reserve(key, 1, 10, BEGIN - DAY, 60_000, || BEGIN));
    assert_eq!((late, reserve(&node, 2, MOST_PRICE + 1)), (Reserved::NoBudget, Reserved::NoBudget));
    assert_eq!((woken.load(Relaxed), reports(&node, BEGIN)[0].wanted), (0, 50));
    assert_eq!(reserve(&node, 3, 200), Reserved::NoBudget);
    assert_eq!((woken.load(Relaxed), reports(&node, BEGIN)[0].wanted), (1, 2_000));
}
