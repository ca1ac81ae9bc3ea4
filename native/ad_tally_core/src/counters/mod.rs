//! Keyed 64-bit counters, several metrics a key, that any number of threads add to.
//!
//! ```text
//! Counters ── current ──> Table ── keyed ──> row, row, row
//!                               └─ overflow row
//! ```
//!
//! An add to a known key takes no lock: it pins the current table, finds the row and adds in place. A new key takes
//! the lock of its shard. `drain` puts a fresh table in place and waits for the pins on the old one to end, so what
//! the old table holds is final, and every add is in exactly one drain.

#[cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]
pub mod row;

#[cfg(not(loom))]
mod live;
#[cfg(not(loom))]
mod rows;
#[cfg(not(loom))]
mod table;

#[cfg(not(loom))]
pub use live::{Add, Added, Counters, Drained, Info, MAX_KEYS};
#[cfg(not(loom))]
pub use rows::Rows;
#[cfg(not(loom))]
pub(crate) use table::Table;
