//! A place among all rows of a table, from which they are read on.

use super::keyed::Keyed;
use super::row_ref::RowRef;

/// How far it has come. It shows every row that was there when its shard was reached, once.
#[derive(Default)]
pub(crate) struct Cursor {
    /// How many shards the table had at the beginning: those are walked, though it may be divided into others meanwhile.
    shards: Option<usize>,
    shard: usize,
    /// How large the shard's array was when the shard was reached: that array is walked to its end, even if the
    /// shard has grown a larger one before the walk comes back.
    length: Option<usize>,
    at: usize,
}

impl Cursor {
    /// The next row of the table, always the same one.
    pub(crate) fn next<'k>(&mut self, table: &'k Keyed) -> Option<RowRef<'k>> {
        let shards = *self.shards.get_or_insert_with(|| table.shard_count());
        while self.shard < shards {
            if let Some(entries) = table.entries_of(shards, self.shard, self.length) {
                self.length = Some(entries.len());
                while self.at < entries.len() {
                    self.at += 1;
                    if let Some(found) = entries.row(self.at - 1) {
                        return Some(found);
                    }
                }
            }
            *self = Self { shards: self.shards, shard: self.shard + 1, ..Self::default() };
        }
        None
    }
}
