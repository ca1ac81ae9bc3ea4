//! How often a campaign takes part: the controller's call, by what its nodes have reported since the tick before.

use super::super::controller::{Controller, START, Tick, threshold};
use super::super::curve::Curve;
use super::super::learned::Learned;
use super::super::plan::{Pace, PeriodOf, Plan};

pub(super) struct Rate {
    controller: Controller,
    /// Of a plan that learns.
    learned: Option<Box<Learned>>,
    pub last: Last,
    /// Traffic of periods that have ended since the tick before, in mean days.
    left_behind: f64,
    /// Requests take part whose hashes are below this.
    pub pass: u64,
}

/// What there was at the tick before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Last {
    /// When it was. 0: there was none.
    pub at: u64,
    /// What was spent or in flight, in all.
    pub moved: u64,
    /// How many requests had taken part by the rate.
    pub passed: u64,
    /// The number of the period.
    pub period: u32,
}

/// What there is at a tick.
pub(super) struct Now {
    pub last: Last,
    /// What is left of the period's target, less what is in flight.
    pub left: u64,
    /// The mean price.
    pub price: u64,
    /// Milliseconds until the next tick.
    pub next: u64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { controller: Controller::new(1.0), learned: None, last: Last::default(), left_behind: 0.0, pass: 0 }
    }
}

impl Rate {
    /// What it has on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.learned.as_ref().map_or(0, |learned| size_of::<Learned>() + learned.heap_bytes())
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.last.at > 0
    }

    /// Begins with nothing known of a campaign whose first period is to spend so much in so many days.
    pub fn begin(&mut self, now: u64, period: u32, target: u64, days: f64) {
        self.controller = Controller::new(target as f64 / days.max(1e-3) / START);
        self.last = Last { at: now.max(1), period, ..self.last };
    }

    /// The curve of a period.
    pub fn curve(&self, plan: &Plan, of: PeriodOf) -> Curve {
        Curve::new(plan, self.learned.as_deref(), of)
    }

    /// A period ends with which there was a curve.
    pub fn leave(&mut self, curve: &Curve, now: u64) {
        self.left_behind += curve.traffic(self.last.at, now);
    }

    /// Has the rate follow a plan at once, without a tick.
    pub fn follow(&mut self, pace: &Pace) {
        self.pass = if *pace == Pace::Asap { u64::MAX } else { threshold(self.controller.p()) };
        match pace {
            Pace::Learned => drop(self.learned.get_or_insert_default()),
            _ => self.learned = None,
        }
    }

    /// Decides the rate until the next tick: whether more is learned of the traffic than was.
    pub fn tick(&mut self, plan: &Plan, curve: &Curve, now: &Now) -> bool {
        let Now { last: Last { at, moved, passed, period }, left, price, next } = *now;
        let before = std::mem::replace(&mut self.last, now.last);
        let left_behind = std::mem::take(&mut self.left_behind);
        let mut has_learned = false;
        // A clock that was set back tells nothing.
        if at <= before.at {
            self.follow(&plan.pace);
            return has_learned;
        }
        if let Some(learned) = &mut self.learned {
            let passed = passed.saturating_sub(before.passed);
            has_learned = learned.tick(&plan.zone, before.at, at, passed, self.controller.p());
        }
        if plan.pace != Pace::Asap {
            self.controller.tick(&Tick {
                elapsed: at - before.at,
                traffic: left_behind + curve.traffic(before.at, at),
                spent: (moved as i64).saturating_sub(before.moved as i64),
                left,
                price,
                ahead: curve.ahead(at, at + next),
                begins: period != before.period,
            });
        }
        self.follow(&plan.pace);
        has_learned
    }

    /// The state as words, without what was learned.
    pub fn to_words(&self) -> impl Iterator<Item = u64> {
        let Last { at, moved, passed, period } = self.last;
        self.controller.to_words().into_iter().chain([at, moved, passed, period.into()])
    }

    /// Takes the state back: whether these were words of one.
    pub fn restore(&mut self, words: &[u64]) -> bool {
        let Some((controller, &[at, moved, passed, period])) = words.split_first_chunk() else { return false };
        let (Some(controller), Ok(period)) = (Controller::from_words(*controller), u32::try_from(period)) else {
            return false;
        };
        (self.controller, self.last) = (controller, Last { at, moved, passed, period });
        true
    }

    /// What was learned, as words.
    pub fn learned_words(&self) -> Option<Vec<u64>> {
        self.learned.as_ref().map(|learned| learned.to_words())
    }

    /// Takes back what was learned: whether these were words of that.
    pub fn restore_learned(&mut self, words: &[u64]) -> bool {
        self.learned = Learned::from_words(words).map(Box::new);
        self.learned.is_some()
    }
}
