//! The process that a table with a name belongs to.
//!
//! The VM calls `down` of a resource type (see `resource`) while such a process ends, however it does. From then on every
//! call with the table is refused: what would be counted in it nobody could read any more. That is all that is done there,
//! on a scheduler, in the middle of the process' end. What takes longer is done by the process that `AdTally.Named` has watch
//! it: to take the name away, and so to free the table.

use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use rustler::{Atom, Encoder, Env, LocalPid};

use crate::decode::{BadArgument, bad_argument};

/// Which process a table belongs to, if to any, and whether that has ended.
pub struct Owner {
    /// The module that the table is of, for errors.
    module: &'static str,
    /// What the process and the table are named, and the process, once there is one.
    process: Mutex<Option<(Atom, LocalPid)>>,
    state: AtomicU8,
}

const NOBODY: u8 = 0;
const RUNS: u8 = 1;
const ENDED: u8 = 2;
const LEFT: u8 = 3;

// All Relaxed: nothing is read on the strength of what is read here.
impl Owner {
    /// That of a table that belongs to no process.
    pub const fn nobody(module: &'static str) -> Self {
        Self { module, process: Mutex::new(None), state: AtomicU8::new(NOBODY) }
    }

    /// Whether the table had an owner that has ended.
    #[inline(always)]
    pub fn has_ended(&self) -> bool {
        self.state.load(Relaxed) == ENDED
    }

    /// A process begins to own the table, under that name. It may be the next one, where a store has kept the table.
    pub fn begin(&self, name: Atom, pid: LocalPid) {
        let mut process = self.process.lock();
        *process = Some((name, pid));
        self.state.store(RUNS, Relaxed);
    }

    /// The owner leaves the table in order: nothing comes of its end.
    pub fn leave(&self) {
        self.state.store(LEFT, Relaxed);
    }

    /// Whether the table has an owner that runs, even if the VM has not told of its end yet.
    pub fn runs(&self, env: Env<'_>) -> bool {
        let process = self.process.lock();
        self.state.load(Relaxed) == RUNS && process.as_ref().is_some_and(|(_name, pid)| pid.is_alive(env))
    }

    /// Whether the owner has left it in order.
    #[inline(always)]
    pub fn has_left(&self) -> bool {
        self.state.load(Relaxed) == LEFT
    }

    /// What the VM calls when a process ends that owns the table, or did.
    pub fn down(&self, pid: &LocalPid) {
        let process = self.process.lock();
        // The name is free a moment before this is called: the next owner may have the table already.
        if process.as_ref().is_some_and(|(_name, owner)| owner == pid) {
            // It may have left the table before.
            let _ = self.state.compare_exchange(RUNS, ENDED, Relaxed, Relaxed);
        }
    }

    /// The owner has ended before the VM could be asked to watch it.
    pub fn end(&self) {
        self.state.store(ENDED, Relaxed);
    }

    /// What is raised once the owner has ended or left.
    #[cold]
    pub fn not_running(&self, env: Env<'_>) -> BadArgument {
        let name = self.process.lock().map(|(name, _pid)| name);
        bad_argument::not_running(self.module, name.encode(env))
    }
}
