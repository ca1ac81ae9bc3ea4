//! Ids that survive a restart.
//!
//! ```text
//! ID      hash | generation        an id that was seen for the first time, or again in a later generation
//! TAKEN   as `table::stored` has it
//! ```

use super::generations::{Generations, REMEMBERED};
use super::table::Config;
use crate::codec::Frame;
use crate::journal::{Entries, Entry, Fold, META_NEWEST, Part, Record, Scribe};
use crate::table::fold_taken;

const ID: u8 = 0;
const TAKEN: u8 = 1;

/// Writes down that an id is remembered in a generation.
#[inline(always)]
pub(super) fn record(part: &Part, scribe: &Scribe<'_>, hash: u64, generation: u64) {
    scribe.record(part.number, ID, 2, |words| words.extend(&[hash, generation]));
}

/// Writes down that a frame was taken.
pub(super) fn record_taken(part: &Part, scribe: &Scribe<'_>, frame: &Frame<'_>) {
    crate::table::record_taken(part.number, TAKEN, scribe, frame);
}

/// What becomes of records of ids.
pub(crate) struct Folding {
    /// Milliseconds of a generation.
    generation: u64,
}

impl Folding {
    pub(crate) fn new(config: &Config) -> Self {
        Self { generation: Generations::length_of(config.window) }
    }

    /// The entries of an id that is remembered in a generation.
    #[inline]
    pub(crate) fn id(&self, part: u16, hash: u64, generation: u64, into: &mut Entries) {
        into.id(part, hash, generation);
        into.meta(part, META_NEWEST, generation * self.generation);
    }
}

impl Fold for Folding {
    fn fold(&self, Record { part, kind, words }: Record<'_>, into: &mut Entries) {
        match (kind, words) {
            (ID, [hash, generation]) => self.id(part, *hash, *generation, into),
            (TAKEN, words) => fold_taken(part, words, into),
            _ => unreachable!("a dedupe writes no record of kind {kind} with {} words", words.len()),
        }
    }

    /// What a table forgets once time has come so far.
    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        match entry {
            Entry::Id { generation, .. } => newest / self.generation < generation.saturating_add(REMEMBERED),
            _ => true,
        }
    }
}
