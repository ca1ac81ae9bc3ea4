//! Tables of a store's parts: made, found again, loaded, left.

use std::sync::Arc;

use ad_tally_core::Seed;
use ad_tally_core::journal::{Fold, Part};
use ad_tally_core::store::{ConfigMeta, Error, Opened};
use rustler::{Encoder, Env, NifResult, Term};

use super::load::Load;
use super::refusal::Refusal;
use super::slot::Slot;
use super::stored::Stored;
use super::{Store, sync};
use crate::atoms;
use crate::decode::BadArgument;
use crate::resource::{self, Kept, Resource};

/// A table that may be a store's part.
pub trait Durable: Resource {
    /// What the store calls the kind of such a part.
    const PART: &'static str;

    /// Where it is kept, if it is.
    fn stored(&self) -> Option<&Stored>;

    /// How its records become entries.
    fn fold(&self) -> Arc<dyn Fold>;

    /// Takes what the store has of it.
    fn load(&self, load: &Load<'_>) -> Result<(), Refusal>;

    /// Records that it is left in order, where that makes a difference: whether it does. It is refused by then.
    fn leaving(&self) -> bool {
        false
    }
}

/// Which part a table is to be, as Elixir says it: store, name, configuration, all options.
pub type PlaceTerm<'a> = (Term<'a>, String, String, String);

/// Which part a table is to be.
pub struct Place<'a> {
    store: &'a Store,
    name: String,
    config: String,
    options: String,
}

/// What a part's table is made with.
pub struct Given {
    pub seed: Seed,
    /// A number that no other part has.
    pub epoch: u64,
    /// The number of its configuration.
    pub config: u32,
    pub stored: Stored,
}

impl<'a> Place<'a> {
    /// Of what Elixir has given.
    pub fn read((store, name, config, options): PlaceTerm<'a>) -> Result<Self, BadArgument> {
        Ok(Self { store: resource::expect(store)?, name, config, options })
    }

    /// The table of the part: that of a process which has crashed, or one that is made. `{:ok, table, %{state:, epoch:}}`, or
    /// why not.
    pub fn table<T: Durable>(
        &self,
        env: Env<'a>,
        seed: Option<u64>,
        make: impl FnOnce(Given) -> Result<T, BadArgument>,
    ) -> NifResult<Term<'a>> {
        let (core, slot) = (&self.store.open.core, self.store.open.slot(&self.name));
        // Whoever loads the table holds it meanwhile.
        let mut place = slot.lock();
        let live = place.table::<T>();
        if live.as_ref().and_then(|table| resource::owner::<T>(table)).is_some_and(|owner| owner.runs(env)) {
            return Ok(Refusal::running(T::PART, &self.name).encode(env));
        }
        let (opened, config) = match self.part::<T>(seed) {
            Ok(part) => part,
            Err(error) => return Ok(Refusal::from(error).encode(env)),
        };
        let (table, state) = match live {
            Some(table) if place.is_whole() && place.is_made_with(&self.options) => (table, atoms::live()),
            _ => {
                // What the one before has in memory goes to disk first.
                if place.is_whole()
                    && let Some(table) = &live
                    && let Some(stored) = table.stored()
                    && let Err(refusal) = end(&**table, stored, &mut place, false)
                {
                    return Ok(refusal.encode(env));
                }
                place.clear();
                let stored = Stored {
                    core: core.clone(),
                    part: Part::new(core.journal().clone(), opened.number),
                    name: self.name.clone(),
                    configs: opened.configs,
                    open: Arc::downgrade(&self.store.open),
                    slot: Arc::downgrade(&slot),
                };
                let table = make(Given { seed: Seed::new(opened.seed), epoch: opened.epoch, config, stored })?;
                core.attach(opened.number, table.fold());
                let table = Kept::new(table);
                place.put(table.clone(), self.options.clone(), opened.is_new);
                (table, if opened.is_new { atoms::new() } else { atoms::stored() })
            }
        };
        let about = [(atoms::state(), state.to_term(env)), (atoms::epoch(), opened.epoch.encode(env))];
        Ok((atoms::ok(), table.term(env), Term::map_from_pairs(env, &about)?).encode(env))
    }

    /// The part, and the number of its configuration.
    fn part<T: Durable>(&self, seed: Option<u64>) -> Result<(Opened, u32), Error> {
        let core = &self.store.open.core;
        let mut opened = core.part(&self.name, T::PART, seed, &self.config)?;
        let number = match opened.config {
            Some(number) => number,
            None => {
                let number = core.add_config(opened.number, &self.config)?;
                opened.configs.push(ConfigMeta { number, text: self.config.clone() });
                number
            }
        };
        Ok((opened, number))
    }
}

/// What is raised where a part has ended for good while a call did what no store refuses: nothing of what it began to record then is on
/// disk. Whoever makes such a call again, in the next process, does nothing twice.
#[inline(always)]
pub fn unless_over<T: Durable>(env: Env<'_>, table: &T) -> Result<(), BadArgument> {
    match table.stored() {
        Some(stored) if stored.part.is_over() => resource::check_owner(env, table),
        _ => Ok(()),
    }
}

/// What is done with the table of a part, of whatever kind that is.
pub trait PartTable {
    /// Has the table have all that its store has of it. Meanwhile whoever opened the store is told how far it is.
    fn load_all(&self) -> Result<(), Refusal>;

    /// Has all that was recorded in the table be on disk, and has its store let go of it: the next process loads it. Where the disk
    /// refuses the store keeps it, and the next process finds it.
    fn leave(&self) -> Result<(), Refusal>;
}

impl<T: Durable> PartTable for T {
    fn load_all(&self) -> Result<(), Refusal> {
        with_slot(self, |stored, slot| {
            if slot.is_whole() {
                return Ok(());
            }
            // The one before may have been left a moment ago.
            sync::wait(&stored.core)?;
            self.load(&Load::new(stored)?)?;
            slot.note_whole();
            Ok(())
        })
    }

    fn leave(&self) -> Result<(), Refusal> {
        if let Some(owner) = resource::owner(self) {
            owner.end();
        }
        with_slot(self, |stored, slot| end(self, stored, slot, true))
    }
}

/// Has all that was recorded in a table be on disk, and nothing more be recorded: the calls of whoever has found a moment ago that it
/// runs are refused, or on disk as well. Where the disk refuses, the store goes on with it; else its place is free.
fn end<T: Durable>(table: &T, stored: &Stored, slot: &mut Slot, in_order: bool) -> Result<(), Refusal> {
    if let Some(owner) = resource::owner(table) {
        owner.end();
    }
    stored.part.end();
    // To end the interval is to wait for whoever has begun to record, and whoever begins after that is refused.
    let synced = sync::wait_for_barrier(&stored.core).and_then(|()| sync::wait(&stored.core));
    if synced.is_err() {
        stored.part.go_on();
        return synced;
    }
    // All that callers were told to be recorded is on disk, so from here on there is no way back. Where the disk does not take the
    // rest, the next process begins as after a crash.
    let left = if in_order && table.leaving() { sync::wait_for_barrier(&stored.core) } else { Ok(()) };
    stored.part.end_for_good();
    slot.clear();
    left.and_then(|()| sync::wait_for_barrier(&stored.core)).and_then(|()| sync::wait(&stored.core))
}

/// Does something with the place that a table has in its store, once nobody else does.
fn with_slot<T: Durable>(
    table: &T,
    act: impl FnOnce(&Stored, &mut Slot) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Some(stored) = table.stored() else { return Ok(()) };
    let slot = stored.slot.upgrade().ok_or_else(Refusal::stopped)?;
    let mut slot = slot.lock();
    let is_kept = slot.table::<T>().is_some_and(|kept| std::ptr::eq(&*kept, table));
    if is_kept { act(stored, &mut slot) } else { Err(Refusal::running(T::PART, &stored.name)) }
}
