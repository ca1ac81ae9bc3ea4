//! Values of other tables, merged into a table.

use super::added::Added;
use super::drainable::Drainable;
use super::durable::Durable;
use super::rows::Rows;
use crate::journal::Busy;
use crate::key::HashedKey;

impl<V: Durable> Drainable<V> {
    /// Merges a value into that of a key.
    pub fn merge_row(&self, key: HashedKey<'_>, value: &V::Snapshot) -> Added {
        let table = self.protect();
        let Some(stored) = self.journal() else { return V::merge(&table, key, value).into() };
        let Ok(scribe) = stored.begin() else { return Added::Busy };
        let spilled = V::merge(&table, key, value);
        stored.writer(&scribe).merged::<V>(table.instance, key, spilled, value);
        spilled.into()
    }

    /// Merges what had no row in another table, which counts as so much.
    ///
    /// # Errors
    /// [`Busy`], and nothing has changed.
    pub fn merge_overflow(&self, value: &V::Snapshot, overflowed: &V::Overflowed) -> Result<(), Busy> {
        let table = self.protect();
        let scribe = self.journal().map(|stored| Ok((stored, stored.begin()?))).transpose()?;
        V::merge_overflow(&table, value, overflowed);
        if let Some((stored, scribe)) = &scribe {
            stored.writer(scribe).merged_overflow::<V>(table.instance, value, overflowed);
        }
        Ok(())
    }

    /// Merges all rows of another generation and what had none there, which the journal has already.
    pub(super) fn take_over(&self, rows: &mut Rows<V>) {
        let table = self.protect();
        rows.walk(|key, value| {
            V::merge(&table, self.seed().key(key.words()), value);
            std::ops::ControlFlow::Continue(())
        });
        let (value, overflowed) = rows.overflow();
        V::merge_overflow(&table, &value, &overflowed);
    }
}
