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

/// The number of a touch's id: itself, or the hash that stands for a binary.
#[inline(always)]
pub fn touch<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Option<i64> {
    Some(match plain::<L>(env, term)? {
        PlainId::Integer(value) => value,
        PlainId::Bytes(bytes) => id_hash(bytes),
    })
}

/// The same for whoever has not asked for the layout.
pub fn touch_id<'a>(env: Env<'a>, term: Raw<'a>) -> Result<i64, BadArgument> {
    with_layout!(L => touch::<L>(env, term)).ok_or_else(|| bad_argument::plain_id("id", term.in_env(env)))
}
