//! Lists of touches and of conversions: decoded into a batch, and then taken.

use std::cell::{Cell, RefCell};

use ad_tally_core::Batch;
use ad_tally_core::attribution::{Outcome, Outcomes};
use rustler::{Encoder, Env, Term};

use super::Table;
use super::parts::{ConversionParts, TouchParts, check_order};
use crate::clock::now;
use crate::decode::{
    BadArgument, Layout, Raw, bad_argument,
    events::{ConversionTerm, TouchTerm},
};
use crate::hot::{Index, hot};
use crate::sketch;
use crate::steps::{self, Load};

/// Conversions after which whoever waits is asked whether to go on. A conversion takes as long as some readings of the clock.
const TURN: usize = 8;
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
        with_parts::<TouchParts, _>(table, |load| steps::add_some(env, touches, load))
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
        with_parts::<ConversionParts, _>(table, |load| steps::add_some(env, conversions, load))
    }
}

/// How many of a list had each outcome, in their order.
#[derive(Default)]
struct Taken(Outcomes);

impl Encoder for Taken {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        let [applied, duplicate, late, future] = self.0;
        (applied, duplicate, late, future).encode(env)
    }
}

/// Touches or conversions to take, each without its key.
struct Parts<'t, T> {
    table: &'t Table,
    batch: &'t mut Batch<T>,
    /// Bytes that were hashed of long ids and users.
    long: usize,
    /// Whether any of them was taken.
    taken: Cell<bool>,
}

/// What is read of a touch or a conversion.
trait Part: Copy + Sized {
    /// Does something with this thread's batch.
    fn with_batch<R>(act: impl FnOnce(&mut Batch<Self>) -> R) -> R;
}

impl Part for TouchParts {
    fn with_batch<R>(act: impl FnOnce(&mut Batch<Self>) -> R) -> R {
        thread_local! {
            static BATCH: RefCell<Batch<TouchParts>> = RefCell::default();
        }
        BATCH.with_borrow_mut(act)
    }
}

impl Part for ConversionParts {
    fn with_batch<R>(act: impl FnOnce(&mut Batch<Self>) -> R) -> R {
        thread_local! {
            static BATCH: RefCell<Batch<ConversionParts>> = RefCell::default();
        }
        BATCH.with_borrow_mut(act)
    }
}

fn with_parts<T: Part, R>(table: &Table, act: impl FnOnce(&mut Parts<'_, T>) -> R) -> R {
    T::with_batch(|batch| act(&mut Parts { table, batch, long: 0, taken: Cell::new(false) }))
}

/// What is done with a list of which nothing was taken before. If nothing is, because the attribution was stopped in order, it is
/// refused instead of late.
fn unless_left<'a, T: Part>(
    env: Env<'a>,
    table: &Table,
    act: impl FnOnce(&mut Parts<'_, T>) -> Result<Term<'a>, BadArgument>,
) -> Result<Term<'a>, BadArgument> {
    if table.owner.has_left() {
        return Err(table.owner.not_running(env));
    }
    with_parts(table, |parts| {
        let answer = act(parts)?;
        // It may have been stopped since. Whoever found the windows closed sees that it was left before.
        if table.owner.has_left() && !parts.taken.get() { Err(table.owner.not_running(env)) } else { Ok(answer) }
    })
}

impl<T: Part> Parts<'_, T> {
    fn clear_all(&mut self) {
        self.batch.clear();
        self.long = 0;
    }

    #[inline(always)]
    fn is_enough(&self) -> bool {
        self.batch.len() >= MOST || steps::is_full(self.batch) || self.long >= sketch::MOST_HASHED
    }

    /// Notes what became of those that were applied.
    fn note(&self, before: u64, Taken(outcomes): &Taken) {
        if outcomes[Outcome::Applied as usize] > before {
            self.taken.set(true);
        }
    }
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

impl Load for Parts<'_, TouchParts> {
    const ITEM: &'static str = TouchTerm::NAME;
    type Outcome = Taken;

    fn clear(&mut self) {
        self.clear_all();
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.is_enough()
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let table = self.table;
        let touch = TouchTerm::read(item).or_else(|| TouchTerm::read_by_call(env, item));
        let touch = touch.ok_or_else(|| table.touches.note(bad_argument::item(item.in_env(env), TouchTerm::NAME)))?;
        self.read_touch::<L>(env, &touch).map_err(|error| table.touches.note(error))
    }

    #[inline(always)]
    fn apply(&self, taken: &mut Taken, go_on: impl FnMut() -> bool) -> usize {
        let before = taken.0[Outcome::Applied as usize];
        let done = self.table.touch_all(self.batch, self.batch.len(), |at| at, &mut taken.0, go_on);
        self.note(before, taken);
        done
    }
}

impl Parts<'_, TouchParts> {
    #[inline(always)]
    fn read_touch<'a, L: Layout>(&mut self, env: Env<'a>, touch: &TouchTerm<'a>) -> Result<(), BadArgument> {
        let table = self.table;
        let user = table.user::<L>(env, touch.user, &mut self.long)?;
        let parts = table.touch_parts::<L>(env, touch, user, &mut self.long)?;
        table.elements::<L>(env, touch.dimensions)?;
        steps::push::<L, _>(env, self.batch, table.attribution.seed(), touch.dimensions, parts)
    }
}

impl Load for Parts<'_, ConversionParts> {
    const ITEM: &'static str = ConversionTerm::NAME;
    type Outcome = Taken;

    fn clear(&mut self) {
        self.clear_all();
    }

    fn len(&self) -> usize {
        self.batch.len()
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.is_enough()
    }

    #[inline(always)]
    fn read<'a, L: Layout>(&mut self, env: Env<'a>, item: Raw<'a>) -> Result<(), BadArgument> {
        let table = self.table;
        let conversion = ConversionTerm::read(item).or_else(|| ConversionTerm::read_by_call(env, item));
        let none = || table.conversions.note(bad_argument::item(item.in_env(env), ConversionTerm::NAME));
        let conversion = conversion.ok_or_else(none)?;
        self.read_conversion::<L>(env, &conversion).map_err(|error| table.conversions.note(error))
    }

    #[inline(always)]
    fn apply(&self, taken: &mut Taken, mut go_on: impl FnMut() -> bool) -> usize {
        let (attribution, before) = (&self.table.attribution, taken.0[Outcome::Applied as usize]);
        let mut done = 0;
        while done < self.batch.len() {
            let (order, parts) = self.batch.get(done);
            // Times were checked when it was read.
            if let Ok(outcome) = attribution.convert(&parts.of(order), now) {
                taken.0[outcome as usize] += 1;
            }
            done += 1;
            if done % TURN == 0 && !go_on() {
                break;
            }
        }
        self.note(before, taken);
        done
    }
}

impl Parts<'_, ConversionParts> {
    #[inline(always)]
    fn read_conversion<'a, L: Layout>(&mut self, env: Env<'a>, term: &ConversionTerm<'a>) -> Result<(), BadArgument> {
        let table = self.table;
        let user = table.user::<L>(env, term.user, &mut self.long)?;
        let parts = table.conversion_parts::<L>(env, term, user)?;
        check_order::<L>(env, term.order)?;
        steps::push::<L, _>(env, self.batch, table.attribution.seed(), term.order, parts)
    }
}
