//! Walking a table's rows, a few at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::table::Table;
use crate::key::KeyRef;
use crate::sketch::Sketch;
use crate::table::Walk;

/// A walk over the rows of one table. It shows every row that was there when its shard was reached, once.
pub struct Rows {
    table: Arc<Table>,
    walk: Walk,
    empty: Sketch,
}

impl Rows {
    pub(crate) fn new(table: Arc<Table>, empty: Sketch) -> Self {
        Self { table, walk: Walk::default(), empty }
    }

    /// Shows rows (key and sketch) from where the last call stopped, until `show` breaks or there are no more. Whether
    /// there may be more.
    pub fn walk(&mut self, mut show: impl FnMut(KeyRef<'_>, &Sketch) -> ControlFlow<()>) -> bool {
        while let Some(found) = self.walk.next(&self.table.keyed) {
            let mut sketch = self.empty.clone();
            self.table.pour(found, &mut sketch);
            if show(KeyRef::new(self.table.keyed.key_of(found)), &sketch).is_break() {
                return true;
            }
        }
        false
    }
}
