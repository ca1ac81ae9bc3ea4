//! Reading all rows of a generation, some at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::cursor::Cursor;
use super::generation::{Generation, Value};
use super::row_ref::RowRef;
use crate::key::KeyRef;

/// Rows that are asked for at once: about as many cache misses as a core has under way.
const AHEAD: usize = 16;

/// The rows of one generation, read from front to end. Every row that was there when its shard was reached is shown once.
pub struct Rows<V: Value> {
    table: Arc<Generation<V>>,
    cursor: Cursor,
}

impl<V: Value> Rows<V> {
    pub(crate) fn new(table: Arc<Generation<V>>) -> Self {
        Self { table, cursor: Cursor::default() }
    }

    /// What has no row, and how much.
    pub(super) fn overflow(&self) -> (V::Snapshot, V::Overflowed) {
        let mut overflowed = V::Overflowed::default();
        self.table.value.add_overflowed(&mut overflowed);
        (self.table.value.overflow(), overflowed)
    }

    /// Shows rows from where the last call stopped, until `show` breaks or there are no more. Whether there may be more.
    pub fn walk(&mut self, mut show: impl FnMut(KeyRef<'_>, &V::Snapshot) -> ControlFlow<()>) -> bool {
        while let Some(row) = self.cursor.next(&self.table.keyed) {
            if show(KeyRef::new(self.table.keyed.key_of(row)), &V::read(&self.table, row)).is_break() {
                return true;
            }
        }
        false
    }

    /// Does something with rows where they lie, from where the last call stopped, until there are no more or `go_on` says that it is
    /// enough, which is asked every [`AHEAD`] rows. Whether there may be more.
    ///
    /// Rows lie in the order in which their keys came, and are read in that of the index. So of some rows at once each is asked
    /// for before the first is read.
    #[inline(always)]
    pub(crate) fn each(
        &mut self,
        mut go_on: impl FnMut() -> bool,
        mut act: impl FnMut(&Generation<V>, RowRef<'_>),
    ) -> bool {
        let keyed = &self.table.keyed;
        while go_on() {
            let mut rows = [None; AHEAD];
            for place in &mut rows {
                *place = self.cursor.next(keyed);
                let Some(row) = *place else { break };
                keyed.fetch(row);
            }
            rows.iter().flatten().for_each(|row| act(&self.table, *row));
            if rows[AHEAD - 1].is_none() {
                return false;
            }
        }
        true
    }
}
