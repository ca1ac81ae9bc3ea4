//! A node with a journal in memory, that is killed, stopped and started again.

use std::sync::Arc;

use ad_tally_core::journal::{Config as Room, Fold, Journal, Part, Restore};
use ad_tally_core::pacer::node::{Config, Reserved, Totals, WithoutRoom};
use ad_tally_core::pacer::{Node, Token};

use super::in_memory::{each_entry, folded, merged};
use super::support::{BEGIN, DAY, config, grant, plan, reports, seed, with_key};

pub const PART: u16 = 3;

/// A node with a journal, and what is on disk of it: runs, the oldest first.
pub struct Stored {
    pub node: Node,
    pub part: Part,
    pub opened: u32,
    pub runs: Vec<Vec<u8>>,
    pub now: u64,
}

impl Stored {
    pub fn new() -> Self {
        Self::open(Vec::new(), 1, BEGIN)
    }

    pub fn open(runs: Vec<Vec<u8>>, opened: u32, now: u64) -> Self {
        let (stored, without_room) = Self::open_with(config(), runs, opened, now);
        assert_eq!(without_room, WithoutRoom::default());
        stored
    }

    /// One of another size.
    pub fn open_with(config: Config, runs: Vec<Vec<u8>>, opened: u32, now: u64) -> (Self, WithoutRoom) {
        let part = Part::new(Journal::new(Room::default(), opened), PART);
        let node = Node::new(&config, seed(), Some(part.clone())).expect("a small node");
        let restoring = node.restoring();
        for run in &runs {
            each_entry(run, |of, entry| {
                if of == PART {
                    restoring.restore(entry).expect("one of the node's");
                }
            });
        }
        let without_room = restoring.finish(now);
        let mut stored = Self { node, part, opened, runs, now };
        stored.sync();
        (stored, without_room)
    }

    /// What was written is on disk from now on, and what waited for that is free.
    pub fn sync(&mut self) {
        let noted = self.node.note_pending();
        let fold = self.node.fold();
        self.runs
            .push(folded(self.part.journal.cut().records().filter(|record| record.part == PART), &fold as &dyn Fold));
        self.node.free_pending(&noted);
        // Twice is as good as once.
        self.node.free_pending(&noted);
    }

    /// It is killed: what was not synced is lost.
    pub fn crash(self) -> Self {
        Self::open(self.runs, self.opened + 1, self.now)
    }

    pub fn stop(mut self) -> Self {
        self.node.leave();
        self.sync();
        Self::open(self.runs, self.opened + 1, self.now)
    }

    /// All runs are merged into one.
    pub fn compact(&mut self) {
        let fold = Arc::new(self.node.fold()) as Arc<dyn Fold>;
        self.runs = vec![merged(&self.runs, Some(&*fold), true)];
    }

    pub fn fund(&mut self, granted: u64) {
        with_key(1, |key| self.node.install(key, 1, &plan(), self.now)).expect("there is room");
        self.node.apply(&[grant(1, self.now / DAY, granted)], self.now);
    }

    pub fn reserve(&self, request: u64, amount: u64) -> Reserved {
        with_key(1, |key| self.node.reserve(key, request, amount, self.now, 60_000, || self.now))
    }

    pub fn token(&self, request: u64, amount: u64) -> Token {
        self.reserve(request, amount).token().expect("there is money")
    }

    pub fn totals(&self) -> Totals {
        with_key(1, |key| self.node.status(key)).expect("it is known").all
    }

    pub fn advance(&mut self, by: u64) {
        self.now += by;
        while !self.node.sweep(self.now, || true) {}
        reports(&self.node, self.now);
    }
}
