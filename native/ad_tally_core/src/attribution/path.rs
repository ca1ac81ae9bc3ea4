//! Which touches of a user a conversion may be credited to.

use super::types::Step;

/// Repeats of a step are counted up to here: an entry of a ring has 13 bits for them.
pub const MAX_REPEATS: u16 = (1 << 13) - 1;

/// Puts the touches that a conversion at `at` may be credited to into `eligible`, instead of what was there.
///
/// `path` has the user's touches by [`Step::order`]. Touches after the conversion are not eligible. With `collapse`,
/// neighbours that have dimensions and kind in common are then one step: the last one of them, with the others counted as
/// its repeats. A step is eligible for as long as the lookback of its kind, both ends included. With `prevail`, steps of the
/// strongest kind that is left exclude all others: kinds are numbered from the strongest one on.
///
/// Steps are collapsed before their lookback is asked for: a run whose last touch is near enough is one step, with all its
/// touches as repeats.
pub fn eligible(
    path: &[Step],
    at: u64,
    lookbacks: &[u64],
    is_prevailing: bool,
    is_collapsing: bool,
    eligible: &mut Vec<Step>,
) {
    debug_assert!(path.is_sorted_by(|one, next| one.order() < next.order()));
    let path = &path[..path.partition_point(|step| step.at <= at)];
    eligible.clear();
    if is_collapsing {
        collapse(path, eligible);
    } else {
        eligible.extend_from_slice(path);
    }
    eligible.retain(|step| at - step.at <= lookbacks[usize::from(step.kind)]);
    if is_prevailing && let Some(strongest) = eligible.iter().map(|step| step.kind).min() {
        eligible.retain(|step| step.kind == strongest);
    }
}

/// Makes one step of neighbours that have dimensions and kind in common.
pub fn collapse(path: &[Step], collapsed: &mut Vec<Step>) {
    for step in path {
        match collapsed.last_mut() {
            Some(run) if (run.dimensions, run.kind) == (step.dimensions, step.kind) => {
                // The last touch of a collapsed run has itself among its repeats, one that was never collapsed has none.
                let repeats = run.repeats.saturating_add(step.repeats.max(1)).min(MAX_REPEATS);
                *run = Step { repeats, first_at: run.first_at, ..*step };
            }
            _ => collapsed.push(*step),
        }
    }
}
