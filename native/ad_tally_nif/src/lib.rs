//! The NIF of AdTally: decodes arguments, calls `ad_tally_core`, encodes results. There is no algorithm in it.
//!
//! From the bottom to the top, each layer knows only those below it:
//!
//! * `atoms`: the atoms known by name; `allocator`: where Rust's memory comes from; `clock`: what time it is
//! * `decode`: terms to Rust values, and what is raised where they are none
//! * `encode`: Rust values to terms
//! * `owner`: the process that a table with a name belongs to
//! * `messages`: messages to processes, from any thread; `metered`: what a table tells for metrics
//! * `resource`: Rust values that Elixir holds a reference to
//! * `hot`: the one way a per-event function is declared
//! * `store`: stores, and what a table needs that is a part of one; `parts`: those tables, whatever they are
//! * `steps`: long lists and large tables, in calls that are short
//! * `counters`, `sketch`, `reach`, `frequency_cap`, `dedupe`, `attribution`, `meter`, `pacer`, `admission`: the functions of the modules of these names
//! * `metrics`: totals of tables, whatever they are, and how they are now
//! * `export`: tables as frames, and frames into tables
//! * `library`: what the VM calls when it loads the library; `diagnostics`: functions that measure and try the boundary

mod admission;
mod allocator;
mod atoms;
mod attribution;
mod clock;
mod counters;
mod decode;
mod dedupe;
mod diagnostics;
mod encode;
mod export;
mod frequency_cap;
mod hot;
mod library;
mod messages;
mod meter;
mod metered;
mod metrics;
mod owner;
mod pacer;
mod parts;
mod reach;
mod resource;
mod sketch;
mod steps;
mod store;
mod zone;
