//! What is to happen, in the order of time, and a log of what has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::{BEGIN, MINUTE};
use crate::network::Message;

pub enum Event {
    /// A machine reports, sweeps and syncs.
    Step(usize),
    /// A machine reports, because a request found no money.
    Woken(usize),
    Request(usize, usize),
    /// The coordinator has its tick.
    Tick,
    /// A message arrives at a machine.
    Arrive(usize, Message),
    /// A caller settles a reservation.
    Settle(usize, u8),
    /// A reservation has expired, if its machine's clock says so.
    Expire(usize),
    Edit(usize),
    Fault,
    /// All is well again, and nobody asks for anything any more.
    Calm,
    /// Nodes are to give back all that they can: what is out then stays so.
    Recall,
}

/// Events to come. Of one moment they come in the order in which they were made.
pub struct Schedule {
    pub at: u64,
    number: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    bodies: Vec<Option<Event>>,
    free_bodies: Vec<usize>,
    digest: u64,
    /// The digest by the end of each minute.
    digests: Vec<u64>,
}

impl Schedule {
    pub fn new() -> Self {
        Self {
            at: BEGIN,
            number: 0,
            events: BinaryHeap::new(),
            bodies: Vec::new(),
            free_bodies: Vec::new(),
            digest: 0,
            digests: Vec::new(),
        }
    }

    pub fn later(&mut self, after: u64, event: Event) {
        self.number += 1;
        let body = self.free_bodies.pop().unwrap_or_else(|| {
            self.bodies.push(None);
            self.bodies.len() - 1
        });
        self.bodies[body] = Some(event);
        self.events.push(Reverse((self.at + after, self.number, body)));
    }

    /// The next event, whose time it is then.
    pub fn next(&mut self) -> Option<Event> {
        let Reverse((at, number, body)) = self.events.pop()?;
        while BEGIN + (self.digests.len() as u64 + 1) * MINUTE <= at {
            self.digests.push(self.digest);
        }
        self.at = at;
        self.note(at ^ number << 40);
        self.free_bodies.push(body);
        self.bodies[body].take()
    }

    /// Adds something that has happened to the log.
    pub fn note(&mut self, word: u64) {
        self.digest = (self.digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
    }

    /// The log.
    pub fn into_log(mut self) -> Vec<u64> {
        self.digests.push(self.digest);
        self.digests
    }
}
