//! Lists of touches and of conversions: decoded into a batch, and then taken.

use std::cell::{Cell, RefCell};
use std::thread::LocalKey;

use ad_tally_core::Batch;
use ad_tally_core::attribution::{Outcome, Outcomes};
use ad_tally_core::key::KeyFault;
use rustler::{Encoder, Env, Term};

use super::Table;
use super::parts::{ConversionParts, TouchParts, check_order};
use super::refusals::Refusals;
use crate::clock::now;
use crate::decode::{
    BadArgument, Layout, Raw, bad_argument,
    events::{ConversionTerm, TouchTerm},
    keys::Parts,
};
use crate::hot::{Index, hot};
use crate::resource;
use crate::sketch;
use crate::steps::{self, Load};

/// Touches or conversions that one call reads at most.
const MOST: usize = 256;

hot! {
    /// Takes a list of touches that one call can read.
    fn attribution_touch_many(env, table: &Table, touches: Term<'a>) {
        unless_left::<TouchParts>(env, table, |load| steps::add_many(env, touches, load))
    }

    /// Looks at touches of a long list.
    fn attribution_check_touches(env, table: &Table, touches: Term<'a>, from: Index) {
        unless_left::<TouchParts>(env, table, |load| steps::check_some(env, touches, from, load))
    }

    /// Looks which touches of a list are refused.
    fn attribution_refused_touches(env, table: &Table, touches: Term<'a>, from: Index) {
        unless_left::<TouchParts>(env, table, |load| steps::refused_some(env, touches, from, load))
    }

    /// Takes the first touches of a long list.
    fn attribution_touch_first(env, table: &Table, touches: Term<'a>) {
        unless_left::<TouchParts>(env, table, |load| steps::add_some(env, touches, load))
    }

    /// Takes touches of a long list, of which some were taken: by an attribution that was stopped meanwhile the others are late.
    fn attribution_touch_some(env, table: &Table, touches: Term<'a>) {
        with_items::<TouchParts, _>(table, |load| steps::add_some(env, touches, load))
    }

    /// Takes a list of conversions that one call can read.
    fn attribution_convert_many(env, table: &Table, conversions: Term<'a>) {
        unless_left::<ConversionParts>(env, table, |load| steps::add_many(env, conversions, load))
    }

    /// Looks at conversions of a long list.
    fn attribution_check_conversions(env, table: &Table, conversions: Term<'a>, from: Index) {
        unless_left::<ConversionParts>(env, table, |load| steps::check_some(env, conversions, from, load))
    }

    /// Looks which conversions of a list are refused.
    fn attribution_refused_conversions(env, table: &Table, conversions: Term<'a>, from: Index) {
        unless_left::<ConversionParts>(env, table, |load| steps::refused_some(env, conversions, from, load))
    }

    /// Takes the first conversions of a long list.
    fn attribution_convert_first(env, table: &Table, conversions: Term<'a>) {
        unless_left::<ConversionParts>(env, table, |load| steps::add_some(env, conversions, load))
    }

    /// Takes conversions of a long list, of which some were taken.
    fn attribution_convert_some(env, table: &Table, conversions: Term<'a>) {
        with_items::<ConversionParts, _>(table, |load| steps::add_some(env, conversions, load))
    }
}

/// How many of a list had each outcome, in their order.
#[derive(Default)]
struct Taken {
    outcomes: Outcomes,
    /// Only where there is a store some may be busy.
    is_stored: bool,
}

impl Encoder for Taken {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let [applied, duplicate, late, future, busy] = self.outcomes;
        if self.is_stored {
            (applied, duplicate, late, future, busy).encode(env)
        } else {
            (applied, duplicate, late, future).encode(env)
        }
    }
}

/// Touches or conversions of a list, decoded.
struct Items<'t, T> {
    table: &'t Table,
    batch: &'t mut Batch<T>,
    /// Bytes that were hashed of long ids and users.
    long: usize,
    /// Whether any of them was taken.
    taken: Cell<bool>,
}

/// What a list is of: touches or conversions, each without its key.
trait Item: Copy + 'static {
    /// What one is called in errors.
    const NAME: &'static str;

    /// This thread's batch.
    fn batch() -> &'static LocalKey<RefCell<Batch<Self>>>;

    /// What was refused of them.
    fn refusals(table: &Table) -> &Refusals;

    /// Reads one.
    fn read<'a, L: Layout>(items: &mut Items<'_, Self>, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument>;

    /// Takes a batch, for as long as `go_on` says so: how many of it. What became of those is added to `outcomes`.
    fn take(table: &Table, batch: &Batch<Self>, outcomes: &mut Outcomes, go_on: impl FnMut() -> bool) -> usize;
}

impl Item for TouchParts {
    const NAME: &'static str = TouchTerm::NAME;

    fn batch() -> &'static LocalKey<RefCell<Batch<Self>>> {
        thread_local! {
            static BATCH: RefCell<Batch<TouchParts>> = RefCell::default();
        }
        &BATCH
    }

    fn refusals(table: &Table) -> &Refusals {
        &table.touches
    }

    #[inline(always)]
    fn read<'a, L: Layout>(items: &mut Items<'_, Self>, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let table = items.table;
        let touch = TouchTerm::read(item).or_else(|| TouchTerm::read_by_call(env, item));
        let touch = touch.ok_or_else(|| bad_argument::item(item.in_env(env), Self::NAME))?;
        let user = table.user::<L>(env, touch.user, &mut items.long)?;
        let parts = table.touch_parts::<L>(env, &touch, user, &mut items.long)?;
        let dimensions = Parts::of_tuple(table.elements::<L>(env, touch.dimensions)?);
        items.push::<L>(env, dimensions, parts).map_err(|fault| bad_argument::key(touch.dimensions.in_env(env), fault))
    }

    #[inline(always)]
    fn take(table: &Table, batch: &Batch<Self>, outcomes: &mut Outcomes, go_on: impl FnMut() -> bool) -> usize {
        table.touch_all(batch, batch.len(), |at| at, outcomes, go_on)
    }
}

impl Item for ConversionParts {
    const NAME: &'static str = ConversionTerm::NAME;

    fn batch() -> &'static LocalKey<RefCell<Batch<Self>>> {
        thread_local! {
            static BATCH: RefCell<Batch<ConversionParts>> = RefCell::default();
        }
        &BATCH
    }

    fn refusals(table: &Table) -> &Refusals {
        &table.conversions
    }

    #[inline(always)]
    fn read<'a, L: Layout>(items: &mut Items<'_, Self>, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let table = items.table;
        let conversion = ConversionTerm::read(item).or_else(|| ConversionTerm::read_by_call(env, item));
        let conversion = conversion.ok_or_else(|| bad_argument::item(item.in_env(env), Self::NAME))?;
        let user = table.user::<L>(env, conversion.user, &mut items.long)?;
        let parts = table.conversion_parts::<L>(env, &conversion, user)?;
        check_order::<L>(env, conversion.order)?;
        let order = Parts::of_one(&conversion.order);
        items.push::<L>(env, order, parts).map_err(|fault| bad_argument::key(conversion.order.in_env(env), fault))
    }

    #[inline(always)]
    fn take(table: &Table, batch: &Batch<Self>, outcomes: &mut Outcomes, go_on: impl FnMut() -> bool) -> usize {
        let conversion = |at: usize| {
            let (order, parts) = batch.get(at);
            parts.of(order)
        };
        table.attribution.convert_all(batch.len(), conversion, outcomes, now, go_on)
    }
}

impl<T: Item> Items<'_, T> {
    #[inline(always)]
    fn push<'a, L: Layout>(&mut self, env: Env<'a>, key: Parts<'_, 'a>, item: T) -> Result<(), KeyFault> {
        steps::push_parts::<L, T>(env, self.batch, self.table.attribution.seed(), key, item)
    }
}

impl<T: Item> Load for Items<'_, T> {
    const ITEM: &'static str = T::NAME;
    type Outcome = Taken;

    fn clear(&mut self) {
        self.batch.clear();
        self.long = 0;
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.batch.len() >= MOST || steps::is_full(self.batch) || self.long >= sketch::MOST_HASHED
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        T::read::<L>(self, env, item).map_err(|error| T::refusals(self.table).note(error))
    }

    #[inline(always)]
    fn apply(&self, Taken { outcomes, is_stored }: &mut Taken, go_on: impl FnMut() -> bool) -> usize {
        *is_stored = self.table.in_store.is_some();
        let before = outcomes[Outcome::Applied as usize];
        let done = T::take(self.table, self.batch, outcomes, go_on);
        if outcomes[Outcome::Applied as usize] > before {
            self.taken.set(true);
        }
        done
    }

    #[inline(always)]
    fn check_owner(&self, env: Env<'_>, Taken { outcomes, .. }: &Taken) -> Result<(), BadArgument> {
        let (busy, all) = (outcomes[Outcome::Busy as usize], outcomes.iter().sum());
        // Of a list of which some was taken, the outcomes say how much.
        if busy == 0 || busy < all { Ok(()) } else { resource::check_owner_again(env, self.table) }
    }
}

fn with_items<T: Item, R>(table: &Table, act: impl FnOnce(&mut Items<'_, T>) -> R) -> R {
    T::batch().with_borrow_mut(|batch| act(&mut Items { table, batch, long: 0, taken: Cell::new(false) }))
}

/// What is done with a list of which nothing was taken before. If nothing is, because the attribution was stopped in order, it is
/// refused instead of late.
fn unless_left<'a, T: Item>(
    env: Env<'a>,
    table: &Table,
    act: impl FnOnce(&mut Items<'_, T>) -> Result<Term<'a>, BadArgument>,
) -> Result<Term<'a>, BadArgument> {
    if table.owner.has_left() {
        return Err(table.owner.not_running(env));
    }
    with_items(table, |items| {
        let answer = act(items)?;
        // It may have been stopped since. Whoever found the windows closed sees that it was left before.
        if table.owner.has_left() && !items.taken.get() { Err(table.owner.not_running(env)) } else { Ok(answer) }
    })
}

impl Table {
    /// Takes so many touches of a batch in turn, those whose numbers `number` says, for as long as `go_on` says so: how many. What
    /// became of those is added to `outcomes`.
    #[inline(always)]
    pub fn touch_all(
        &self,
        batch: &Batch<TouchParts>,
        count: usize,
        number: impl Fn(usize) -> usize,
        outcomes: &mut Outcomes,
        go_on: impl FnMut() -> bool,
    ) -> usize {
        let touch = |at: usize| {
            let (dimensions, parts) = batch.get(number(at));
            parts.of(dimensions)
        };
        self.attribution.touch_all(count, touch, outcomes, now, go_on)
    }
}
