//! The atomics that the concurrent parts are built on: the standard ones, or loom's when a model is checked.

pub mod epochs;
pub mod hazard;
mod hazard_slot;
#[cfg(not(loom))]
pub(crate) mod last_seen;
#[cfg(not(loom))]
pub(crate) mod prefetch;
#[cfg(not(loom))]
pub(crate) mod sharded_counter;

#[cfg(not(loom))]
pub(crate) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, fence},
    thread::yield_now,
};

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;

/// A cell that is told of every access, for loom to see those that race.
#[cfg(not(loom))]
pub(crate) struct Watched<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Watched<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Hands out the pointer to what it holds, to be changed.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, act: impl FnOnce(*mut T) -> R) -> R {
        act(self.0.get())
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell as Watched;

#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, fence},
    thread::yield_now,
};

/// loom's lock with the face of `parking_lot`'s: a thread that waits for a real one would stop the whole model.
#[cfg(loom)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no thread of a model panics with the lock held")
    }
}

/// A lock of a line is held for nanoseconds unless its thread was put aside: then whoever waits must not take its core.
#[cold]
pub(crate) fn wait(looks: &mut u32) {
    *looks += 1;
    if looks.is_multiple_of(64) || cfg!(loom) { yield_now() } else { spin_loop() }
}
