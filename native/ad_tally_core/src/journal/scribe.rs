//! Writing down what one event does.

use std::mem::MaybeUninit;

use super::buffer::{Buffer, write_whole};
use super::epoch::Epoch;
use super::pool::Pool;
use super::words::Words;
use crate::sync::epochs::Entered;

/// The right to write down what an event does, all of it into one interval. When it is dropped the event is whole; where one was
/// begun within another of the same journal, when the last of them is dropped.
pub struct Scribe<'j> {
    epoch: Entered<'j, Epoch>,
    pool: &'j Pool,
}

impl<'j> Scribe<'j> {
    #[inline(always)]
    pub(super) fn new(epoch: Entered<'j, Epoch>, pool: &'j Pool) -> Self {
        Self { epoch, pool }
    }

    /// Writes one record of a part: its kind and as many words as `write` pushes. It may be read once this has returned.
    ///
    /// # Panics
    /// If `write` does not push exactly `words`. There is no record then.
    #[inline(always)]
    pub fn record(&self, part: u16, kind: u8, words: usize, write: impl FnOnce(&mut Words<'_>)) {
        let Some(header) = self.with_buffer(|buffer| buffer.take_room(words, self.pool)) else {
            return throw_away(words, write);
        };
        // SAFETY: room was taken for that many words behind the header, for this record alone. The chunk it lies in is freed only
        // with the epoch, which this thread is in.
        let room = unsafe { std::slice::from_raw_parts_mut(header.add(1).cast::<MaybeUninit<u64>>().as_ptr(), words) };
        let mut pushed = Words::new(room);
        write(&mut pushed);
        pushed.finish();
        // SAFETY: all are pushed, and the epoch is there.
        unsafe { write_whole(header, part, kind, words) };
        self.with_buffer(Buffer::note_whole);
    }

    #[inline(always)]
    fn with_buffer<R>(&self, act: impl FnOnce(&mut Buffer) -> R) -> R {
        let slot = self.epoch.slot().id();
        // SAFETY: this thread has claimed the slot by which it entered the epoch.
        unsafe { self.epoch.with_buffer(slot, act) }
    }
}

/// Nobody reads what is written to a journal that is closed.
#[cold]
fn throw_away(words: usize, write: impl FnOnce(&mut Words<'_>)) {
    let mut room = vec![MaybeUninit::uninit(); words];
    let mut pushed = Words::new(&mut room);
    write(&mut pushed);
    pushed.finish();
}
