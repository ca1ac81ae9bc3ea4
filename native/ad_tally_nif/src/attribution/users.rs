//! Users that turn out to be one, and users that are forgotten.

use rustler::Encoder;

use super::Table;
use crate::atoms;
use crate::decode::{Raw, with_layout};
use crate::hot::hot;

hot! {
    /// Whatever comes for the alias is of the user from now on, and what has come moves to it.
    fn attribution_link(env, table: &Table, alias: Raw<'a>, user: Raw<'a>) {
        let alias = with_layout!(L => table.user::<L>(env, alias, &mut 0))?;
        let user = with_layout!(L => table.user::<L>(env, user, &mut 0))?;
        table.attribution.link(alias, user);
        Ok(atoms::ok().encode(env))
    }

    /// Forgets a user.
    fn attribution_forget(env, table: &Table, user: Raw<'a>) {
        let user = with_layout!(L => table.user::<L>(env, user, &mut 0))?;
        table.attribution.forget(user);
        Ok(atoms::ok().encode(env))
    }
}
