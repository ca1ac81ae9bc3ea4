//! The parts of touches and conversions, decoded.

use ad_tally_core::attribution::{Conversion, Touch, VALUES};
use ad_tally_core::error::TIMES;
use ad_tally_core::key::id_hash;
use ad_tally_core::{Error, HashedKey};
use rustler::{Atom, Env};

use super::Table;
use crate::decode::{
    self, BadArgument, Layout, Raw, bad_argument,
    events::{ConversionTerm, TouchTerm},
    ids::{self, PlainId},
    keys::{self, Parts, Person, Place},
};
use crate::hot::{Argument, At};

/// Bytes of a binary that is long: it is counted how much of those one call hashes.
const LONG: usize = 64;

/// A touch without its dimensions.
#[derive(Clone, Copy)]
pub struct TouchParts {
    pub id: i64,
    pub user: u64,
    pub at: u64,
    pub kind: u8,
    pub cost: i64,
}

impl TouchParts {
    /// The touch, of those dimensions.
    #[inline(always)]
    pub fn of(self, dimensions: HashedKey<'_>) -> Touch<'_> {
        let Self { id, user, at, kind, cost } = self;
        Touch { id, user, at, kind, dimensions, cost }
    }
}

/// A conversion without its order.
#[derive(Clone, Copy)]
pub(super) struct ConversionParts {
    user: u64,
    at: u64,
    action: u8,
    value: i64,
}

impl ConversionParts {
    /// The conversion, of that order.
    #[inline(always)]
    pub(super) fn of(self, order: HashedKey<'_>) -> Conversion<'_> {
        let Self { user, at, action, value } = self;
        Conversion { order, user, at, action, value }
    }
}

impl Table {
    /// A touch but for its dimensions and its user, whose hash is known. `long` is how many bytes were hashed that are not short.
    #[inline(always)]
    pub(super) fn touch_parts<'a, L: Layout>(
        &self,
        env: Env<'a>,
        term: &TouchTerm<'a>,
        user: u64,
        long: &mut usize,
    ) -> Result<TouchParts, BadArgument> {
        Ok(TouchParts {
            id: touch_id::<L>(env, term.id, long)?,
            user,
            at: time::<L>(env, term.at)?,
            kind: place(&self.labels.kinds, "kind", env, term.kind)?,
            cost: cost::<L>(env, term.cost_micros)?,
        })
    }

    /// A conversion but for its order and its user, whose hash is known.
    #[inline(always)]
    pub(super) fn conversion_parts<'a, L: Layout>(
        &self,
        env: Env<'a>,
        term: &ConversionTerm<'a>,
        user: u64,
    ) -> Result<ConversionParts, BadArgument> {
        Ok(ConversionParts {
            user,
            at: time::<L>(env, term.at)?,
            action: place(&self.labels.actions, "action", env, term.action)?,
            value: value::<L>(env, term.value_micros)?,
        })
    }

    /// The hash of a user.
    #[inline(always)]
    pub fn user<'a, L: Layout>(&self, env: Env<'a>, user: Raw<'a>, long: &mut usize) -> Result<u64, BadArgument> {
        let seed = self.attribution.seed();
        if let Some(hash) = keys::hash_short::<L, Person>(seed, user) {
            return Ok(hash);
        }
        let (hash, words) = keys::hash_and_words::<Person>(env, seed, user)?;
        *long += words * size_of::<u64>();
        Ok(hash)
    }

    /// The place of the kind of touches that an event is.
    #[inline(always)]
    pub fn touch_kind<'a>(&self, env: Env<'a>, kind: Raw<'a>) -> Result<u8, BadArgument> {
        place(&self.labels.kinds, "touch", env, kind)
    }

    /// How many dimensions a touch has.
    #[inline(always)]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The elements of a tuple of dimensions.
    #[inline(always)]
    pub(super) fn elements<'a, L: Layout>(
        &self,
        env: Env<'a>,
        dimensions: Raw<'a>,
    ) -> Result<&'a [Raw<'a>], BadArgument> {
        let elements = decode::tuple::<L>(env, dimensions).filter(|elements| elements.len() == self.dimensions);
        elements.ok_or_else(|| bad_argument::dimensions(dimensions.in_env(env), self.dimensions, "attribution"))
    }

    /// Reads a tuple of dimensions and does something with it.
    #[inline(always)]
    pub(super) fn with_dimensions<'a, L: Layout, T>(
        &self,
        env: Env<'a>,
        dimensions: Raw<'a>,
        act: impl FnOnce(HashedKey<'_>) -> T,
    ) -> Result<T, BadArgument> {
        let parts = Parts::of_tuple(self.elements::<L>(env, dimensions)?);
        keys::with_parts::<L, Place, T>(env, self.attribution.seed(), parts, act)
            .map_err(|fault| bad_argument::key(dimensions.in_env(env), fault))
    }

    /// Reads an order and does something with it.
    #[inline(always)]
    pub(super) fn with_order<'a, L: Layout, T>(
        &self,
        env: Env<'a>,
        order: Raw<'a>,
        act: impl FnOnce(HashedKey<'_>) -> T,
    ) -> Result<T, BadArgument> {
        check_order::<L>(env, order)?;
        let parts = Parts::of_one(&order);
        keys::with_parts::<L, Place, T>(env, self.attribution.seed(), parts, act)
            .map_err(|fault| bad_argument::key(order.in_env(env), fault))
    }
}

/// Refuses what is no order.
#[inline(always)]
pub(super) fn check_order<'a, L: Layout>(env: Env<'a>, order: Raw<'a>) -> Result<(), BadArgument> {
    match ids::plain::<L>(env, order) {
        Some(PlainId::Integer(_) | PlainId::Bytes(_)) => Ok(()),
        None => Err(bad_argument::plain_id("order", order.in_env(env))),
    }
}

/// The number of a touch's id.
#[inline(always)]
pub fn touch_id<'a, L: Layout>(env: Env<'a>, id: Raw<'a>, long: &mut usize) -> Result<i64, BadArgument> {
    match ids::plain::<L>(env, id) {
        Some(PlainId::Integer(id)) => Ok(id),
        Some(PlainId::Bytes(bytes)) => {
            if bytes.len() > LONG {
                *long += bytes.len();
            }
            Ok(id_hash(bytes))
        }
        None => Err(bad_argument::plain_id("id", id.in_env(env))),
    }
}

/// A time that there is.
#[inline(always)]
pub fn time<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Result<u64, BadArgument> {
    let At(at) = match decode::small::<L>(term) {
        Some(at) if at >= 0 => At(at as u64),
        _ => At::read(env, term)?,
    };
    if at < TIMES { Ok(at) } else { Err(Error::Time(at).into()) }
}

#[inline(always)]
fn cost<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Result<i64, BadArgument> {
    let cost = decode::integer::<L>(env, term).filter(|cost| (0..VALUES).contains(cost));
    cost.ok_or_else(|| bad_argument::not_a("cost_micros: an integer from 0 to 2^62 - 1", term.in_env(env)))
}

/// What a conversion is worth.
#[inline(always)]
pub(super) fn value<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Result<i64, BadArgument> {
    let value = decode::integer::<L>(env, term).filter(|value| (1 - VALUES..VALUES).contains(value));
    value.ok_or_else(|| bad_argument::not_a("value_micros: an integer from -(2^62 - 1) to 2^62 - 1", term.in_env(env)))
}

/// The place of a name. At most some dozens of words in one or a few cache lines, mostly fewer than ten.
#[inline(always)]
fn place<'a>(names: &[Atom], field: &str, env: Env<'a>, term: Raw<'a>) -> Result<u8, BadArgument> {
    match names.iter().position(|name| term == *name) {
        Some(place) => Ok(place as u8),
        None => Err(bad_argument::one_of(field, names.iter().map(|name| name.to_term(env)), term.in_env(env))),
    }
}
