//! Keyed 64-bit counters, several metrics a key, that any number of threads add to.
//!
//! An add to a known key takes no lock: it protects the current generation of the table by a hazard pointer, finds the row and adds
//! in place. A new key takes the lock of its shard.

#[cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]
pub mod row;
#[cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]
pub mod stripes;

#[cfg(not(loom))]
mod amounts;
#[cfg(not(loom))]
mod cells;
#[cfg(not(loom))]
mod durable;
#[cfg(not(loom))]
mod export;
#[cfg(not(loom))]
mod table;

#[cfg(not(loom))]
pub(crate) use self::amounts::{amounts, are_of_metrics, are_wide, count_words, fold_amounts, push_amounts};
#[cfg(not(loom))]
pub use self::cells::{Add, Cells, Config};
pub use self::stripes::MAX_METRICS;
#[cfg(not(loom))]
pub use self::table::Counters;
