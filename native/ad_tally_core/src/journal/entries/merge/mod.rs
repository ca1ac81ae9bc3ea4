//! Merges runs into one: entries of one key come to one, and what is to go goes.
//!
//! ```text
//! oldest run ── Cursor ─┐
//!        run ── Cursor ─┼─ tree: the smallest key, and of equal keys the one of the oldest run ──> entries in order
//! newest run ── Cursor ─┘
//! ```
//!
//! * [`cursor`]: where a run is; [`tree`]: which run is next; [`sum`]: what entries of one key come to; [`dead`]: what is to go
//!
//! The values of one key are merged from the oldest run to the newest one. What they come to does not depend on which neighbours were
//! merged before, so a run may be that of an interval, of a segment, or of all intervals so far. A *base* is of the first
//! interval and those after it: there is nothing older, so it has neither tombstones nor changes that take something back. Only
//! there a part is asked what it keeps: of what is left out in between, something older would come back.
//!
//! Memory is that of a frame a run, beside the users and windows that are to go.

mod cursor;
mod dead;
mod sum;
mod tree;

use self::cursor::Cursor;
pub use self::cursor::{Frames, MergeError};
use self::dead::Dead;
use self::sum::Sum;
use self::tree::Tree;
use super::{Entry, Fold, META_NEWEST, MOST_TOUCHES};

/// The entries of several runs, merged, in order.
pub struct Merge<'f, S> {
    /// The oldest run first.
    cursors: Vec<Cursor<S>>,
    tree: Tree,
    sum: Sum,
    dead: Dead,
    fold: Option<&'f dyn Fold>,
    is_base: bool,
    part: Option<u16>,
    /// The newest time of the part.
    newest: u64,
    /// Whether the entry of the first run was shown as it is.
    is_shown: bool,
}

impl<'f, S: Frames> Merge<'f, S> {
    /// Merges runs, the oldest first. `fold` is that of the part that they are of; without it all entries are kept. With `is_base` there
    /// is nothing older.
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn new(runs: Vec<S>, fold: Option<&'f dyn Fold>, is_base: bool) -> Result<Self, MergeError<S::Error>> {
        let numbered = runs.into_iter().enumerate();
        let mut cursors: Vec<Cursor<S>> = numbered.map(|(run, frames)| Cursor::new(run, frames)).collect();
        let mut is_over = Vec::with_capacity(cursors.len());
        for cursor in &mut cursors {
            is_over.push(!cursor.advance()?);
        }
        let tree = Tree::new(&cursors, &is_over);
        let (sum, dead) = (Sum::default(), Dead::default());
        Ok(Self { cursors, tree, sum, dead, fold, is_base, part: None, newest: 0, is_shown: false })
    }

    /// The next entry, with its part.
    ///
    /// # Errors
    /// [`MergeError`]. What comes after it is not to be relied on.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(u16, Entry<'_>)>, MergeError<S::Error>> {
        // Of which run an entry is shown as it is, if it is not a sum.
        let run = loop {
            if std::mem::take(&mut self.is_shown) {
                self.advance()?;
            }
            let Some(run) = self.tree.first() else { return Ok(None) };
            let part = self.cursors[run].part();
            if self.part != Some(part) {
                (self.part, self.newest) = (Some(part), 0);
                self.dead.clear();
            }
            let entry = self.cursors[run].entry();
            if !self.tree.is_alone(&self.cursors) || self.changes(&entry) {
                if self.add_up()? {
                    break None;
                }
                continue;
            }
            self.is_shown = true;
            if self.dead.has(&entry, run) {
                continue;
            }
            self.dead.note(&entry, run);
            self.newest = newest(&entry, self.newest);
            if self.stays(&self.cursors[run].entry(), run) {
                break Some(run);
            }
        };
        let entry = run.map_or_else(|| self.sum.entry(), |run| self.cursors[run].entry());
        Ok(Some((self.part.unwrap_or_default(), entry)))
    }

    /// Has the first run go on to its next entry.
    #[inline(always)]
    fn advance(&mut self) -> Result<(), MergeError<S::Error>> {
        let Some(run) = self.tree.first() else { return Ok(()) };
        let is_over = !self.cursors[run].advance()?;
        self.tree.replay(&self.cursors, is_over);
        Ok(())
    }

    /// Adds up the entries of the first key: whether something is left.
    fn add_up(&mut self) -> Result<bool, MergeError<S::Error>> {
        let (mut is_first, mut is_last) = (true, false);
        while let Some(run) = self.tree.first().filter(|_| !is_last) {
            is_last = self.tree.is_alone(&self.cursors);
            let entry = self.cursors[run].entry();
            if !self.dead.has(&entry, run) {
                self.dead.note(&entry, run);
                if std::mem::take(&mut is_first) { self.sum.begin(&entry, run) } else { self.sum.add(&entry, run) }
            }
            self.advance()?;
        }
        if is_first {
            return Ok(false);
        }
        self.sum.settle(self.most_touches(), self.is_base);
        self.newest = newest(&self.sum.entry(), self.newest);
        Ok(self.stays(&self.sum.entry(), self.sum.run()))
    }

    fn most_touches(&self) -> usize {
        self.fold.map_or(MOST_TOUCHES, Fold::most_touches)
    }

    /// Whether an entry becomes another one, even if it is alone.
    #[inline(always)]
    fn changes(&self, entry: &Entry<'_>) -> bool {
        match entry {
            Entry::Ticks { .. } => self.is_base,
            Entry::Touches { touches, .. } => touches.len() > self.most_touches(),
            _ => false,
        }
    }

    /// Whether an entry, to whose value that run was the last one to contribute, is to be in the merged run.
    #[inline(always)]
    fn stays(&self, entry: &Entry<'_>, run: usize) -> bool {
        let says_nothing = match entry {
            Entry::Count { change, .. } => *change == 0,
            Entry::Ticks { changes, .. } => changes.is_empty(),
            // The newest interval may have removed what the one after it still tells of: of two threads that were at work while an
            // interval ended, one may be in the older one and have done its work after the other. See `journal`.
            Entry::Latest { words, .. } => self.is_base && words.is_empty() && run + 1 < self.cursors.len(),
            entry => self.is_base && entry.is_tombstone(),
        };
        !says_nothing && (!self.is_base || self.fold.is_none_or(|fold| fold.keeps(entry, self.newest)))
    }
}

/// The newest time that is known with an entry.
fn newest(entry: &Entry<'_>, before: u64) -> u64 {
    if let Entry::Meta { name: META_NEWEST, value } = entry { *value } else { before }
}
