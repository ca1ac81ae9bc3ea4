//! The structures behind AdTally, in plain Rust: nothing in this crate knows of the BEAM.
//!
//! From the bottom to the top, each layer knows only those below it:
//!
//! * [`error`]: why a table could not be made; `memory`: zeroed lines from the system, and a thread that frees large tables
//! * [`sync`]: hazard pointers, by which a structure is swapped while others write to it; counters that threads do not meet in
//! * [`key`]: what is counted, as canonical words and their hash
//! * [`codec`]: how what a table holds leaves it and comes in again, as frames
//! * [`time`]: days of time zones
//! * [`sketch`]: one sketch of users as a value, and its bytes
//! * [`journal`]: what events do, written down by the threads that do it, in intervals that no event is split by
//! * [`store`]: durable state, as the files of a directory; the threads that write and merge them
//! * [`table`]: rows by key, and many lookups at once; `bucket`: what buckets of 64 bytes have in common
//! * [`counters`]: keyed 64-bit counters; [`reach`]: keyed sketches; [`frequency_cap`]: how often a user may be shown
//!   something; [`dedupe`]: whether an id is seen for the first time
//! * [`windows`]: windows of event time, which begin with an event and are closed exactly
//! * [`pacer`]: budgets over a period and over nodes: who takes part in a request, and the money for it
//! * [`admission`]: a frequency cap and a budget as one step
//! * [`meter`]: dedupe, counters and reach of an event in one step, in windows of event time
//!
//! Under `--cfg loom` only what a model checker exercises is built, on loom's atomics: it holds every line whose correctness
//! depends on the order in which threads see each other's writes, but for what a lock orders.

// An index entry packs a pointer and a tag into 64 bits, and a key's bytes are compared as little-endian words.
#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("AdTally needs a 64-bit little-endian target");

#[cfg(not(loom))]
pub mod admission;
#[cfg(not(loom))]
pub mod attribution;
mod bucket;
#[cfg(not(loom))]
pub mod codec;
pub mod counters;
pub mod frequency_cap;
pub mod journal;
mod memory;
pub mod pacer;
pub mod sync;
pub mod time;

#[cfg(not(loom))]
pub mod dedupe;
#[cfg(not(loom))]
pub mod error;
#[cfg(not(loom))]
pub mod key;
#[cfg(not(loom))]
pub mod meter;
#[cfg(not(loom))]
pub mod reach;
#[cfg(not(loom))]
pub mod sketch;
#[cfg(not(loom))]
pub mod store;
#[cfg(not(loom))]
pub mod table;
#[cfg(not(loom))]
pub mod windows;

#[cfg(not(loom))]
pub use counters::{Add, Counters};
#[cfg(not(loom))]
pub use dedupe::Dedupe;
#[cfg(not(loom))]
pub use error::Error;
#[cfg(not(loom))]
pub use frequency_cap::{FrequencyCap, Rule, Rules, Window};
#[cfg(not(loom))]
pub use key::{Element, HashedKey, KeyRef, KeyWriter, Seed};
#[cfg(not(loom))]
pub use meter::Meter;
#[cfg(not(loom))]
pub use reach::Reach;
#[cfg(not(loom))]
pub use sketch::{Coupon, Secret, Sketch};
#[cfg(not(loom))]
pub use table::{Added, Batch, Info, Rows};
