//! What a part does for the store: it folds records into entries, and takes entries back.

use super::{Entries, Entry, MOST_TOUCHES};
use crate::journal::Record;

/// How a part's records become entries. It is small, and without the live table.
pub trait Fold: Send + Sync {
    /// Adds what a record says to the entries of its interval.
    fn fold(&self, record: Record<'_>, into: &mut Entries);

    /// Whether compaction keeps an entry, given the newest time that the part has seen. What it does not keep the live table has
    /// dropped as well. Asked of what all intervals together say of a key.
    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        let _ = (entry, newest);
        true
    }

    /// The most touches that are kept of a user.
    fn most_touches(&self) -> usize {
        MOST_TOUCHES
    }
}

/// Who takes entries back.
pub trait Restore {
    /// Takes an entry. Those of one run come from several threads at once and in any order, the runs in the order of time.
    ///
    /// # Errors
    /// Why the entry cannot be one of this part.
    fn restore(&self, entry: Entry<'_>) -> Result<(), String>;
}
