//! Users that turn out to be one, and users that are forgotten.

use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::Table;
use crate::atoms;
use crate::decode::{Raw, with_layout};
use crate::hot::hot;
use crate::resource;

/// Whatever comes for the alias is of the user from now on, and what has come moves to it. As many touches as are kept may come to
/// 255 provisional conversions, which takes some milliseconds.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_link<'a>(env: Env<'a>, table: Term<'a>, alias: Term<'a>, user: Term<'a>) -> NifResult<Atom> {
    let table: &Table = resource::expect(table)?;
    let hash = |user: Term<'a>| with_layout!(L => table.user::<L>(env, Raw::from(user), &mut 0));
    let (alias, user) = (hash(alias)?, hash(user)?);
    table.attribution.link(alias, user);
    Ok(atoms::ok())
}

hot! {
    /// Forgets a user.
    fn attribution_forget(env, table: &Table, user: Raw<'a>) {
        let user = with_layout!(L => table.user::<L>(env, user, &mut 0))?;
        table.attribution.forget(user);
        Ok(atoms::ok().encode(env))
    }
}
