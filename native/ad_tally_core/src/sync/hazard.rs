//! Hazard pointers, and swapping a structure under them: every write lands in exactly one structure.
//!
//! M. M. Michael, "Hazard Pointers: Safe Memory Reclamation for Lock-Free Objects", IEEE Transactions on Parallel and Distributed
//! Systems 15(6), 2004. There a hazard pointer keeps what a thread reads from being freed; here it also keeps what a thread writes
//! to from being final. There is one structure a [`Current`], so a closer waits for the hazard pointers on it instead of keeping
//! a list of what is still to be freed.
//!
//! A writer *protects* the current structure while it works on it: it publishes the pointer in the hazard slot of its thread and
//! reads again whether that still is the current one. A closer swaps the current pointer and then waits until no hazard pointer
//! names the old one. After that nobody writes to the old structure or will again: what it holds is final, and it can be read
//! without synchronisation and freed.
//!
//! ```text
//! writer                                      closer
//!   p = current                                 old = current.swap(fresh)
//!   hazard = p                                  fence
//!   fence                                       for every slot: wait while hazard == old
//!   current == p ?  no: again with the new      old is final
//!   write to *p
//!   hazard = null
//! ```
//!
//! Either the writer's second read sees the fresh pointer, or the closer's read of the slot sees `p`: the fences forbid that both
//! miss. A slot is written by one thread only and read by closers only, so protecting moves no cache line between cores.
//!
//! Both fences are `SeqCst`. Letting the kernel run the writers' fence on the closer's request (`membarrier`) was tried: an add took
//! 0.3 ns less, which is not worth a second protocol.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
#[cfg(not(loom))]
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};

#[cfg(not(loom))]
use super::hazard_slot::of_threads;
pub use super::hazard_slot::{HazardSlot, Registry};
#[cfg(not(loom))]
pub use super::hazard_slot::{REGISTRY, thread_number};
use crate::sync::{AtomicPtr, fence};

/// The structure that writers work on now.
pub struct Current<T> {
    pointer: AtomicPtr<T>,
    owner: PhantomData<Arc<T>>,
}

impl<T: Send + Sync> Current<T> {
    /// Begins with `first`.
    pub fn new(first: Arc<T>) -> Self {
        Self { pointer: AtomicPtr::new(Arc::into_raw(first).cast_mut()), owner: PhantomData }
    }

    /// Protects the current structure by `slot` until the guard is dropped.
    ///
    /// # Safety
    /// The calling thread claimed `slot`, and protects nothing by it.
    #[inline]
    pub unsafe fn protect_in<'a>(&'a self, slot: &'a HazardSlot) -> Protected<'a, T> {
        let mut pointer = self.pointer.load(Acquire);
        loop {
            slot.hazard.store(pointer.cast(), Release);
            fence(SeqCst);
            let now = self.pointer.load(Acquire);
            if now == pointer {
                return Protected { pointer, slot, temporary: false, owner: PhantomData };
            }
            pointer = now;
        }
    }

    /// The current structure, which is not protected.
    #[inline(always)]
    pub(super) fn pointer(&self) -> *mut T {
        self.pointer.load(Acquire)
    }

    /// A guard of a structure that is protected.
    ///
    /// # Safety
    /// `slot` names it, and it was the current one of these after the fence behind that. The calling thread claimed `slot`.
    #[inline(always)]
    pub(super) unsafe fn protected<'a>(&'a self, pointer: *mut T, slot: &'a HazardSlot) -> Protected<'a, T> {
        Protected { pointer, slot, temporary: false, owner: PhantomData }
    }

    /// Makes `fresh` the current structure and returns the one before it, once no hazard pointer names that any more.
    ///
    /// # Panics
    /// If the calling thread protects the current one by its own slot, and nothing has changed. (One that it protects within
    /// another, or at its end, is not seen: it waits for itself.)
    pub fn replace(&self, fresh: Arc<T>, registry: &Registry) -> Arc<T> {
        // Before anything has changed. What this thread protects may stop being current meanwhile, and will not be again.
        #[cfg(not(loom))]
        assert!(
            !of_threads::is_protected(self.pointer.load(Relaxed).cast()),
            "a thread must not wait for what it protects itself"
        );
        let old = self.pointer.swap(Arc::into_raw(fresh).cast_mut(), AcqRel);
        registry.wait_until_unprotected(old.cast());
        // SAFETY: the pointer came from `Arc::into_raw`, and the swap took this `Current`'s only claim to it.
        unsafe { Arc::from_raw(old) }
    }
}

impl<T> Drop for Current<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Arc::into_raw` and is this `Current`'s to drop. Nothing is protected:
        // a guard borrows the `Current`.
        drop(unsafe { Arc::from_raw(self.pointer.load(Acquire)) });
    }
}

/// The structure that was current when it was protected. It outlives the guard's borrow: nobody frees what is protected.
pub struct Protected<'a, T> {
    pointer: *mut T,
    slot: &'a HazardSlot,
    temporary: bool,
    // Neither `Send` nor `Sync`: a slot is its thread's.
    owner: PhantomData<*const &'a T>,
}

impl<T> Protected<'_, T> {
    /// The slot it is protected by.
    #[inline]
    pub fn slot(&self) -> &HazardSlot {
        self.slot
    }

    /// A share in the structure that lasts longer than the protection.
    pub fn to_arc(&self) -> Arc<T> {
        // SAFETY: the pointer came from `Arc::into_raw`, and while it is protected the `Arc` it stands for is not dropped:
        // `replace` hands that one out only after no hazard pointer names it.
        unsafe {
            Arc::increment_strong_count(self.pointer);
            Arc::from_raw(self.pointer)
        }
    }
}

impl<T> Deref for Protected<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: while the hazard pointer names it, `replace` does not return it, so it is neither dropped nor final.
        unsafe { &*self.pointer }
    }
}

impl<T> Drop for Protected<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // What was written is visible to the closer that sees the slot cleared.
        self.slot.hazard.store(ptr::null_mut(), Release);
        if self.temporary {
            // SAFETY: `protect_in_another` claimed it for this guard alone.
            unsafe { self.slot.release() };
        }
    }
}

#[cfg(not(loom))]
impl<T: Send + Sync> Current<T> {
    /// Protects the current structure until the guard is dropped. May be nested.
    #[inline]
    pub fn protect(&self) -> Protected<'_, T> {
        match of_threads::free() {
            // SAFETY: the slot is this thread's, and names nothing.
            Some(slot) => unsafe { self.protect_in(slot) },
            None => self.protect_in_another(),
        }
    }

    /// Within another, and at the end of a thread: by a slot of its own.
    #[cold]
    fn protect_in_another(&self) -> Protected<'_, T> {
        // SAFETY: claimed here, for this guard alone.
        let mut protected = unsafe { self.protect_in(REGISTRY.claim()) };
        protected.temporary = true;
        protected
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn current(value: u32) -> Current<u32> {
        Current::new(Arc::new(value))
    }

    #[test]
    fn protects_by_a_slot_of_its_own_within_another() {
        let (outer, inner) = (current(1), current(2));
        let first = outer.protect();
        let second = inner.protect();
        assert!(!first.temporary && second.temporary && !ptr::eq(first.slot, second.slot));
        assert_eq!((*first, *second), (1, 2));
    }

    #[test]
    fn replacing_claims_no_slot() {
        let current = current(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(*current.replace(Arc::new(2), &REGISTRY), 1);
                assert!(of_threads::is_without_slot());
                drop(current.protect());
                assert!(!of_threads::is_without_slot());
            });
        });
    }

    #[test]
    fn rejects_replacing_what_the_thread_protects_itself() {
        let current = current(1);
        let protected = current.protect();
        assert!(catch_unwind(AssertUnwindSafe(|| current.replace(Arc::new(2), &REGISTRY))).is_err());
        drop(protected);
        assert_eq!(*current.replace(Arc::new(2), &REGISTRY), 1);
    }
}
