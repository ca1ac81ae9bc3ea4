//! A frequency cap and a budget as one step: both or none, whatever is asked at once.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use ad_tally_core::admission::{Admitted, Ask, admit, release};
use ad_tally_core::frequency_cap;
use ad_tally_core::key::integer_words;
use ad_tally_core::pacer::message::Grant;
use ad_tally_core::pacer::node::{self, Released};
use ad_tally_core::pacer::{Node, Pace, Period, Plan, Token};
use ad_tally_core::time::Zone;
use ad_tally_core::{Error, FrequencyCap, Rule, Rules, Seed, Window};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const BEGIN: u64 = 20_000 * DAY + 10 * HOUR;
const TTL: u64 = 60_000;

/// Caps, and a node whose only campaign has so much.
struct Parts {
    caps: FrequencyCap,
    node: Node,
    words: Vec<u64>,
}

impl Parts {
    fn new(budget: u64) -> Self {
        let config = frequency_cap::Config {
            capacity: 1_000,
            max_capacity: 2_000,
            tiers: vec![(60_000, DAY)],
            lifetime: false,
            strict: true,
            max_ahead: None,
        };
        let caps = FrequencyCap::with_seed(&config, Seed::new(1)).expect("a small table");
        let node = Node::new(&node::Config::default(), Seed::new(2), None).expect("a small node");
        let words = integer_words(42).to_vec();
        let plan = Plan {
            budget: 1 << 40,
            period: Period::Daily,
            zone: Zone::fixed(0),
            pace: Pace::Asap,
            daily_max: None,
            price: 10,
        };
        node.install(node.seed().key(&words), 1, &plan, BEGIN).expect("there is room");
        let parts = Self { caps, node, words };
        parts.grant(budget, u64::MAX);
        parts
    }

    fn grant(&self, granted: u64, pass: u64) {
        let grant = Grant {
            campaign: self.node.seed().key(&self.words).hash,
            period: (BEGIN / DAY) as u32,
            until: (BEGIN / DAY + 1) * DAY,
            granted,
            keep: u64::MAX,
            pass,
            plan: 1,
            ..Grant::default()
        };
        self.node.apply(&[grant], BEGIN);
    }

    fn admit(&self, user: u64, request: u64, rules: &Rules) -> Admitted {
        self.try_admit(user, request, rules, BEGIN).expect("good rules")
    }

    fn try_admit(&self, user: u64, request: u64, rules: &Rules, at: u64) -> Result<Admitted, Error> {
        let ask = Ask {
            campaign: self.node.seed().key(&self.words),
            request,
            pair: pair(user),
            rules,
            amount: 10,
            at,
            ttl: TTL,
        };
        admit(&self.caps, &self.node, &ask, || BEGIN)
    }

    fn count(&self, user: u64) -> u32 {
        self.caps.count(pair(user), Window::Rolling(HOUR), BEGIN).expect("a good window") as u32
    }

    fn reserved(&self) -> u64 {
        self.node.status(self.node.seed().key(&self.words)).expect("it is known").current.reserved()
    }
}

fn pair(user: u64) -> u64 {
    (user + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn rules(max: u32) -> Rules {
    Rules::new(vec![Rule { max, window: Window::Rolling(HOUR) }]).expect("a good rule")
}

fn token(admitted: Admitted) -> Token {
    let Admitted::Admitted(token) = admitted else { panic!("{admitted:?}") };
    token
}

#[test]
fn what_is_admitted_counts_and_holds_its_money_once() {
    let (parts, rules) = (Parts::new(25), rules(1));
    let first = token(parts.admit(1, 1, &rules));
    assert_eq!((parts.count(1), parts.reserved()), (1, 10));
    // The same request, whatever the rules say by now.
    assert_eq!(token(parts.admit(1, 1, &rules)), first);
    assert_eq!(token(parts.admit(1, 1, &self::rules(9))), first);
    assert_eq!((parts.count(1), parts.reserved()), (1, 10));
    // Another one of the same user, and others without money.
    assert_eq!(parts.admit(1, 2, &rules), Admitted::Capped(0));
    token(parts.admit(2, 3, &rules));
    assert_eq!(parts.admit(3, 4, &rules), Admitted::NoBudget);
    assert_eq!((parts.count(3), parts.reserved()), (0, 20));
}

#[test]
fn what_is_paced_is_not_asked_of_the_caps_but_rules_that_they_cannot_serve_are_an_error() {
    let (parts, rules) = (Parts::new(25), rules(1));
    token(parts.admit(1, 1, &rules));
    parts.grant(25, 0);
    assert_eq!(parts.try_admit(1, 2, &rules, BEGIN), Ok(Admitted::Paced));
    // Neither of them is in time for the caps.
    assert_eq!(parts.try_admit(1, 3, &rules, BEGIN - 10 * DAY), Ok(Admitted::Paced));
    assert_eq!(parts.try_admit(1, 4, &rules, BEGIN + 10 * DAY), Ok(Admitted::Paced));
    let info = parts.caps.info();
    assert_eq!((info.denied_by_rule, info.refused), (0, [0; 4]));
    let counts = parts.node.info().counts;
    assert_eq!((counts.reserved, counts.paced), (1, 3));
    let week = Rules::new(vec![Rule { max: 1, window: Window::Rolling(7 * DAY) }]).expect("a good rule");
    let error = parts.caps.check(pair(1), &week, BEGIN, || BEGIN).expect_err("the tiers end after a day");
    assert_eq!(parts.try_admit(1, 5, &week, BEGIN), Err(error));
}

#[test]
fn a_release_takes_both_back_once() {
    let (parts, rules) = (Parts::new(10), rules(2));
    let first = token(parts.admit(1, 1, &rules));
    assert_eq!(release(&parts.caps, &parts.node, &first), Released::Released);
    assert_eq!((parts.count(1), parts.reserved()), (0, 0));
    token(parts.admit(1, 2, &rules));
    assert_eq!(release(&parts.caps, &parts.node, &first), Released::Released);
    assert_eq!((parts.count(1), parts.reserved()), (1, 10));
}

#[test]
fn a_release_takes_the_event_back_whether_or_not_its_time_has_ended_and_was_swept() {
    let (parts, rules) = (Parts::new(20), rules(2));
    let [swept, due] = [(1, 1), (2, 2)].map(|(user, request)| (user, token(parts.admit(user, request, &rules))));
    let check = |(user, token): (u64, Token)| {
        assert_eq!(release(&parts.caps, &parts.node, &token), Released::Released);
        assert_eq!(parts.count(user), 0);
        // Another one of the same user is not taken back by it.
        assert_eq!(parts.caps.record(pair(user), BEGIN, || BEGIN), Ok(frequency_cap::Decision::Admitted));
        assert_eq!(release(&parts.caps, &parts.node, &token), Released::Released);
        assert_eq!(parts.count(user), 1);
    };
    check(due);
    while !parts.node.sweep(BEGIN + TTL + 1, || true) {}
    assert_eq!((parts.count(swept.0), parts.reserved()), (1, 0));
    check(swept);
}

#[test]
fn threads_count_exactly_what_they_reserve() {
    const THREADS: u64 = 4;
    const USERS: u64 = 50;
    // Of 150 that the caps would let through there is money for 100.
    let (parts, rules, admitted) = (Parts::new(1_000), rules(3), AtomicU64::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (parts, rules, admitted) = (&parts, &rules, &admitted);
            scope.spawn(move || {
                for number in 0..2_000 {
                    // Each request is asked for by two threads.
                    let request = number * 2 + thread / 2;
                    if let Admitted::Admitted(token) = parts.admit(request % USERS, request, rules) {
                        admitted.fetch_add(1, Relaxed);
                        if request % 3 == 0 {
                            release(&parts.caps, &parts.node, &token);
                        }
                    }
                }
            });
        }
    });
    let counted: u64 = (0..USERS).map(|user| u64::from(parts.count(user))).sum();
    assert_eq!(counted * 10, parts.reserved());
    assert!(counted <= 100 && admitted.load(Relaxed) > 0, "{counted} of 100");
    // What was not reserved, or given back, can be reserved, to the last.
    let more = (0..).map(|request| parts.admit(request % USERS, 1_000_000 + request, &rules));
    let more = more.take_while(|admitted| *admitted != Admitted::NoBudget);
    let more = more.filter(|admitted| matches!(admitted, Admitted::Admitted(_))).count() as u64;
    assert_eq!((more, parts.reserved()), (100 - counted, 1_000));
}
