//! Ids, taken back after a restart.

use super::entry::{Format, known};
use super::table::Table;
use super::{Dedupe, Tables};
use crate::error::check_restored_time;
use crate::journal::{Entry, META_NEWEST, Restore};
use crate::table::restore_taken;

impl Restore for Dedupe {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Meta { name: META_NEWEST, value } => {
                check_restored_time(value)?;
                with_table!(self, table => table.generations.resume(value / table.generations.length()));
                Ok(())
            }
            Entry::Id { hash, generation } => {
                with_table!(self, table => table.restore(hash, generation))
            }
            Entry::Item { key, bytes, .. } => restore_taken(self.taken(), key, bytes),
            other => Err(format!("a dedupe has no {}", other.kind().text())),
        }
    }
}

impl<const WIDE: bool> Table<WIDE> {
    fn restore(&self, hash: u64, generation: u64) -> Result<(), String> {
        if !self.generations.is_time(generation) {
            return Err(format!("generation {generation} is past all times"));
        }
        self.generations.resume(generation);
        let bucket = self.buckets.place(known(hash), 0);
        self.put(bucket, Format::<WIDE>::fingerprint(hash), generation);
        Ok(())
    }
}
