//! The functions of `AdTally.Reach`.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ad_tally_core::journal::{Busy, Fold};
use ad_tally_core::reach::{Look, Sketches};
use ad_tally_core::{Added, Batch, Coupon, HashedKey, Reach, Rows, Sketch};
use parking_lot::Mutex;
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::atoms;
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument, keys, with_layout};
use crate::encode::{self, Overflowed};
use crate::hot::{Index, hot};
use crate::metered::{Metered, numbers};
use crate::owner::Owner;
use crate::resource::{self, resource};
use crate::sketch::{self, Users};
use crate::steps;
use crate::store::{Durable, Given, Load, Place, PlaceTerm, Refusal, Stored};

/// A table of sketches.
pub struct Table(pub(crate) Reach, Owner, Option<Box<Stored>>);

/// Keys of a table that are being united.
pub struct Union {
    look: Look,
    sketch: Mutex<Sketch>,
}

resource!(Table, c"reach", "an AdTally.Reach table", owner: 1);
resource!(Union, c"reach_union", "a union of keys of an AdTally.Reach table");

impl Table {
    #[inline(always)]
    fn coupon<'a>(&self, env: Env<'a>, user: Raw<'a>) -> Result<Coupon, BadArgument> {
        with_layout!(L => sketch::coupon::<L>(env, user, self.0.secret())).map(|(coupon, _length)| coupon)
    }

    #[inline(always)]
    fn with_key<'a, R>(
        &self,
        env: Env<'a>,
        key: Raw<'a>,
        act: impl FnOnce(HashedKey<'_>) -> R,
    ) -> Result<R, BadArgument> {
        keys::with_key(env, self.0.seed(), key, act)
    }
}

hot! {
    /// Shows a user to a key.
    fn reach_add(env, table: &Table, key: Raw<'a>, user: Raw<'a>) {
        let user = table.coupon(env, user)?;
        table.with_key(env, key, |key| table.0.add(key, user)).and_then(|added| encode::added(env, added, || resource::check_owner_again(env, table)))
    }

    /// Shows a list of `{key, user}` that one call can read.
    fn reach_add_many(env, table: &Table, items: Term<'a>) {
        with_pairs(table, |pairs| steps::add_many(env, items, pairs))
    }

    /// Looks at items of a long list.
    fn reach_check_some(env, table: &Table, items: Term<'a>, from: Index) {
        with_pairs(table, |pairs| steps::check_some(env, items, from, pairs))
    }

    /// Shows items of a long list.
    fn reach_add_some(env, table: &Table, items: Term<'a>) {
        with_pairs(table, |pairs| steps::add_some(env, items, pairs))
    }

    /// Shows a list of users that one call can read to a key.
    fn reach_add_users(env, table: &Table, key: Raw<'a>, users: Term<'a>) {
        with_users(env, table, key, |load| steps::add_many(env, users, load))
    }

    /// Looks at a key and users of a long list.
    fn reach_check_some_users(env, table: &Table, key: Raw<'a>, users: Term<'a>, from: Index) {
        with_users(env, table, key, |load| steps::check_some(env, users, from, load))
    }

    /// Shows users of a long list to a key.
    fn reach_add_some_users(env, table: &Table, key: Raw<'a>, users: Term<'a>) {
        with_users(env, table, key, |load| steps::add_some(env, users, load))
    }

    /// How many users a key has seen.
    fn reach_estimate(env, table: &Table, key: Raw<'a>) {
        let begin = Instant::now();
        let users = table.with_key(env, key, |key| table.0.estimate(key))?;
        // Of registers: up to a fifth of a millisecond at a precision of 18.
        let taken = begin.elapsed();
        if taken > Duration::from_micros(1) {
            steps::consume_timeslice(env, taken);
        }
        Ok(users.encode(env))
    }

    /// Begins a union of keys, which `reach_unite_some` goes on with.
    fn reach_unite(env, table: &Table) {
        let look = table.0.look();
        let sketch = Mutex::new(look.empty_sketch());
        Ok(resource::make(env, Union { look, sketch }))
    }

    /// Unites keys of a list, as far as time permits: the rest of the list, and the index of that.
    fn reach_unite_some(env, union: &Union, keys: Term<'a>, from: Index) {
        let mut sketch = union.sketch.lock();
        let rest = steps::each(env, keys, from, "key", |key, index| {
            let poured =
                keys::with_key(env, union.look.seed(), key.into(), |key| union.look.merge_into(key, &mut sketch));
            poured.map(drop).map_err(|error| error.at_index(index))
        })?;
        Ok(rest.encode(env))
    }
}

/// Users to show to keys.
struct Pairs<'t> {
    table: &'t Table,
    batch: &'t mut Batch<Coupon>,
    /// Bytes that were hashed for them.
    hashed: usize,
}

fn with_pairs<R>(table: &Table, act: impl FnOnce(&mut Pairs<'_>) -> R) -> R {
    thread_local! {
        static BATCH: RefCell<Batch<Coupon>> = RefCell::default();
    }
    BATCH.with_borrow_mut(|batch| act(&mut Pairs { table, batch, hashed: 0 }))
}

impl steps::Load for Pairs<'_> {
    const ITEM: &'static str = "{key, user} tuple";
    type Outcome = Overflowed;

    fn clear(&mut self) {
        self.batch.clear();
        self.hashed = 0;
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        steps::is_full(self.batch) || self.hashed >= sketch::MOST_HASHED
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let Some(&[key, user]) = decode::tuple::<L>(env, item) else {
            return Err(bad_argument::item(item.in_env(env), Self::ITEM));
        };
        let (user, length) = sketch::coupon::<L>(env, user, self.table.0.secret())?;
        self.hashed += length;
        steps::push::<L, _>(env, self.batch, self.table.0.seed(), key, user)
    }

    #[inline(always)]
    fn apply(&self, overflowed: &mut Overflowed, go_on: impl FnMut() -> bool) -> usize {
        overflowed.note(self.table.0.add_batch(self.batch, go_on))
    }

    #[inline(always)]
    fn check_owner(&self, env: Env<'_>, overflowed: &Overflowed) -> Result<(), BadArgument> {
        if overflowed.is_busy { resource::check_owner_again(env, self.table) } else { Ok(()) }
    }
}

/// Does something with users that are still to be read, and then shown to a key.
fn with_users<'a, R>(
    env: Env<'a>,
    table: &Table,
    key: Raw<'a>,
    act: impl FnOnce(&mut Users<'_>) -> Result<R, BadArgument>,
) -> Result<R, BadArgument> {
    table.with_key(env, key, |key| {
        let is_busy = Cell::new(false);
        let give = |coupons: &[Coupon]| match table.0.add_users(key, coupons) {
            Added::Row => Ok((coupons.len(), 0)),
            Added::Overflow => Ok((coupons.len(), coupons.len())),
            Added::Busy => {
                is_busy.set(true);
                Err(Busy)
            }
        };
        let answer = sketch::with_users(table.0.secret(), &give, act)?;
        if is_busy.get() {
            resource::check_owner_again(env, table)?;
        }
        Ok(answer)
    })?
}

#[rustler::nif]
fn reach_new<'a>(
    env: Env<'a>,
    precision: u8,
    max_keys: usize,
    secret: Option<Binary<'a>>,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    let reach =
        Reach::with_seed(precision, max_keys, sketch::secret(secret), keys::seed(seed)).map_err(BadArgument::from)?;
    Ok(resource::make(env, Table(reach, Owner::nobody("AdTally.Reach"), None)))
}

/// The table that is a part of a store: that of a process which has crashed, or one that is made.
#[rustler::nif(schedule = "DirtyIo")]
fn reach_new_in<'a>(
    env: Env<'a>,
    place: PlaceTerm<'a>,
    precision: u8,
    max_keys: usize,
    secret: Option<Binary<'a>>,
    seed: Option<u64>,
) -> NifResult<Term<'a>> {
    Place::read(place)?.table(env, seed, |Given { seed, stored, .. }| {
        let part = stored.part.clone();
        let reach =
            Reach::stored(precision, max_keys, sketch::secret(secret), seed, part).map_err(BadArgument::from)?;
        Ok(Table(reach, Owner::nobody("AdTally.Reach"), Some(Box::new(stored))))
    })
}

impl Durable for Table {
    const PART: &'static str = "reach";

    fn stored(&self) -> Option<&Stored> {
        self.2.as_deref()
    }

    fn fold(&self) -> Arc<dyn Fold> {
        self.0.fold()
    }

    fn load(&self, load: &Load<'_>) -> Result<(), Refusal> {
        let restoring = self.0.restoring();
        load.take(&restoring)?;
        restoring.finish();
        Ok(())
    }
}

#[rustler::nif]
fn reach_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let info = table.0.info();
    let pairs = [
        (atoms::keys(), info.keys.encode(env)),
        (atoms::max_keys(), info.max_keys.encode(env)),
        (atoms::precision(), table.0.precision().encode(env)),
        (atoms::sparse(), info.keys.saturating_sub(info.grown_rows).encode(env)),
        (atoms::dense(), info.grown_rows.encode(env)),
        (atoms::memory_bytes(), info.memory_bytes.encode(env)),
        (atoms::overflow(), info.overflow.encode(env)),
    ];
    Term::map_from_pairs(env, &pairs)
}

/// A key's sketch, or nil.
#[rustler::nif(schedule = "DirtyCpu")]
fn reach_sketch<'a>(env: Env<'a>, table: Term<'a>, key: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let look = table.0.look();
    let mut sketch = look.empty_sketch();
    let seen = table.with_key(env, key.into(), |key| look.merge_into(key, &mut sketch))?;
    Ok(if seen { sketch::term(env, &sketch) } else { atoms::nil().to_term(env) })
}

/// Shows all users of a sketch to a key.
#[rustler::nif(schedule = "DirtyCpu")]
fn reach_merge<'a>(env: Env<'a>, table: Term<'a>, key: Term<'a>, sketch: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let sketch = sketch::read(sketch)?.into_owned();
    let merged = table.with_key(env, key.into(), |key| table.0.merge(key, &sketch))?;
    Ok(match merged {
        Ok(added) => encode::added(env, added, || resource::check_owner_again(env, table))?,
        Err(error) => sketch::merge_error(env, &error),
    })
}

/// The number of users of a union.
#[rustler::nif]
fn reach_united(env: Env<'_>, union: Term<'_>) -> NifResult<f64> {
    let begin = Instant::now();
    let union: &Union = resource::expect(union)?;
    let users = union.sketch.lock().estimate();
    steps::consume_timeslice(env, begin.elapsed());
    Ok(users)
}

/// Begins a walk over the rows there are.
#[rustler::nif]
fn reach_walk<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    Ok(walk(env, table.0.rows()))
}

/// Takes all rows out: a walk over them, and the sketch of users who had no row. It waits for adds that are under way on
/// other schedulers: nanoseconds, but for a scheduler that the system has put aside.
#[rustler::nif(schedule = "DirtyCpu")]
fn reach_drain<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let drained = table.0.drain();
    if !drained.is_recorded {
        resource::check_owner_again(env, table)?;
    }
    Ok((walk(env, drained.rows), sketch::term(env, &drained.overflow)).encode(env))
}

/// A walk over rows.
pub fn walk<'a>(env: Env<'a>, mut rows: Rows<Sketches>) -> Term<'a> {
    steps::walk(env, move |page| {
        let env = page.env();
        rows.walk(|key, sketch| {
            let row = (encode::key(env, key), sketch::term(env, sketch)).encode(env);
            // A row of coupons takes about as long as one of counters; kilobytes of registers are copied one by one.
            let cost = 1 + sketch.registers().map_or(0, |registers| registers.len() / 128);
            page.push(row, cost)
        })
    })
}

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        numbers(env, &[])
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let info = self.0.info();
        let [keys, max_keys, memory] = [info.keys, info.max_keys, info.memory_bytes].map(|number| number as u64);
        numbers(env, &[("keys", keys), ("max_keys", max_keys), ("memory_bytes", memory)])
    }
}
