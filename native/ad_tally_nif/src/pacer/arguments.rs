//! Arguments that only a pacer has: amounts, times to live, reservations.

use ad_tally_core::pacer::{MOST_PRICE, MOST_TTL, Token};
use rustler::Env;

use crate::decode::{self, BadArgument, Raw, bad_argument, with_layout};
use crate::hot::Argument;

/// What is reserved, in micros.
pub struct MaxPrice(pub u64);

impl<'a> Argument<'a> for MaxPrice {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        match micros(env, term) {
            Some(price) if price > 0 => Ok(Self(price)),
            _ => Err(bad_argument::max_price(term.in_env(env))),
        }
    }
}

/// What is paid, in micros.
pub struct Price(pub u64);

impl<'a> Argument<'a> for Price {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        micros(env, term).map(Self).ok_or_else(|| bad_argument::price(term.in_env(env)))
    }
}

#[inline(always)]
fn micros<'a>(env: Env<'a>, term: Raw<'a>) -> Option<u64> {
    let micros = with_layout!(L => decode::integer::<L>(env, term))?;
    u64::try_from(micros).ok().filter(|micros| *micros <= MOST_PRICE)
}

/// For how many milliseconds something is reserved.
pub struct Ttl(pub u64);

impl<'a> Argument<'a> for Ttl {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        let ttl = with_layout!(L => decode::integer::<L>(env, term)).and_then(|ttl| u64::try_from(ttl).ok());
        match ttl {
            Some(ttl) if (1..=MOST_TTL).contains(&ttl) => Ok(Self(ttl)),
            _ => Err(bad_argument::ttl(term.in_env(env), MOST_TTL)),
        }
    }
}

/// A binary that may be a reservation: `None` where it is none by its length.
pub struct Reservation(pub Option<Token>);

impl<'a> Argument<'a> for Reservation {
    #[inline(always)]
    fn read(env: Env<'a>, term: Raw<'a>) -> Result<Self, BadArgument> {
        let bytes = with_layout!(L => decode::binary::<L>(env, term));
        bytes.map(|bytes| Self(Token::from_bytes(bytes))).ok_or_else(|| {
            bad_argument::not_a("a reservation that AdTally.Pacer.reserve/6 has made, a binary", term.in_env(env))
        })
    }
}
