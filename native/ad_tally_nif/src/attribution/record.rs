//! A touch, and a conversion.

use ad_tally_core::HashedKey;
use ad_tally_core::attribution::Outcome;
use rustler::{Env, Term};

use super::Table;
use crate::atoms;
use crate::clock::now;
use crate::decode::{
    BadArgument, Layout, Raw, bad_argument,
    events::{ConversionTerm, TouchTerm},
    with_layout,
};
use crate::hot::hot;
use crate::resource;

hot! {
    /// Takes a touch. By an attribution that is stopped meanwhile it is refused instead of late, as an event is by a meter.
    fn attribution_touch(env, table: &Table, touch: Raw<'a>) {
        let taken = table.touch(env, touch).map_err(|error| table.refuse_touch(error))?;
        table.unless_left(env, taken)
    }

    /// Takes a conversion. The same holds of it.
    fn attribution_convert(env, table: &Table, conversion: Raw<'a>) {
        let taken = table.convert(env, conversion).map_err(|error| table.refuse_conversion(error))?;
        table.unless_left(env, taken)
    }
}

impl Table {
    #[inline(always)]
    fn unless_left<'a>(&self, env: Env<'a>, outcome: Outcome) -> Result<Term<'a>, BadArgument> {
        // Whoever found the windows closed sees that it was left before.
        if outcome == Outcome::Late && self.owner.has_left() {
            return Err(self.owner.not_running(env));
        }
        if outcome == Outcome::Busy {
            resource::check_owner_again(env, self)?;
        }
        let atom = match outcome {
            Outcome::Applied => atoms::ok(),
            Outcome::Duplicate => atoms::duplicate(),
            Outcome::Late => atoms::late(),
            Outcome::Future => atoms::future(),
            Outcome::Busy => atoms::busy(),
        };
        Ok(atom.to_term(env))
    }

    #[inline(always)]
    fn touch<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Result<Outcome, BadArgument> {
        match TouchTerm::read(term) {
            Some(touch) => with_layout!(L => self.take_touch::<L>(env, &touch)),
            None => self.touch_by_call(env, term),
        }
    }

    #[cold]
    fn touch_by_call<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Result<Outcome, BadArgument> {
        let touch = TouchTerm::read_by_call(env, term);
        let touch = touch.ok_or_else(|| bad_argument::item(term.in_env(env), TouchTerm::NAME))?;
        with_layout!(L => self.take_touch::<L>(env, &touch))
    }

    #[inline(always)]
    fn take_touch<'a, L: Layout>(&self, env: Env<'a>, term: &TouchTerm<'a>) -> Result<Outcome, BadArgument> {
        let mut long = 0;
        let user = self.user::<L>(env, term.user, &mut long)?;
        self.attribution.fetch(user);
        let parts = self.touch_parts::<L>(env, term, user, &mut long)?;
        let touch = |dimensions: HashedKey<'_>| self.attribution.touch(&parts.of(dimensions), now);
        Ok(self.with_dimensions::<L, _>(env, term.dimensions, touch)??)
    }

    #[inline(always)]
    fn convert<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Result<Outcome, BadArgument> {
        match ConversionTerm::read(term) {
            Some(conversion) => with_layout!(L => self.take_conversion::<L>(env, &conversion)),
            None => self.convert_by_call(env, term),
        }
    }

    #[cold]
    fn convert_by_call<'a>(&self, env: Env<'a>, term: Raw<'a>) -> Result<Outcome, BadArgument> {
        let conversion = ConversionTerm::read_by_call(env, term);
        let conversion = conversion.ok_or_else(|| bad_argument::item(term.in_env(env), ConversionTerm::NAME))?;
        with_layout!(L => self.take_conversion::<L>(env, &conversion))
    }

    #[inline(always)]
    fn take_conversion<'a, L: Layout>(&self, env: Env<'a>, term: &ConversionTerm<'a>) -> Result<Outcome, BadArgument> {
        let user = self.user::<L>(env, term.user, &mut 0)?;
        self.attribution.fetch(user);
        let parts = self.conversion_parts::<L>(env, term, user)?;
        let convert = |order: HashedKey<'_>| self.attribution.convert(&parts.of(order), now);
        Ok(self.with_order::<L, _>(env, term.order, convert)??)
    }

    #[cold]
    pub(super) fn refuse_touch(&self, error: BadArgument) -> BadArgument {
        self.attribution.refuse_touches(1);
        self.touches.note(error)
    }

    #[cold]
    pub(super) fn refuse_conversion(&self, error: BadArgument) -> BadArgument {
        self.attribution.refuse_conversions(1);
        self.conversions.note(error)
    }
}
