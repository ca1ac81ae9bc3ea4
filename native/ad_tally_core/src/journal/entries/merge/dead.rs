//! What is to go: what goes with windows that are gone, and what older runs have of users who are to be forgotten.

use std::collections::{HashMap, HashSet};

use ahash::RandomState;

use crate::journal::{Entry, WindowState};

/// Windows and users of one part. Their entries come before all that goes with them.
#[derive(Debug, Default)]
pub(super) struct Dead {
    windows: HashSet<u64, RandomState>,
    /// With the newest run in which they are to be forgotten.
    users: HashMap<u64, usize, RandomState>,
}

impl Dead {
    pub(super) fn clear(&mut self) {
        self.windows.clear();
        self.users.clear();
    }

    /// Notes what an entry of a run has go.
    #[inline(always)]
    pub(super) fn note(&mut self, entry: &Entry<'_>, run: usize) {
        match entry {
            Entry::Window { instance, state: WindowState::Gone, .. } => {
                self.windows.insert(*instance);
            }
            Entry::Forgotten { owner } => {
                let newest = self.users.entry(*owner).or_default();
                *newest = run.max(*newest);
            }
            _ => {}
        }
    }

    /// Whether an entry of a run is to go.
    #[inline(always)]
    pub(super) fn has(&self, entry: &Entry<'_>, run: usize) -> bool {
        // Nothing is added to a window once it is gone, so it is no matter which run says so.
        !self.windows.is_empty() && entry.instance().is_some_and(|window| self.windows.contains(&window))
            || !self.users.is_empty()
                && entry.user().is_some_and(|user| self.users.get(&user).is_some_and(|newest| run < *newest))
    }
}
