//! A store as it lies on disk, whoever has it open: looked through, and copied.

use std::path::Path;

use ad_tally_core::store::{RealDisk, backup, inspect};
use rustler::{Encoder, Env, Term};

use super::refusal::Refusal;
use super::told;
use crate::atoms;

/// What a directory holds: `{:ok, report}`, or why that cannot be said. Every frame is checked, and nothing is changed.
#[rustler::nif(schedule = "DirtyIo")]
fn store_inspect<'a>(env: Env<'a>, dir: &str) -> Term<'a> {
    match inspect(&RealDisk, Path::new(dir)) {
        Ok(report) => (atoms::ok(), told::report(env, &report)).encode(env),
        Err(error) => Refusal::from(error).encode(env),
    }
}

/// Copies a store to an empty directory, or one that is not there: `{:ok, what}`, or why not.
#[rustler::nif(schedule = "DirtyIo")]
fn store_backup<'a>(env: Env<'a>, from: &str, to: &str) -> Term<'a> {
    match backup(&RealDisk, Path::new(from), Path::new(to)) {
        Ok(copied) => (atoms::ok(), told::backup(env, &copied)).encode(env),
        Err(error) => Refusal::from(error).encode(env),
    }
}
