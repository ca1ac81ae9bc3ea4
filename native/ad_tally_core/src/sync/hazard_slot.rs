//! Where hazard pointers lie: a slot for each thread, and all slots as a list that only grows.

use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

#[cfg(not(loom))]
pub use self::of_threads::{REGISTRY, thread_number};
use crate::sync::{AtomicBool, AtomicPtr, AtomicUsize, fence, wait};

/// A thread's hazard pointers: one to a structure, and one to an epoch, which it may be in at the same time. Two cache lines,
/// because the prefetcher fetches lines in pairs.
#[repr(align(128))]
pub struct HazardSlot {
    pub(super) hazard: AtomicPtr<()>,
    pub(super) epoch: AtomicPtr<()>,
    /// Which epochs that is one of. No other thread reads it.
    pub(super) epochs: AtomicUsize,
    /// How often the thread has entered that epoch and not left it, beyond the first time. No other thread reads it.
    pub(super) entered_again: AtomicUsize,
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
    /// Only the thread that claimed it may, once, with nothing protected, and it must not use the slot afterwards.
    pub unsafe fn release(&self) {
        // Whoever claims it next sees all that was written under this slot's id.
        self.claimed.store(false, Release);
    }
}

/// All hazard slots. A slot is never freed: there are as many as threads were ever at work at once.
#[derive(Default)]
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
            hazard: AtomicPtr::new(ptr::null_mut()),
            epoch: AtomicPtr::new(ptr::null_mut()),
            epochs: AtomicUsize::new(0),
            entered_again: AtomicUsize::new(0),
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

    /// Returns once no hazard pointer to a structure names `pointer`, which must no longer be anyone's current one.
    pub(super) fn wait_until_unprotected(&self, pointer: *mut ()) {
        self.wait_for_each(|slot| slot.hazard.load(Acquire) != pointer);
    }

    /// Returns once nobody is in that epoch, which must no longer be the current one.
    pub(super) fn wait_until_left(&self, epoch: *mut ()) {
        self.wait_for_each(|slot| slot.epoch.load(Acquire) != epoch);
    }

    fn wait_for_each(&self, is_done: impl Fn(&HazardSlot) -> bool) {
        fence(SeqCst);
        let mut next = self.head.load(Acquire).cast_const();
        // SAFETY: as in `claim`.
        while let Some(slot) = unsafe { next.as_ref() } {
            let mut spins = 0;
            while !is_done(slot) {
                wait(&mut spins);
            }
            next = slot.next;
        }
    }
}

#[cfg(not(loom))]
pub(in crate::sync) mod of_threads {
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

    /// The slot of this thread, if that is not ending and the slot protects nothing.
    #[inline]
    pub(in crate::sync) fn free() -> Option<&'static HazardSlot> {
        own().filter(|slot| slot.hazard.load(Relaxed).is_null())
    }

    /// The slot of this thread, if that is not ending.
    #[inline]
    pub(in crate::sync) fn own() -> Option<&'static HazardSlot> {
        SLOT.try_with(|own| own.0).ok()
    }

    /// A small number that no other thread has meanwhile. None of a thread that is ending.
    #[inline]
    pub fn thread_number() -> Option<usize> {
        SLOT.try_with(|own| own.0.id()).ok()
    }

    /// Whether this thread protects it by its own slot, if it has one.
    pub(in crate::sync) fn is_protected(pointer: *mut ()) -> bool {
        OWN.get().is_some_and(|slot| slot.hazard.load(Relaxed) == pointer)
    }

    /// Whether this thread is in that epoch by its own slot, if it has one.
    pub(in crate::sync) fn is_in(epoch: *mut ()) -> bool {
        OWN.get().is_some_and(|slot| slot.epoch.load(Relaxed) == epoch)
    }

    #[cfg(test)]
    pub(in crate::sync) fn is_without_slot() -> bool {
        OWN.get().is_none()
    }
}
