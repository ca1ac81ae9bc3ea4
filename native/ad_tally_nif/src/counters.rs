//! The functions of `AdTally.Counters`.

use std::cell::RefCell;
use std::sync::Arc;

use ad_tally_core::counters::Cells;
use ad_tally_core::journal::Fold;
use ad_tally_core::{Add, Batch, Counters, HashedKey, Rows};
use rustler::{Atom, Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument, keys};
use crate::encode::{self, Overflowed};
use crate::hot::{Amount, Index, hot};
use crate::metered::{Metered, numbers};
use crate::owner::Owner;
use crate::resource::{self, resource};
use crate::steps;
use crate::store::{Durable, Given, Load, Place, PlaceTerm, Refusal, Stored};

/// A table of counters, with the names of its metrics.
pub struct Table {
    pub(crate) counters: Counters,
    pub(crate) metrics: Vec<Atom>,
    owner: Owner,
    /// Where it is kept, if it is.
    stored: Option<Box<Stored>>,
}

resource!(Table, c"counters", "an AdTally.Counters table", owner: owner);

impl Table {
    #[inline(always)]
    fn metric<'a>(&self, env: Env<'a>, name: Raw<'a>) -> Result<usize, BadArgument> {
        // At most sixteen words in one or two cache lines: faster than anything cleverer.
        let position = self.metrics.iter().position(|known| name == *known);
        position.ok_or_else(|| self.unknown_metric(name.in_env(env)))
    }

    #[cold]
    fn unknown_metric(&self, name: Term<'_>) -> BadArgument {
        bad_argument::metric(name, self.metrics.iter().map(|metric| metric.to_term(name.get_env())))
    }
}

hot! {
    /// Adds one.
    fn counters_add(env, table: &Table, key: Raw<'a>, metric: Raw<'a>) {
        let metric = table.metric(env, metric)?;
        let add = |key: HashedKey<'_>| table.counters.add(key, metric, 1);
        keys::with_key(env, table.counters.seed(), key, add).and_then(|added| encode::added(env, added, || resource::check_owner_again(env, table)))
    }

    /// Adds an amount.
    fn counters_add(env, table: &Table, key: Raw<'a>, metric: Raw<'a>, amount: Amount) {
        let metric = table.metric(env, metric)?;
        let add = |key: HashedKey<'_>| table.counters.add(key, metric, amount.0);
        keys::with_key(env, table.counters.seed(), key, add).and_then(|added| encode::added(env, added, || resource::check_owner_again(env, table)))
    }

    /// The totals of a key as a map, or nil.
    fn counters_get(env, table: &Table, key: Raw<'a>) {
        let totals = keys::with_key(env, table.counters.seed(), key, |key| table.counters.get(key))?;
        Ok(totals.map_or_else(|| atoms::nil().to_term(env), |totals| encode::row(env, &table.metrics, &totals)))
    }

    /// One total of a key, 0 if the key was never seen.
    fn counters_get(env, table: &Table, key: Raw<'a>, metric: Raw<'a>) {
        let metric = table.metric(env, metric)?;
        let get = |key: HashedKey<'_>| table.counters.get_metric(key, metric);
        keys::with_key(env, table.counters.seed(), key, get).map(|total| encode::total(env, total))
    }

    /// Adds a list of `{key, metric, amount}` that one call can read.
    fn counters_add_many(env, table: &Table, items: Term<'a>) {
        with_adds(table, |adds| steps::add_many(env, items, adds))
    }

    /// Looks at items of a long list.
    fn counters_check_some(env, table: &Table, items: Term<'a>, from: Index) {
        with_adds(table, |adds| steps::check_some(env, items, from, adds))
    }

    /// Adds items of a long list.
    fn counters_add_some(env, table: &Table, items: Term<'a>) {
        with_adds(table, |adds| steps::add_some(env, items, adds))
    }
}

/// Items to add.
struct Adds<'t> {
    table: &'t Table,
    batch: &'t mut Batch<Add>,
}

fn with_adds<R>(table: &Table, act: impl FnOnce(&mut Adds<'_>) -> R) -> R {
    thread_local! {
        static BATCH: RefCell<Batch<Add>> = RefCell::default();
    }
    BATCH.with_borrow_mut(|batch| act(&mut Adds { table, batch }))
}

impl steps::Load for Adds<'_> {
    const ITEM: &'static str = "{key, metric, amount} tuple";
    type Outcome = Overflowed;

    fn clear(&mut self) {
        self.batch.clear();
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        steps::is_full(self.batch)
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let Some(&[key, metric, amount]) = decode::tuple::<L>(env, item) else {
            return Err(bad_argument::item(item.in_env(env), Self::ITEM));
        };
        let metric = self.table.metric(env, metric)?;
        let amount = decode::integer::<L>(env, amount).ok_or_else(|| bad_argument::amount(amount.in_env(env)))?;
        steps::push::<L, _>(env, self.batch, self.table.counters.seed(), key, Add { metric: metric as u32, amount })
    }

    #[inline(always)]
    fn apply(&self, overflowed: &mut Overflowed, go_on: impl FnMut() -> bool) -> usize {
        overflowed.note(self.table.counters.add_batch(self.batch, go_on))
    }

    #[inline(always)]
    fn check_owner(&self, env: Env<'_>, overflowed: &Overflowed) -> Result<(), BadArgument> {
        if overflowed.is_busy { resource::check_owner_again(env, self.table) } else { Ok(()) }
    }
}

#[rustler::nif]
fn counters_new<'a>(env: Env<'a>, metrics: Vec<Atom>, max_keys: usize, seed: Option<u64>) -> NifResult<Term<'a>> {
    let counters = Counters::with_seed(metrics.len(), max_keys, keys::seed(seed)).map_err(BadArgument::from)?;
    Ok(resource::make(env, Table { counters, metrics, owner: Owner::nobody("AdTally.Counters"), stored: None }))
}

/// The table that is a part of a store: that of a process which has crashed, or one that is made.
#[rustler::nif(schedule = "DirtyIo")]
fn counters_new_in<'a>(
    env: Env<'a>,
    place: PlaceTerm<'a>,
    metrics: Vec<Atom>,
    max_keys: usize,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    Place::read(place)?.table(env, seed, |Given { seed, stored, .. }| {
        let counters =
            Counters::stored(metrics.len(), max_keys, seed, stored.part.clone()).map_err(BadArgument::from)?;
        Ok(Table { counters, metrics, owner: Owner::nobody("AdTally.Counters"), stored: Some(Box::new(stored)) })
    })
}

impl Durable for Table {
    const PART: &'static str = "counters";

    fn stored(&self) -> Option<&Stored> {
        self.stored.as_deref()
    }

    fn fold(&self) -> Arc<dyn Fold> {
        self.counters.fold()
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        let restoring = self.counters.restoring();
        load.take(&restoring)?;
        restoring.finish();
        Ok(())
    }
}

/// The metrics in the order of the table.
#[rustler::nif]
fn counters_metrics<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(table.metrics.encode(env))
}

#[rustler::nif]
fn counters_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let info = table.counters.info();
    let pairs = [
        (atoms::keys(), info.keys.encode(env)),
        (atoms::max_keys(), info.max_keys.encode(env)),
        (atoms::striped_keys(), info.grown_rows.encode(env)),
        (atoms::memory_bytes(), info.memory_bytes.encode(env)),
        (atoms::overflow(), encode::row(env, &table.metrics, &info.overflow)),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// Begins a walk over the rows there are.
#[rustler::nif]
fn counters_walk<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(walk(env, &table.metrics, table.counters.rows()))
}

/// Takes all rows out: a walk over them and the overflow by metric. It waits for adds that are under way on other
/// schedulers: nanoseconds, but for a scheduler that the system has put aside.
#[rustler::nif(schedule = "DirtyCpu")]
fn counters_drain<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let drained = table.counters.drain();
    if !drained.is_recorded {
        resource::check_owner_again(env, table)?;
    }
    Ok((walk(env, &table.metrics, drained.rows), encode::row(env, &table.metrics, &drained.overflow)).encode(env))
}

/// A walk over rows of those metrics.
pub fn walk<'a>(env: Env<'a>, metrics: &[Atom], mut rows: Rows<Cells>) -> Term<'a> {
    let metrics = metrics.to_vec();
    steps::walk(env, move |page| {
        let env = page.env();
        rows.walk(|key, totals| page.push((encode::key(env, key), encode::row(env, &metrics, totals)).encode(env), 1))
    })
}

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        numbers(env, &[])
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let info = self.counters.info();
        let [keys, max_keys, memory] = [info.keys, info.max_keys, info.memory_bytes].map(|number| number as u64);
        numbers(env, &[("keys", keys), ("max_keys", max_keys), ("memory_bytes", memory)])
    }
}
