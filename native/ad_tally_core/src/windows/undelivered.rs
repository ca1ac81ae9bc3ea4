//! Windows that are closed and that not everybody has who is to have them. Where there is a journal they are kept until then: whoever
//! hands them on may end in between.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::window_ref::WindowRef;
use crate::sync::AtomicU64;

/// How a closed window is known to whoever gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its place among all that were closed.
    pub sequence: u64,
    /// Whether it was closed before its time.
    pub partial: bool,
    /// The node that closed it.
    pub node: Box<str>,
    /// When, in Unix milliseconds.
    pub closed_at: u64,
}

/// A window that is closed and not delivered.
pub struct Undelivered<W: Send + Sync + 'static> {
    /// The window.
    pub window: WindowRef<W>,
    /// The number of the configuration that it has its rows by.
    pub config: u32,
    /// When it begins.
    pub begin: u64,
    /// When it ends.
    pub end: u64,
    /// What it is known by, once it has a number.
    pub numbered: Option<Numbered>,
}

impl<W: Send + Sync> Clone for Undelivered<W> {
    fn clone(&self) -> Self {
        Self { window: self.window.clone(), numbered: self.numbered.clone(), ..*self }
    }
}

/// Those that are kept, by what the journal knows them by.
pub(crate) struct Kept<W: Send + Sync + 'static> {
    by_instance: Mutex<BTreeMap<u64, Undelivered<W>>>,
    /// The greatest number that a window was given.
    sequence: AtomicU64,
}

impl<W: Send + Sync> Default for Kept<W> {
    fn default() -> Self {
        Self { by_instance: Mutex::default(), sequence: AtomicU64::new(0) }
    }
}

impl<W: Send + Sync> Kept<W> {
    /// Keeps a window.
    pub(crate) fn keep(&self, instance: u64, undelivered: Undelivered<W>) {
        self.by_instance.lock().insert(instance, undelivered);
    }

    /// Gives a window a number, unless it has one; `write` is told of its configuration. Whether it was so.
    pub(crate) fn number(&self, instance: u64, numbered: Numbered, write: impl FnOnce(u32, &Numbered)) -> bool {
        let mut kept = self.by_instance.lock();
        let Some(undelivered) = kept.get_mut(&instance).filter(|kept| kept.numbered.is_none()) else { return false };
        write(undelivered.config, &numbered);
        self.pass_sequence(numbered.sequence);
        undelivered.numbered = Some(numbered);
        true
    }

    /// Keeps a window no longer. Whether it was kept.
    pub(crate) fn remove(&self, instance: u64) -> bool {
        self.by_instance.lock().remove(&instance).is_some()
    }

    /// Those with a number in the order of these, and then those that have none yet, from old to new.
    pub(crate) fn all(&self) -> Vec<Undelivered<W>> {
        let mut all: Vec<(u64, Undelivered<W>)> =
            self.by_instance.lock().iter().map(|(instance, kept)| (*instance, kept.clone())).collect();
        all.sort_by_key(|(instance, kept)| {
            (kept.numbered.as_ref().map_or(u64::MAX, |numbered| numbered.sequence), kept.begin, *instance)
        });
        all.into_iter().map(|(_, kept)| kept).collect()
    }

    /// The greatest number that a window was given.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Relaxed)
    }

    /// Notes that a window was given a number.
    pub(crate) fn pass_sequence(&self, sequence: u64) {
        self.sequence.fetch_max(sequence, Relaxed);
    }
}
