//! Orders: what they are credited to, refunds and restatements.

use ad_tally_core::HashedKey;
use ad_tally_core::attribution::{Change, Credit, Credits, OrderCredits, Unchanged};
use rustler::{Encoder, Env, Term};

use super::parts::{time, value};
use super::{ModelTerm, Table};
use crate::atoms;
use crate::clock::now;
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument, with_layout};
use crate::encode;
use crate::hot::hot;
use crate::resource;

hot! {
    /// What an order is credited to as of now, or nil.
    fn attribution_credits(env, table: &Table, order: Raw<'a>) {
        let credits = |order: HashedKey<'_>| table.attribution.credits(order.hash, now);
        let credits = with_layout!(L => table.with_order::<L, _>(env, order, credits))?;
        Ok(credits.map_or_else(|| atoms::nil().to_term(env), |credits| table.credits(env, &credits)))
    }

    /// Changes what an order is worth.
    fn attribution_adjust(env, table: &Table, order: Raw<'a>, change: Raw<'a>, at: Raw<'a>) {
        let adjusted = with_layout!(L => table.adjust::<L>(env, order, change, at));
        let why = match adjusted.inspect_err(|_error| table.adjustments.refuse())? {
            Ok(()) => return Ok(atoms::ok().encode(env)),
            Err(why) => why,
        };
        table.adjustments.note(why);
        let why = match why {
            Unchanged::Unknown => atoms::unknown(),
            Unchanged::Retracted => atoms::retracted(),
            Unchanged::Future => atoms::future(),
            Unchanged::Busy => {
                resource::check_owner_again(env, table)?;
                atoms::busy()
            }
        };
        Ok((atoms::error(), why).encode(env))
    }
}

impl Table {
    #[inline(always)]
    fn adjust<'a, L: Layout>(
        &self,
        env: Env<'a>,
        order: Raw<'a>,
        change: Raw<'a>,
        at: Raw<'a>,
    ) -> Result<Result<(), Unchanged>, BadArgument> {
        let change = read_change::<L>(env, change)?;
        let at = time::<L>(env, at)?;
        Ok(self.with_order::<L, _>(env, order, |order| self.attribution.adjust(order, change, at, now))??)
    }

    fn credits<'a>(&self, env: Env<'a>, credits: &OrderCredits) -> Term<'a> {
        let mut map = Term::map_new(env);
        let mut put = |name: Term<'a>, value: Term<'a>| {
            map = map.map_put(name, value).unwrap_or(map);
        };
        let mut room = Credits::default();
        for model in &*self.labels.models {
            let mut steps = Vec::new();
            if credits.counts {
                credits.posting.credits(*model, &mut room, |credit| steps.extend(self.credit(env, &credit)));
            }
            put(ModelTerm(*model).encode(env), steps.encode(env));
        }
        put(atoms::value_micros().to_term(env), credits.posting.after.value.encode(env));
        put(atoms::r#final().to_term(env), credits.is_final.encode(env));
        put(atoms::revision().to_term(env), credits.posting.revision.encode(env));
        put(atoms::truncated().to_term(env), credits.posting.truncated.encode(env));
        put(atoms::counted().to_term(env), credits.counts.encode(env));
        put(atoms::retracted().to_term(env), credits.is_retracted.encode(env));
        map
    }

    /// A touch's credit; none where there is no touch.
    fn credit<'a>(&self, env: Env<'a>, credit: &Credit) -> Option<Term<'a>> {
        let step = credit.step?;
        let of_credit = [
            (atoms::touch(), step.id.encode(env)),
            (atoms::dimensions(), self.labels.dimensions_of(env, step.dimensions)),
            (atoms::kind(), self.labels.kinds[usize::from(step.kind)].to_term(env)),
            (atoms::at(), step.at.encode(env)),
            (atoms::credit_micros(), credit.value.encode(env)),
            (atoms::share_ppm(), credit.parts.encode(env)),
        ];
        let of_run = [(atoms::first_at(), step.first_at.encode(env)), (atoms::repeats(), step.repeats.encode(env))];
        let of_run = of_run.into_iter().filter(|_| self.attribution.config().collapse);
        Some(encode::map(env, of_credit.into_iter().chain(of_run)))
    }
}

fn read_change<'a, L: Layout>(env: Env<'a>, term: Raw<'a>) -> Result<Change, BadArgument> {
    if term == atoms::retract() {
        return Ok(Change::Retract);
    }
    match decode::tuple_of::<L, 2>(env, term) {
        Some([change, to]) if *change == atoms::restate() => value::<L>(env, *to).map(Change::Restate),
        _ => Err(bad_argument::not_a("a change: :retract or {:restate, value_micros}", term.in_env(env))),
    }
}
