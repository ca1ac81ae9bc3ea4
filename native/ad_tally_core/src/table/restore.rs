//! A table's entries: how its records become some, and taken back after a restart.
//!
//! A generation goes on under its instance. There is more than one only where others added while the table was drained, and the drain
//! is not on disk: then they are one generation from now on, and all of them are gone with its drain.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::drainable::Drainable;
use super::durable::Durable;
use super::generation::Generation;
use super::rows::Rows;
use super::stored::{Folding, Stored, restore_taken};
use crate::journal::{Entry, Fold, Restore, WindowState};
use crate::sync::hazard::Current;

/// A generation that threads merge into.
type Shared<V> = Arc<Current<Generation<V>>>;

/// A table that takes its entries back. Nobody adds to it until that is finished.
pub struct Restoring<'t, V: Durable> {
    table: &'t Drainable<V>,
    stored: &'t Stored,
    /// By instance. `None` for one that was drained.
    generations: RwLock<HashMap<u64, Option<Shared<V>>>>,
}

impl<V: Durable> Drainable<V> {
    /// How its records become entries.
    #[must_use]
    pub fn fold(&self) -> Arc<dyn Fold> {
        Arc::new(Folding::<V>(self.config().clone()))
    }

    /// Begins to take entries back.
    ///
    /// # Panics
    /// If the table has no journal.
    #[must_use]
    pub fn restoring(&self) -> Restoring<'_, V> {
        let stored = self.journal().unwrap_or_else(|| panic!("a table without a journal has no entries"));
        Restoring { table: self, stored, generations: RwLock::default() }
    }
}

impl<V: Durable> Restoring<'_, V> {
    /// Has the table go on with what was taken back.
    pub fn finish(self) {
        let generations = self.generations.into_inner().into_values().flatten();
        let mut generations: Vec<_> = generations.map(|generation| generation.protect().to_arc()).collect();
        generations.sort_unstable_by_key(|generation| (generation.keyed.keys(), generation.instance));
        let Some(largest) = generations.pop() else { return };
        generations.push(self.table.replace(largest));
        for other in generations {
            self.stored.resume([other.instance]);
            self.table.take_over(&mut Rows::new(other));
        }
    }

    fn with_generation(&self, instance: u64, entry: &Entry<'_>) -> Result<(), String> {
        let there = self.generations.read().get(&instance).cloned();
        let generation = match there {
            Some(there) => there,
            None => {
                let fresh = Arc::new(Current::new(Arc::new(self.table.fresh(instance))));
                self.generations.write().entry(instance).or_insert(Some(fresh)).clone()
            }
        };
        generation.map_or(Ok(()), |generation| V::restore(&generation.protect(), entry))
    }
}

impl<V: Durable> Restore for Restoring<'_, V> {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Row { instance, .. } | Entry::Sketch { instance, .. } => self.with_generation(instance, &entry),
            Entry::Window { instance, state: WindowState::Gone, .. } => {
                self.generations.write().insert(instance, None);
                Ok(())
            }
            Entry::Item { key, bytes, .. } => restore_taken(self.table.taken(), key, bytes),
            other => Err(format!("a table has no {}", other.kind().text())),
        }
    }
}
