//! Reports: what is booked and what was spent, by dimensions, kind and action.
//!
//! Windows are read one after the other into groups, open ones too: what their provisional conversions would book now. A
//! conversion is read whole, so a group never has a credit without the others of its revision.

use std::collections::HashMap;
use std::ops::ControlFlow;

use ahash::RandomState;

use super::Attribution;
use super::posting::{Credits, Posting};
use super::types::Model;
use super::window::Window;
use crate::key::{KeyRef, Parts};

/// What a report is of.
#[derive(Debug, Clone)]
pub struct Query {
    /// Places of the dimensions that rows are grouped by.
    pub by: Vec<usize>,
    /// Whether they are grouped by kind, and by action.
    pub by_kind: bool,
    /// See `by_kind`.
    pub by_action: bool,
    /// The model that gives credit.
    pub model: Model,
    /// By which time credit is dated.
    pub dated_by: DatedBy,
    /// Only what is dated in a window that begins at this time or later.
    pub from: u64,
    /// And before this one.
    pub to: u64,
}

/// By which time credit is dated. What is spent is dated by the touch either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatedBy {
    /// That of the touch. What is unattributed is dated by the conversion.
    Touch,
    /// That of the conversion, and of a change its own.
    Conversion,
}

/// What a group is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// The words of the tuple of its dimensions; `None` where a touch has no dimensions, because there are too many.
    pub dimensions: Option<Box<[u64]>>,
    /// The place of its kind, if it is grouped by that.
    pub kind: Option<u8>,
    /// The place of its action, if it is grouped by that.
    pub action: Option<u8>,
    /// Whether its conversions have no touch.
    pub is_unattributed: bool,
}

/// What a group adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Parts of conversions, of [`super::PARTS`].
    pub parts: i128,
    /// Their value in micros.
    pub value: i128,
    /// Touches.
    pub touches: i128,
    /// What they have cost, in micros.
    pub cost: i128,
}

/// A report in the making.
pub struct Report {
    query: Query,
    groups: HashMap<Group, Sums, RandomState>,
    room: Credits,
}

impl Report {
    /// Of nothing yet.
    #[must_use]
    pub fn new(query: Query) -> Self {
        Self { query, groups: HashMap::default(), room: Credits::default() }
    }

    /// Adds what a window has booked and what was spent in it.
    pub fn read(&mut self, attribution: &Attribution, window: &Window) {
        for posting in attribution.postings_of(window) {
            self.add_posting(attribution, &posting);
        }
        let (start, _end) = attribution.bounds(window.number);
        // What is spent for no action in particular has no place among actions.
        if self.is_asked_for(start) && !self.query.by_action {
            self.add_spend(window);
        }
    }

    fn is_asked_for(&self, start: u64) -> bool {
        self.query.from <= start && start < self.query.to
    }

    fn add_posting(&mut self, attribution: &Attribution, posting: &Posting) {
        let mut room = std::mem::take(&mut self.room);
        posting.credits(self.query.model, &mut room, |credit| {
            let at = match self.query.dated_by {
                DatedBy::Touch => credit.step.map_or(posting.at, |step| step.at),
                DatedBy::Conversion => posting.adjusted_at.unwrap_or(posting.at),
            };
            if !self.is_asked_for(attribution.window_begin(at)) {
                return;
            }
            let kind = credit.step.map(|step| step.kind).filter(|_| self.query.by_kind);
            let words = credit.step.and_then(|step| attribution.dimensions().words(step.dimensions));
            let sums = self.sums(words.as_deref(), kind, Some(posting.action), credit.step.is_none());
            sums.parts += i128::from(credit.parts);
            sums.value += i128::from(credit.value);
        });
        self.room = room;
    }

    fn add_spend(&mut self, window: &Window) {
        let mut rows = window.spend_rows();
        rows.walk(|key, kinds| {
            self.add_kinds(Some(key), kinds);
            ControlFlow::Continue(())
        });
        self.add_kinds(None, &window.spend_overflow());
    }

    fn add_kinds(&mut self, key: Option<KeyRef<'_>>, kinds: &[super::Spend]) {
        for (kind, spend) in kinds.iter().enumerate().filter(|(_, spend)| **spend != super::Spend::default()) {
            let kind = Some(kind as u8).filter(|_| self.query.by_kind);
            let sums = self.sums(key.map(KeyRef::words), kind, None, false);
            sums.touches += spend.touches;
            sums.cost += spend.cost;
        }
    }

    fn sums(
        &mut self,
        words: Option<&[u64]>,
        kind: Option<u8>,
        action: Option<u8>,
        is_unattributed: bool,
    ) -> &mut Sums {
        let dimensions = words.map(|words| {
            let mut projected = Vec::new();
            Parts::of(words).project(&self.query.by, &mut projected);
            projected.into()
        });
        let action = action.filter(|_| self.query.by_action);
        self.groups.entry(Group { dimensions, kind, action, is_unattributed }).or_default()
    }

    /// The groups, in no order.
    pub fn into_groups(self) -> impl Iterator<Item = (Group, Sums)> + Send {
        self.groups.into_iter()
    }
}

impl Attribution {
    /// When the window of a time begins.
    fn window_begin(&self, at: u64) -> u64 {
        self.windows.bounds(self.windows.number_of(at)).0
    }
}
