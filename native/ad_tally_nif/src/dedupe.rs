//! The functions of `AdTally.Dedupe`.

use std::sync::Arc;

use ad_tally_core::dedupe::{Config, Info};
use ad_tally_core::journal::Fold;
use ad_tally_core::{Dedupe, Error};
use rustler::{Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::clock::now;
use crate::decode::{
    BadArgument, Raw,
    keys::{self, Id},
};
use crate::hot::{At, hot};
use crate::metered::{Metered, numbers};
use crate::owner::Owner;
use crate::resource::{self, resource};
use crate::store::{Durable, Given, Load, Place, PlaceTerm, Refusal, Stored, raise_busy};

/// A table of ids.
pub struct Table(pub(crate) Dedupe, Owner, Option<Box<Stored>>);

resource!(Table, c"dedupe", "an AdTally.Dedupe table", owner: 1);

const BUSY: &str = "AdTally.Dedupe does not know whether the id is the first one: its store has no room for another id, because its \
                    disk does not keep up, or was stopped. Nothing is remembered of it: ask again once AdTally.Store.sync/1 has \
                    returned :ok. With a larger :buffer_bytes the store has room for longer";

#[inline(always)]
fn first<'a>(env: Env<'a>, table: &Table, id: Raw<'a>, at: u64) -> Result<Term<'a>, BadArgument> {
    let id = keys::hash::<Id>(env, table.0.seed(), id)?;
    Ok(match table.0.first(id, at, now) {
        // Who asks for true or false would take any atom for true.
        Err(Error::Busy) => {
            resource::check_owner_again(env, table)?;
            raise_busy(env, BUSY)
        }
        first => first?.encode(env),
    })
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
    Ok(resource::make(env, Table(dedupe, Owner::nobody("AdTally.Dedupe"), None)))
}

/// The table that is a part of a store: that of a process which has crashed, or one that is made.
#[rustler::nif(schedule = "DirtyIo")]
fn dedupe_new_in<'a>(
    env: Env<'a>,
    place: PlaceTerm<'a>,
    window: u64,
    capacity: usize,
    wide: bool,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    Place::read(place)?.table(env, seed, |Given { seed, stored, .. }| {
        let config = Config { window, capacity, wide };
        let dedupe = Dedupe::stored(&config, seed, stored.part.clone()).map_err(BadArgument::from)?;
        Ok(Table(dedupe, Owner::nobody("AdTally.Dedupe"), Some(Box::new(stored))))
    })
}

impl Durable for Table {
    const PART: &'static str = "dedupe";

    fn stored(&self) -> Option<&Stored> {
        self.2.as_deref()
    }

    fn fold(&self) -> Arc<dyn Fold> {
        self.0.fold()
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        load.take(&self.0)
    }
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

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        let [duplicates, forgotten, future] = self.0.counts();
        numbers(env, &[("duplicates", duplicates), ("forgotten", forgotten), ("future", future)])
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        numbers(env, &[("memory_bytes", self.0.memory_bytes() as u64)])
    }
}
