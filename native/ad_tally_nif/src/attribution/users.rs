//! Users that turn out to be one, and users that are forgotten.

use std::sync::Arc;
use std::time::Instant;

use ad_tally_core::attribution;
use rustler::{Encoder, Env, NifResult, Term};

use super::Table;
use crate::atoms;
use crate::decode::{Raw, with_layout};
use crate::hot::hot;
use crate::resource::{self, resource};
use crate::steps::{TIME_LIMIT, consume_timeslice};
use crate::store;

/// What is left of a link.
pub struct Linking(Arc<attribution::Linking>);

resource!(Linking, c"attribution_linking", "a link of two users of an AdTally.Attribution");

/// Whatever comes for the alias is of the user from now on, and what has come moves to it. Returns what `attribution_link_some` is
/// to be called with, where provisional conversions are left: as many touches as are kept may come to 255 of them.
#[rustler::nif]
fn attribution_link<'a>(env: Env<'a>, table: Term<'a>, alias: Term<'a>, user: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let hash = |user: Term<'a>| with_layout!(L => table.user::<L>(env, Raw::from(user), &mut 0));
    let (alias, user) = (hash(alias)?, hash(user)?);
    let left = table.attribution.link(alias, user).filter(|linking| go_on(env, table, linking));
    store::unless_over(env, table)?;
    Ok(left.map_or_else(|| atoms::ok().to_term(env), |linking| resource::make(env, Linking(linking))))
}

/// Does some more of a link: `:ok`, or `:more` if something is left.
#[rustler::nif]
fn attribution_link_some<'a>(env: Env<'a>, table: Term<'a>, linking: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let Linking(linking) = resource::expect(linking)?;
    let answer = if go_on(env, table, linking) { atoms::more() } else { atoms::ok() };
    Ok(answer.to_term(env))
}

fn go_on(env: Env<'_>, table: &Table, linking: &Arc<attribution::Linking>) -> bool {
    let begin = Instant::now();
    let is_left = table.attribution.go_on(linking, || begin.elapsed() < TIME_LIMIT);
    consume_timeslice(env, begin.elapsed());
    is_left
}

hot! {
    /// Forgets a user. Of an attribution that a store has it does nothing: `:store`, and `attribution_forget_stored` does.
    fn attribution_forget(env, table: &Table, user: Raw<'a>) {
        let user = with_layout!(L => table.user::<L>(env, user, &mut 0))?;
        if table.in_store.is_some() {
            return Ok(atoms::store().encode(env));
        }
        table.attribution.forget(user);
        Ok(atoms::ok().encode(env))
    }
}
