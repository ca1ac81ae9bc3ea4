//! What attribution writes to a journal: what became of touches and conversions, not what was told.
//!
//! ```text
//! TOUCH      window, user, touch, number and words of its dimensions, what it has cost
//! PATH       window, order, touch                          a touch came into the path of a provisional conversion
//! ORDER      order, version, window, the whole conversion  it began, changed, or became final; nothing: it is not known any more
//! POSTING    window, place, the whole posting
//! MARK       user, action, touch, order                    a conversion was counted of which only one is
//! CONVERTED  user, time
//! ALIAS      alias, version, user
//! FORGOTTEN  users
//! CLOSING    window                                        nothing is told to it any more, and its conversions become final
//! CLOSED     window, its configuration, number, node, time
//! GONE       window
//! EARLY      version, until when windows were closed before their time
//! META       name, number                                  the greatest one stays
//! STEP, EVICTED, NUMBER, TAKEN                              what a frame has brought
//! ```
//!
//! An event is whole in one interval, and no interval has what depends on a later one:
//!
//! * A touch writes what it has brought itself, nothing that others have: it may have begun to write before them, with the event of a
//!   meter. So it writes a conversion's new step, and not the conversion.
//! * Who writes what others have brought begins to write under the lock that it reads that under: the bucket of a user for a
//!   conversion, the shard of an order for all that changes one. Whatever it finds there is in this interval or an older one.
//!
//! * `write`: records of these kinds; `bytes`: a conversion and a posting as bytes
//! * `fold`: from records to entries; `restore`, `finish`: an attribution from entries

mod bytes;
mod finish;
mod fold;
mod kinds;
mod packed;
mod restore;
mod write;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub(super) use self::fold::Folding;
pub use self::restore::{Restoring, Shape};
pub(super) use self::write::Spent;
use super::window::Window;
use crate::journal::{self, Busy, Scribe};
use crate::sync::AtomicU64;
use crate::windows::Kept;

/// What an attribution has with a journal.
pub(super) struct Journal {
    pub(super) part: journal::Part,
    /// The number of its configuration.
    pub(super) config: u32,
    pub(super) folding: Arc<Folding>,
    /// Windows that are closed and not delivered.
    pub(super) kept: Kept<Window>,
    /// The version of the alias that was written last.
    aliases: AtomicU64,
    /// The newest time of a touch that was dropped, as far as it was written.
    dropped: AtomicU64,
}

/// What somebody writes who has begun to.
pub(super) struct Writing<'j> {
    scribe: Scribe<'j>,
    journal: &'j Journal,
}

impl Journal {
    pub(super) fn new(part: journal::Part, config: u32, folding: Folding) -> Self {
        Self {
            part,
            config,
            folding: folding.into(),
            kept: Kept::default(),
            aliases: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Begins to write what is to be done.
    ///
    /// # Errors
    /// [`Busy`]: then nothing may be done.
    #[inline(always)]
    pub(super) fn begin(&self) -> Result<Writing<'_>, Busy> {
        Ok(Writing { scribe: self.part.begin_or_go_on()?, journal: self })
    }

    /// The same for what must not fail.
    pub(super) fn begin_anyway(&self) -> Writing<'_> {
        Writing { scribe: self.part.begin_anyway(), journal: self }
    }

    /// A number that no window has had.
    pub(super) fn instance(&self) -> u64 {
        self.part.journal.instance()
    }

    fn next_alias(&self) -> u64 {
        1 + self.aliases.fetch_add(1, Relaxed)
    }

    /// Has versions of aliases to come be greater than this one.
    pub(super) fn pass_alias(&self, version: u64) {
        self.aliases.fetch_max(version, Relaxed);
    }
}
