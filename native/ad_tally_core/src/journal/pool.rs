//! Chunks that records are written to, used again and again: fresh pages cost more than the records.
//!
//! What is taken is counted a chunk at a time, so that the bound costs nothing per record. It may be passed by one chunk a thread, and
//! by what may be written past it anyway.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::sync::{AtomicBool, Mutex};

/// How much memory the records may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of records that are not durable yet, beyond which writers are refused.
    pub buffer_bytes: usize,
    /// Bytes of records since the last cut at which whoever cuts is woken. At most half of `buffer_bytes` are waited for.
    pub wake_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { buffer_bytes: 64 << 20, wake_bytes: 8 << 20 }
    }
}

/// Memory for records. What lies before its length was taken for some; words of one that is not whole may be without a value.
pub(super) type Chunk = Vec<MaybeUninit<u64>>;

pub(super) type Waker = Arc<dyn Fn() + Send + Sync>;

/// As large as a chunk is at most, unless one record needs a larger one.
const MOST_BYTES: usize = 64 << 10;
/// As small as one is at least.
const LEAST_BYTES: usize = 1 << 10;
/// Into how many chunks at least the bound is divided.
const CHUNKS: usize = 64;

pub(super) struct Pool {
    /// Whether the bound is reached, or it is closed. Beside what never changes: everybody reads it for every event.
    is_full: AtomicBool,
    chunk_words: usize,
    bound: usize,
    wake: usize,
    state: State,
}

/// What is written to now and then, on lines of its own.
#[repr(align(128))]
struct State(Mutex<Chunks>);

#[derive(Default)]
struct Chunks {
    free: Vec<Chunk>,
    /// Bytes of all that are not here.
    taken: usize,
    /// Bytes of those that the current epoch has.
    taken_in_epoch: usize,
    is_closed: bool,
    /// Whether what was let in before it was closed has been cut.
    is_over: bool,
    waker: Option<Waker>,
}

impl Pool {
    pub(super) fn new(Config { buffer_bytes: bound, wake_bytes }: Config) -> Self {
        let chunk = (bound / CHUNKS).clamp(LEAST_BYTES, MOST_BYTES);
        Self {
            is_full: AtomicBool::new(false),
            chunk_words: chunk / size_of::<u64>(),
            bound,
            // Whoever is woken late would find writers refused.
            wake: wake_bytes.min(bound / 2),
            state: State(Mutex::new(Chunks::default())),
        }
    }

    /// Whether the bound is reached, or it is closed.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    pub(super) fn set_waker(&self, waker: Waker) {
        self.state.0.lock().waker = Some(waker);
    }

    /// Is full from now on, whatever comes back.
    pub(super) fn close(&self) {
        let mut chunks = self.state.0.lock();
        chunks.is_closed = true;
        self.note_full(&chunks);
    }

    fn note_full(&self, chunks: &Chunks) {
        self.is_full.store(chunks.is_closed || chunks.taken >= self.bound, Relaxed);
    }

    /// A chunk with room for so many words, and who is to be woken for it, once it is where others find it. `None` where nobody would
    /// give it back: what it is for came after the last cut.
    pub(super) fn take(&self, words: usize) -> Option<(Chunk, Option<Waker>)> {
        let mut chunks = self.state.0.lock();
        if chunks.is_over {
            return None;
        }
        let free = if words <= self.chunk_words { chunks.free.pop() } else { None };
        let words = words.max(self.chunk_words);
        let bytes = size_of::<u64>() * words;
        let was_due = chunks.taken_in_epoch >= self.wake;
        chunks.taken += bytes;
        chunks.taken_in_epoch += bytes;
        self.note_full(&chunks);
        let waker = chunks.waker.clone().filter(|_| !was_due && chunks.taken_in_epoch >= self.wake);
        drop(chunks);
        Some((free.unwrap_or_else(|| Vec::with_capacity(words)), waker))
    }

    /// Notes that another epoch begins, which has none yet: whether it is closed before that.
    pub(super) fn begin_epoch(&self) -> bool {
        let mut chunks = self.state.0.lock();
        chunks.taken_in_epoch = 0;
        chunks.is_closed
    }

    /// Notes that nobody who was let in before it was closed is still at work.
    pub(super) fn end(&self) {
        self.state.0.lock().is_over = true;
    }

    /// Takes chunks back. Only as many are kept as two intervals need: what a burst took is given back to the system.
    pub(super) fn give_back(&self, back: Vec<Chunk>) {
        let most = (2 * self.wake).div_ceil(size_of::<u64>() * self.chunk_words);
        let bytes: usize = back.iter().map(|chunk| size_of::<u64>() * chunk.capacity()).sum();
        // The others are freed here, and not while the lock is held.
        let mut kept: Vec<Chunk> = back.into_iter().filter(|chunk| chunk.capacity() == self.chunk_words).collect();
        kept.iter_mut().for_each(Vec::clear);
        let mut chunks = self.state.0.lock();
        let room = most.saturating_sub(chunks.free.len());
        chunks.free.extend(kept.drain(..room.min(kept.len())));
        chunks.taken -= bytes;
        self.note_full(&chunks);
    }

    /// Bytes of all chunks that are taken.
    pub(super) fn taken(&self) -> usize {
        self.state.0.lock().taken
    }
}
