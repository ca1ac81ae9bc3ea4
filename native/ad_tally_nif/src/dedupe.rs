//! The functions of `AdTally.Dedupe`.

use ad_tally_core::Dedupe;
use ad_tally_core::dedupe::{Config, Info};
use rustler::{Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::clock::now;
use crate::decode::{
    BadArgument, Raw,
    keys::{self, Id},
};
use crate::hot::{At, hot};
use crate::owner::Owner;
use crate::resource::{self, resource};

/// A table of ids.
pub struct Table(pub(crate) Dedupe, Owner);

resource!(Table, c"dedupe", "an AdTally.Dedupe table", owner: 1);

#[inline(always)]
fn first<'a>(env: Env<'a>, table: &Table, id: Raw<'a>, at: u64) -> Result<Term<'a>, BadArgument> {
    let id = keys::hash::<Id>(env, table.0.seed(), id)?;
    Ok(table.0.first(id, at, now)?.encode(env))
}

hot! {
    /// Whether an id is seen for the first time.
    fn dedupe_first(env, table: &Table, id: Raw<'a>, at: At) {
        first(env, table, id, at.0)
    }

    /// The same now.
    fn dedupe_first(env, table: &Table, id: Raw<'a>) {
        first(env, table, id, now())
    }
}

#[rustler::nif(schedule = "DirtyCpu")]
fn dedupe_new<'a>(env: Env<'a>, window: u64, capacity: usize, wide: bool, seed: Option<u64>) -> NifResult<Term<'a>> {
    let config = Config { window, capacity, wide };
    let dedupe = Dedupe::with_seed(&config, keys::seed(seed)).map_err(BadArgument::from)?;
    Ok(resource::make(env, Table(dedupe, Owner::nobody("AdTally.Dedupe"))))
}

/// The table's numbers. It looks at every line.
#[rustler::nif(schedule = "DirtyCpu")]
fn dedupe_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let Info { ids, entries, overflow_buckets, duplicates, forgotten, future, memory_bytes, huge_bytes } =
        table.0.info();
    let pairs = [
        (atoms::ids(), ids.encode(env)),
        (atoms::load(), (ids as f64 / entries as f64).encode(env)),
        (atoms::stash(), overflow_buckets.encode(env)),
        (atoms::duplicates(), duplicates.encode(env)),
        (atoms::forgotten(), forgotten.encode(env)),
        (atoms::future(), future.encode(env)),
        (atoms::memory_bytes(), memory_bytes.encode(env)),
        (atoms::huge_bytes(), huge_bytes.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}
