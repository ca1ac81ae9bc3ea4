//! Frequency caps: how often a user may be shown something, over windows that roll.
//!
//! ```text
//! FrequencyCap ── tiers ──> Table (ticks of 5 minutes) ──> line, line, line ──> overflow line
//!             │             Table (ticks of an hour)
//!             │             Table (counts of a lifetime)
//!             └─ newest time seen
//! ```
//!
//! A pair of scope and user has its last events in every tier, each as the tick of its time. `admit` locks the pair's line
//! in each tier (in order, so that nobody waits in a circle), asks every rule, and counts the event in all tiers or in none; in
//! the short way, see `quick`, who is denied takes no lock. Nobody counts without one, so no rule is ever passed, however many
//! ask at once. What is approximate is approximate to the safe side: two pairs that look alike count together (one in several
//! thousand, unless the table is strict), and a tick stands for all moments of its granule.

#![cfg_attr(loom, allow(dead_code, reason = "a model asks for a part of it"))]

mod ages;
mod decide;
mod entry;
mod glance;
mod locked;
#[cfg(not(loom))]
mod rules;
mod seen;
mod table;

/// Ticks of a pair that are looked at.
const MOST_TICKS: usize = 28;
/// The longest horizon there can be: 4032 ticks of a day.
const LONGEST_HORIZON: u64 = HORIZON_TICKS * decide::DAY;
/// Ticks of a horizon at most: of the 4095 that a line can tell apart, a few are left for events to come.
const HORIZON_TICKS: u64 = 4_032;

#[cfg(not(loom))]
mod cap;
#[cfg(not(loom))]
mod quick;
#[cfg(not(loom))]
pub use cap::{Config, Decision, FrequencyCap, Info, Reason, TierInfo};
#[cfg(not(loom))]
pub use glance::{Quick, Spot};
#[cfg(loom)]
pub use model::Model;
#[cfg(not(loom))]
pub use quick::Quickly;
#[cfg(not(loom))]
pub use rules::{MOST_EVENTS, MOST_EVENTS_OF_A_LIFETIME, MOST_RULES, Rule, Rules, Window};

/// The step of an `admit` on one tier, for the model checker.
#[cfg(loom)]
mod model {
    use super::entry::{Format, TICKS};
    use super::glance::{Glance, Judge, Quick};
    use super::table::Table;

    /// A table of one line.
    pub struct Model(Table);

    /// A rule without a window.
    struct AtMost {
        max: usize,
        tick: u64,
    }

    impl Judge for AtMost {
        fn block(&self, seen: Glance) -> Option<u32> {
            let (ages, _end) = seen.ages(self.tick);
            (ages.within(0, TICKS) >= self.max).then_some(0)
        }
    }

    impl Model {
        /// An empty one.
        pub fn new() -> Self {
            Self(Table::new(Format::Ticks, 1, 2, 60).expect("memory"))
        }

        /// Counts an event at a tick if there were fewer than `max`.
        pub fn admit(&self, hash: u64, tick: u64, max: usize) -> bool {
            let mut home = self.0.lock(hash);
            home.reach(tick);
            home.seen(hash).length() < max && home.add(hash, tick).is_ok()
        }

        /// The same in the short way, which takes no lock for a denial.
        pub fn admit_quickly(&self, hash: u64, tick: u64, max: usize) -> bool {
            let decided = self.0.admit(self.0.spot(hash), tick, &AtMost { max, tick });
            assert_ne!(decided, Quick::Undecided, "the pair has one slot at most");
            decided == Quick::Admitted
        }

        /// Events counted, looked at without a lock.
        pub fn count(&self, hash: u64, tick: u64) -> Option<usize> {
            self.0.read(hash, tick).map(|(seen, _)| seen.length())
        }
    }
}
