//! Where an event's id and rows are, looked up in stages: each cache line is asked for as soon as its address is known, and read
//! a stage later.
//!
//! ```text
//! begin       its window; the bucket of its id is asked for
//! fetch_line  the line of the index where its key belongs is asked for
//! fetch_row   that line is read, and the row that it most likely names asked for
//! find_rows   that row is compared, and the register of its user asked for
//! record      it is written down where there is a journal, its id is looked for, its amounts are added, and its user where the
//!             register may rise
//! ```
//!
//! A single event goes through the stages while it is decoded. The events of a list go through each stage together.

use super::Meter;
use super::event::Event;
use super::stored::Stored;
use super::window::{RowRefs, Window};
use crate::dedupe::Id;
use crate::error::{Error, check_time};
use crate::journal::Scribe;
use crate::key::HashedKey;
use crate::sync::hazard::Protected;
use crate::table::{Line, RowRef};
use crate::windows::OpenWindows;

/// The windows of a meter that are open, protected by a hazard pointer: whoever closes windows waits until this is dropped.
pub struct Recording<'m> {
    pub(super) meter: &'m Meter,
    /// Before the windows: what is written down of them is whole by the time that they can be closed.
    pub(super) writing: Writing<'m>,
    pub(super) open: Protected<'m, OpenWindows<Window>>,
}

/// Whether what is recorded is written down.
pub(super) enum Writing<'m> {
    /// There is no journal.
    Not,
    /// It is.
    By(Scribe<'m>, &'m Stored),
    /// There is no room, and nothing may be recorded.
    Busy,
}

impl Meter {
    /// Protects the windows that are open, so that an event can be looked up while it is decoded.
    #[inline(always)]
    pub fn protect(&self) -> Recording<'_> {
        match &self.stored {
            None => Recording { meter: self, writing: Writing::Not, open: self.windows.protect() },
            Some(stored) => self.protect_and_begin(stored),
        }
    }

    #[inline(never)]
    fn protect_and_begin<'m>(&'m self, stored: &'m Stored) -> Recording<'m> {
        let (scribe, open) = self.windows.begin_and_protect(&stored.part);
        let writing = scribe.map_or(Writing::Busy, |scribe| Writing::By(scribe, stored));
        Recording { meter: self, writing, open }
    }

    /// The same for an event with the hash of that id: its bucket is asked for before the fence of the hazard pointer.
    #[inline(always)]
    pub fn protect_for(&self, id: Option<u64>) -> Recording<'_> {
        if let (Some(dedupe), Some(hash)) = (&self.dedupe, id) {
            dedupe.fetch_id(hash);
        }
        self.protect()
    }
}

impl Recording<'_> {
    /// Begins to look up an event of a time and the hash of an id.
    ///
    /// # Errors
    /// [`Error::Time`].
    #[inline(always)]
    pub fn begin(&self, at: u64, id: Option<u64>) -> Result<Lookup<'_>, Error> {
        check_time(at)?;
        Ok(self.begin_checked(at, id))
    }

    /// The same for a time that was checked.
    #[inline(always)]
    pub(super) fn begin_checked(&self, at: u64, id: Option<u64>) -> Lookup<'_> {
        let id = match (&self.meter.dedupe, id) {
            (Some(dedupe), Some(hash)) => Some(dedupe.fetch_id(hash)),
            _ => None,
        };
        let window = self.open.find_at(at);
        Lookup { recording: self, at, id, window, line: None, row: None, rows: RowRefs::default() }
    }
}

/// An event that is looked up.
pub struct Lookup<'r> {
    pub(super) recording: &'r Recording<'r>,
    pub(super) at: u64,
    pub(super) id: Option<Id>,
    /// Its window, if that is open.
    pub(super) window: Option<&'r Window>,
    line: Option<&'r Line>,
    /// Where the row of its counters most likely is.
    row: Option<RowRef<'r>>,
    pub(super) rows: RowRefs<'r>,
}

impl Lookup<'_> {
    /// Its key has that hash.
    #[inline(always)]
    pub fn fetch_line(&mut self, hash: u64) {
        self.line = self.window.and_then(|window| window.fetch_line(hash));
    }

    /// Its key is that one, most likely: it is compared in a later stage.
    #[inline(always)]
    pub fn fetch_row(&mut self, key: HashedKey<'_>) {
        if let (Some(window), Some(line)) = (self.window, self.line) {
            self.row = window.fetch_row(line, key.hash, key.words.len());
        }
    }

    #[inline(always)]
    pub(super) fn find_rows(&mut self, event: &Event<'_>) {
        if let Some(window) = self.window {
            self.rows = window.find(event.key, event.user, self.row);
        }
    }
}
