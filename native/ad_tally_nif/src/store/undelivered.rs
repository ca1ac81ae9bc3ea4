//! A closed window that not everybody has yet, as Elixir knows it.

use ad_tally_core::windows::Numbered;
use rustler::types::tuple::make_tuple;
use rustler::{Encoder, Env, Term};

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
