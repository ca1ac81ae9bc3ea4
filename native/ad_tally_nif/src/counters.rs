//! The functions of `AdTally.Counters`.

use std::cell::RefCell;
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ad_tally_core::{Add, Added, Batch, Counters, HashedKey, Rows};
use parking_lot::Mutex;
use rustler::sys::{ErlNifTerm, enif_make_list_cell, enif_make_map_from_arrays};
use rustler::{Atom, Encoder, Env, NifResult, Term};

use crate::args::{self, KeyFault};
use crate::atoms;
use crate::hot::{Amount, hot};
use crate::refusal::{self, Refusal};
use crate::resource::{self, Kind, Resource};
use crate::terms::{self, Layout, Raw, with_layout, word};

/// How long a call may work before it hands the rest back. A quarter of the millisecond that no call may take: what is
/// done between two looks at the clock, and first touches of fresh memory, come on top.
const TIME_LIMIT: Duration = Duration::from_micros(250);

/// A table of counters, with the names of its metrics.
pub struct Table {
    pub(crate) counters: Counters,
    metrics: Vec<u64>,
}

/// A walk over a table's rows, done when it is `None`.
pub struct Walk {
    rows: Mutex<Option<Rows>>,
    metrics: Vec<u64>,
}

macro_rules! resource {
    ($type:ty, $name:literal, $description:literal) => {
        impl Resource for $type {
            const NAME: &'static CStr = $name;
            const DESCRIPTION: &'static str = $description;

            #[inline(always)]
            fn kind() -> &'static Kind {
                static KIND: Kind = Kind::new();
                &KIND
            }
        }
    };
}
resource!(Table, c"counters", "an AdTally.Counters table");
resource!(Walk, c"counters_walk", "a walk over an AdTally.Counters table");

impl Table {
    #[inline(always)]
    fn metric<'a>(&self, env: Env<'a>, name: Raw<'a>) -> Result<usize, Refusal> {
        // At most sixteen words in one or two cache lines: faster than anything cleverer.
        let position = self.metrics.iter().position(|known| *known == name.word());
        position.ok_or_else(|| self.unknown_metric(name.in_env(env)))
    }

    #[cold]
    fn unknown_metric(&self, name: Term<'_>) -> Refusal {
        refusal::metric(name, self.metrics.iter().map(|word| args::atom_term(name.get_env(), *word)))
    }
}

#[inline(always)]
fn answer(env: Env<'_>, added: Added) -> Term<'_> {
    match added {
        Added::Row => atoms::ok().to_term(env),
        Added::Overflow => atoms::overflow().to_term(env),
    }
}

hot! {
    /// Adds one.
    fn counters_add(env, table: &Table, key: Term, metric: Term<'a>) {
        let metric = table.metric(env, metric.into())?;
        let add = |key: HashedKey<'_>| table.counters.add(key, metric, 1);
        args::with_key(table.counters.seed(), key, add).map(|added| answer(env, added))
    }

    /// Adds an amount.
    fn counters_add(env, table: &Table, key: Term, metric: Term<'a>, amount: Amount) {
        let metric = table.metric(env, metric.into())?;
        let add = |key: HashedKey<'_>| table.counters.add(key, metric, amount.0);
        args::with_key(table.counters.seed(), key, add).map(|added| answer(env, added))
    }

    /// The totals of a key as a map, or nil.
    fn counters_get(env, table: &Table, key: Term) {
        let totals = args::with_key(table.counters.seed(), key, |key| table.counters.get(key))?;
        Ok(totals.map_or_else(|| atoms::nil().to_term(env), |totals| row(env, &table.metrics, &totals)))
    }

    /// One total of a key, 0 if the key was never seen.
    fn counters_get(env, table: &Table, key: Term, metric: Term<'a>) {
        let metric = table.metric(env, metric.into())?;
        let get = |key: HashedKey<'_>| table.counters.get_metric(key, metric);
        args::with_key(table.counters.seed(), key, get).map(|total| args::total(env, total))
    }

    /// Adds a list of `{key, metric, amount}` that one call can read: the rest of it, if time was up before all were
    /// added, and how many overflowed. All items are looked at first. `:many` for a longer list, and nothing is added.
    fn counters_add_many(env, table: &Table, items: Term<'a>) {
        // Begun when the clock is first asked for, which a short list never does: two looks take as long as an add.
        let mut begin = None;
        let mut has_time = || begin.get_or_insert_with(Instant::now).elapsed() < TIME_LIMIT;
        with_batch(|batch| match table.read_batch(env, items.into(), batch)? {
            Some(_) => Ok(atoms::many().to_term(env)),
            None => {
                let (applied, overflowed) = table.counters.add_batch(batch, &mut has_time);
                if applied == batch.len() && overflowed == 0 {
                    return Ok(atoms::ok().to_term(env));
                }
                Ok((skip(env, items, applied), overflowed).encode(env))
            }
        })
    }

    /// Looks whether the items of a long list are right, as far as time permits: the rest of the list.
    fn counters_check_some(env, table: &Table, items: Term<'a>) {
        with_batch(|batch| in_steps(env, items, |items, _end| {
            let rest = table.read_batch(env, items.into(), batch)?;
            Ok(rest.map_or_else(|| skip(env, items, batch.len()), |rest| rest.in_env(env)))
        }))
    }

    /// Adds items of a long list, as far as time permits: the rest of the list and how many overflowed.
    fn counters_add_some(env, table: &Table, items: Term<'a>) {
        let mut overflowed = 0;
        let rest = with_batch(|batch| in_steps(env, items, |items, end| {
            table.read_batch(env, items.into(), batch)?;
            let (applied, more) = table.counters.add_batch(batch, || Instant::now() < end);
            overflowed += more;
            Ok(skip(env, items, applied))
        }))?;
        Ok((rest, overflowed).encode(env))
    }
}

/// Repeats a step from a list to the rest of it until the list is at its end or the time is up: the rest.
fn in_steps<'a>(
    env: Env<'a>,
    mut list: Term<'a>,
    mut step: impl FnMut(Term<'a>, Instant) -> Result<Term<'a>, Refusal>,
) -> Result<Term<'a>, Refusal> {
    let begin = Instant::now();
    let end = begin + TIME_LIMIT;
    while !terms::is_empty_list(env, list.into()) && Instant::now() < end {
        list = step(list, end)?;
    }
    consume_timeslice(env, begin.elapsed());
    Ok(list)
}

/// The list without its first elements, of which there are at least `count`.
fn skip<'a>(env: Env<'a>, list: Term<'a>, count: usize) -> Term<'a> {
    let rest = |list, _| with_layout!(L => terms::list_cell::<L>(env, list)).map_or(list, |[_, rest]| rest);
    (0..count).fold(Raw::from(list), rest).in_env(env)
}

/// Tells the VM how much of a process' turn (a millisecond) was used, so that others get theirs in time.
fn consume_timeslice(env: Env<'_>, used: Duration) {
    let percent = (used.as_micros() / 10).clamp(1, 100) as i32;
    rustler::schedule::consume_timeslice(env, percent);
}

fn with_batch<R>(act: impl FnOnce(&mut Batch<Add>) -> R) -> R {
    thread_local! {
        static BATCH: RefCell<Batch<Add>> = RefCell::default();
    }
    BATCH.with_borrow_mut(act)
}

impl Table {
    /// Reads items into the batch until it is full: the rest of the list, or `None` at its end.
    fn read_batch<'a>(&self, env: Env<'a>, items: Raw<'a>, batch: &mut Batch<Add>) -> Result<Option<Raw<'a>>, Refusal> {
        with_layout!(L => self.read_batch_in::<L>(env, items, batch))
    }

    /// Not inlined: there is one for each layout.
    #[inline(never)]
    fn read_batch_in<'a, L: Layout>(
        &self,
        env: Env<'a>,
        mut items: Raw<'a>,
        batch: &mut Batch<Add>,
    ) -> Result<Option<Raw<'a>>, Refusal> {
        /// Tens of microseconds of work. A list that fits is read once only: the batch is complete before it is added.
        const MOST_ITEMS: usize = 1_024;
        /// A megabyte: long binaries fill a batch before it has many items.
        const MOST_WORDS: usize = 1 << 17;
        batch.clear();
        while batch.len() < MOST_ITEMS && batch.words() < MOST_WORDS {
            let Some([item, rest]) = terms::list_cell::<L>(env, items) else {
                let at_end = terms::is_empty_list(env, items);
                return if at_end { Ok(None) } else { Err(refusal::list(items.in_env(env))) };
            };
            self.read_item::<L>(env, item, batch)?;
            items = rest;
        }
        Ok(if terms::is_empty_list(env, items) { None } else { Some(items) })
    }

    #[inline(always)]
    fn read_item<'a, L: Layout>(&self, env: Env<'a>, item: Raw<'a>, batch: &mut Batch<Add>) -> Result<(), Refusal> {
        let Some(&[key, metric, amount]) = terms::tuple::<L>(env, item) else {
            return Err(refusal::item(item.in_env(env)));
        };
        let metric = self.metric(env, metric)?;
        let amount = terms::integer::<L>(env, amount).ok_or_else(|| refusal::amount(amount.in_env(env)))?;
        let mut words = 0;
        loop {
            match args::write_key::<L>(env, batch.room(words), self.counters.seed(), key) {
                Ok(HashedKey { hash, words }) => {
                    let length = words.len();
                    // SAFETY: the key was written at the start of the room just now.
                    unsafe { batch.push(hash, length, Add { metric: metric as u32, amount }) };
                    return Ok(());
                }
                Err(KeyFault::Room(more)) => words = more,
                Err(fault) => return Err(refusal::key(key.in_env(env), fault)),
            }
        }
    }
}

#[rustler::nif]
fn counters_new<'a>(env: Env<'a>, metrics: Vec<Atom>, max_keys: usize) -> NifResult<Term<'a>> {
    let counters = Counters::new(metrics.len(), max_keys).map_err(Refusal::from)?;
    let metrics = metrics.iter().map(|metric| word(metric.as_c_arg())).collect();
    Ok(resource::make(env, Table { counters, metrics }))
}

/// The metrics in the order of the table.
#[rustler::nif]
fn counters_metrics<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = table_of(table)?;
    Ok(table.metrics.iter().map(|word| args::atom_term(env, *word)).collect::<Vec<_>>().encode(env))
}

#[rustler::nif]
fn counters_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = table_of(table)?;
    let info = table.counters.info();
    let pairs = [
        (atoms::keys(), info.keys.encode(env)),
        (atoms::max_keys(), info.max_keys.encode(env)),
        (atoms::striped_keys(), info.striped_rows.encode(env)),
        (atoms::memory_bytes(), info.memory_bytes.encode(env)),
        (atoms::overflow(), row(env, &table.metrics, &info.overflow)),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// Begins a walk over the rows there are.
#[rustler::nif]
fn counters_walk<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = table_of(table)?;
    Ok(walk(env, table, table.counters.rows()))
}

/// Takes all rows out: a walk over them and the overflow by metric. It waits for adds that are under way on other
/// schedulers: nanoseconds, but for a scheduler that the system has put aside.
#[rustler::nif(schedule = "DirtyCpu")]
fn counters_drain<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = table_of(table)?;
    let drained = table.counters.drain();
    Ok((walk(env, table, drained.rows), row(env, &table.metrics, &drained.overflow)).encode(env))
}

/// Puts rows in front of a list, as many as time permits: `{:more | :done, list}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn counters_rows<'a>(env: Env<'a>, walk: Term<'a>, list: Term<'a>) -> NifResult<Term<'a>> {
    let walk: &Walk = resource::get(walk).ok_or_else(|| refusal::not_a(Walk::DESCRIPTION, walk))?;
    let mut list = list;
    let mut rows = walk.rows.lock();
    let begin = Instant::now();
    let mut shown = 0_u32;
    let more = rows.as_mut().is_some_and(|rows| {
        rows.walk(|key, totals| {
            let pair = (args::key_term(env, key), row(env, &walk.metrics, totals)).encode(env);
            list = cons(env, pair, list);
            shown += 1;
            if shown.is_multiple_of(32) && begin.elapsed() > TIME_LIMIT {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
    });
    if !more {
        *rows = None;
    }
    Ok((if more { atoms::more() } else { atoms::done() }, list).encode(env))
}

fn table_of(term: Term<'_>) -> Result<&Table, Refusal> {
    resource::get(term).ok_or_else(|| refusal::not_a(Table::DESCRIPTION, term))
}

fn walk<'a>(env: Env<'a>, table: &Table, rows: Rows) -> Term<'a> {
    resource::make(env, Walk { rows: Mutex::new(Some(rows)), metrics: table.metrics.clone() })
}

fn cons<'a>(env: Env<'a>, head: Term<'a>, tail: Term<'a>) -> Term<'a> {
    // SAFETY: both terms are of this environment.
    unsafe { Term::new(env, enif_make_list_cell(env.as_c_arg(), head.as_c_arg(), tail.as_c_arg())) }
}

/// A row as a map from metric to total.
fn row<'a>(env: Env<'a>, metrics: &[u64], totals: &[i128]) -> Term<'a> {
    let mut names = [ErlNifTerm::default(); ad_tally_core::row::MAX_METRICS];
    let mut values = [ErlNifTerm::default(); ad_tally_core::row::MAX_METRICS];
    for (at, (metric, total)) in metrics.iter().zip(totals).enumerate() {
        names[at] = args::atom_term(env, *metric).as_c_arg();
        values[at] = args::total(env, *total).as_c_arg();
    }
    let mut map = ErlNifTerm::default();
    // SAFETY: `metrics.len()` terms of this environment in both arrays. The names are distinct, which `new` sees to,
    // so the map is always made.
    unsafe {
        enif_make_map_from_arrays(env.as_c_arg(), names.as_ptr(), values.as_ptr(), metrics.len(), &mut map);
        Term::new(env, map)
    }
}
