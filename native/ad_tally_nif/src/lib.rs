//! The NIF of AdTally: decodes arguments, calls `ad_tally_core`, encodes results. There is no algorithm in it.
//!
//! * `library`: what the VM calls when it loads the library
//! * `allocator`: where Rust's memory comes from
//! * `hot`: the one way a per-event function is declared
//! * `terms`: terms, read where they lie
//! * `args`: keys and amounts to Rust and back
//! * `event`: events, read where they lie
//! * `resource`: Rust values that Elixir holds a reference to
//! * `owner`: the process that a table with a name belongs to
//! * `names`: meters by the atoms they are named
//! * `refusal`: what is raised for bad arguments
//! * `shown`: terms as Elixir would show them, in messages
//! * `steps`: long lists and large tables, in calls that are short
//! * `counters`, `reach`, `sketch`, `frequency_cap`, `dedupe`, `meter`: the functions of the modules of these names

mod allocator;
mod args;
mod atoms;
mod clock;
mod counters;
mod dedupe;
mod diagnostics;
mod event;
mod frequency_cap;
mod hot;
mod library;
mod meter;
mod names;
mod owner;
mod reach;
mod refusal;
mod resource;
mod shown;
mod sketch;
mod steps;
mod terms;
