//! Touches that are taken together, so that their cache misses overlap.

use super::Attribution;
use super::types::{Outcome, Touch};

/// How many touches or conversions had each [`Outcome`], in the order of those.
pub type Outcomes = [u64; OUTCOMES];

const OUTCOMES: usize = Outcome::Future as usize + 1;

impl Attribution {
    /// Takes some touches in turn, a few, whose users are asked for before: what became of them is added to `outcomes`. The
    /// system's time is asked for where it matters.
    ///
    /// # Panics
    /// If there is no such kind or time.
    pub fn touch_group(&self, touches: &[Touch<'_>], outcomes: &mut Outcomes, now: impl Fn() -> u64) {
        touches.iter().for_each(|touch| self.fetch(touch.user));
        // By then those have been asked for all together. For a single touch nothing is gained by it.
        touches.iter().for_each(|touch| self.ring.fetch_overflow(touch.user));
        for touch in touches {
            match self.touch(touch, &now) {
                Ok(outcome) => outcomes[outcome as usize] += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
