//! Writing down what one event does.

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;

use super::buffer::Buffer;
use super::epoch::Epoch;
use super::pool::Pool;
use super::record::{self, begun};
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

    /// Whether it goes on with what the thread was writing already.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(super) fn goes_on(&self) -> bool {
        self.epoch.is_again()
    }

    /// Whether what it writes goes into chunks of that pool.
    #[cfg(not(loom))]
    pub(super) fn writes_into(&self, pool: &Pool) -> bool {
        std::ptr::eq(self.pool, pool)
    }

    /// Writes one record of a part: its kind and as many words as `write` pushes. It may be read once this has returned.
    ///
    /// # Panics
    /// If `write` does not push exactly `words`. There is no record then.
    #[inline(always)]
    pub fn record(&self, part: u16, kind: u8, words: usize, write: impl FnOnce(&mut Words<'_>)) {
        self.draft(part, kind, words, write).finish();
    }

    /// Writes a record whose event is still to be done, for which it may turn out that there is none: what is known of it by now.
    ///
    /// Of a record that is written after its event, the next event's fence waits for the stores: a journal costs a meter 75 ns an event
    /// that way, and 26 to 33 ns by drafts.
    ///
    /// # Panics
    /// As [`Self::record`].
    #[inline(always)]
    pub fn draft(&self, part: u16, kind: u8, words: usize, write: impl FnOnce(&mut Words<'_>)) -> Draft<'_> {
        let begun = begun(part, kind, words);
        let draft = match self.with_buffer(|buffer| buffer.take_room(begun)) {
            Some(header) => Draft { scribe: self, header: Some(header) },
            None => self.draft_in_another_chunk(begun),
        };
        let Some(header) = draft.header else {
            throw_away(words, write);
            return draft;
        };
        // SAFETY: room was taken for that many words behind the header, for this record alone. The chunk it lies in is freed only
        // with the epoch, which this thread is in.
        let room = unsafe { std::slice::from_raw_parts_mut(header.add(1).cast::<MaybeUninit<u64>>().as_ptr(), words) };
        let mut pushed = Words::new(room);
        write(&mut pushed);
        pushed.finish();
        draft
    }

    /// A draft of what this header begins, in a chunk of the pool's.
    #[cold]
    fn draft_in_another_chunk(&self, begun: u64) -> Draft<'_> {
        let Some((chunk, waker)) = self.pool.take(1 + record::words(begun)) else {
            return Draft { scribe: self, header: None };
        };
        let header = self.with_buffer(|buffer| {
            buffer.add(chunk);
            buffer.take_room(begun)
        });
        let draft = Draft { scribe: self, header };
        // Only now: it may write by this thread as well, and if it panics the draft is dropped and the chunk given back with the others.
        if let Some(wake) = waker {
            wake();
        }
        draft
    }

    #[inline(always)]
    fn with_buffer<R>(&self, act: impl FnOnce(&mut Buffer) -> R) -> R {
        let slot = self.epoch.slot().id();
        // SAFETY: this thread has claimed the slot by which it entered the epoch.
        unsafe { self.epoch.with_buffer(slot, act) }
    }
}

/// A record that is not one yet. One that is dropped leaves nothing.
#[must_use = "it is a record once it is finished"]
pub struct Draft<'s> {
    scribe: &'s Scribe<'s>,
    /// None of a journal that is closed.
    header: Option<NonNull<u64>>,
}

impl Draft<'_> {
    /// Writes a word again, which is known only now.
    ///
    /// # Panics
    /// If the record has no word there.
    #[inline(always)]
    pub fn set(&mut self, at: usize, word: u64) {
        let Some(header) = self.header else { return };
        // SAFETY: the header was written when room was taken for the record, whose chunk is there while this thread is in the epoch.
        let words = record::words(unsafe { header.read() });
        assert!(at < words, "a record of {words} words has none at {at}");
        // SAFETY: it is one of the words that room was taken for.
        unsafe { header.add(1 + at).write(word) };
    }

    /// Makes it a record, which may be read from now on.
    #[inline(always)]
    pub fn finish(self) {
        let Some(header) = ManuallyDrop::new(self).header else { return };
        // SAFETY: as in `set`.
        unsafe { header.write(record::whole(header.read())) };
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        let Some(header) = self.header else { return };
        // SAFETY: as in `set`.
        let words = record::words(unsafe { header.read() });
        self.scribe.with_buffer(|buffer| buffer.take_back(header, words));
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
