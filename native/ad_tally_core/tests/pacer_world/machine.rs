//! A machine: a clock, a disk, and a process that may be dead.

use std::sync::{Arc, LazyLock};

use ad_tally_core::Seed;
use ad_tally_core::journal::{self, Fold, Journal, Part};
use ad_tally_core::pacer::ledger::{self, Lease};
use ad_tally_core::pacer::message::NodeRef;
use ad_tally_core::pacer::{Pacer, node};

use crate::clock::{Clock, MINUTE};
use crate::disk::Disk;

const PART: u16 = 1;
pub const NODES: usize = 4;
/// The machine that coordinates all budgets.
pub const COORDINATOR: usize = 0;

/// The seed of all nodes.
pub fn seed() -> &'static Seed {
    static SEED: LazyLock<Seed> = LazyLock::new(|| Seed::new(7));
    &SEED
}

pub struct Machine {
    pub index: usize,
    pub has_store: bool,
    pub clock: Clock,
    pub disk: Disk,
    pub process: Option<Process>,
    /// The process starts again then.
    pub starts_at: u64,
    /// Messages of it are lost until then.
    pub cut_until: u64,
    /// It is to die when it has granted something, before it has answered.
    pub dies_at_grant: bool,
    /// It reports soon.
    pub is_woken: bool,
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
    pub fn new(index: usize, has_store: bool, clock: Clock) -> Self {
        Self {
            index,
            has_store,
            clock,
            disk: Disk::default(),
            process: None,
            starts_at: 0,
            cut_until: 0,
            dies_at_grant: false,
            is_woken: false,
            opened: 0,
        }
    }

    /// Starts a process with what is on disk, if that can be read and written.
    pub fn start(&mut self, at: u64, random: u64, hides_crash: bool) {
        if self.disk.refuses(at) {
            return;
        }
        let now = self.clock.show(at);
        self.opened += 1;
        let config = journal::Config { buffer_bytes: 1 << 20, wake_bytes: 1 << 20 };
        let journal = self.has_store.then(|| Journal::new(config, self.opened));
        let part = journal.clone().map(|journal| Part::new(journal, PART));
        let name = 1 + self.index as u64;
        let of_node =
            node::Config { name, max_campaigns: 16, max_reservations: 2_000, max_ahead: MINUTE, remember: 600_000 };
        let lease = Lease::Shared { nodes: NODES as u32 };
        let of_ledger = ledger::Config { lease, max_campaigns: 16, tick: MINUTE };
        let pacer = Pacer::new(&of_node, of_ledger, seed(), part).expect("a pacer");
        if self.has_store {
            let restoring = pacer.restoring();
            self.disk.read(&restoring, hides_crash);
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
        if self.disk.refuses(at) {
            return false;
        }
        self.disk.write(journal, &*process.fold);
        true
    }
}
