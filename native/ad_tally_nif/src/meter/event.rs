//! The parts of an event, decoded one by one: whoever records asks for cache lines in between.

use std::mem::MaybeUninit;

use ad_tally_core::counters::MAX_METRICS;
use ad_tally_core::key::{KeyFault, SHORT_KEY_WORDS};
use ad_tally_core::meter::TIMES;
use ad_tally_core::sketch::Coupon;
use ad_tally_core::{Add, Error, Seed};
use rustler::Env;

use super::{Refused, Table};
use crate::decode::{
    self, BadArgument, Layout, Raw, bad_argument,
    events::EventTerm,
    keys::{self, Id, Parts, Place, Role},
    with_layout,
};
use crate::hot::{Argument, At};
use crate::sketch;

/// Room for the amounts of an event.
pub(super) type Amounts = [MaybeUninit<Add>; MAX_METRICS];

/// What an event is refused for, and the term to blame; or how many words its key needs at least. Two words, which stay in
/// registers: what is raised is made of it where that is done.
#[derive(Clone, Copy)]
pub(super) enum Fault<'a> {
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

/// What is long of events.
#[derive(Default)]
pub(super) struct Long {
    /// Bytes of ids, keys and users that are long, and of other users.
    pub(super) bytes: usize,
    /// The word of the last id that was long, and its hash: its event is decoded once more if there was no room for its keys.
    /// Nothing is moved during a call, so the same word is the same id.
    id: Option<(u64, u64)>,
}

impl Long {
    /// The hash of an id that is long, if it may be one.
    #[cold]
    fn hash<'a>(&mut self, env: Env<'a>, seed: &Seed, id: Raw<'a>) -> Option<u64> {
        match self.id {
            Some((word, hash)) if word == id.word() => Some(hash),
            _ => {
                let (hash, words) = keys::hash_and_words::<Id>(env, seed, id).ok()?;
                self.bytes += words * size_of::<u64>();
                self.id = Some((id.word(), hash));
                Some(hash)
            }
        }
    }
}

impl Table {
    /// An event's time and the hash of its id.
    #[inline(always)]
    pub(super) fn time_and_id<'a, L: Layout>(
        &self,
        env: Env<'a>,
        event: &EventTerm<'a>,
        long: &mut Long,
    ) -> Result<(u64, Option<u64>), Fault<'a>> {
        let at = match decode::small::<L>(event.at) {
            Some(at) => at as u64,
            None => decode::integer_by_call(env, event.at).and_then(|at| u64::try_from(at).ok()).unwrap_or(TIMES),
        };
        if at >= TIMES {
            return Err(Fault::At(event.at));
        }
        if !self.meter.has_dedupe() || decode::is_nil(event.id) {
            return Ok((at, None));
        }
        let seed = self.meter.seed();
        let id = keys::hash_short::<L, Id>(seed, event.id).or_else(|| long.hash(env, seed, event.id));
        Ok((at, Some(id.ok_or(Fault::Id(event.id))?)))
    }

    /// Writes the words of an event's key into the room: its hash, and how many.
    #[inline(always)]
    pub(super) fn write_key<'a, L: Layout>(
        &self,
        env: Env<'a>,
        room: &mut [MaybeUninit<u64>],
        dimensions: Raw<'a>,
        long: &mut Long,
    ) -> Result<(u64, usize), Fault<'a>> {
        let elements = decode::tuple::<L>(env, dimensions).filter(|elements| elements.len() == self.dimensions);
        let elements = elements.ok_or(Fault::Dimensions(dimensions))?;
        match keys::write_short_key::<L, Place>(env, room, self.meter.seed(), Parts::of_tuple(elements)) {
            Some(key) => Ok(key),
            None => self.write_long_key(env, room, elements, dimensions, long),
        }
    }

    #[cold]
    fn write_long_key<'a>(
        &self,
        env: Env<'a>,
        room: &mut [MaybeUninit<u64>],
        elements: &[Raw<'a>],
        dimensions: Raw<'a>,
        long: &mut Long,
    ) -> Result<(u64, usize), Fault<'a>> {
        let parts = Parts::of_tuple(elements);
        match with_layout!(L => keys::write_any_key::<L, Place>(env, room, self.meter.seed(), parts)) {
            Ok(key) => {
                long.bytes += size_of_val::<[u64]>(key.words);
                Ok((key.hash, key.words.len()))
            }
            Err(KeyFault::Room(words)) => Err(Fault::Room(words)),
            Err(_) => Err(Fault::Key(dimensions)),
        }
    }

    /// An event's user, if the meter has sketches and the event a user.
    #[inline(always)]
    pub(super) fn user<'a, L: Layout>(
        &self,
        env: Env<'a>,
        user: Raw<'a>,
        long: &mut Long,
    ) -> Result<Option<Coupon>, Fault<'a>> {
        let Some(reach) = self.meter.reach().filter(|_| !decode::is_nil(user)) else { return Ok(None) };
        let (user, length) = sketch::coupon_if_any::<L>(env, user, reach.secret.as_ref()).ok_or(Fault::User(user))?;
        long.bytes += length;
        Ok(Some(user))
    }

    /// Writes an event's amounts into the room: how many.
    #[inline(always)]
    pub(super) fn write_amounts<'a, L: Layout>(
        &self,
        env: Env<'a>,
        list: Raw<'a>,
        room: &mut Amounts,
    ) -> Result<usize, Fault<'a>> {
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

    /// What is raised for an event, which is noted as well.
    #[cold]
    pub(super) fn bad_event<'a>(&self, env: Env<'a>, fault: Fault<'a>) -> BadArgument {
        let error = self.bad_argument_of(env, fault);
        let at = if let Fault::At(time) = fault { decode::integer_by_call(env, time) } else { None };
        *self.refused.lock() = Some(Refused { at, reason: error.message().to_owned() });
        error
    }

    fn bad_argument_of<'a>(&self, env: Env<'a>, fault: Fault<'a>) -> BadArgument {
        match fault {
            Fault::Event(term) => bad_argument::item(term.in_env(env), EventTerm::NAME),
            Fault::At(term) => match At::read(env, term) {
                Ok(At(at)) => Error::Time(at).into(),
                Err(error) => error,
            },
            Fault::Id(term) => bad_key::<Id>(env, self.meter.seed(), term),
            Fault::Key(term) => bad_key::<Place>(env, self.meter.seed(), term),
            Fault::Dimensions(term) => bad_argument::dimensions(term.in_env(env), self.dimensions, "meter"),
            Fault::User(term) => bad_argument::user(term.in_env(env)),
            Fault::Metrics(term) => bad_argument::metrics(term.in_env(env), MAX_METRICS),
            Fault::Metric(term) => {
                bad_argument::metric(term.in_env(env), self.metrics.iter().map(|metric| metric.to_term(env)))
            }
            Fault::Amount(term) => bad_argument::amount(term.in_env(env)),
            Fault::Room(_) => unreachable!("there was room for any keys"),
        }
    }
}

/// Says once more, and in words, why a term is no key.
fn bad_key<'a, R: Role>(env: Env<'a>, seed: &Seed, term: Raw<'a>) -> BadArgument {
    let read = keys::with_key_of::<R, _>(env, seed, term, |_key| ());
    read.map_or_else(|error| error, |()| bad_argument::key(term.in_env(env), KeyFault::Type))
}

/// Decodes an event whose keys are long, or that the VM has to be asked about: in as much room for its key as that needs.
#[cold]
pub(super) fn decode_again<'a, T>(
    env: Env<'a>,
    term: Raw<'a>,
    fault: Fault<'a>,
    mut decode: impl FnMut(EventTerm<'a>, usize) -> Result<T, Fault<'a>>,
) -> Result<T, Fault<'a>> {
    let event = EventTerm::read_by_call(env, term).ok_or(Fault::Event(term))?;
    let mut words = if let Fault::Room(words) = fault { words } else { SHORT_KEY_WORDS };
    loop {
        match decode(event, words) {
            Err(Fault::Room(more)) => words = more,
            decoded => return decoded,
        }
    }
}
