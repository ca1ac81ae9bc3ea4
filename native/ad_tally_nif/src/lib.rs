//! The NIF of AdTally: decodes arguments, calls `ad_tally_core`, encodes results. There is no algorithm in it.
//!
//! * `hot`: the one way a per-event function is declared
//! * `terms`: terms, read where they lie
//! * `args`: keys and amounts to Rust and back
//! * `resource`: Rust values that Elixir holds a reference to
//! * `refusal`: what is raised for bad arguments
//! * `steps`: long lists and large tables, in calls that are short
//! * `counters`: the functions of `AdTally.Counters`

mod args;
mod atoms;
mod counters;
mod diagnostics;
mod hot;
mod refusal;
mod resource;
mod steps;
mod terms;

fn load(env: rustler::Env<'_>, _info: rustler::Term<'_>) -> bool {
    terms::calibrate(env);
    resource::register::<counters::Table>(env)
        && resource::register::<counters::Walk>(env)
}

rustler::init!("Elixir.AdTally.Native", load = load);
