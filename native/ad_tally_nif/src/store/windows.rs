//! Closed windows that are kept until they are delivered.

use ad_tally_core::windows::Numbered;
use rustler::types::tuple::make_tuple;
use rustler::{Encoder, Env, Term};

use crate::decode::BadArgument;

/// A table with closed windows that its store keeps until they are delivered. One without a store keeps none.
pub trait KeepsWindows {
    /// Gives a closed window its number.
    fn closed(&self, window: Term<'_>, numbered: Numbered) -> Result<(), BadArgument>;

    /// Lets go of a closed window: everybody has it who is to have it.
    fn gone(&self, window: Term<'_>) -> Result<(), BadArgument>;

    /// The windows that are closed and not gone, by their numbers, last those that have none. Each is as [`undelivered`] says.
    fn undelivered<'a>(&self, env: Env<'a>) -> Vec<Term<'a>>;

    /// The greatest number that a closed window was given, 0 if none was.
    fn sequence(&self) -> u64;
}

/// `{begin, end, rows, window, config_text, sequence, partial, node}`. Without a number the last three are nil.
pub fn undelivered<'a>(
    env: Env<'a>,
    (begin, end): (u64, u64),
    rows: usize,
    window: Term<'a>,
    config: Option<&str>,
    numbered: Option<&Numbered>,
) -> Term<'a> {
    let parts = [
        begin.encode(env),
        end.encode(env),
        rows.encode(env),
        window,
        config.encode(env),
        numbered.map(|numbered| numbered.sequence).encode(env),
        numbered.map(|numbered| numbered.partial).encode(env),
        numbered.map(|numbered| &*numbered.node).encode(env),
    ];
    make_tuple(env, &parts)
}
