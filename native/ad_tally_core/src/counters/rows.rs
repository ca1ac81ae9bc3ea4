//! Walking a table's rows, a few at a time.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::table::Table;
use crate::key::KeyRef;

/// A walk over the rows of one table. It shows every row that was there when its shard was reached, once.
pub struct Rows {
    table: Arc<Table>,
    shard: usize,
    /// How large the shard's array was when the shard was reached: that array is walked to its end, even if the
    /// shard has grown a larger one before the walk comes back.
    length: Option<usize>,
    at: usize,
    key: Vec<u64>,
    totals: Vec<i128>,
}

impl Rows {
    pub(super) fn new(table: Arc<Table>) -> Self {
        let totals = vec![0; table.metrics()];
        Self { table, shard: 0, length: None, at: 0, key: Vec::new(), totals }
    }

    /// Shows rows (key and totals by metric) from where the last call stopped, until `show` breaks or there are no
    /// more. Whether there may be more.
    pub fn walk(&mut self, mut show: impl FnMut(KeyRef<'_>, &[i128]) -> ControlFlow<()>) -> bool {
        let Self { table, shard, length, at, key, totals } = self;
        while *shard < table.shard_count() {
            if let Some(entries) = table.entries_of(*shard, *length) {
                *length = Some(entries.len());
                while *at < entries.len() {
                    let found = table.row_at(entries, *at);
                    *at += 1;
                    let Some(found) = found else { continue };
                    table.copy_key(found, key);
                    let row = table.row(found);
                    for (metric, total) in totals.iter_mut().enumerate() {
                        *total = row.total(metric);
                    }
                    if show(KeyRef::new(key), totals).is_break() {
                        return true;
                    }
                }
            }
            (*shard, *length, *at) = (*shard + 1, None, 0);
        }
        false
    }
}
