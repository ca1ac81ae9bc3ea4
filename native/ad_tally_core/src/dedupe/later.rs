//! Quads that are to be copied to their rests a little later, when the line that those are in has come near.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

/// How many homes a thread keeps in mind: as many as it fills quads of while a line comes near.
const HOMES: usize = 4;

/// Of each thread the homes whose quads are whole. Only hints: what is forgotten here is copied when the next id is put there.
pub(super) struct Later(Box<[Homes]>);

#[repr(align(64))]
#[derive(Default)]
struct Homes {
    next: AtomicU64,
    /// Each one more than the number of a home, or 0.
    homes: [AtomicU64; HOMES],
}

impl Later {
    pub(super) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Homes::default()).collect())
    }

    /// Keeps a home in mind, for the thread of that number, which is the calling one's: the home that it has had longest, whose
    /// turn it is.
    #[inline(always)]
    pub(super) fn swap(&self, thread: usize, home: usize) -> Option<usize> {
        let own = self.0.get(thread)?;
        let next = own.next.load(Relaxed);
        own.next.store(next.wrapping_add(1), Relaxed);
        let place = &own.homes[next as usize % HOMES];
        let turn = place.load(Relaxed);
        place.store(home as u64 + 1, Relaxed);
        (turn as usize).checked_sub(1)
    }

    /// Memory beside itself.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
