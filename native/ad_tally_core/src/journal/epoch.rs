//! What is written between two cuts: a buffer of each thread.

use super::buffer::Buffer;
use crate::sync::{Mutex, Watched};

pub(super) struct Epoch {
    /// By the number of the slot that a thread has entered the epoch by.
    buffers: Box<[OwnBuffer]>,
    /// Of all slots that are newer than the epoch, and too many for its spare buffers.
    shared: Mutex<Buffer>,
}

/// Two cache lines, because the prefetcher fetches lines in pairs.
#[repr(align(128))]
struct OwnBuffer(Watched<Buffer>);

// SAFETY: a buffer is changed only by the thread that has its slot, as `with_buffer` demands, and read once the epoch has ended.
unsafe impl Sync for Epoch {}

impl Epoch {
    /// With a buffer for each of so many slots.
    pub(super) fn new(slots: usize) -> Self {
        let own = || OwnBuffer(Watched::new(Buffer::default()));
        Self { buffers: (0..slots).map(|_| own()).collect(), shared: Mutex::new(Buffer::default()) }
    }

    /// The buffer of a slot.
    ///
    /// # Safety
    /// The calling thread has claimed the slot of that number, and `act` does not come back here.
    #[inline(always)]
    pub(super) unsafe fn with_buffer<R>(&self, slot: usize, act: impl FnOnce(&mut Buffer) -> R) -> R {
        match self.buffers.get(slot) {
            // SAFETY: no other thread has the slot, and this one has no other reference to its buffer.
            Some(own) => own.0.with_mut(|buffer| act(unsafe { &mut *buffer })),
            None => act(&mut self.shared.lock()),
        }
    }

    /// Those that have memory, once it has ended.
    pub(super) fn into_buffers(self) -> Vec<Buffer> {
        let own = self.buffers.into_iter().map(|own| own.0.into_inner());
        own.chain([std::mem::take(&mut *self.shared.lock())]).filter(Buffer::has_chunks).collect()
    }
}
