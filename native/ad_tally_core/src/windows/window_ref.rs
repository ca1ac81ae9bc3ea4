//! A share in a window, and the memory of those that are closed.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::memory::free;
use crate::sync::AtomicUsize;

/// A share in a window. When the last one is dropped the window is freed by a thread of its own: a list of thousands may be
/// dropped at once.
pub struct WindowRef<W: Send + Sync + 'static>(Option<Arc<W>>);

impl<W: Send + Sync> WindowRef<W> {
    pub(crate) fn new(window: Arc<W>) -> Self {
        Self(Some(window))
    }
}

impl<W: Send + Sync> Clone for WindowRef<W> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: Send + Sync> Deref for WindowRef<W> {
    type Target = W;

    fn deref(&self) -> &W {
        self.0.as_deref().unwrap_or_else(|| unreachable!("there until it is dropped"))
    }
}

impl<W: Send + Sync + 'static> Drop for WindowRef<W> {
    fn drop(&mut self) {
        // Of two that are dropped at the same time the last one may free the window itself.
        if let Some(window) = self.0.take().filter(|window| Arc::strong_count(window) == 1) {
            free::later(window);
        }
    }
}

/// What a closed window takes, counted among all that are closed until it is dropped. A window has one.
pub(crate) struct ClosedBytes {
    bytes: AtomicUsize,
    of_all: Arc<AtomicUsize>,
}

impl ClosedBytes {
    /// Of a window that is open: nothing yet.
    pub(crate) fn none(of_all: Arc<AtomicUsize>) -> Self {
        Self { bytes: AtomicUsize::new(0), of_all }
    }

    /// Has so many bytes be counted. Once, when nothing is written to the window any more.
    pub(crate) fn note(&self, bytes: usize) {
        self.bytes.store(bytes, Relaxed);
        self.of_all.fetch_add(bytes, Relaxed);
    }
}

impl Drop for ClosedBytes {
    fn drop(&mut self) {
        self.of_all.fetch_sub(*self.bytes.get_mut(), Relaxed);
    }
}
