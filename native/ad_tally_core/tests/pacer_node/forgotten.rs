//! A node that has forgotten what it spent, because its store is an older one or it has room for less: no money is spent twice.

use std::collections::HashSet;

use ad_tally_core::pacer::Token;
use ad_tally_core::pacer::message::Grant;
use ad_tally_core::pacer::node::{Config, Confirmed, Reserved, Totals};
use proptest::prelude::*;

use super::stored::Stored;
use super::support::{BEGIN, DAY, config, grant, hash, plan, reports, with_key};

/// What the coordinator says where it knows so much.
fn known(granted: u64, spent: u64, returned: u64) -> Grant {
    Grant { spent, returned, ..grant(1, BEGIN / DAY, granted) }
}

fn install(stored: &Stored, campaign: i64) -> bool {
    with_key(campaign, |key| stored.node.install(key, 1, &plan(), stored.now)).is_ok()
}

fn apply(stored: &mut Stored, grant: Grant) -> Totals {
    stored.node.apply(&[grant, grant], stored.now);
    stored.sync();
    stored.totals()
}

#[test]
fn what_a_node_without_its_store_has_spent_is_not_granted_again() {
    let mut stored = Stored::new();
    assert!(install(&stored, 1));
    let totals = apply(&mut stored, known(100, 60, 10));
    assert_eq!((totals.available, totals.spent, totals.returned, totals.presumed), (0, 60, 10, 30));
    assert_eq!(stored.reserve(1, 1), Reserved::NoBudget);
    // What is granted from now on is new.
    let totals = apply(&mut stored, known(120, 60, 10));
    assert_eq!((totals.available, totals.presumed, totals.granted), (20, 30, 120));
    // And is so after a crash.
    let stored = stored.crash();
    let totals = stored.totals();
    assert_eq!((totals.available, totals.spent, totals.returned, totals.presumed), (0, 60, 10, 50));
}

#[test]
fn grants_that_an_older_store_does_not_know_of_are_not_used_again() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let older = stored.runs.clone();
    stored.fund(200);
    stored.sync();
    let token = stored.token(1, 150);
    assert_eq!(stored.node.confirm(&token, 150, BEGIN), Confirmed::Confirmed);
    let mut stored = Stored::open(older, stored.opened + 1, BEGIN);
    assert!(install(&stored, 1));
    let totals = apply(&mut stored, known(200, 150, 0));
    assert_eq!((totals.available, totals.spent, totals.presumed), (0, 150, 50));
}

#[test]
fn of_what_an_older_store_says_is_available_nothing_is_left_that_the_coordinator_knows_to_be_spent() {
    let mut stored = Stored::new();
    stored.fund(100);
    stored.sync();
    let stored = stored.stop();
    // As it was when it had ended in order: all is available.
    let older = stored.runs[..stored.runs.len() - 1].to_vec();
    let token = stored.token(1, 70);
    assert_eq!(stored.node.confirm(&token, 70, BEGIN), Confirmed::Confirmed);
    let mut stored = Stored::open(older, stored.opened + 1, BEGIN);
    assert_eq!(stored.totals().available, 100);
    let totals = apply(&mut stored, known(130, 70, 20));
    assert_eq!((totals.available, totals.spent, totals.returned, totals.presumed), (40, 70, 20, 0));
}

#[test]
fn where_there_is_no_room_for_all_books_the_current_ones_are_kept() {
    let mut stored = Stored::new();
    // Nobody is told, so all are kept.
    for _ in 0..100 {
        stored.fund(100);
        stored.sync();
        stored.advance(DAY);
    }
    stored.fund(100);
    stored.sync();
    stored.token(1, 30);
    let now = stored.now;
    stored.node.leave();
    stored.sync();
    let small = Config { max_campaigns: 1, ..config() };
    let (stored, without_room) = Stored::open_with(small, stored.runs, 2, now);
    assert!(without_room.books > 0 && without_room.campaigns == 0, "{without_room:?}");
    let current = with_key(1, |key| stored.node.status(key)).expect("it is known").current;
    assert_eq!((current.granted, current.available, current.reserved()), (100, 70, 30));
    // They are forgotten for good.
    let (_, without_room) = Stored::open_with(small, stored.runs, 3, now);
    assert_eq!(without_room.books, 0);
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Grant { campaign: usize, more: u64, keep: u64 },
    Reserve { campaign: usize, request: u64, amount: u64 },
    Confirm { which: usize, part: u64 },
    SpendAll { campaign: usize },
    Advance(u64),
    Sync,
    Tell,
    Copy,
    Restart { room: usize, is_crash: bool },
    Older { room: usize },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let (campaign, room) = (|| 0..CAMPAIGNS, || 1..=CAMPAIGNS);
    prop_oneof![
        4 => (campaign(), 1..300_u64, prop_oneof![3 => Just(u64::MAX), 1 => 0..100_u64])
            .prop_map(|(campaign, more, keep)| Grant { campaign, more, keep }),
        12 => (campaign(), 0..40_u64, 1..60_u64)
            .prop_map(|(campaign, request, amount)| Reserve { campaign, request, amount }),
        8 => (any::<usize>(), 0..=100_u64).prop_map(|(which, part)| Confirm { which, part }),
        4 => campaign().prop_map(|campaign| SpendAll { campaign }),
        1 => (0..90_000_u64).prop_map(Advance),
        4 => Just(Sync),
        2 => Just(Tell),
        2 => Just(Copy),
        1 => (room(), any::<bool>()).prop_map(|(room, is_crash)| Restart { room, is_crash }),
        1 => room().prop_map(|room| Older { room }),
    ]
}

const CAMPAIGNS: usize = 2;
const TTL: u64 = 60_000;

/// What is known outside of the node: by the coordinator, and by who shows ads.
struct World {
    stored: Stored,
    /// Of each campaign the totals that were granted and told.
    known: [Grant; CAMPAIGNS],
    paid: [u64; CAMPAIGNS],
    tokens: Vec<(usize, u64, Token)>,
    confirmed: HashSet<(usize, u64)>,
    older: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let known = std::array::from_fn(|campaign| grant(campaign as i64, BEGIN / DAY, 1));
        let mut world = Self {
            stored: Stored::new(),
            known,
            paid: [0; CAMPAIGNS],
            tokens: Vec::new(),
            confirmed: HashSet::new(),
            older: Vec::new(),
        };
        world.hear();
        world
    }

    /// The node hears of all campaigns that there is room for.
    fn hear(&mut self) {
        for (campaign, known) in self.known.iter().enumerate() {
            if install(&self.stored, campaign as i64) {
                self.stored.node.apply(&[*known], self.stored.now);
            }
        }
    }

    /// The coordinator hears of what the node knows.
    fn tell(&mut self) {
        for report in reports(&self.stored.node, self.stored.now) {
            let known = self.known.iter_mut().find(|known| known.campaign == report.campaign).expect("one of them");
            known.spent = known.spent.max(report.spent);
            known.returned = known.returned.max(report.returned);
        }
    }

    /// Starts with what is on disk, or was.
    fn open(&mut self, runs: Vec<Vec<u8>>, max_campaigns: usize) {
        let small = Config { max_campaigns, ..config() };
        let (opened, now) = (self.stored.opened + 1, self.stored.now);
        self.stored = Stored::open_with(small, runs, opened, now).0;
        self.hear();
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Grant { campaign, more, keep } => {
                let known = &mut self.known[campaign];
                known.granted += more;
                self.stored.node.apply(&[Grant { keep, ..*known }], self.stored.now);
            }
            // A request that is confirmed is not made again: what a crash has lost of it is not known to the node.
            Operation::Reserve { campaign, request, .. } if self.confirmed.contains(&(campaign, request)) => {}
            Operation::Reserve { campaign, request, amount } => {
                let now = self.stored.now;
                let node = &self.stored.node;
                let reserved = with_key(campaign as i64, |key| node.reserve(key, request, amount, now, TTL, || now));
                self.tokens.extend(reserved.token().map(|token| (campaign, request, token)));
            }
            Operation::SpendAll { campaign } => {
                self.stored.sync();
                let (node, now) = (&self.stored.node, self.stored.now);
                let available =
                    with_key(campaign as i64, |key| node.status(key)).map_or(0, |status| status.all.available);
                // A request that none of the others is.
                let request = 1_000 + self.tokens.len() as u64 + 1_000 * self.paid[campaign];
                let reserved = with_key(campaign as i64, |key| node.reserve(key, request, available, now, TTL, || now));
                if let Some(token) = reserved.token()
                    && node.confirm(&token, token.amount(), now) == Confirmed::Confirmed
                {
                    self.paid[campaign] += token.amount();
                }
            }
            Operation::Confirm { which, part } if !self.tokens.is_empty() => {
                let (campaign, request, token) = self.tokens.swap_remove(which % self.tokens.len());
                self.tokens.retain(|(_, _, other)| *other != token);
                self.confirmed.insert((campaign, request));
                let price = token.amount() * part / 100;
                if self.stored.node.confirm(&token, price, token.at()) == Confirmed::Confirmed {
                    self.paid[campaign] += price;
                }
            }
            Operation::Confirm { .. } => {}
            Operation::Advance(by) => self.stored.advance(by),
            Operation::Sync => self.stored.sync(),
            Operation::Tell => self.tell(),
            Operation::Copy => {
                self.stored.sync();
                self.older = self.stored.runs.clone();
            }
            Operation::Restart { room, is_crash } => {
                self.tell();
                if !is_crash {
                    self.stored.node.leave();
                    self.stored.sync();
                }
                self.open(self.stored.runs.clone(), room);
            }
            Operation::Older { room } => {
                // What a node has not told nobody can know who has only an older store of it, nor what became of reservations: so none
                // of them lives any more, and nobody confirms one.
                self.tell();
                self.tokens.clear();
                self.stored.now += TTL + 1;
                self.open(self.older.clone(), room);
                self.stored.advance(0);
                self.hear();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The prices that were answered as booked in time are counted outside of the node: they are never more than what was granted and
    /// not given back, whichever state it was started from, for how few campaigns.
    #[test]
    fn whatever_a_node_has_forgotten_no_more_is_spent_than_was_granted(
        operations in prop::collection::vec(operation(), 1..200),
    ) {
        let mut world = World::new();
        for operation in operations {
            world.apply(operation);
            for (campaign, known) in world.known.iter().enumerate() {
                prop_assert_eq!(known.campaign, hash(campaign as i64));
                let (paid, Grant { granted, returned, .. }) = (world.paid[campaign], *known);
                prop_assert!(paid + returned <= granted, "campaign {campaign}: {paid} and {returned} of {granted}");
            }
        }
    }
}
