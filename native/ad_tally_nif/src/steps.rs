//! Long lists and large tables, worked through in calls that are short.
//!
//! A list that one call can read is read whole and then applied: [`add_many`]. Every item of a longer one is checked
//! first, in as many calls as that takes ([`check_some`]), and then applied in as many more ([`add_some`]). Each call
//! returns the rest of the list, with which Elixir calls again.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ad_tally_core::key::KeyFault;
use ad_tally_core::{Batch, HashedKey, Seed};
use parking_lot::Mutex;
use rustler::{Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::decode::keys::{self, Parts, Place};
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument, with_layout};
use crate::hot::Index;
use crate::resource::{self, resource};

/// How long a call may work before it returns the rest. A quarter of the millisecond that no call may take: what is done
/// between two readings of the clock, and first touches of fresh memory, come on top.
pub const TIME_LIMIT: Duration = Duration::from_micros(250);

/// Items that a call reads at most before it applies them: tens of microseconds of work.
pub const MOST_ITEMS: usize = 1_024;
/// Items of a list that is applied without a clock: to read that and to tell the VM the time, an item of a list of ten
/// takes 40 ns instead of 34.
const FEW_ITEMS: usize = 64;
/// A megabyte of keys: long binaries fill a batch before it has many items.
const MOST_WORDS: usize = 1 << 17;

/// Items of a list, read and not yet applied.
pub trait Load {
    /// What an item looks like, for errors.
    const ITEM: &'static str;
    /// What became of items that were applied.
    type Outcome: Default + Encoder;

    /// Empties it.
    fn clear(&mut self);

    /// Items in it.
    fn len(&self) -> usize;

    /// Whether a call should read no more than it has.
    fn is_full(&self) -> bool;

    /// Reads an item.
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument>;

    /// Applies its items in turn, for as long as `go_on` says so, which is asked now and then: how many were applied. What
    /// became of those is added to `outcome`.
    fn apply(&self, outcome: &mut Self::Outcome, go_on: impl FnMut() -> bool) -> usize;

    /// What is raised instead, if some were refused because the table has ended meanwhile.
    fn check_owner(&self, env: Env<'_>, outcome: &Self::Outcome) -> Result<(), BadArgument>;
}

/// Whether a batch of items by key should take no more.
#[inline(always)]
pub fn is_full<T: Copy>(batch: &Batch<T>) -> bool {
    batch.len() >= MOST_ITEMS || batch.words() >= MOST_WORDS
}

/// Appends an item for the key that a term is.
#[inline(always)]
pub fn push<'a, L: Layout, T: Copy>(
    env: Env<'a>,
    batch: &mut Batch<T>,
    seed: &Seed,
    key: Raw<'a>,
    item: T,
) -> Result<(), BadArgument> {
    let parts = Parts::of::<L>(env, &key);
    push_parts::<L, T>(env, batch, seed, parts, item).map_err(|fault| bad_argument::key(key.in_env(env), fault))
}

/// Appends an item for the key of these elements.
#[inline(always)]
pub fn push_parts<'a, L: Layout, T: Copy>(
    env: Env<'a>,
    batch: &mut Batch<T>,
    seed: &Seed,
    parts: Parts<'_, 'a>,
    item: T,
) -> Result<(), KeyFault> {
    let mut words = 0;
    loop {
        match keys::write_parts::<L, Place>(env, batch.room(words), seed, parts) {
            Ok(HashedKey { hash, words }) => {
                let length = words.len();
                // SAFETY: the key was written at the start of the room just now.
                unsafe { batch.push(hash, length, item) };
                return Ok(());
            }
            Err(KeyFault::Room(more)) => words = more,
            Err(fault) => return Err(fault),
        }
    }
}

/// Applies a list that one call can read: the rest of it, which is empty unless the time was up, and what became of the
/// others. `:many` for a longer list, of which nothing is applied.
#[inline(always)]
pub fn add_many<'a>(env: Env<'a>, items: Term<'a>, load: &mut impl Load) -> Result<Term<'a>, BadArgument> {
    let rest = read(env, items.into(), 0, load)?;
    if !is_empty_list(env, rest) {
        return Ok(atoms::many().to_term(env));
    }
    // An item that takes as long as many asks whether to go on, and has the clock read as well.
    let mut begin = (load.len() > FEW_ITEMS).then(Instant::now);
    let mut outcome = Default::default();
    let applied = load.apply(&mut outcome, || begin.get_or_insert_with(Instant::now).elapsed() < TIME_LIMIT);
    load.check_owner(env, &outcome)?;
    if let Some(begin) = begin {
        consume_timeslice(env, begin.elapsed());
    }
    let rest = if applied < load.len() { skip(env, items.into(), applied) } else { rest };
    Ok((rest.in_env(env), outcome).encode(env))
}

/// Checks items of a long list until the time is up: the rest of the list, and the index of that, where `from` is the
/// index of the first item.
pub fn check_some<'a>(
    env: Env<'a>,
    items: Term<'a>,
    Index(from): Index,
    load: &mut impl Load,
) -> Result<Term<'a>, BadArgument> {
    let mut next = from;
    let rest = in_steps(env, items, |items, _in_time| {
        let rest = read(env, items, next, load)?;
        next += load.len();
        Ok::<_, BadArgument>(rest)
    })?;
    Ok((rest, next).encode(env))
}

/// Checks which items of a list are refused until the time is up: the rest of the list, the index of that, and
/// `{index, error}` of each one refused, in their order. `from` is the index of the first item.
pub fn refused_some<'a, T: Load>(
    env: Env<'a>,
    items: Term<'a>,
    from: Index,
    load: &mut T,
) -> Result<Term<'a>, BadArgument> {
    let mut refused = Vec::new();
    let (rest, next) = each(env, items, from, T::ITEM, |item, index| {
        load.clear();
        if let Err(error) = with_layout!(L => load.read::<L>(env, item.into())) {
            refused.push((index, error));
        }
        Ok::<_, BadArgument>(())
    })?;
    Ok((rest, next, refused).encode(env))
}

/// Applies items of a list until the time is up: the rest of the list, the index of that, where `from` is the index of the
/// first item, and what became of the others. All items before one that is refused may have been applied.
pub fn add_from<'a, T: Load>(
    env: Env<'a>,
    items: Term<'a>,
    from: usize,
    load: &mut T,
) -> Result<(Term<'a>, usize, T::Outcome), BadArgument> {
    let mut outcome = T::Outcome::default();
    let mut next = from;
    let rest = in_steps(env, items, |items, in_time| {
        let rest = read(env, items, next, load)?;
        let applied = load.apply(&mut outcome, in_time);
        next += applied;
        Ok::<_, BadArgument>(if applied < load.len() { skip(env, items, applied) } else { rest })
    })?;
    load.check_owner(env, &outcome)?;
    Ok((rest, next, outcome))
}

/// The same of a list whose items were checked: the rest of the list and what became of the others.
pub fn add_some<'a>(env: Env<'a>, items: Term<'a>, load: &mut impl Load) -> Result<Term<'a>, BadArgument> {
    let (rest, _next, outcome) = add_from(env, items, 0, load)?;
    Ok((rest, outcome).encode(env))
}

/// Reads items until the load is full: the rest of the list. `from` is the index of the first item.
fn read<'a, T: Load>(env: Env<'a>, items: Raw<'a>, from: usize, load: &mut T) -> Result<Raw<'a>, BadArgument> {
    with_layout!(L => read_in::<L, T>(env, items, from, load))
}

/// Not inlined: there is one for each layout.
#[inline(never)]
fn read_in<'a, L: Layout, T: Load>(
    env: Env<'a>,
    mut items: Raw<'a>,
    from: usize,
    load: &mut T,
) -> Result<Raw<'a>, BadArgument> {
    load.clear();
    while !load.is_full() {
        let Some([item, rest]) = decode::list_cell::<L>(env, items) else {
            let at_end = decode::is_empty_list::<L>(env, items);
            let error = || bad_argument::list(items.in_env(env), T::ITEM, from + load.len());
            return if at_end { Ok(items) } else { Err(error()) };
        };
        load.read::<L>(env, item).map_err(|error| error.at_index(from + load.len()))?;
        items = rest;
    }
    Ok(items)
}

/// Repeats a step from a list to the rest of it until the list is at its end or the time is up: the rest. There is a first step
/// whatever the time, so that each call gets on.
pub fn in_steps<'a, E>(
    env: Env<'a>,
    list: Term<'a>,
    mut step: impl FnMut(Raw<'a>, &dyn Fn() -> bool) -> Result<Raw<'a>, E>,
) -> Result<Term<'a>, E> {
    let begin = Instant::now();
    let in_time = || begin.elapsed() < TIME_LIMIT;
    let mut rest = Raw::from(list);
    while !is_empty_list(env, rest) {
        rest = step(rest, &in_time)?;
        if !in_time() {
            break;
        }
    }
    consume_timeslice(env, begin.elapsed());
    Ok(rest.in_env(env))
}

/// The first element of a list that is not empty, and the rest. What is no proper list of `item` is refused.
pub fn first<'a>(env: Env<'a>, list: Raw<'a>, item: &str, index: usize) -> Result<[Raw<'a>; 2], BadArgument> {
    let cell = with_layout!(L => decode::list_cell::<L>(env, list));
    cell.ok_or_else(|| bad_argument::list(list.in_env(env), item, index))
}

/// Does something with each element of a list and its index, where `from` is that of the first one, until the time is up:
/// the rest and the index of that. What is no proper list of `item` is refused.
pub fn each<'a, E: From<BadArgument>>(
    env: Env<'a>,
    list: Term<'a>,
    Index(from): Index,
    item: &str,
    mut act: impl FnMut(Term<'a>, usize) -> Result<(), E>,
) -> Result<(Term<'a>, usize), E> {
    let mut next = from;
    let rest = in_steps(env, list, |list, _in_time| {
        let [element, rest] = first(env, list, item, next)?;
        act(element.in_env(env), next)?;
        next += 1;
        Ok::<_, E>(rest)
    })?;
    Ok((rest, next))
}

fn is_empty_list<'a>(env: Env<'a>, list: Raw<'a>) -> bool {
    with_layout!(L => decode::is_empty_list::<L>(env, list))
}

/// The list without its first elements, of which there are at least `count`.
pub fn skip<'a>(env: Env<'a>, list: Raw<'a>, count: usize) -> Raw<'a> {
    let rest = |list, _| with_layout!(L => decode::list_cell::<L>(env, list)).map_or(list, |[_, rest]| rest);
    (0..count).fold(list, rest)
}

/// Tells the VM how much of a process' turn (a millisecond) was used, so that others get theirs in time.
pub fn consume_timeslice(env: Env<'_>, used: Duration) {
    let percent = (used.as_micros() / 10).clamp(1, 100) as i32;
    rustler::schedule::consume_timeslice(env, percent);
}

/// Puts rows of a table on a page, as many as it takes: whether there are more.
type WalkSome = dyn FnMut(&mut Page<'_>) -> bool + Send;

/// A walk over a table's rows, done when it is `None`.
pub struct Walk(Mutex<Option<Box<WalkSome>>>);

resource!(Walk, c"walk", "a walk over a table's rows");

/// A reference to a walk over rows, some of which are put on each page.
pub fn walk(env: Env<'_>, some: impl FnMut(&mut Page<'_>) -> bool + Send + 'static) -> Term<'_> {
    resource::make(env, Walk(Mutex::new(Some(Box::new(some)))))
}

/// Puts rows in front of a list, as many as time permits: `{:more | :done, list}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn walk_rows<'a>(walk: Term<'a>, list: Term<'a>) -> NifResult<Term<'a>> {
    let walk: &Walk = resource::expect(walk)?;
    let mut page = Page::before(list);
    let mut some = walk.0.lock();
    let more = some.as_mut().is_some_and(|some| some(&mut page));
    if !more {
        *some = None;
    }
    Ok(page.answer(more))
}

/// Rows put in front of a list until the time is up.
pub struct Page<'a> {
    list: Term<'a>,
    begin: Instant,
    /// What the rows since the last reading of the clock have cost.
    cost: usize,
}

impl<'a> Page<'a> {
    /// Without rows yet.
    pub fn before(list: Term<'a>) -> Self {
        Self { list, begin: Instant::now(), cost: 0 }
    }

    /// Where its terms are.
    pub fn env(&self) -> Env<'a> {
        self.list.get_env()
    }

    /// Adds a row that took about as long to make as `cost` rows of counters: whether to go on.
    #[inline]
    pub fn push(&mut self, row: Term<'a>, cost: usize) -> ControlFlow<()> {
        const COST_OF_THE_CLOCK: usize = 32;
        self.list = self.list.list_prepend(row);
        self.cost += cost;
        if self.cost < COST_OF_THE_CLOCK {
            return ControlFlow::Continue(());
        }
        self.cost = 0;
        if self.begin.elapsed() > TIME_LIMIT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Whether there is time for more.
    pub fn in_time(&self) -> bool {
        self.begin.elapsed() < TIME_LIMIT
    }

    /// `{:more | :done, list}`.
    pub fn answer(self, more: bool) -> Term<'a> {
        (if more { atoms::more() } else { atoms::done() }, self.list).encode(self.list.get_env())
    }
}
