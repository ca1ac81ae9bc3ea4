//! The functions of `AdTally.Meter`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ad_tally_core::dedupe;
use ad_tally_core::meter::{Config, Event, Outcome, ReachConfig, Window};
use ad_tally_core::row::MAX_METRICS;
use ad_tally_core::{Add, Coupon, Meter, Secret};
use arrayvec::ArrayVec;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Term};

use crate::args;
use crate::atoms;
use crate::clock::now;
use crate::counters;
use crate::hot::{Argument, At, hot};
use crate::reach;
use crate::refusal::{self, Refusal};
use crate::resource::{self, resource};
use crate::sketch;
use crate::steps;
use crate::terms::{self, Layout, Raw, with_layout, word};

/// A meter, with the names of its metrics.
pub struct Table {
    meter: Meter,
    metrics: Vec<u64>,
    /// How many dimensions an event has.
    dimensions: usize,
    /// Which of them a sketch's key has.
    by: Vec<usize>,
}

/// A window of a meter.
pub struct Period {
    window: Arc<Window>,
    metrics: Vec<u64>,
}

resource!(Table, c"meter", "an AdTally.Meter");
resource!(Period, c"meter_window", "a window of an AdTally.Meter");

const MOST_DIMENSIONS: usize = ad_tally_core::key::MAX_ARITY;

type Amounts = ArrayVec<Add, MAX_METRICS>;

impl Table {
    #[inline(always)]
    fn metric<'a>(&self, env: Env<'a>, name: Raw<'a>) -> Result<u32, Refusal> {
        let position = self.metrics.iter().position(|known| *known == name.word());
        position.map(|metric| metric as u32).ok_or_else(|| {
            refusal::metric(name.in_env(env), self.metrics.iter().map(|word| args::atom_term(env, *word)))
        })
    }

    #[inline(always)]
    fn amounts<'a, L: Layout>(&self, env: Env<'a>, list: Raw<'a>, into: &mut Amounts) -> Result<(), Refusal> {
        let mut rest = list;
        while let Some([item, tail]) = terms::list_cell::<L>(env, rest) {
            let Some([name, amount]) = terms::tuple::<L>(env, item) else {
                return Err(refusal::metrics(list.in_env(env), MAX_METRICS));
            };
            let metric = self.metric(env, *name)?;
            let amount = terms::integer::<L>(env, *amount).ok_or_else(|| refusal::amount(amount.in_env(env)))?;
            into.try_push(Add { metric, amount }).map_err(|_| refusal::metrics(list.in_env(env), MAX_METRICS))?;
            rest = tail;
        }
        if terms::is_empty_list(env, rest) { Ok(()) } else { Err(refusal::metrics(list.in_env(env), MAX_METRICS)) }
    }

    /// What a user is in sketches, if there is one and there are any.
    #[inline(always)]
    fn coupon<'a, L: Layout>(&self, env: Env<'a>, user: Raw<'a>) -> Result<Option<Coupon>, Refusal> {
        match self.meter.reach() {
            Some(reach) if !is_nil(user) => {
                sketch::coupon::<L>(env, user, reach.secret.as_ref()).map(|(coupon, _length)| Some(coupon))
            }
            _ => Ok(None),
        }
    }

    /// Reads an event and does something with it.
    #[inline(always)]
    fn with_event<'a, R>(
        &self,
        env: Env<'a>,
        term: EventTerm<'a>,
        act: impl Fn(&Event<'_>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let EventTerm { id, at, dimensions, user, metrics } = term;
        let id = match self.meter.dedupe_seed() {
            Some(seed) if !is_nil(id) => {
                let id = args::hash(env, seed, id)?;
                // Looked at last: until then its line is on its way.
                self.meter.fetch_id(id);
                Some(id)
            }
            _ => None,
        };
        let mut amounts = Amounts::new();
        let (elements, user) = with_layout!(L => {
            self.amounts::<L>(env, metrics, &mut amounts)?;
            (terms::tuple::<L>(env, dimensions), self.coupon::<L>(env, user)?)
        });
        let elements = elements.filter(|elements| elements.len() == self.dimensions);
        let elements = elements.ok_or_else(|| refusal::dimensions(dimensions.in_env(env), self.dimensions))?;
        args::with_tuple_key(env, self.meter.seed(), elements, dimensions, |key| match user {
            None => act(&Event { at, id, key, amounts: &amounts, reach: None }),
            // Then it is all dimensions, in their order.
            Some(user) if self.by.len() == self.dimensions => {
                act(&Event { at, id, key, amounts: &amounts, reach: Some((key, user)) })
            }
            Some(user) => {
                let by: ArrayVec<Raw<'a>, MOST_DIMENSIONS> = self.by.iter().map(|at| elements[*at]).collect();
                args::with_tuple_key(env, self.meter.seed(), &by, dimensions, |by| {
                    act(&Event { at, id, key, amounts: &amounts, reach: Some((by, user)) })
                })?
            }
        })?
    }

    #[inline(always)]
    fn record<'a>(&self, env: Env<'a>, term: EventTerm<'a>) -> Result<Outcome, Refusal> {
        self.with_event(env, term, |event| self.meter.record(event, now).map_err(Refusal::from))
    }

    /// Looks whether it is an event, and asks for what it will need.
    #[inline(always)]
    fn check<'a>(&self, env: Env<'a>, term: EventTerm<'a>) -> Result<(), Refusal> {
        self.with_event(env, term, |event| self.meter.check(event).map_err(Refusal::from))
    }

    /// Does something with events of a list, as many as one call may: the rest of the list.
    fn each<'a>(
        &self,
        env: Env<'a>,
        list: Raw<'a>,
        mut act: impl FnMut(EventTerm<'a>) -> Result<(), Refusal>,
    ) -> Result<Raw<'a>, Refusal> {
        let begin = Instant::now();
        let mut rest = list;
        for count in 0..MOST_EVENTS {
            if count % 8 == 7 && begin.elapsed() > MOST_TIME {
                break;
            }
            let Some([item, tail]) = with_layout!(L => terms::list_cell::<L>(env, rest)) else {
                if terms::is_empty_list(env, rest) {
                    break;
                }
                return Err(refusal::list(list.in_env(env), ITEM));
            };
            act(EventTerm::read(env, item)?)?;
            rest = tail;
        }
        steps::consume_timeslice(env, begin.elapsed());
        Ok(rest)
    }
}

/// Events that one call takes at most, and for how long it may work on them.
const MOST_EVENTS: usize = 256;
const MOST_TIME: Duration = Duration::from_micros(250);
const ITEM: &str = "AdTally.Event";

/// An event as Elixir has it.
struct EventTerm<'a> {
    id: Raw<'a>,
    at: u64,
    dimensions: Raw<'a>,
    user: Raw<'a>,
    metrics: Raw<'a>,
}

impl<'a> EventTerm<'a> {
    /// One of a list: `{id, at, dimensions, user, metrics}`.
    #[inline(always)]
    fn read(env: Env<'a>, item: Raw<'a>) -> Result<Self, Refusal> {
        let Some([id, at, dimensions, user, metrics]) = with_layout!(L => terms::tuple::<L>(env, item)) else {
            return Err(refusal::item(item.in_env(env), ITEM));
        };
        let At(at) = At::read(env, *at)?;
        Ok(Self { id: *id, at, dimensions: *dimensions, user: *user, metrics: *metrics })
    }
}

/// How many events of a list had each outcome, in their order.
#[derive(Default)]
struct Outcomes([u64; 5]);

impl Outcomes {
    fn term<'a>(&self, env: Env<'a>) -> Term<'a> {
        let [applied, duplicate, late, future, overflow] = self.0;
        (applied, duplicate, late, future, overflow).encode(env)
    }
}

#[inline(always)]
fn is_nil(term: Raw<'_>) -> bool {
    term.word() == word(atoms::nil().as_c_arg())
}

fn outcome(env: Env<'_>, outcome: Outcome) -> Term<'_> {
    let atom = match outcome {
        Outcome::Applied => atoms::ok(),
        Outcome::Duplicate => atoms::duplicate(),
        Outcome::Late => atoms::late(),
        Outcome::Future => atoms::future(),
        Outcome::Overflow => atoms::overflow(),
    };
    atom.to_term(env)
}

hot! {
    /// Counts an event.
    fn meter_record(env, table: &Table, id: Raw<'a>, at: At, dimensions: Raw<'a>, user: Raw<'a>, metrics: Raw<'a>) {
        let event = EventTerm { id, at: at.0, dimensions, user, metrics };
        table.record(env, event).map(|recorded| outcome(env, recorded))
    }

    /// Counts the events of a list that one call can take, or none of a longer one: `many`.
    fn meter_record_many(env, table: &Table, events: Raw<'a>) {
        let rest = table.each(env, events, |event| table.check(env, event))?;
        if !terms::is_empty_list(env, rest) {
            return Ok(atoms::many().to_term(env));
        }
        let mut outcomes = Outcomes::default();
        let mut record = |event| table.record(env, event).map(|outcome| outcomes.0[outcome as usize] += 1);
        let mut rest = events;
        while !terms::is_empty_list(env, rest) {
            rest = table.each(env, rest, &mut record)?;
        }
        Ok(outcomes.term(env))
    }

    /// Looks at events of a long list: the rest of it.
    fn meter_check_some(env, table: &Table, events: Raw<'a>) {
        table.each(env, events, |event| table.check(env, event)).map(|rest| rest.in_env(env))
    }

    /// Counts events of a long list: the rest of it, and what became of them.
    fn meter_record_some(env, table: &Table, events: Raw<'a>) {
        let mut outcomes = Outcomes::default();
        let record = |event| table.record(env, event).map(|outcome| outcomes.0[outcome as usize] += 1);
        let rest = table.each(env, events, record)?;
        Ok((rest.in_env(env), outcomes.term(env)).encode(env))
    }
}

/// What is asked for of a meter: windows, names, sketches, ids.
type Times = (u64, u64, Option<u64>);
type Names = (Vec<Atom>, usize, usize);
type Sketches<'a> = Option<(Vec<usize>, u8, usize, Option<Binary<'a>>)>;
type Ids = Option<(u64, usize, bool)>;

#[rustler::nif(schedule = "DirtyCpu")]
fn meter_new<'a>(
    env: Env<'a>,
    (window, lateness, max_ahead): Times,
    (metrics, dimensions, max_keys): Names,
    sketches: Sketches<'a>,
    ids: Ids,
) -> NifResult<Term<'a>> {
    let (by, reach) = match sketches {
        None => (Vec::new(), None),
        Some((by, precision, max_keys, secret)) => {
            let secret = secret.and_then(|secret| <[u8; 16]>::try_from(secret.as_slice()).ok()).map(Secret::new);
            (by, Some(ReachConfig { precision, max_keys, secret }))
        }
    };
    let dedupe = ids.map(|(window, capacity, wide)| dedupe::Config { window, capacity, wide });
    let config = Config { window, lateness, max_ahead, metrics: metrics.len(), max_keys, reach, dedupe };
    let meter = Meter::new(&config).map_err(Refusal::from)?;
    let metrics = metrics.iter().map(|metric| word(metric.as_c_arg())).collect();
    Ok(resource::make(env, Table { meter, metrics, dimensions, by }))
}

/// Closes windows whose time has passed, by the events' time or one that is given: `{begin, end, window}` of each.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_close<'a>(env: Env<'a>, table: Term<'a>, now: Option<u64>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(periods(env, table, table.meter.close(now)))
}

/// Closes all windows, and those that are to come.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_stop<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(periods(env, table, table.meter.stop()))
}

/// Windows that are open and have events, as they are now.
#[rustler::nif]
fn meter_open<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(periods(env, table, table.meter.open_windows()))
}

fn periods<'a>(env: Env<'a>, table: &Table, windows: Vec<Arc<Window>>) -> Term<'a> {
    let period = |window: Arc<Window>| {
        let (begin, end) = table.meter.bounds(window.number);
        (begin, end, resource::make(env, Period { window, metrics: table.metrics.clone() })).encode(env)
    };
    windows.into_iter().map(period).collect::<Vec<Term<'a>>>().encode(env)
}

/// A walk over the rows of a window, for `counters_rows`, and what had no row.
#[rustler::nif]
fn meter_counters<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, metrics } = resource::expect(period)?;
    let walk = counters::walk_of(env, metrics, window.counters());
    Ok((walk, counters::row(env, metrics, &window.overflow())).encode(env))
}

/// A walk over the sketches of a window, for `reach_rows`, and the sketch of users who had none, or nil.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_reach<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, .. } = resource::expect(period)?;
    Ok(match (window.reach(), window.reach_overflow()) {
        (Some(rows), Some(overflow)) => (reach::walk_of(env, rows), sketch::term(env, &overflow)).encode(env),
        _ => atoms::nil().to_term(env),
    })
}

/// The meter's numbers.
#[rustler::nif]
fn meter_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let info = table.meter.info();
    let events = info.events;
    let counts = [
        (atoms::applied(), events.applied),
        (atoms::duplicate(), events.duplicate),
        (atoms::late(), events.late),
        (atoms::future(), events.future),
        (atoms::overflow(), events.overflow),
    ];
    let left_out = [atoms::duplicate(), atoms::late(), atoms::future()];
    let left_out: Vec<(Atom, Term<'a>)> = left_out
        .into_iter()
        .zip(&info.left_out)
        .map(|(why, amounts)| (why, counters::row(env, &table.metrics, amounts)))
        .collect();
    let pairs = [
        (atoms::events(), Term::map_from_pairs(env, &counts)?),
        (atoms::left_out(), Term::map_from_pairs(env, &left_out)?),
        (atoms::open_windows(), info.open_windows.encode(env)),
        (atoms::newest(), info.newest.encode(env)),
        (atoms::memory_bytes(), info.memory_bytes.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}
