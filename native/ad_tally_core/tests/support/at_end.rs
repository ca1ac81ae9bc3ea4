//! Threads that work until others are done, whether those have found what they should or have panicked.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Release;

/// Sets a flag when it is dropped.
pub struct AtEnd<'a>(pub &'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Release);
    }
}
