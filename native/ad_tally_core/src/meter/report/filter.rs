//! The values that rows of a report may have in a dimension.

use std::collections::HashSet;
use std::mem::take;

use ahash::RandomState;

use crate::key::{Element, Parts};
use crate::memory::free;

/// One dimension's values.
pub(super) struct Filter {
    /// Which element of the key of counters it is.
    place: usize,
    /// Which element of the key of sketches, where that has it.
    sketch_place: Option<usize>,
    integers: HashSet<i64, RandomState>,
    atoms: HashSet<u64, RandomState>,
    texts: HashSet<Box<[u8]>, RandomState>,
}

impl Filter {
    /// Of no values: no row meets it.
    pub(super) fn new(place: usize, sketch_place: Option<usize>) -> Self {
        Self { place, sketch_place, integers: HashSet::default(), atoms: HashSet::default(), texts: HashSet::default() }
    }

    /// Has rows with that value meet it.
    pub(super) fn allow(&mut self, value: Element<'_>) {
        match value {
            Element::Integer(value) => _ = self.integers.insert(value),
            Element::Atom(hash) => _ = self.atoms.insert(hash),
            Element::Bytes(bytes) => _ = self.texts.insert(bytes.into()),
        }
    }

    /// Whether a row of counters meets it.
    #[inline(always)]
    pub(super) fn is_met(&self, key: &Parts<'_>) -> bool {
        self.has(key.element(self.place))
    }

    /// Whether a sketch meets it.
    pub(super) fn is_met_by_sketch(&self, key: &Parts<'_>) -> bool {
        self.sketch_place.is_some_and(|place| self.has(key.element(place)))
    }

    fn has(&self, value: Element<'_>) -> bool {
        match value {
            Element::Integer(value) => self.integers.contains(&value),
            Element::Atom(hash) => self.atoms.contains(&hash),
            Element::Bytes(bytes) => self.texts.contains(bytes),
        }
    }
}

/// Filters of fewer values are freed where they are dropped.
const FREED_IN_PLACE: usize = 1_000;

impl Drop for Filter {
    /// A garbage collection may drop the last reference.
    fn drop(&mut self) {
        if self.integers.len() + self.atoms.len() + self.texts.len() > FREED_IN_PLACE {
            free::later((take(&mut self.integers), take(&mut self.atoms), take(&mut self.texts)));
        }
    }
}
