//! Going through all rows of a table, a few at a time.

use super::{Found, Keyed};

/// How far it has come. It shows every row that was there when its shard was reached, once.
#[derive(Default)]
pub(crate) struct Walk {
    shard: usize,
    /// How large the shard's array was when the shard was reached: that array is walked to its end, even if the
    /// shard has grown a larger one before the walk comes back.
    length: Option<usize>,
    at: usize,
}

impl Walk {
    /// The next row of the table, always the same one.
    pub(crate) fn next<'k>(&mut self, table: &'k Keyed) -> Option<Found<'k>> {
        while self.shard < table.shard_count() {
            if let Some(entries) = table.entries_of(self.shard, self.length) {
                self.length = Some(entries.len());
                while self.at < entries.len() {
                    self.at += 1;
                    if let Some(found) = table.row_at(entries, self.at - 1) {
                        return Some(found);
                    }
                }
            }
            *self = Self { shard: self.shard + 1, ..Self::default() };
        }
        None
    }
}
