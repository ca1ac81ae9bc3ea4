//! Walking a table's rows, a few at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::table::Table;
use crate::key::KeyRef;
use crate::table::Walk;

/// A walk over the rows of one table. It shows every row that was there when its shard was reached, once.
pub struct Rows {
    table: Arc<Table>,
    walk: Walk,
    totals: Vec<i128>,
}

impl Rows {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        let totals = vec![0; table.metrics()];
        Self { table, walk: Walk::default(), totals }
    }

    /// Shows rows (key and totals by metric) from where the last call stopped, until `show` breaks or there are no
    /// more. Whether there may be more.
    pub fn walk(&mut self, mut show: impl FnMut(KeyRef<'_>, &[i128]) -> ControlFlow<()>) -> bool {
        let Self { table, walk, totals } = self;
        while let Some(found) = walk.next(&table.keyed) {
            let row = table.row(found);
            for (metric, total) in totals.iter_mut().enumerate() {
                *total = row.total(metric);
            }
            if show(KeyRef::new(table.keyed.key_of(found)), totals).is_break() {
                return true;
            }
        }
        false
    }
}
