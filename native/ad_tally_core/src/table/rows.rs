//! Reading all rows of a generation, some at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::cursor::Cursor;
use super::generation::{Generation, Value};
use crate::key::KeyRef;

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
}
