//! The process that a table with a name belongs to.
//!
//! The VM calls `down` of a resource type (see `resource`) while such a process ends, however it does. From then on every
//! call with the table is refused: what would be counted in it nobody could read any more. That is all that is done there,
//! on a scheduler, in the middle of the process' end. What takes longer is done by the process that `AdTally.Named` has watch
//! it: to take the name away, and so to free the table.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

use rustler::{Atom, Env};

use crate::atoms;
use crate::decode::{BadArgument, bad_argument, word};
use crate::encode;

/// Which process a table belongs to, if to any, and whether that has ended.
pub struct Owner {
    /// The module that the table is of, for errors.
    module: &'static str,
    /// The word of the atom that the process and the table are named, once it has one.
    name: AtomicU64,
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
        Self { module, name: AtomicU64::new(0), state: AtomicU8::new(NOBODY) }
    }

    /// Whether the table had an owner that has ended.
    #[inline(always)]
    pub fn has_ended(&self) -> bool {
        self.state.load(Relaxed) == ENDED
    }

    pub fn begin(&self, name: Atom) {
        self.name.store(word(name.as_c_arg()), Relaxed);
        self.state.store(RUNS, Relaxed);
    }

    /// The owner leaves the table in order: nothing comes of its end.
    pub fn leave(&self) {
        self.state.store(LEFT, Relaxed);
    }

    /// Whether the owner has left it in order.
    #[inline(always)]
    pub fn has_left(&self) -> bool {
        self.state.load(Relaxed) == LEFT
    }

    /// What the VM calls when the owner ends.
    pub fn down(&self) {
        // It may have left the table before.
        let _ = self.state.compare_exchange(RUNS, ENDED, Relaxed, Relaxed);
    }

    pub fn end(&self) {
        self.state.store(ENDED, Relaxed);
    }

    /// What is raised once the owner has ended or left.
    #[cold]
    pub fn not_running(&self, env: Env<'_>) -> BadArgument {
        let name = match self.name.load(Relaxed) {
            0 => atoms::nil().to_term(env),
            name => encode::atom(env, name),
        };
        bad_argument::not_running(self.module, name)
    }
}
