//! A machine: a clock that is wrong, a disk that may refuse, and a process that may be dead.

use std::sync::Arc;

use ad_tally_core::Seed;
use ad_tally_core::journal::{self, Fold, Journal, Part, Restore};
use ad_tally_core::pacer::ledger::{self, Lease};
use ad_tally_core::pacer::message::NodeRef;
use ad_tally_core::pacer::{Pacer, node};

use crate::in_memory::{each_entry, folded, merged};

const PART: u16 = 1;
/// Intervals on disk before they are merged.
const MOST_RUNS: usize = 3_000;
pub const NODES: usize = 4;

pub fn seed() -> Seed {
    Seed::new(7)
}

pub struct Machine {
    pub index: usize,
    pub has_store: bool,
    pub process: Option<Process>,
    /// The process starts again then.
    pub starts_at: u64,
    /// Messages of it are lost until then.
    pub cut_until: u64,
    /// Its disk refuses until then.
    pub refuses_until: u64,
    /// It is to die when it has granted something, before it has answered.
    pub dies_at_grant: bool,
    /// It reports soon.
    pub is_woken: bool,
    /// How far its clock is off, and how many millionths it is too fast.
    pub offset: i64,
    drift: i64,
    /// The greatest time that its clock has shown.
    pub newest: u64,
    /// What is on disk: intervals, or several that were merged, the oldest first.
    runs: Vec<Vec<u8>>,
    opened: u32,
}

pub struct Process {
    pub pacer: Pacer,
    pub me: NodeRef,
    /// Whose plans it has, up to which version.
    pub coordinator: u64,
    pub has: u32,
    fold: Arc<dyn Fold>,
    journal: Option<Arc<Journal>>,
}

impl Machine {
    pub fn new(index: usize, has_store: bool, offset: i64, drift: i64) -> Self {
        Self {
            index,
            has_store,
            process: None,
            starts_at: 0,
            cut_until: 0,
            refuses_until: 0,
            dies_at_grant: false,
            is_woken: false,
            offset,
            drift,
            newest: 0,
            runs: Vec::new(),
            opened: 0,
        }
    }

    /// What its clock shows.
    pub fn clock(&mut self, at: u64, since: u64) -> u64 {
        let drift = (at - since) as i64 * self.drift / 1_000_000;
        let shown = at.saturating_add_signed(self.offset + drift);
        self.newest = self.newest.max(shown);
        shown
    }

    /// Starts a process with what is on disk, if that can be read and written.
    pub fn start(&mut self, at: u64, now: u64, random: u64) {
        if at < self.refuses_until {
            return;
        }
        self.opened += 1;
        let config = journal::Config { buffer_bytes: 1 << 20, wake_bytes: 1 << 20 };
        let journal = self.has_store.then(|| Journal::new(config, self.opened));
        let part = journal.clone().map(|journal| Part { journal, number: PART });
        let name = 1 + self.index as u64;
        let of_node =
            node::Config { name, max_campaigns: 16, max_reservations: 2_000, max_ahead: 60_000, remember: 600_000 };
        let lease = Lease::Shared { nodes: NODES as u32 };
        let of_ledger = ledger::Config { lease, max_campaigns: 16, tick: 60_000 };
        let pacer = Pacer::new(&of_node, of_ledger, &seed(), part).expect("a pacer");
        if self.has_store {
            let restoring = pacer.restoring();
            for run in &self.runs {
                each_entry(run, |_, entry| restoring.restore(entry).expect("what it wrote"));
            }
            restoring.finish(now);
        }
        let incarnation = if self.has_store { 77 } else { random | 1 };
        let me = NodeRef { name, incarnation };
        let fold = pacer.fold();
        self.process = Some(Process { pacer, me, coordinator: 0, has: 0, fold, journal });
        assert!(self.sync(at), "a disk that does not refuse");
    }

    /// What was not synced is gone.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends in order.
    pub fn stop(&mut self, at: u64) {
        if let Some(process) = &self.process {
            process.pacer.node.leave();
            self.sync(at);
        }
        self.process = None;
    }

    /// Has what was written be on disk: whether it is.
    pub fn sync(&mut self, at: u64) -> bool {
        let Some(process) = &self.process else { return false };
        let Some(journal) = &process.journal else { return true };
        if at < self.refuses_until {
            return false;
        }
        if journal.stats().waiting_bytes > 0 {
            let interval = journal.cut();
            self.runs.push(folded(interval.records(), &*process.fold));
        }
        if self.runs.len() > MOST_RUNS {
            self.runs = vec![merged(&self.runs, Some(&*process.fold), true)];
        }
        true
    }
}
