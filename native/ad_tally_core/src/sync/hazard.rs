//! Swapping a structure for a fresh one while other threads write to it, so that every write lands in exactly one.
//!
//! A writer *pins* the current structure while it works on it: it publishes the pointer in a slot of its own
//! thread and looks again whether that is still the current one. A closer swaps the current pointer and then waits
//! until no slot names the old one. After that nobody writes to the old structure or will again: what it holds is
//! final, and it can be read without synchronisation and freed.
//!
//! ```text
//! writer                                    closer
//!   p = current                               old = current.swap(fresh)
//!   slot = p                                  fence
//!   fence                                     for every slot: wait while slot == old
//!   current == p ?  no: again with the new    old is final
//!   write to *p
//!   slot = null
//! ```
//!
//! Either the writer's second look sees the fresh pointer, or the closer's look at the slot sees `p`: the fences
//! forbid that both miss. A slot is written by one thread only and read by closers only, so pinning moves no
//! cache line between cores.
//!
//! Both fences are `SeqCst`. Letting the kernel run the writers' fence on the closer's request (`membarrier`) was tried:
//! an add took 0.3 ns less, which is not worth a second protocol.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, fence, spin_loop, yield_now};

/// A thread's place to say what it is working on. Two cache lines, because the prefetcher fetches lines in pairs.
#[repr(align(128))]
pub struct HazardSlot {
    pinned: AtomicPtr<()>,
    claimed: AtomicBool,
    id: usize,
    next: *const HazardSlot,
}

// SAFETY: `next` is written before the slot is shared and never again; the rest is atomic or immutable.
unsafe impl Sync for HazardSlot {}
// SAFETY: as above, a slot belongs to no thread by its memory.
unsafe impl Send for HazardSlot {}

impl HazardSlot {
    /// A small number that no other claimed slot has.
    pub fn id(&self) -> usize {
        self.id
    }

    /// Gives the slot back, for another thread to claim.
    ///
    /// # Safety
    /// Only the thread that claimed it may, once, with nothing pinned, and it must not use the slot afterwards.
    pub unsafe fn release(&self) {
        // Whoever claims it next sees all that was written under this slot's id.
        self.claimed.store(false, Release);
    }
}

/// All slots there are. A slot is never freed: there are as many as threads were ever at work at once.
pub struct Registry {
    head: AtomicPtr<HazardSlot>,
    count: AtomicUsize,
}

impl Registry {
    /// A registry without slots.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), count: AtomicUsize::new(0) }
    }

    /// A registry without slots.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), count: AtomicUsize::new(0) }
    }

    /// How many slots there are.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// A slot for the calling thread alone, until it is released.
    pub fn claim(&self) -> &'static HazardSlot {
        let mut next = self.head.load(Acquire);
        // SAFETY: the list is of leaked slots, linked before they were published.
        while let Some(slot) = unsafe { next.as_ref() } {
            if !slot.claimed.load(Relaxed) && slot.claimed.compare_exchange(false, true, Acquire, Relaxed).is_ok() {
                return slot;
            }
            next = slot.next.cast_mut();
        }

        let slot = Box::into_raw(Box::new(HazardSlot {
            pinned: AtomicPtr::new(ptr::null_mut()),
            claimed: AtomicBool::new(true),
            id: self.count.fetch_add(1, Relaxed),
            next: ptr::null(),
        }));
        let mut head = self.head.load(Relaxed);
        loop {
            // SAFETY: the slot is not published yet, so this thread alone knows it.
            unsafe { (*slot).next = head };
            match self.head.compare_exchange(head, slot, AcqRel, Relaxed) {
                // SAFETY: leaked above, so it lives as long as the program.
                Ok(_) => return unsafe { &*slot },
                Err(now) => head = now,
            }
        }
    }

    /// Returns once no slot names `pointer`, which must no longer be anyone's current one.
    fn wait_until_unprotected(&self, pointer: *mut ()) {
        fence(SeqCst);
        let mut next = self.head.load(Acquire).cast_const();
        // SAFETY: as in `claim`.
        while let Some(slot) = unsafe { next.as_ref() } {
            let mut looks = 0_u32;
            while slot.pinned.load(Acquire) == pointer {
                // A pin seldom lasts for microseconds unless its thread was descheduled: then this one must not take its core.
                looks += 1;
                if looks.is_multiple_of(64) { yield_now() } else { spin_loop() }
            }
            next = slot.next;
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

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

    /// Pins the current structure in `slot` until the guard is dropped.
    ///
    /// # Safety
    /// The calling thread claimed `slot`, and has nothing pinned in it.
    #[inline]
    pub unsafe fn protect_in<'a>(&'a self, slot: &'a HazardSlot) -> Protected<'a, T> {
        let mut pointer = self.pointer.load(Acquire);
        loop {
            slot.pinned.store(pointer.cast(), Release);
            fence(SeqCst);
            let now = self.pointer.load(Acquire);
            if now == pointer {
                return Protected { pointer, slot, temporary: false, owner: PhantomData };
            }
            pointer = now;
        }
    }

    /// Makes `fresh` the current structure and returns the one before it, once no thread works on that any more.
    ///
    /// # Panics
    /// If the calling thread has the current one pinned in its own slot, and nothing has changed. (One that it has pinned within
    /// another, or at its end, is not seen: it waits for itself.)
    pub fn replace(&self, fresh: Arc<T>, registry: &Registry) -> Arc<T> {
        // Before anything has changed. What this thread has pinned may stop being current meanwhile, and will not be again.
        #[cfg(not(loom))]
        assert!(
            !thread_slots::is_named(self.pointer.load(Relaxed).cast()),
            "a thread must not wait for what it has pinned itself"
        );
        let old = self.pointer.swap(Arc::into_raw(fresh).cast_mut(), AcqRel);
        registry.wait_until_unprotected(old.cast());
        // SAFETY: the pointer came from `Arc::into_raw`, and the swap took this `Current`'s only claim to it.
        unsafe { Arc::from_raw(old) }
    }
}

impl<T> Drop for Current<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Arc::into_raw` and is this `Current`'s to drop. Nothing is pinned:
        // a guard borrows the `Current`.
        drop(unsafe { Arc::from_raw(self.pointer.load(Acquire)) });
    }
}

/// The structure that was current when it was pinned. It outlives the guard's borrow: nobody frees what is pinned.
pub struct Protected<'a, T> {
    pointer: *mut T,
    slot: &'a HazardSlot,
    temporary: bool,
    // Neither `Send` nor `Sync`: a slot is its thread's.
    owner: PhantomData<*const &'a T>,
}

impl<T> Protected<'_, T> {
    /// The slot it is pinned in.
    #[inline]
    pub fn slot(&self) -> &HazardSlot {
        self.slot
    }

    /// A share in the structure that lasts longer than the pin.
    pub fn to_arc(&self) -> Arc<T> {
        // SAFETY: the pointer came from `Arc::into_raw`, and while it is pinned the `Arc` it stands for is not dropped:
        // `replace` hands that one out only after every slot has let go.
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
        // SAFETY: while the slot names the pointer, `replace` does not return it, so it is neither dropped nor final.
        unsafe { &*self.pointer }
    }
}

impl<T> Drop for Protected<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // What was written is visible to the closer that sees the slot empty.
        self.slot.pinned.store(ptr::null_mut(), Release);
        if self.temporary {
            // SAFETY: `pin` claimed it for this guard alone.
            unsafe { self.slot.release() };
        }
    }
}

#[cfg(not(loom))]
pub use thread_slots::{REGISTRY, thread_number};

#[cfg(not(loom))]
mod thread_slots {
    use std::cell::Cell;

    use super::*;

    /// The slots of this program's threads.
    pub static REGISTRY: Registry = Registry::new();

    struct ThreadSlot(&'static HazardSlot);

    impl ThreadSlot {
        fn claim() -> Self {
            let slot = REGISTRY.claim();
            OWN.set(Some(slot));
            Self(slot)
        }
    }

    impl Drop for ThreadSlot {
        fn drop(&mut self) {
            OWN.set(None);
            // SAFETY: this thread claimed it in `claim` and is ending.
            unsafe { self.0.release() };
        }
    }

    thread_local! {
        static SLOT: ThreadSlot = ThreadSlot::claim();
        /// The same while there is one: whoever only wants to know that does not claim one.
        static OWN: Cell<Option<&'static HazardSlot>> = const { Cell::new(None) };
    }

    /// A small number that no other thread has meanwhile. None of a thread that is ending.
    #[inline]
    pub fn thread_number() -> Option<usize> {
        SLOT.try_with(|own| own.0.id()).ok()
    }

    /// Whether this thread names it in its own slot, if it has one.
    pub(super) fn is_named(pointer: *mut ()) -> bool {
        OWN.get().is_some_and(|slot| slot.pinned.load(Relaxed) == pointer)
    }

    #[cfg(test)]
    pub(super) fn is_without_slot() -> bool {
        OWN.get().is_none()
    }

    impl<T: Send + Sync> Current<T> {
        /// Pins the current structure until the guard is dropped. Pins may be nested.
        #[inline]
        pub fn protect(&self) -> Protected<'_, T> {
            match SLOT.try_with(|own| own.0).ok().filter(|slot| slot.pinned.load(Relaxed).is_null()) {
                // SAFETY: the slot is this thread's, and names nothing.
                Some(slot) => unsafe { self.protect_in(slot) },
                None => self.protect_in_another(),
            }
        }

        /// A pin within another, or one at the end of a thread, takes a slot for itself.
        #[cold]
        fn protect_in_another(&self) -> Protected<'_, T> {
            // SAFETY: claimed here, for this guard alone.
            let mut pinned = unsafe { self.protect_in(REGISTRY.claim()) };
            pinned.temporary = true;
            pinned
        }
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
    fn a_pin_within_another_takes_a_slot_for_itself() {
        let (outer, inner) = (current(1), current(2));
        let first = outer.protect();
        let second = inner.protect();
        assert!(!first.temporary && second.temporary && !ptr::eq(first.slot, second.slot));
        assert_eq!((*first, *second), (1, 2));
    }

    #[test]
    fn who_replaces_claims_no_slot() {
        let current = current(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(*current.replace(Arc::new(2), &REGISTRY), 1);
                assert!(thread_slots::is_without_slot());
                drop(current.protect());
                assert!(!thread_slots::is_without_slot());
            });
        });
    }

    #[test]
    fn a_thread_never_waits_for_itself() {
        let current = current(1);
        let protected = current.protect();
        assert!(catch_unwind(AssertUnwindSafe(|| current.replace(Arc::new(2), &REGISTRY))).is_err());
        drop(protected);
        assert_eq!(*current.replace(Arc::new(2), &REGISTRY), 1);
    }
}
