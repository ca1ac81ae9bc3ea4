//! Ids of touches and of orders: integers, or binaries that are not empty. No atoms and no tuples: they are given back.

use ad_tally_core::key::MAX_BYTES;
use rustler::Env;

use super::layout::{Layout, Raw};
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
