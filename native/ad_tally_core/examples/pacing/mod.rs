//! How controllers of budgets pace campaigns, simulated and judged: what `examples/pacing.rs` runs in full and
//! `tests/pacing.rs` runs small.
//!
//! ```text
//! world        requests by the minute, and what was forecast of them
//! money        the hard cap, reservations, confirms that come late or never
//! controllers  ours, which is the library's, and those of others
//! run          one campaign by all controllers, over the same requests
//! figures      the table, and what must hold of it
//! stress       edits and wrong forecasts
//! picture      spend against target, as an SVG
//! ```
//!
//! Everything is a function of the campaigns' numbers: the same program says the same again.

pub mod controllers;
pub mod figures;
mod money;
pub mod parallel;
pub mod picture;
mod random;
pub mod run;
pub mod stress;
pub mod world;
