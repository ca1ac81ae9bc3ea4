//! The table of a part, kept by its store until it is left in order: a process that crashes finds it again.

use std::any::Any;

use crate::resource::{Kept, Resource};

/// A part's table, if there is one.
#[derive(Default)]
pub(super) struct Slot(Option<Occupied>);

struct Occupied {
    table: Box<dyn Any + Send>,
    /// The options that it was made with.
    options: String,
    /// Whether all that the store has of it is in it.
    is_whole: bool,
}

impl Slot {
    pub(super) fn put<T: Resource>(&mut self, table: Kept<T>, options: String, is_whole: bool) {
        self.0 = Some(Occupied { table: Box::new(table), options, is_whole });
    }

    /// The table, if there is one of that type.
    pub(super) fn table<T: Resource>(&self) -> Option<Kept<T>> {
        self.0.as_ref()?.table.downcast_ref::<Kept<T>>().cloned()
    }

    pub(super) fn is_made_with(&self, options: &str) -> bool {
        self.0.as_ref().is_some_and(|occupied| occupied.options == options)
    }

    /// Whether there is a table that has all that the store has of it.
    pub(super) fn is_whole(&self) -> bool {
        self.0.as_ref().is_some_and(|occupied| occupied.is_whole)
    }

    pub(super) fn note_whole(&mut self) {
        if let Some(occupied) = &mut self.0 {
            occupied.is_whole = true;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}
