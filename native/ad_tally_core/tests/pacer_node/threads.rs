//! Many threads at once, while money is granted, time ends and days roll over.
//!
//! `PACER_RUNS=1000 cargo test --release -p ad_tally_core --test pacer_node threads` has more runs.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use ad_tally_core::pacer::message::Grant;
use ad_tally_core::pacer::node::{Confirmed, Released, Reserved};
use ad_tally_core::pacer::{MOST_PRICE, Node, Token};

use super::at_end::AtEnd;
use super::support::{BEGIN, DAY, config, fund, grant, hash, reports, seed, with_key};

const THREADS: u64 = 32;
/// Threads above it have the same requests as the first ones.
const DISTINCT: u64 = 24;
/// Those with requests that no other one has.
const OWN_REQUESTS: Range<u64> = THREADS - DISTINCT..DISTINCT;
const REQUESTS: u64 = 500;
const CAMPAIGNS: i64 = 3;
const DAYS: u64 = 3;

fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 31
}

/// What threads have booked by day: prices, what of them was overspent, confirms.
#[derive(Default)]
struct Booked {
    spent: AtomicU64,
    overspent: AtomicU64,
}

/// One thread's requests. Some reservations are kept for others to settle too.
fn ask(node: &Node, thread: u64, salt: u64, now: &AtomicU64, shared: &Mutex<Vec<Token>>, booked: &Booked) {
    for number in 0..REQUESTS {
        let random = mixed(salt ^ thread << 32 ^ number);
        let at = now.load(Relaxed);
        let campaign = (random % CAMPAIGNS as u64) as i64;
        // Requests of some threads are the same.
        let request = (thread % DISTINCT) << 32 | number;
        let reserved = with_key(campaign, |key| node.reserve(key, request, 1 + random % 50, at, 60_000, || at));
        let mut token = match reserved {
            Reserved::Reserved(token) | Reserved::Again(token) => token,
            _ => continue,
        };
        if OWN_REQUESTS.contains(&thread) {
            // Whoever has a reservation is told of it again, for any amount, as long as it lives: there may not be money for another one.
            let again = with_key(campaign, |key| node.reserve(key, request, MOST_PRICE, at, 60_000, || at));
            let is_told = again == Reserved::Again(token);
            assert!(is_told || now.load(Relaxed) > token.expires(), "salt {salt}: {again:?} after {token:?}");
        }
        if random >> 8 & 7 == 0 {
            let mut shared = shared.lock().expect("no panic");
            shared.push(token);
            let at = (random >> 16) as usize % shared.len();
            token = shared[at];
        }
        if random >> 12 & 3 == 0 {
            assert!(matches!(node.release(&token), Released::Released | Released::Confirmed | Released::Unknown));
            continue;
        }
        let price = token.amount() * (random >> 20 & 7) / 6;
        let (spent, overspent) = match node.confirm(&token, price, at) {
            Confirmed::Confirmed => (price, 0),
            Confirmed::OverPrice => (price, price - token.amount()),
            Confirmed::Expired => (price, price),
            Confirmed::Duplicate | Confirmed::Unknown => (0, 0),
            other => panic!("{other:?}"),
        };
        booked.spent.fetch_add(spent, Relaxed);
        booked.overspent.fetch_add(overspent, Relaxed);
    }
}

/// Grants, sweeps and day rolls until all threads are done.
fn keep(node: &Node, salt: u64, now: &AtomicU64, is_over: &AtomicBool, granted: &mut [[u64; DAYS as usize]]) {
    let mut round = 0;
    while !is_over.load(Relaxed) {
        round += 1;
        let random = mixed(salt ^ round << 40);
        let mut at = now.load(Relaxed);
        // Days pass, but no reservation lives that long here.
        at = if round.is_multiple_of(64) { (at / DAY + 1) * DAY } else { at + random % 3_000 };
        if at >= BEGIN / DAY * DAY + DAYS * DAY {
            at = now.load(Relaxed);
        }
        now.store(at, Relaxed);
        let (campaign, day) = ((random >> 8) as i64 % CAMPAIGNS, (at / DAY - BEGIN / DAY) as usize);
        granted[campaign as usize][day] += random >> 16 & 1_023;
        let keep = if random >> 40 & 3 == 0 { 100 } else { u64::MAX };
        let grant = Grant { keep, ..grant(campaign, at / DAY, granted[campaign as usize][day]) };
        node.apply(&[grant], at);
        while !node.sweep(at, || true) {}
        reports(node, at);
        thread::yield_now();
    }
}

fn race(salt: u64) {
    let node = Node::new(&config(), seed(), None).expect("a small node");
    (0..CAMPAIGNS).for_each(|campaign| fund(&node, campaign, 20_000));
    let (now, is_over, shared) = (AtomicU64::new(BEGIN), AtomicBool::new(false), Mutex::new(Vec::new()));
    let booked = Booked::default();
    let mut granted = [[0; DAYS as usize]; CAMPAIGNS as usize];
    granted.iter_mut().for_each(|days| days[0] = 20_000);
    thread::scope(|scope| {
        let at_end = AtEnd(&is_over);
        let keeper = scope.spawn(|| keep(&node, salt, &now, &is_over, &mut granted));
        let asking: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (node, now, shared, booked) = (&node, &now, &shared, &booked);
                scope.spawn(move || ask(node, thread, salt, now, shared, booked))
            })
            .collect();
        asking.into_iter().for_each(|thread| thread.join().expect("no panic"));
        drop(at_end);
        keeper.join().expect("no panic");
    });
    // All that lives expires: then nothing is reserved, and all that was granted is available, spent or returned.
    let end = now.load(Relaxed) + 120_000;
    while !node.sweep(end, || true) {}
    let all = reports(&node, end);
    let (mut spent, mut overspent) = (0, 0);
    for report in &all {
        assert_eq!((report.reserved, report.presumed), (0, 0), "salt {salt}: {report:?}");
        assert!(report.spent - report.overspent + report.returned <= report.granted, "salt {salt}: {report:?}");
        (spent, overspent) = (spent + report.spent, overspent + report.overspent);
    }
    for campaign in 0..CAMPAIGNS {
        let totals = with_key(campaign, |key| node.status(key)).expect("it is known").all;
        let all_granted: u64 = granted[campaign as usize].iter().sum();
        assert_eq!((totals.granted, totals.reserved()), (all_granted, 0), "salt {salt}: {totals:?}");
        let of: u64 = all.iter().filter(|report| report.campaign == hash(campaign)).map(|report| report.granted).sum();
        assert_eq!(of, all_granted, "salt {salt}");
    }
    assert_eq!((spent, overspent), (booked.spent.load(Relaxed), booked.overspent.load(Relaxed)), "salt {salt}");
    assert!(spent > 0);
}

#[test]
fn threads_that_race_with_grants_and_days_lose_no_money_and_make_none() {
    let runs = std::env::var("PACER_RUNS").map_or(20, |runs| runs.parse().expect("a number of runs"));
    (0..runs).for_each(race);
}
