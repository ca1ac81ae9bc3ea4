//! How far estimates are from the truth, measured and judged: what `examples/accuracy.rs` runs in full and
//! `tests/accuracy.rs` runs small.
//!
//! ```text
//! runs      the users of a run, runs in parallel, errors over all runs
//! sketches  Sketch at every precision and number of users, with its verdicts
//! rivals    the crates hyperloglogplus and datasketches over the same users
//! overlaps  what two sketches have in common, with its verdicts
//! attack    users chosen against the public hash, with its verdicts
//! ```
//!
//! Everything is a function of the number of runs: the same program says the same on every machine, whatever the
//! number of its cores.

pub mod attack;
pub mod overlaps;
pub mod rivals;
pub mod runs;
pub mod sketches;
