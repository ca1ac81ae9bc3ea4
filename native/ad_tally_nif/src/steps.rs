//! Long lists and large tables, worked through in calls that are short.
//!
//! A list that one call can read is read whole, looked at item by item, and only then applied: [`add_all`]. Of a longer
//! one every item is looked at first, in as many calls as that takes ([`check_some`]), and then applied in as many more
//! ([`add_some`]); Elixir calls again with the rest of the list that it was given back.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ad_tally_core::key::KeyFault;
use ad_tally_core::{Added, Batch, HashedKey, Seed};
use rustler::sys::enif_make_list_cell;
use rustler::{Encoder, Env, Term};

use crate::atoms;
use crate::decode::{
    self, BadArgument, Layout, Raw, bad_argument,
    keys::{self, Place},
    with_layout,
};
use crate::encode;
use crate::hot::Index;

/// How long a call may work before it hands the rest back. A quarter of the millisecond that no call may take: what is
/// done between two looks at the clock, and first touches of fresh memory, come on top.
pub const TIME_LIMIT: Duration = Duration::from_micros(250);

/// Items a call reads at most: tens of microseconds of work. A list that fits is read once only, because the load is
/// complete before it is applied.
pub const MOST_ITEMS: usize = 1_024;
/// Items from which on the VM is told that a call took longer than others.
const LONG_FOR_ONE_TURN: usize = 64;
/// Items beyond which it is told how long, and up to which a list asks for the clock only if whoever applies it asks whether
/// to go on: two looks take as long as an item.
const LONG_FOR_NO_CLOCK: usize = 128;
/// A megabyte of keys: long binaries fill a batch before it has many items.
const MOST_WORDS: usize = 1 << 17;

/// What became of items that were applied.
pub trait Outcome: Default {
    /// What Elixir is told of a list that was applied whole, where it is in short.
    fn short_term<'a>(&self, env: Env<'a>) -> Option<Term<'a>>;

    /// What Elixir is told.
    fn term<'a>(&self, env: Env<'a>) -> Term<'a>;
}

/// How many overflowed.
impl Outcome for usize {
    fn short_term<'a>(&self, env: Env<'a>) -> Option<Term<'a>> {
        (*self == 0).then(|| atoms::ok().to_term(env))
    }

    fn term<'a>(&self, env: Env<'a>) -> Term<'a> {
        self.encode(env)
    }
}

/// Items of a list, read and not yet applied.
pub trait Load {
    /// What an item looks like, for errors.
    const ITEM: &'static str;
    /// What becomes of them.
    type Outcome: Outcome;

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
    let mut words = 0;
    loop {
        match keys::write_key::<L, Place>(env, batch.room(words), seed, key) {
            Ok(HashedKey { hash, words }) => {
                let length = words.len();
                // SAFETY: the key was written at the start of the room just now.
                unsafe { batch.push(hash, length, item) };
                return Ok(());
            }
            Err(KeyFault::Room(more)) => words = more,
            Err(fault) => return Err(bad_argument::key(key.in_env(env), fault)),
        }
    }
}

/// Applies a list that one call can read: in short what became of it, or the rest of it, if time was up before all were applied,
/// and what became of the others. `:many` for a longer list, and nothing is applied.
#[inline(always)]
pub fn add_all<'a>(env: Env<'a>, items: Term<'a>, load: &mut impl Load) -> Result<Term<'a>, BadArgument> {
    if read(env, items.into(), Some(0), load)?.is_some() {
        return Ok(atoms::many().to_term(env));
    }
    let mut begin = (load.len() > LONG_FOR_NO_CLOCK).then(Instant::now);
    let mut outcome = Default::default();
    let applied = load.apply(&mut outcome, || begin.get_or_insert_with(Instant::now).elapsed() < TIME_LIMIT);
    match begin {
        Some(begin) => consume_timeslice(env, begin.elapsed()),
        // Two to ten microseconds, of which the VM cannot be told less than ten. A process that does nothing but add such lists
        // has to be told of, or it would have its scheduler for ten times as long as others.
        None if applied >= LONG_FOR_ONE_TURN => consume_timeslice(env, Duration::ZERO),
        None => {}
    }
    if applied < load.len() {
        return Ok((skip(env, items, applied), outcome.term(env)).encode(env));
    }
    Ok(outcome.short_term(env).unwrap_or_else(|| (encode::list(env, &[]), outcome.term(env)).encode(env)))
}

/// Looks whether the items of a long list are right, as far as time permits: the rest of the list, and the index of that,
/// where `from` is the index of the first item.
pub fn check_some<'a>(
    env: Env<'a>,
    items: Term<'a>,
    Index(from): Index,
    load: &mut impl Load,
) -> Result<Term<'a>, BadArgument> {
    let mut next = from;
    let rest = in_steps(env, items, |items, _end| {
        let rest = read(env, items.into(), Some(next), load)?;
        next += load.len();
        Ok::<_, BadArgument>(rest.map_or_else(|| skip(env, items, load.len()), |rest| rest.in_env(env)))
    })?;
    Ok((rest, next).encode(env))
}

/// Looks which items of a list are refused, as far as time permits: the rest of the list, the index of that, and
/// `{index, error}` of each one refused, in their order. `from` is the index of the first item.
pub fn refused_some<'a, T: Load>(
    env: Env<'a>,
    items: Term<'a>,
    from: Index,
    load: &mut T,
) -> Result<Term<'a>, BadArgument> {
    let mut refused = Vec::new();
    load.clear();
    let (rest, next) = each(env, items, from, T::ITEM, |item, index| {
        if load.is_full() {
            load.clear();
        }
        if let Err(error) = with_layout!(L => load.read::<L>(env, item.into())) {
            refused.push((index, error));
        }
        Ok::<_, BadArgument>(())
    })?;
    Ok((rest, next, refused).encode(env))
}

/// Applies items of a long list that were looked at, as far as time permits: the rest of the list and what became of the
/// others.
pub fn add_some<'a, T: Load>(env: Env<'a>, items: Term<'a>, load: &mut T) -> Result<Term<'a>, BadArgument> {
    let (rest, _next, outcome) = add_from(env, items, None, load)?;
    Ok((rest, outcome.term(env)).encode(env))
}

/// Applies items of a list, as far as time permits: the rest of the list, and the index of that, where `from` is the index
/// of the first item. All before an item that is refused may have been applied.
pub fn add_unchecked<'a>(
    env: Env<'a>,
    items: Term<'a>,
    from: usize,
    load: &mut impl Load,
) -> Result<Term<'a>, BadArgument> {
    let (rest, next, _outcome) = add_from(env, items, Some(from), load)?;
    Ok((rest, next).encode(env))
}

fn add_from<'a, T: Load>(
    env: Env<'a>,
    items: Term<'a>,
    from: Option<usize>,
    load: &mut T,
) -> Result<(Term<'a>, usize, T::Outcome), BadArgument> {
    let mut outcome = T::Outcome::default();
    let mut next = from.unwrap_or_default();
    let rest = in_steps(env, items, |items, end| {
        read(env, items.into(), from.map(|_| next), load)?;
        let applied = load.apply(&mut outcome, || Instant::now() < end);
        next += applied;
        Ok::<_, BadArgument>(skip(env, items, applied))
    })?;
    Ok((rest, next, outcome))
}

/// Reads items until the load is full: the rest of the list, or `None` at its end. `from` is the index of the first item,
/// where an error is to name one.
fn read<'a, T: Load>(
    env: Env<'a>,
    items: Raw<'a>,
    from: Option<usize>,
    load: &mut T,
) -> Result<Option<Raw<'a>>, BadArgument> {
    let read = with_layout!(L => read_in::<L, T>(env, items, load));
    read.map_err(|refused| refused.named(T::ITEM, from.map(|from| from + load.len())))
}

/// What a list could not be read further for.
enum Refused<'a> {
    Item(BadArgument),
    /// It has this term instead of an item or its end.
    End(Term<'a>),
}

impl Refused<'_> {
    #[cold]
    fn named(self, item: &str, index: Option<usize>) -> BadArgument {
        match (self, index) {
            (Self::Item(error), Some(index)) => error.at_index(index),
            (Self::Item(error), None) => error,
            (Self::End(term), index) => bad_argument::list(term, item, index.unwrap_or_default()),
        }
    }
}

/// Not inlined: there is one for each layout.
#[inline(never)]
fn read_in<'a, L: Layout, T: Load>(
    env: Env<'a>,
    mut items: Raw<'a>,
    load: &mut T,
) -> Result<Option<Raw<'a>>, Refused<'a>> {
    load.clear();
    while !load.is_full() {
        let Some([item, rest]) = decode::list_cell::<L>(env, items) else {
            let at_end = decode::is_empty_list::<L>(env, items);
            return if at_end { Ok(None) } else { Err(Refused::End(items.in_env(env))) };
        };
        load.read::<L>(env, item).map_err(Refused::Item)?;
        items = rest;
    }
    Ok(if decode::is_empty_list::<L>(env, items) { None } else { Some(items) })
}

/// Repeats a step from a list to the rest of it until the list is at its end or the time is up: the rest.
fn in_steps<'a, E>(
    env: Env<'a>,
    mut list: Term<'a>,
    mut step: impl FnMut(Term<'a>, Instant) -> Result<Term<'a>, E>,
) -> Result<Term<'a>, E> {
    let begin = Instant::now();
    let end = begin + TIME_LIMIT;
    while !with_layout!(L => decode::is_empty_list::<L>(env, list.into())) && Instant::now() < end {
        list = step(list, end)?;
    }
    consume_timeslice(env, begin.elapsed());
    Ok(list)
}

/// As [`in_steps`], an element a step, with its index, where `from` is that of the first one: the rest and the index of
/// that. What is no proper list of `item` is refused.
pub fn each<'a, E: From<BadArgument>>(
    env: Env<'a>,
    list: Term<'a>,
    Index(from): Index,
    item: &str,
    mut act: impl FnMut(Term<'a>, usize) -> Result<(), E>,
) -> Result<(Term<'a>, usize), E> {
    let mut next = from;
    let rest = in_steps(env, list, |list, _end| {
        let cell = with_layout!(L => decode::list_cell::<L>(env, list.into()));
        let [element, rest] = cell.ok_or_else(|| bad_argument::list(list, item, next))?;
        act(element.in_env(env), next)?;
        next += 1;
        Ok::<_, E>(rest.in_env(env))
    })?;
    Ok((rest, next))
}

/// The list without its first elements, of which there are at least `count`.
fn skip<'a>(env: Env<'a>, list: Term<'a>, count: usize) -> Term<'a> {
    let rest = |list, _| with_layout!(L => decode::list_cell::<L>(env, list)).map_or(list, |[_, rest]| rest);
    (0..count).fold(Raw::from(list), rest).in_env(env)
}

/// Tells the VM how much of a process' turn (a millisecond) was used, so that others get theirs in time.
pub fn consume_timeslice(env: Env<'_>, used: Duration) {
    let percent = (used.as_micros() / 10).clamp(1, 100) as i32;
    rustler::schedule::consume_timeslice(env, percent);
}

/// Rows put in front of a list, as many as time permits.
pub struct Shown<'a> {
    env: Env<'a>,
    list: Term<'a>,
    begin: Instant,
    since_look: usize,
}

impl<'a> Shown<'a> {
    /// None yet.
    pub fn before(env: Env<'a>, list: Term<'a>) -> Self {
        Self { env, list, begin: Instant::now(), since_look: 0 }
    }

    /// Shows a row that took about as long to make as `cost` rows of counters: whether to go on.
    #[inline]
    pub fn push(&mut self, row: Term<'a>, cost: usize) -> ControlFlow<()> {
        const COST_OF_A_LOOK: usize = 32;
        // SAFETY: both terms are of this environment.
        self.list = unsafe {
            Term::new(self.env, enif_make_list_cell(self.env.as_c_arg(), row.as_c_arg(), self.list.as_c_arg()))
        };
        self.since_look += cost;
        if self.since_look < COST_OF_A_LOOK {
            return ControlFlow::Continue(());
        }
        self.since_look = 0;
        if self.begin.elapsed() > TIME_LIMIT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// `{:more | :done, list}`.
    pub fn answer(self, more: bool) -> Term<'a> {
        (if more { atoms::more() } else { atoms::done() }, self.list).encode(self.env)
    }
}

/// What a per-event function answers.
#[inline(always)]
pub fn answer(env: Env<'_>, added: Added) -> Term<'_> {
    match added {
        Added::Row => atoms::ok().to_term(env),
        Added::Overflow => atoms::overflow().to_term(env),
    }
}
