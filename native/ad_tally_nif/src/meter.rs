//! The functions of `AdTally.Meter`.

use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use ad_tally_core::counters::MAX_METRICS;
use ad_tally_core::dedupe;
use ad_tally_core::key::{KeyFault, SHORT_KEY_WORDS};
use ad_tally_core::meter::{
    Ahead, Batch, Closed, Config, Draft, Outcome, Outcomes, ReachConfig, TIMES, WindowRef, Written,
};
use ad_tally_core::{Add, Error, Meter, Secret, Seed};
use parking_lot::Mutex;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::clock::now;
use crate::counters;
use crate::decode::{
    self, BadArgument, Layout, Raw, bad_argument,
    events::{self, EventTerm},
    keys::{self, Id, Parts, Place, Role},
    with_layout,
};
use crate::encode;
use crate::hot::{Argument, At, Index, hot};
use crate::owner::Owner;
use crate::reach;
use crate::resource::{self, resource};
use crate::sketch;
use crate::steps::{self, Load};

/// A meter, with the names of its metrics.
pub struct Table {
    meter: Meter,
    metrics: Arc<[Atom]>,
    /// How many dimensions an event has.
    dimensions: usize,
    /// The last event that was refused.
    refused: Mutex<Option<Refused>>,
    pub(crate) owner: Owner,
}

/// Why an event was refused.
struct Refused {
    /// Its time, where that is what was wrong and is an integer.
    at: Option<i64>,
    reason: String,
}

/// A window of a meter.
pub struct Period {
    window: WindowRef,
    metrics: Arc<[Atom]>,
}

resource!(Table, c"meter", "an AdTally.Meter", owner: owner);
resource!(Period, c"meter_window", "a window of an AdTally.Meter");

/// Room for the amounts of an event.
type Amounts = [MaybeUninit<Add>; MAX_METRICS];

/// What an event is refused for, and the term to blame; or how many words its key needs at least. Two words, which stay in
/// registers: what is raised is made of it where that is done.
#[derive(Clone, Copy)]
enum Fault<'a> {
    Event(Raw<'a>),
    At(Raw<'a>),
    Id(Raw<'a>),
    Dimensions(Raw<'a>),
    Key(Raw<'a>),
    User(Raw<'a>),
    Metrics(Raw<'a>),
    Metric(Raw<'a>),
    Amount(Raw<'a>),
    Room(usize),
}

impl Table {
    /// What is raised, which is noted as well.
    #[cold]
    fn bad_argument<'a>(&self, env: Env<'a>, fault: Fault<'a>) -> BadArgument {
        let error = self.bad_argument_of(env, fault);
        let at = if let Fault::At(time) = fault { decode::integer_by_call(env, time) } else { None };
        *self.refused.lock() = Some(Refused { at, reason: error.message().to_owned() });
        error
    }

    fn bad_argument_of<'a>(&self, env: Env<'a>, fault: Fault<'a>) -> BadArgument {
        match fault {
            Fault::Event(term) => bad_argument::item(term.in_env(env), events::NAME),
            Fault::At(term) => match At::read(env, term) {
                Ok(At(at)) => Error::Time(at).into(),
                Err(error) => error,
            },
            Fault::Id(term) => bad_key::<Id>(env, dedupe::seed(), term),
            Fault::Key(term) => bad_key::<Place>(env, self.meter.seed(), term),
            Fault::Dimensions(term) => bad_argument::dimensions(term.in_env(env), self.dimensions),
            Fault::User(term) => bad_argument::user(term.in_env(env)),
            Fault::Metrics(term) => bad_argument::metrics(term.in_env(env), MAX_METRICS),
            Fault::Metric(term) => {
                bad_argument::metric(term.in_env(env), self.metrics.iter().map(|metric| metric.to_term(env)))
            }
            Fault::Amount(term) => bad_argument::amount(term.in_env(env)),
            Fault::Room(_) => unreachable!("there was room for any keys"),
        }
    }

    /// Reads amounts into the room: how many.
    #[inline(always)]
    fn read_amounts<'a, L: Layout>(&self, env: Env<'a>, list: Raw<'a>, room: &mut Amounts) -> Result<usize, Fault<'a>> {
        let mut rest = list;
        let mut count = 0;
        while let Some([item, tail]) = decode::list_cell::<L>(env, rest) {
            let &[name, amount] = decode::tuple_of::<L, 2>(env, item).ok_or(Fault::Metrics(list))?;
            let metric = self.metrics.iter().position(|known| name == *known).ok_or(Fault::Metric(name))?;
            let amount = match decode::small::<L>(amount) {
                Some(amount) => amount,
                None => decode::integer_by_call(env, amount).ok_or(Fault::Amount(amount))?,
            };
            room.get_mut(count).ok_or(Fault::Metrics(list))?.write(Add { metric: metric as u32, amount });
            count += 1;
            rest = tail;
        }
        if decode::is_empty_list::<L>(env, rest) { Ok(count) } else { Err(Fault::Metrics(list)) }
    }

    /// Writes the words of a key into the room.
    #[inline(always)]
    fn write_key<'a, L: Layout>(
        &self,
        env: Env<'a>,
        room: &mut [MaybeUninit<u64>],
        elements: &[Raw<'a>],
        of: Raw<'a>,
        long: &mut Long,
    ) -> Result<Written, Fault<'a>> {
        match keys::write_short_key::<L, Place>(env, room, self.meter.seed(), Parts::of_tuple(elements)) {
            Some((hash, length)) => Ok(Written { hash, begin: 0, length: length as u32 }),
            None => self.write_long_key(env, room, elements, of, long),
        }
    }

    #[cold]
    fn write_long_key<'a>(
        &self,
        env: Env<'a>,
        room: &mut [MaybeUninit<u64>],
        elements: &[Raw<'a>],
        of: Raw<'a>,
        long: &mut Long,
    ) -> Result<Written, Fault<'a>> {
        let parts = Parts::of_tuple(elements);
        match with_layout!(L => keys::write_any_key::<L, Place>(env, room, self.meter.seed(), parts)) {
            Ok(key) => {
                long.bytes += size_of_val::<[u64]>(key.words);
                Ok(Written { hash: key.hash, begin: 0, length: key.words.len() as u32 })
            }
            Err(KeyFault::Room(words)) => Err(Fault::Room(words)),
            Err(_) => Err(Fault::Key(of)),
        }
    }

    /// Begins to read an event: its time and its id. What is long of it is noted.
    #[inline(always)]
    fn begin<'a, L: Layout>(
        &self,
        env: Env<'a>,
        event: EventTerm<'a>,
        long: &mut Long,
    ) -> Result<Begun<'a>, Fault<'a>> {
        let EventTerm { id, at: time, dimensions, user, metrics } = event;
        // Of what is no small integer none is a time, if small ones are known.
        let at = match decode::small::<L>(time) {
            Some(at) => at as u64,
            None => decode::integer_by_call(env, time).and_then(|at| u64::try_from(at).ok()).unwrap_or(TIMES),
        };
        if at >= TIMES {
            return Err(Fault::At(time));
        }
        let id = if !self.meter.has_dedupe() || decode::is_nil(id) {
            None
        } else {
            match keys::hash_short::<L, Id>(dedupe::seed(), id) {
                Some(hash) => Some(hash),
                None => Some(long.hash(env, id).ok_or(Fault::Id(id))?),
            }
        };
        Ok(Begun { at, id, dimensions, user, metrics })
    }

    /// Reads the rest of an event but for its amounts. Its key is written into the room, and nothing before it. What is long
    /// of it is noted.
    #[inline(always)]
    fn read<'a, L: Layout>(
        &self,
        env: Env<'a>,
        begun: &Begun<'a>,
        room: &mut [MaybeUninit<u64>],
        long: &mut Long,
        ahead: &mut Ahead<'_>,
    ) -> Result<Draft, Fault<'a>> {
        let Begun { at, id, dimensions, user, .. } = *begun;
        ahead.at(at);
        let elements = decode::tuple::<L>(env, dimensions).filter(|elements| elements.len() == self.dimensions);
        let elements = elements.ok_or(Fault::Dimensions(dimensions))?;
        let key = self.write_key::<L>(env, room, elements, dimensions, long)?;
        ahead.key(key);
        let user = match self.meter.reach() {
            Some(reach) if !decode::is_nil(user) => {
                let secret = reach.secret.as_ref();
                let (user, length) = sketch::coupon_if_any::<L>(env, user, secret).ok_or(Fault::User(user))?;
                long.bytes += length;
                Some(user)
            }
            _ => None,
        };
        ahead.row();
        Ok(Draft { at, id, key, user })
    }

    /// Records the event that a term is.
    #[inline(always)]
    fn record<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Result<Outcome, BadArgument> {
        let Some(event) = EventTerm::read(term) else {
            return self.record_long(env, term, Fault::Event(term));
        };
        let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
        match with_layout!(L => self.try_record::<L>(env, term, event, &mut room, &mut Long::default())) {
            Ok(outcome) => Ok(outcome),
            Err(fault) => self.record_long(env, term, fault),
        }
    }

    #[inline(always)]
    fn try_record<'a, L: Layout>(
        &self,
        env: Env<'a>,
        term: Raw<'a>,
        event: EventTerm<'a>,
        room: &mut [MaybeUninit<u64>],
        long: &mut Long,
    ) -> Result<Outcome, Fault<'a>> {
        let mut amounts = [MaybeUninit::uninit(); MAX_METRICS];
        let begun = self.begin::<L>(env, event, long)?;
        // It is the line that lies furthest away, so all else is done while it is on its way.
        if let Some(id) = begun.id {
            self.meter.fetch_id(id);
        }
        let recording = self.meter.protect();
        let mut ahead = recording.ahead();
        let draft = self.read::<L>(env, &begun, room, long, &mut ahead)?;
        let count = self.read_amounts::<L>(env, begun.metrics, &mut amounts)?;
        // SAFETY: those were written.
        let event =
            unsafe { draft.event(keys::written(room, draft.key.length as usize), keys::written(&amounts, count)) };
        let refused = |_error| Fault::Event(term);
        match recording.record(&event, ahead, now).map_err(refused)? {
            Some(outcome) => Ok(outcome),
            None => {
                drop(recording);
                self.meter.record(&event, now).map_err(refused)
            }
        }
    }

    /// Of an event whose keys are long, or that the VM has to be asked about, or that is refused.
    #[cold]
    fn record_long<'a>(&self, env: Env<'a>, term: Raw<'a>, mut fault: Fault<'a>) -> Result<Outcome, BadArgument> {
        let mut long = Long::default();
        if let Some(event) = EventTerm::read_by_call(env, term) {
            let mut words = if let Fault::Room(words) = fault { words } else { SHORT_KEY_WORDS };
            loop {
                let mut room = vec![MaybeUninit::uninit(); words];
                match with_layout!(L => self.try_record::<L>(env, term, event, &mut room, &mut long)) {
                    Ok(outcome) => return Ok(outcome),
                    Err(Fault::Room(more)) => words = more,
                    Err(refused) => {
                        fault = refused;
                        break;
                    }
                }
            }
        }
        self.meter.refuse(1);
        Err(self.bad_argument(env, fault))
    }
}

/// Says once more, and in words, why a term is no key.
fn bad_key<'a, R: Role>(env: Env<'a>, seed: &Seed, term: Raw<'a>) -> BadArgument {
    let read = keys::hash::<R>(env, seed, term);
    read.map_or_else(|error| error, |_hash| bad_argument::key(term.in_env(env), KeyFault::Type))
}

/// An event of which the time and the hash of the id were read, and the terms of the rest.
struct Begun<'a> {
    at: u64,
    id: Option<u64>,
    dimensions: Raw<'a>,
    user: Raw<'a>,
    metrics: Raw<'a>,
}

/// What is long of events.
#[derive(Default)]
struct Long {
    /// Bytes of ids, keys and users that are long, and of other users.
    bytes: usize,
    /// The word of the last id that was long, and its hash: its event is read once more if there was no room for its keys.
    /// Nothing is moved during a call, so the same word is the same id.
    id: Option<(u64, u64)>,
}

impl Long {
    /// The hash of an id that is long, if it may be one.
    #[cold]
    fn hash<'a>(&mut self, env: Env<'a>, id: Raw<'a>) -> Option<u64> {
        match self.id {
            Some((word, hash)) if word == id.word() => Some(hash),
            _ => {
                let (hash, words) = keys::hash_and_words::<Id>(env, dedupe::seed(), id).ok()?;
                self.bytes += words * size_of::<u64>();
                self.id = Some((id.word(), hash));
                Some(hash)
            }
        }
    }
}

fn outcome(env: Env<'_>, outcome: Outcome) -> Term<'_> {
    let atom = match outcome {
        Outcome::Applied => atoms::ok(),
        Outcome::Duplicate => atoms::duplicate(),
        Outcome::Late => atoms::late(),
        Outcome::Future => atoms::future(),
        Outcome::NoWindow => atoms::no_window(),
        Outcome::Overflow => atoms::overflow(),
    };
    atom.to_term(env)
}

hot! {
    /// Counts an event. In a meter that is stopped meanwhile it is refused instead of late: it is not lost then, and whoever has
    /// it brings it again.
    fn meter_record(env, table: &Table, event: Raw<'a>) {
        let recorded = table.record(env, event)?;
        // Whoever found the windows closed sees that the meter was left before.
        if recorded == Outcome::Late && table.owner.has_left() {
            return Err(table.owner.not_running(env));
        }
        Ok(outcome(env, recorded))
    }

    /// Counts a list of events that one call can read.
    fn meter_record_many(env, table: &Table, events: Term<'a>) {
        unless_left(env, table, |load| steps::add_many(env, events, load))
    }

    /// Looks at events of a long list.
    fn meter_check_some(env, table: &Table, events: Term<'a>, from: Index) {
        unless_left(env, table, |load| steps::check_some(env, events, from, load))
    }

    /// Looks which events of a list are refused.
    fn meter_refused_some(env, table: &Table, events: Term<'a>, from: Index) {
        unless_left(env, table, |load| steps::refused_some(env, events, from, load))
    }

    /// Counts the first events of a long list.
    fn meter_record_first(env, table: &Table, events: Term<'a>) {
        unless_left(env, table, |load| steps::add_some(env, events, load))
    }

    /// Counts events of a long list, of which some were counted: in a meter that was stopped meanwhile the others are late.
    fn meter_record_some(env, table: &Table, events: Term<'a>) {
        with_events(table, |load| steps::add_some(env, events, load))
    }
}

/// Notes that so many events of a list were refused, and why, if that is not the reason of one of them.
#[rustler::nif]
fn meter_refuse<'a>(env: Env<'a>, table: Term<'a>, events: u64, reason: Option<String>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    if let Some(reason) = reason {
        *table.refused.lock() = Some(Refused { at: None, reason });
    }
    table.meter.refuse(events);
    Ok(atoms::ok().to_term(env))
}

/// How many events of a list had each outcome, in their order, and which ones were late.
#[derive(Default)]
struct Recorded(Outcomes);

impl Encoder for Recorded {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let [applied, duplicate, late, future, no_window, overflow] = self.0.counts;
        ((applied, duplicate, late, future, no_window, overflow), &self.0.late).encode(env)
    }
}

/// Events to record.
struct Events<'t> {
    table: &'t Table,
    batch: &'t mut Batch,
    long: Long,
    /// The word of the last one's list of amounts. Nothing is moved during a call, so a list with the same word is the same
    /// list: of events of a kind, whose amounts are a constant of the code that makes them, it is read once.
    metrics: Option<u64>,
    /// Whether any of them was counted.
    counted: Cell<bool>,
}

fn with_events<R>(table: &Table, act: impl FnOnce(&mut Events<'_>) -> R) -> R {
    thread_local! {
        static BATCH: RefCell<Batch> = RefCell::default();
    }
    BATCH.with_borrow_mut(|batch| {
        act(&mut Events { table, batch, long: Long::default(), metrics: None, counted: Cell::new(false) })
    })
}

/// What is done with a list of which nothing was counted before. If nothing is, because the meter was stopped in order, it is
/// refused instead of late: nothing of it is lost then, and whoever has it brings it again.
fn unless_left<'a>(
    env: Env<'a>,
    table: &Table,
    act: impl FnOnce(&mut Events<'_>) -> Result<Term<'a>, BadArgument>,
) -> Result<Term<'a>, BadArgument> {
    if table.owner.has_left() {
        return Err(table.owner.not_running(env));
    }
    with_events(table, |events| {
        let answer = act(events)?;
        // It may have been stopped since. Whoever found the windows closed sees that it was left before.
        if table.owner.has_left() && !events.counted.get() { Err(table.owner.not_running(env)) } else { Ok(answer) }
    })
}

impl Load for Events<'_> {
    const ITEM: &'static str = events::NAME;
    type Outcome = Recorded;

    fn clear(&mut self) {
        self.batch.clear();
        self.long = Long::default();
        self.metrics = None;
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.batch.len() >= MOST_EVENTS || self.long.bytes >= sketch::MOST_HASHED
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let read = match EventTerm::read(item) {
            Some(event) => self.try_read::<L>(env, event, 0),
            None => Err(Fault::Event(item)),
        };
        match read {
            Ok(()) => Ok(()),
            Err(fault) => self.read_long(env, item, fault),
        }
    }

    #[inline(always)]
    fn apply(&self, Recorded(outcomes): &mut Recorded, go_on: impl FnMut() -> bool) -> usize {
        let recorded = self.table.meter.record_batch(self.batch, outcomes, now, go_on);
        self.counted.set(outcomes.counts[Outcome::Applied as usize] + outcomes.counts[Outcome::Overflow as usize] > 0);
        recorded
    }
}

impl Events<'_> {
    /// Reads an event whose key has so many words at most, or is short.
    #[inline(always)]
    fn try_read<'a, L: Layout>(&mut self, env: Env<'a>, event: EventTerm<'a>, words: usize) -> Result<(), Fault<'a>> {
        let Self { table, batch, long, metrics, .. } = self;
        let begun = table.begin::<L>(env, event, long)?;
        let draft = table.read::<L>(env, &begun, batch.room(words), long, &mut Ahead::nothing())?;
        if *metrics != Some(begun.metrics.word()) {
            let count = table.read_amounts::<L>(env, begun.metrics, batch.room_for_amounts())?;
            // SAFETY: they were written just now.
            unsafe { batch.keep_amounts(count) };
            *metrics = Some(begun.metrics.word());
        }
        // SAFETY: the key was written into the room just now.
        unsafe { batch.push(draft) }.map_err(|_| Fault::At(event.at))
    }

    /// Reads an event whose keys are long, or that the VM has to be asked about, or says why it is none.
    #[cold]
    fn read_long<'a>(&mut self, env: Env<'a>, item: Raw<'a>, mut fault: Fault<'a>) -> Result<(), BadArgument> {
        if let Some(event) = EventTerm::read_by_call(env, item) {
            let mut words = if let Fault::Room(words) = fault { words } else { 0 };
            loop {
                match with_layout!(L => self.try_read::<L>(env, event, words)) {
                    Ok(()) => return Ok(()),
                    Err(Fault::Room(more)) => words = more,
                    Err(refused) => {
                        fault = refused;
                        break;
                    }
                }
            }
        }
        Err(self.table.bad_argument(env, fault))
    }
}

/// Events that one call reads at most. Long binaries fill a batch before it has many events.
const MOST_EVENTS: usize = 256;

/// What is asked for of a meter: windows, names, sketches, ids.
type Times = (u64, u64, Option<u64>, usize);
type Names = (Vec<Atom>, usize, usize);
type Sketches<'a> = Option<(Vec<usize>, u8, usize, Option<Binary<'a>>)>;
type Ids = Option<(u64, usize, bool)>;

#[rustler::nif(schedule = "DirtyCpu")]
fn meter_new<'a>(
    env: Env<'a>,
    (window, lateness, max_ahead, max_open_windows): Times,
    (metrics, dimensions, max_keys): Names,
    sketches: Sketches<'a>,
    ids: Ids,
) -> NifResult<Term<'a>> {
    let reach = sketches.map(|(by, precision, max_keys, secret)| {
        let secret = secret.and_then(|secret| <[u8; 16]>::try_from(secret.as_slice()).ok()).map(Secret::new);
        ReachConfig { by, precision, max_keys, secret }
    });
    let dedupe = ids.map(|(window, capacity, wide)| dedupe::Config { window, capacity, wide });
    let metrics_count = metrics.len();
    let config =
        Config { window, lateness, max_ahead, metrics: metrics_count, max_keys, max_open_windows, reach, dedupe };
    let meter = Meter::new(&config).map_err(BadArgument::from)?;
    let owner = Owner::nobody("AdTally.Meter");
    Ok(resource::make(env, Table { meter, metrics: metrics.into(), dimensions, refused: Mutex::default(), owner }))
}

/// A number that no other meter of this VM has: the system's time in microseconds, or the next one that is free.
#[rustler::nif]
fn meter_epoch(now: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let next = |last: u64| now.max(last + 1);
    match LAST.fetch_update(Relaxed, Relaxed, |last| Some(next(last))) {
        Ok(last) | Err(last) => next(last),
    }
}

/// Closes windows whose time has passed, by the system's time, which is given, or where the clock is that of the events by
/// theirs: `{begin, end, rows, window}` of each, and whether there are more to close.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_close<'a>(env: Env<'a>, table: Term<'a>, now: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(closed(env, table, table.meter.close(now)))
}

/// Closes the window of a time and those before. Returns as `meter_close`.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_close_through<'a>(env: Env<'a>, table: Term<'a>, at: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(closed(env, table, table.meter.close_through(at)))
}

/// Closes all windows, and those that are to come. It is left in order: lists of somebody who still has it are refused, but for
/// the rest of one of which some was counted, which is late. Returns as `meter_close`.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_stop<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    table.owner.leave();
    Ok(closed(env, table, table.meter.stop()))
}

fn closed<'a>(env: Env<'a>, table: &Table, closed: Closed) -> Term<'a> {
    (periods(env, table, closed.windows), !closed.is_all).encode(env)
}

/// When the last window begins that is open and has events, or nil.
#[rustler::nif]
fn meter_last_open<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(table.meter.last_open().map(|number| table.meter.bounds(number).0).encode(env))
}

/// Windows that one call lists at most.
const LISTED: usize = 64;

/// Windows that are open and have events, as they are now: the first ones that begin at that time or later.
#[rustler::nif]
fn meter_open<'a>(env: Env<'a>, table: Term<'a>, from: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(periods(env, table, table.meter.open_windows(table.meter.first_from(from), LISTED)))
}

fn periods<'a>(env: Env<'a>, table: &Table, windows: Vec<WindowRef>) -> Term<'a> {
    let period = |window: WindowRef| {
        let (begin, end) = table.meter.bounds(window.number);
        let rows = window.keys();
        (begin, end, rows, resource::make(env, Period { window, metrics: table.metrics.clone() })).encode(env)
    };
    windows.into_iter().map(period).collect::<Vec<Term<'a>>>().encode(env)
}

/// Memory that a window takes.
#[rustler::nif]
fn meter_window_bytes<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, .. } = resource::expect(period)?;
    Ok(window.bytes().encode(env))
}

/// Memory of the meter itself and of open windows, the first ones that begin at that time or later, and where the next ones
/// begin; or nil if there are none.
#[rustler::nif]
fn meter_open_bytes<'a>(env: Env<'a>, table: Term<'a>, from: u64) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let windows = table.meter.open_windows(table.meter.first_from(from), LISTED);
    let next = windows.last().map(|window| table.meter.bounds(window.number).1);
    let own = if from == 0 { table.meter.own_bytes() } else { 0 };
    Ok((own + windows.iter().map(|window| window.bytes()).sum::<usize>(), next).encode(env))
}

/// A walk over the rows of a window, for `counters_rows`, and what had no row.
#[rustler::nif]
fn meter_counters<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, metrics } = resource::expect(period)?;
    let walk = counters::walk_of(env, metrics, window.counters());
    Ok((walk, encode::row(env, metrics, &window.overflow())).encode(env))
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

/// A window's numbers: rows, totals by metric of all that was counted in it and of what had no row, and bytes. Reads every row.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_totals<'a>(env: Env<'a>, period: Term<'a>) -> NifResult<Term<'a>> {
    let Period { window, metrics } = resource::expect(period)?;
    let [totals, overflow] = [window.totals(), window.overflow()].map(|amounts| encode::row(env, metrics, &amounts));
    Ok((window.keys(), totals, overflow, window.bytes()).encode(env))
}

/// Examples of events that were not counted: the time of the last late one, of the last one too far ahead, and of the last one
/// refused, if there is one, the time if it was wrong, or nil, and the reason.
#[rustler::nif]
fn meter_examples<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let (late, future) = table.meter.last_late_and_future();
    let refused = table.refused.lock();
    Ok((late, future, refused.as_ref().map(|Refused { at, reason }| (at, reason))).encode(env))
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
        (atoms::no_window(), events.no_window),
        (atoms::overflow(), events.overflow),
        (atoms::refused(), events.refused),
    ];
    let excluded = [atoms::duplicate(), atoms::late(), atoms::future(), atoms::no_window()];
    let excluded: Vec<(Atom, Term<'a>)> = excluded
        .into_iter()
        .zip(&info.left_out)
        .map(|(why, amounts)| (why, encode::row(env, &table.metrics, amounts)))
        .collect();
    let pairs = [
        (atoms::events(), Term::map_from_pairs(env, &counts)?),
        (atoms::excluded(), Term::map_from_pairs(env, &excluded)?),
        (atoms::open_windows(), info.open_windows.encode(env)),
        (atoms::newest(), info.newest.encode(env)),
        (atoms::id_bytes(), info.id_bytes.encode(env)),
        (atoms::closed_bytes(), info.closed_bytes.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}
