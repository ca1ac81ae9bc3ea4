//! What a pair has in a tier.

use super::ages::{Lanes, each};

/// Ticks of a pair that are looked at: enough for any rule.
const MOST_TICKS: usize = 28;
/// The same, four at a time.
const MOST_LANES: usize = MOST_TICKS / 4;
/// Ticks of a pair that are kept: one more, so that a pair is known to have lost none as long as it has fewer than that.
pub(super) const MOST_KEPT: usize = MOST_TICKS + 1;

/// The events of a pair.
///
/// With fewer than [`MOST_KEPT`] ticks it has all events that the bucket reaches back to. With as many it is full: it has all
/// events that are newer than its oldest tick, and may have lost any number that are not. The oldest tick then only says from
/// where on events are known; how often it is there says nothing.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The newest [`MOST_TICKS`].
    ages: [Lanes; MOST_LANES],
    /// As many as are kept.
    length: usize,
    /// The count of a lifetime.
    pub(super) count: u64,
    /// The tick that ages are counted from.
    pub(super) end: u64,
}

impl Seen {
    /// Nothing, of a bucket with that end.
    #[inline(always)]
    pub(super) fn new(end: u64) -> Self {
        Self { ages: [Lanes::EMPTY; MOST_LANES], length: 0, count: 0, end }
    }

    /// The ages of its events.
    #[inline(always)]
    pub(super) fn ages(&self) -> &[Lanes; MOST_LANES] {
        &self.ages
    }

    /// How many events there are.
    #[cfg(loom)]
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether events no newer than the oldest tick may have been given up.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.length >= MOST_KEPT
    }

    #[inline(always)]
    pub(super) fn push(&mut self, age: u64) {
        if self.length < MOST_TICKS {
            self.set(self.length, age);
        } else {
            self.push_instead(age);
        }
        self.length += 1;
    }

    /// One more than are looked at: the oldest is left out.
    #[cold]
    fn push_instead(&mut self, age: u64) {
        let oldest = each(&self.ages).enumerate().max_by_key(|(_, age)| *age);
        if let Some((at, _)) = oldest.filter(|(_, oldest)| *oldest > age) {
            self.set(at, age);
        }
    }

    #[inline(always)]
    fn set(&mut self, at: usize, age: u64) {
        let lanes = &mut self.ages[at / 4];
        *lanes = lanes.with(at % 4, age);
    }

    /// Has ages counted from a tick at least.
    #[inline(always)]
    pub(super) fn reach(&mut self, tick: u64) {
        if tick > self.end {
            self.reach_later(tick - self.end);
        }
    }

    fn reach_later(&mut self, by: u64) {
        let before = each(&self.ages).count();
        self.ages = self.ages.map(|lanes| lanes.later(by));
        self.end += by;
        let left = each(&self.ages).count();
        // What a full pair may have lost is no newer than its oldest tick, so it is too old as soon as that is.
        if left < before {
            self.length = left;
        }
    }
}
