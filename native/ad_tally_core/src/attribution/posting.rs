//! What a conversion, or a change of one, books: what each of its touches is credited with from now on, less what it was before.

use super::credit::{split, weights};
use super::types::{Model, PARTS, Step};

/// What a conversion is worth, and whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Net {
    /// Its value in micros.
    pub value: i64,
    /// Whether it is one: a retracted one is none, and one that does not count is none.
    pub counts: bool,
}

/// A booking. It is final, and stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The words of the order's key.
    pub order: Box<[u64]>,
    /// When the conversion was.
    pub at: u64,
    /// When it was changed, of a change.
    pub adjusted_at: Option<u64>,
    /// The place of its action.
    pub action: u8,
    /// The touches that are credited, in order. Without any the conversion is unattributed.
    pub steps: Box<[Step]>,
    /// What was booked before: nothing, unless it is a change.
    pub before: Net,
    /// What is booked from now on.
    pub after: Net,
    /// Whether touches may be missing that were evicted.
    pub truncated: bool,
    /// How often touches that came late have changed the credits, and one.
    pub revision: u32,
}

/// What one touch is credited with, or nobody where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// The touch.
    pub step: Option<Step>,
    /// Its part of the value, in micros.
    pub value: i64,
    /// Its part of the conversion, of [`PARTS`].
    pub parts: i64,
}

/// The credits of a model, with room that is used again.
#[derive(Default)]
pub struct Credits {
    weights: Vec<u64>,
    values: [Vec<i64>; 2],
    parts: Vec<i64>,
}

impl Posting {
    /// Shows the credits of a model, in the order of touches. They sum up to the difference of both values exactly, and to all
    /// parts of a conversion that counts.
    pub fn credits(&self, model: Model, room: &mut Credits, mut show: impl FnMut(Credit)) {
        let parts = (i64::from(self.after.counts) - i64::from(self.before.counts)) * PARTS;
        if self.steps.is_empty() {
            show(Credit { step: None, value: self.after.value - self.before.value, parts });
            return;
        }
        let Credits { weights: weights_of_steps, values: [before, after], parts: parts_of_steps } = room;
        weights(model, &self.steps, self.at, weights_of_steps);
        split(self.before.value, weights_of_steps, before);
        split(self.after.value, weights_of_steps, after);
        split(parts, weights_of_steps, parts_of_steps);
        for (at, step) in self.steps.iter().enumerate() {
            if weights_of_steps[at] > 0 {
                show(Credit { step: Some(*step), value: after[at] - before[at], parts: parts_of_steps[at] });
            }
        }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.order) + size_of_val(&*self.steps)
    }
}
