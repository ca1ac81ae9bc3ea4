//! Any operations, in any order: a node answers as its naive twin does, and has the same money after each of them.

use ad_tally_core::key::Domain;
use ad_tally_core::pacer::node::{Config, Reason, Reserved};
use ad_tally_core::pacer::{Node, Token};
use proptest::prelude::*;

use super::naive::{Asked, Naive};
use super::support::{BEGIN, DAY, HOUR, config, grant, hash, node, plan, reports, seed, with_key};

#[derive(Debug, Clone, Copy)]
enum Operation {
    Install { campaign: i64 },
    Remove { campaign: i64 },
    Grant { campaign: i64, days_ago: u64, more: u64, keep: u64, is_old: bool },
    Reserve { campaign: i64, request: u64, amount: u64, at: i64, ttl: u64 },
    Confirm { which: usize, price: u64, at: i64 },
    Release { which: usize },
    Advance { by: u64 },
    Pass { pass: u64 },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let campaign = || 0..3_i64;
    // Mostly within what reservations live, sometimes of another day.
    let at = || prop_oneof![4 => -2_000..2_000_i64, 1 => -(2 * DAY as i64)..70_000_i64];
    prop_oneof![
        1 => campaign().prop_map(|campaign| Install { campaign }),
        1 => campaign().prop_map(|campaign| Remove { campaign }),
        6 => (campaign(), prop_oneof![5 => Just(0), 1 => 1..3_u64], 0..500_u64,
              prop_oneof![3 => Just(u64::MAX), 1 => 0..300_u64], prop::bool::weighted(0.2))
            .prop_map(|(campaign, days_ago, more, keep, is_old)| Grant { campaign, days_ago, more, keep, is_old }),
        20 => (campaign(), 0..12_u64, 1..120_u64, at(), prop_oneof![1_u64..3_000, Just(12 * HOUR), Just(30 * 60_000)])
            .prop_map(|(campaign, request, amount, at, ttl)| Reserve { campaign, request, amount, at, ttl }),
        16 => (any::<usize>(), 0..150_u64, at()).prop_map(|(which, price, at)| Confirm { which, price, at }),
        6 => any::<usize>().prop_map(|which| Release { which }),
        5 => prop_oneof![4 => 0..3_000_u64, 1 => 0..2 * HOUR, 1 => 0..DAY].prop_map(|by| Advance { by }),
        1 => prop_oneof![Just(u64::MAX), any::<u64>()].prop_map(|pass| Pass { pass }),
    ]
}

/// The node and its twin, and the tokens that were given out.
struct Both {
    node: Node,
    naive: Naive,
    tokens: Vec<(i64, u64, Token)>,
    version: u32,
    pass: u64,
    passes: std::collections::BTreeMap<i64, u64>,
}

impl Both {
    fn new() -> Self {
        let (node, naive) = (node(), Naive::new());
        Self { node, naive, tokens: Vec::new(), version: 0, pass: u64::MAX, passes: Default::default() }
    }

    fn time(&self, at: i64) -> u64 {
        self.naive.now.saturating_add_signed(at)
    }

    fn apply(&mut self, operation: Operation) {
        let now = self.naive.now;
        // No report is made after a request, so that a request right after another one is tested as well.
        let is_reported = !matches!(operation, Operation::Reserve { .. });
        match operation {
            Operation::Install { campaign } => {
                self.version += 1;
                if !self.naive.installed.contains_key(&campaign) {
                    self.passes.insert(campaign, u64::MAX);
                }
                self.naive.install(campaign, self.version);
                with_key(campaign, |key| self.node.install(key, self.version, &plan(), now)).expect("there is room");
            }
            Operation::Remove { campaign } => {
                self.version += 1;
                self.naive.remove(campaign, self.version);
                with_key(campaign, |key| self.node.remove(key, self.version, now));
            }
            Operation::Grant { campaign, days_ago, more, keep, is_old } => {
                let period = self.naive.period() - days_ago;
                let known = self.naive.books.get(&(campaign, period)).map_or(0, |book| book.totals.granted);
                let granted = if is_old { known.saturating_sub(more) } else { known + more };
                self.naive.grant(campaign, period, granted, keep);
                let is_taken = self.naive.books.contains_key(&(campaign, period));
                if days_ago == 0 && granted >= known && is_taken && self.naive.installed.contains_key(&campaign) {
                    self.passes.insert(campaign, self.pass);
                }
                let grant =
                    ad_tally_core::pacer::message::Grant { keep, pass: self.pass, ..grant(campaign, period, granted) };
                self.node.apply(&[grant], now);
            }
            Operation::Reserve { campaign, request, amount, at, ttl } => {
                let at = self.time(at);
                let id = seed().hash(Domain::Id, &[request]);
                let of_request = seed().hash(Domain::Request, &[hash(campaign), id]);
                let pass = self.passes.get(&campaign).copied().unwrap_or(0);
                let passes = pass == u64::MAX || of_request < pass;
                let asked = self.naive.reserve(campaign, request, passes, amount, at, ttl);
                let is_open = with_key(campaign, |key| self.node.is_open(key, id, at));
                let reserved = with_key(campaign, |key| self.node.reserve(key, id, amount, at, ttl, || now));
                match (asked, reserved) {
                    (Asked::New { amount, expires }, Reserved::Reserved(token))
                    | (Asked::Again { amount, expires }, Reserved::Again(token)) => {
                        assert_eq!((token.amount(), token.expires()), (amount, expires));
                        assert!(is_open);
                        self.tokens.push((campaign, request, token));
                    }
                    (Asked::Paced, Reserved::Paced) | (Asked::Unknown, Reserved::Unknown) => assert!(!is_open),
                    (Asked::NoBudget, Reserved::NoBudget) | (Asked::Future, Reserved::Refused(Reason::Future)) => {}
                    other => panic!("{other:?}"),
                }
            }
            Operation::Confirm { which, price, at } => {
                let Some((campaign, request, token)) = self.token(which) else { return };
                // Of the reservation's time, not of now.
                let at = token.expires().saturating_add_signed(at);
                let expected = self.naive.confirm(campaign, request, token.expires(), price, at);
                assert_eq!(self.node.confirm(&token, price, at), expected);
            }
            Operation::Release { which } => {
                let Some((campaign, request, token)) = self.token(which) else { return };
                let expected = self.naive.release(campaign, request, token.expires());
                assert_eq!(self.node.release(&token), expected);
            }
            Operation::Advance { by } => {
                self.naive.advance(by);
                while !self.node.sweep(self.naive.now, || false) {}
            }
            Operation::Pass { pass } => self.pass = pass,
        }
        self.naive.check();
        self.check_statuses();
        if is_reported {
            self.check_reports();
        }
    }

    fn token(&self, which: usize) -> Option<(i64, u64, Token)> {
        (!self.tokens.is_empty()).then(|| self.tokens[which % self.tokens.len()])
    }

    fn check_statuses(&self) {
        for ((campaign, period), book) in self.naive.books.iter().filter(|(_, book)| !book.is_closed) {
            let Some(status) = with_key(*campaign, |key| self.node.status(key)) else { continue };
            assert_eq!(status.current, book.totals);
            assert_eq!(status.current.reserved(), self.naive.reserved(*campaign, *period));
        }
    }

    fn check_reports(&self) {
        let reports = reports(&self.node, self.naive.now);
        for ((campaign, period), book) in &self.naive.books {
            let report =
                reports.iter().find(|report| report.campaign == hash(*campaign) && report.period == *period as u32);
            let (totals, reserved) = (&book.totals, self.naive.reserved(*campaign, *period));
            let known = [totals.granted, totals.spent, totals.returned];
            match report {
                Some(report) => {
                    let told = [report.granted, report.spent, report.returned, report.reserved, report.overspent];
                    assert_eq!(told, [known[0], known[1], known[2], reserved, totals.overspent]);
                    assert_eq!((report.presumed, report.confirms), (0, totals.confirms));
                }
                // Nobody has to be told.
                None => assert!(book.is_closed && reserved == 0),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_node_answers_as_its_naive_twin_and_has_the_same_money(
        operations in prop::collection::vec(operation(), 1..300),
    ) {
        let mut both = Both::new();
        for campaign in 0..2 {
            both.apply(Operation::Install { campaign });
        }
        operations.into_iter().for_each(|operation| both.apply(operation));
    }
}

#[test]
fn who_asks_whether_there_is_room_takes_none() {
    let node = Node::new(&Config { max_campaigns: 1, ..config() }, seed(), None).expect("a node");
    assert!((0..3).all(|campaign| with_key(campaign, |key| node.has_room(key))));
    with_key(1, |key| node.install(key, 1, &plan(), BEGIN)).expect("there is room");
    assert_eq!([1, 2].map(|campaign| with_key(campaign, |key| node.has_room(key))), [true, false]);
}
