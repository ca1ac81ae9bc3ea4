//! The ring against a naive twin, at its limits, and under threads.

mod limits;
mod measure;
mod naive;
mod operations;
mod threads;

use super::Ring;
use crate::attribution::Step;

/// A touch of the first kind.
fn touch(id: i64, at: u64) -> Step {
    Step { id, at, first_at: at, kind: 0, dimensions: 1, repeats: 0 }
}

/// All touches of a user.
fn path(ring: &Ring, user: u64) -> Vec<Step> {
    // A late conversion is not pending: it leaves no trace but that the user has converted.
    ring.begin(user, u64::MAX, LATEST, true).path
}

/// The last millisecond that there is.
const LATEST: u64 = (1 << 47) - 1;
