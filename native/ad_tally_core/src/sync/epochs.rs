//! Epochs: each piece of work is wholly in one, and to end an epoch is to begin another and wait until nobody is in the old one.
//!
//! The same protocol as that of [`Current`](super::hazard::Current), by a second hazard pointer of the slot: a thread may be in an
//! epoch and protect a structure at once. Unlike a structure, an epoch is *entered again* by what is done within other work: that
//! is in the same epoch, even where another one has begun meanwhile, so no end of an epoch splits the work.

use std::ops::Deref;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::hazard::{Current, Protected};
#[cfg(not(loom))]
use super::hazard_slot::of_threads;
use super::hazard_slot::{HazardSlot, Registry};
use crate::sync::{AtomicPtr, fence};

/// Epochs one after the other, of which one is current.
pub struct Epochs<T> {
    current: AtomicPtr<T>,
    /// No others have it, and none is 0.
    number: usize,
}

// SAFETY: they own the current epoch, which is shared with whoever enters it and handed out when it ends.
unsafe impl<T: Send + Sync> Send for Epochs<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Epochs<T> {}

impl<T: Send + Sync> Epochs<T> {
    /// Begins with an epoch that holds `first`.
    pub fn new(first: T) -> Self {
        // Not one of loom's: it orders nothing.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Relaxed);
        Self { current: AtomicPtr::new(Box::into_raw(Box::new(first))), number }
    }

    /// Enters the current epoch by `slot` until the guard is dropped.
    ///
    /// # Safety
    /// The calling thread claimed `slot`, and is in no epoch by it.
    #[inline]
    pub unsafe fn enter_by<'a>(&'a self, slot: &'a HazardSlot) -> Entered<'a, T> {
        slot.epochs.store(self.number, Relaxed);
        let mut epoch = self.current.load(Acquire);
        loop {
            slot.epoch.store(epoch.cast(), Release);
            fence(SeqCst);
            let now = self.current.load(Acquire);
            if now == epoch {
                return Entered { epoch, slot, temporary: false, again: false };
            }
            epoch = now;
        }
    }

    /// Enters once more the epoch that the thread is in by `slot`. `None` where that is none of these.
    ///
    /// # Safety
    /// The calling thread claimed `slot`.
    pub unsafe fn enter_again<'a>(&'a self, slot: &'a HazardSlot) -> Option<Entered<'a, T>> {
        let epoch = slot.epoch.load(Relaxed);
        if epoch.is_null() || slot.epochs.load(Relaxed) != self.number {
            return None;
        }
        slot.entered_again.store(slot.entered_again.load(Relaxed) + 1, Relaxed);
        Some(Entered { epoch: epoch.cast(), slot, temporary: false, again: true })
    }

    /// Enters the current epoch and protects a current structure, by one fence instead of two: what was asked for before a fence is
    /// waited for at it.
    ///
    /// # Safety
    /// The calling thread claimed `slot`, is in no epoch by it and protects nothing by it.
    #[inline]
    pub unsafe fn enter_and_protect_by<'a, S: Send + Sync>(
        &'a self,
        current: &'a Current<S>,
        slot: &'a HazardSlot,
    ) -> (Entered<'a, T>, Protected<'a, S>) {
        slot.epochs.store(self.number, Relaxed);
        let (mut epoch, mut pointer) = (self.current.load(Acquire), current.pointer());
        loop {
            slot.epoch.store(epoch.cast(), Release);
            slot.hazard.store(pointer.cast(), Release);
            fence(SeqCst);
            let now = (self.current.load(Acquire), current.pointer());
            if now == (epoch, pointer) {
                // SAFETY: the slot names it, and it was current after the fence.
                let protected = unsafe { current.protected(pointer, slot) };
                return (Entered { epoch, slot, temporary: false, again: false }, protected);
            }
            (epoch, pointer) = now;
        }
    }

    /// Ends the current epoch and begins another one, which holds `fresh`: returns what the old one holds, once nobody is in it.
    ///
    /// # Panics
    /// If the calling thread is in the current one by its own slot, and nothing has changed.
    pub fn end(&self, fresh: T, registry: &Registry) -> T {
        #[cfg(not(loom))]
        assert!(
            !of_threads::is_in(self.current.load(Relaxed).cast()),
            "a thread must not wait for itself to leave an epoch"
        );
        let old = self.current.swap(Box::into_raw(Box::new(fresh)), AcqRel);
        registry.wait_until_left(old.cast());
        // SAFETY: from `Box::into_raw`, nobody can enter it any more, and nobody is in it.
        *unsafe { Box::from_raw(old) }
    }
}

impl<T> Drop for Epochs<T> {
    fn drop(&mut self) {
        // SAFETY: from `Box::into_raw`. Nobody is in it: a guard borrows these epochs.
        drop(unsafe { Box::from_raw(self.current.load(Acquire)) });
    }
}

/// An epoch that the thread is in, with what it holds.
pub struct Entered<'a, T> {
    // A pointer, so neither `Send` nor `Sync`: a slot is its thread's.
    epoch: *const T,
    slot: &'a HazardSlot,
    temporary: bool,
    again: bool,
}

impl<'a, T> Entered<'a, T> {
    /// Whether the thread was in the epoch before.
    #[inline]
    pub fn is_again(&self) -> bool {
        self.again
    }

    /// The slot by which it was entered.
    #[inline]
    pub fn slot(&self) -> &'a HazardSlot {
        self.slot
    }
}

impl<T> Deref for Entered<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot names it until this guard and all that entered it again are dropped, so `end` does not return it.
        unsafe { &*self.epoch }
    }
}

impl<T> Drop for Entered<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let again = self.slot.entered_again.load(Relaxed);
        if again > 0 {
            // Whichever guard is dropped last leaves the epoch.
            self.slot.entered_again.store(again - 1, Relaxed);
            return;
        }
        // What was written is visible to whoever sees the slot cleared.
        self.slot.epoch.store(ptr::null_mut(), Release);
        if self.temporary {
            // SAFETY: `enter_by_another` claimed it for this guard alone, by which nobody could enter again.
            unsafe { self.slot.release() };
        }
    }
}

#[cfg(not(loom))]
impl<T: Send + Sync> Epochs<T> {
    /// Enters the current epoch until the guard is dropped, or once more the one that the thread is in.
    ///
    /// Within an epoch of others, and at the end of a thread, each guard has a slot of its own: those are in one epoch only
    /// by chance.
    #[inline]
    pub fn enter(&self) -> Entered<'_, T> {
        let own = of_threads::own();
        match own.filter(|slot| slot.epoch.load(Relaxed).is_null()) {
            // SAFETY: the slot is this thread's, and names no epoch.
            Some(slot) => unsafe { self.enter_by(slot) },
            None => self.enter_within(own),
        }
    }

    /// The same, and protects a current structure.
    #[inline]
    pub fn enter_and_protect<'a, S: Send + Sync>(
        &'a self,
        current: &'a Current<S>,
    ) -> (Entered<'a, T>, Protected<'a, S>) {
        match of_threads::free().filter(|slot| slot.epoch.load(Relaxed).is_null()) {
            // SAFETY: the slot is this thread's, and names neither.
            Some(slot) => unsafe { self.enter_and_protect_by(current, slot) },
            None => (self.enter(), current.protect()),
        }
    }

    #[cold]
    fn enter_within<'a>(&'a self, own: Option<&'a HazardSlot>) -> Entered<'a, T> {
        // SAFETY: the slot is this thread's.
        own.and_then(|slot| unsafe { self.enter_again(slot) }).unwrap_or_else(|| {
            // SAFETY: claimed here, for this guard alone.
            let mut entered = unsafe { self.enter_by(super::hazard::REGISTRY.claim()) };
            entered.temporary = true;
            entered
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::sync::hazard::{Current, REGISTRY};

    fn enter(epochs: &Epochs<u32>) -> Entered<'_, u32> {
        epochs.enter()
    }

    #[test]
    fn what_is_entered_within_an_epoch_is_in_it_and_left_by_the_last() {
        let epochs = Epochs::new(1);
        let outer = enter(&epochs);
        let inner = enter(&epochs);
        assert!(!outer.is_again() && inner.is_again());
        assert!(ptr::eq(outer.slot, inner.slot) && (*outer, *inner) == (1, 1));
        drop(outer);
        assert!(catch_unwind(AssertUnwindSafe(|| epochs.end(2, &REGISTRY))).is_err(), "the inner one is in it");
        assert_eq!(*enter(&epochs), 1);
        drop(inner);
        assert_eq!((epochs.end(2, &REGISTRY), *enter(&epochs)), (1, 2));
    }

    #[test]
    fn an_epoch_of_others_is_entered_by_a_slot_of_its_own() {
        let (ones, twos) = (Epochs::new(1), Epochs::new(2));
        let first = enter(&ones);
        let second = enter(&twos);
        assert!(second.temporary && !ptr::eq(first.slot, second.slot));
        assert_eq!((*first, *second), (1, 2));
        assert!(!second.is_again());
    }

    #[test]
    fn an_epoch_that_ends_meanwhile_is_the_same_for_whoever_is_in_it() {
        let epochs = Epochs::new(1);
        let outer = enter(&epochs);
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| epochs.end(2, &REGISTRY));
            while scope.spawn(|| *enter(&epochs)).join().expect("no panic") == 1 {}
            assert_eq!(*enter(&epochs), 1, "within the outer one");
            drop(outer);
            assert_eq!(ended.join().expect("no panic"), 1);
        });
        assert_eq!(*enter(&epochs), 2);
    }

    #[test]
    fn a_thread_is_in_an_epoch_and_protects_a_structure_by_one_slot() {
        let (epochs, current) = (Epochs::new(1), Current::new(std::sync::Arc::new(2)));
        let entered = enter(&epochs);
        let protected = current.protect();
        assert!(ptr::eq(entered.slot, protected.slot()));
    }
}
