//! The process that a table with a name belongs to.
//!
//! The VM calls `down` of a resource type (see `resource`) while such a process ends, however it does. From then on every
//! call with the table is refused: what would be counted in it nobody could read any more. That is all that is done there,
//! on a scheduler, in the middle of the process' end. What takes longer is done by the process that `AdTally.Named` has watch
//! it: to take the name away, and so to free the table.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

use rustler::{Atom, Env, NifResult, Term};

use crate::refusal::{self, Refusal};
use crate::resource::{self, Resource};
use crate::terms::word;
use crate::{args, atoms, counters, dedupe, frequency_cap, meter, reach};

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

    fn begin(&self, name: Atom) {
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

    fn end(&self) {
        self.state.store(ENDED, Relaxed);
    }

    /// What is raised once the owner has ended or left.
    #[cold]
    pub fn refusal(&self, env: Env<'_>) -> Refusal {
        let name = match self.name.load(Relaxed) {
            0 => atoms::nil().to_term(env),
            name => args::atom_term(env, name),
        };
        refusal::not_running(self.module, name)
    }
}

fn own<'a, T: Resource>(env: Env<'a>, table: Term<'a>, name: Atom) -> Result<(), Refusal> {
    let table = resource::of_type::<T>(env, table.into())?;
    if let Some(owner) = table.owner() {
        owner.begin(name);
        if !resource::monitor_caller(env, table) {
            owner.end();
        }
    }
    Ok(())
}

fn end<'a, T: Resource>(env: Env<'a>, table: Term<'a>) -> Result<(), Refusal> {
    let table = resource::of_type::<T>(env, table.into())?;
    if let Some(owner) = table.owner() {
        owner.end();
    }
    Ok(())
}

/// Has a table belong to the calling process, under its name.
#[rustler::nif]
fn table_own<'a>(env: Env<'a>, table: Term<'a>, name: Atom) -> NifResult<Term<'a>> {
    own::<meter::Table>(env, table, name)
        .or_else(|_| own::<counters::Table>(env, table, name))
        .or_else(|_| own::<reach::Table>(env, table, name))
        .or_else(|_| own::<frequency_cap::Table>(env, table, name))
        .or_else(|_| own::<dedupe::Table>(env, table, name))?;
    Ok(atoms::ok().to_term(env))
}

/// Has every call with a table be refused from now on.
#[rustler::nif]
fn table_end<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    end::<meter::Table>(env, table)
        .or_else(|_| end::<counters::Table>(env, table))
        .or_else(|_| end::<reach::Table>(env, table))
        .or_else(|_| end::<frequency_cap::Table>(env, table))
        .or_else(|_| end::<dedupe::Table>(env, table))?;
    Ok(atoms::ok().to_term(env))
}
