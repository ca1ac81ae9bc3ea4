//! What a table tells for metrics: totals that never fall, and how it is now.
//!
//! Both are read without a dirty scheduler, in some microseconds: only what is counted anyway, no look at rows. The names are those
//! that `AdTally.Metrics.snapshot/0` has.

use rustler::{Atom, Encoder, Env, Term};

use crate::encode;

/// A table that metrics tell of.
pub trait Metered {
    /// What was counted since the table was made: maps of names to numbers, or of names to such maps. No number falls, but of
    /// amounts that may be below 0.
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a>;

    /// How it is now: numbers that rise and fall.
    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a>;
}

/// A map of those names.
pub fn named<'a>(env: Env<'a>, pairs: &[(&str, Term<'a>)]) -> Term<'a> {
    let pair = |(name, value): &(&str, Term<'a>)| Some((Atom::from_str(env, name).ok()?, *value));
    encode::map(env, pairs.iter().filter_map(pair))
}

/// A map of those names to numbers.
pub fn numbers<'a>(env: Env<'a>, pairs: &[(&str, u64)]) -> Term<'a> {
    let pair = |(name, number): &(&str, u64)| Some((Atom::from_str(env, name).ok()?, number.encode(env)));
    encode::map(env, pairs.iter().filter_map(pair))
}
