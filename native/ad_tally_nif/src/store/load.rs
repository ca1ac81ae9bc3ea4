//! What a store has of a part, taken by its table.

use std::cell::Cell;
use std::sync::Arc;

use ad_tally_core::journal::Restore;

use super::open::Open;
use super::refusal::Refusal;
use super::stored::Stored;

/// A part that is to be loaded.
pub struct Load<'s> {
    stored: &'s Stored,
    open: Arc<Open>,
}

/// How often whoever opened the store is told how far it is.
const TOLD: u64 = 10;

impl<'s> Load<'s> {
    pub(super) fn new(stored: &'s Stored) -> Result<Self, Refusal> {
        Ok(Self { stored, open: stored.open.upgrade().ok_or_else(Refusal::stopped)? })
    }

    /// Has a table take all that the store has of it.
    pub fn take(&self, restore: &(dyn Restore + Sync)) -> Result<(), Refusal> {
        let told = Cell::new(0);
        let progress = |done: u64, total: u64| {
            let tenth = done.saturating_mul(TOLD) / total.max(1);
            if told.replace(tenth) < tenth {
                self.open.tell_loading(&self.stored.name, done, total);
            }
        };
        self.stored.core.load(self.stored.part.number, restore, &progress)?;
        Ok(())
    }

    /// Tells that so many of what the store has did not find room for all of it in a table that is smaller than the one before.
    pub fn tell_without_room(&self, count: u64) {
        if count > 0 {
            self.open.tell_without_room(&self.stored.name, count);
        }
    }
}
