//! The structures behind AdTally, in plain Rust: nothing in this crate knows of the BEAM.
//!
//! * [`key`]: what is counted, as canonical words and their hash
//! * [`keyed`]: rows by key, and many lookups at once
//! * [`pin`]: how a structure is swapped for a fresh one while other threads write to it
//! * [`counters`]: keyed 64-bit counters that any number of threads add to
//! * [`reach`]: keyed sketches of users that any number of threads add to
//! * [`sketch`]: one sketch of users as a value, and its bytes
//! * [`frequency_cap`]: how often a user may be shown something, over windows that roll
//! * [`dedupe`]: whether an id is seen for the first time
//! * [`meter`]: dedupe, counters and reach of an event in one step, in windows of event time
//! * [`hash`]: hashes with a fixed definition
//! * [`row`]: one key's counters, the part that a model checker exercises
//!
//! Under `--cfg loom` only `pin`, `row` and the lines of `frequency_cap` are built, on loom's atomics: they hold every line
//! whose correctness depends on the order in which threads see each other's writes, but for what a lock orders.

// An index entry packs a pointer and a tag into 64 bits, and a key's bytes are compared as little-endian words.
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("AdTally needs a 64-bit little-endian target");

#[cfg(not(loom))]
mod fetch;
#[cfg(not(loom))]
mod free;
pub mod frequency_cap;
mod memory;
pub mod pin;
pub mod row;
mod spare;
mod sync;

#[cfg(not(loom))]
pub mod counters;
#[cfg(not(loom))]
pub mod dedupe;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
pub mod hash;
#[cfg(not(loom))]
pub mod key;
#[cfg(not(loom))]
pub mod keyed;
#[cfg(not(loom))]
pub mod meter;
#[cfg(not(loom))]
pub mod reach;
#[cfg(not(loom))]
pub mod sketch;
#[cfg(not(loom))]
mod tally;

#[cfg(not(loom))]
pub use counters::{Add, Added, Counters, Info, Rows};
#[cfg(not(loom))]
pub use dedupe::Dedupe;
#[cfg(not(loom))]
pub use error::Error;
#[cfg(not(loom))]
pub use frequency_cap::{FrequencyCap, Rule, Rules, Window};
#[cfg(not(loom))]
pub use key::{Element, HashedKey, KeyRef, KeyWriter, Seed};
#[cfg(not(loom))]
pub use keyed::Batch;
#[cfg(not(loom))]
pub use meter::Meter;
#[cfg(not(loom))]
pub use reach::Reach;
#[cfg(not(loom))]
pub use sketch::{Coupon, Secret, Sketch};
