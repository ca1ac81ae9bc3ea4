//! Ids of touches and of orders: integers, or binaries that are not empty. No atoms and no tuples: they are given back.

use ad_tally_core::key::{MAX_BYTES, id_hash};
use rustler::Env;

use super::bad_argument::{self, BadArgument};
use super::layout::{Layout, Raw, with_layout};
use super::read;

/// An id.
pub enum PlainId<'a> {
    Integer(i64),
    /// At least one, and at most as many as a key has.
    Bytes(&'a [u8]),
}

/// Reads an id.
#[inline(always)]
pub fn plain<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Option<PlainId<'a>> {
    if let Some(value) = read::small::<L>(term) {
        return Some(PlainId::Integer(value));
    }
    let bytes = match read::short_binary::<L>(term) {
        Some(bytes) => bytes,
        None => match read::integer::<L>(env, term) {
            Some(value) => return Some(PlainId::Integer(value)),
            None => read::binary::<L>(env, term)?,
        },
    };
    (1..=MAX_BYTES).contains(&bytes.len()).then_some(PlainId::Bytes(bytes))
}

/// The number that stands for a touch's id that is a binary.
#[inline(always)]
pub fn number(bytes: &[u8]) -> i64 {
    id_hash(bytes)
}

/// The number of a touch's id.
pub fn touch_id<'a>(env: Env<'a>, term: Raw<'a>) -> Result<i64, BadArgument> {
    match with_layout!(L => plain::<L>(env, term)) {
        Some(PlainId::Integer(value)) => Ok(value),
        Some(PlainId::Bytes(bytes)) => Ok(number(bytes)),
        None => Err(bad_argument::plain_id("id", term.in_env(env))),
    }
}
