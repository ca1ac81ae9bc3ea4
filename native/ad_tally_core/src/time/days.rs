//! Days that were computed before: to compute one takes some hundred nanoseconds, and each event asks for one.
//!
//! A day is one word, so it is read and written whole without a lock, and no order between words matters:
//!
//! ```text
//! bits  0..18   its length in seconds, 0 where there is no day
//!      18..56   its begin in seconds since 1970
//!      56..58   its number, less that of the day of its begin in UTC, plus 1
//! ```
//!
//! What is read is compared with the moment that is asked for, so a word of another day costs time and is never wrong.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::day::{DAY, Day};

/// A power of two. Events are of today, of yesterday around midnight, and late ones of the days before.
const WORDS: usize = 4;

const SECOND: u64 = 1_000;
const LENGTH_BITS: u32 = 18;
const BEGIN_BITS: u32 = 38;

// All days are in one line, and with it comes nothing that others write. These are no atomics of a model checker, since any
// word that was ever written does.
#[repr(align(64))]
pub(super) struct Days {
    words: [AtomicU64; WORDS],
    /// Added to a moment it gives the day's place, mostly: a day, and the last offset from UTC that a day was computed with.
    shift: AtomicU64,
}

impl Days {
    pub(super) const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS], shift: AtomicU64::new(DAY) }
    }

    /// The day of a moment, if it is here.
    #[inline(always)]
    pub(super) fn get(&self, at: u64) -> Option<Day> {
        let word = self.word(at).load(Relaxed);
        let seconds = word & ((1 << LENGTH_BITS) - 1);
        let begin = (word >> LENGTH_BITS) & ((1 << BEGIN_BITS) - 1);
        let ahead = (word >> (LENGTH_BITS + BEGIN_BITS)) as i32;
        let begin_ms = begin * SECOND;
        let is_in = at.wrapping_sub(begin_ms) < seconds * SECOND;
        is_in.then(|| Day {
            number: (begin_ms / DAY) as i32 + ahead - 1,
            begin: begin_ms,
            end: begin_ms + seconds * SECOND,
        })
    }

    /// Keeps the day of a moment, at which clocks are so far ahead of UTC. Days of a length that a word cannot tell are not kept.
    pub(super) fn put(&self, at: u64, offset: i64, day: Day) {
        let seconds = (day.end - day.begin) / SECOND;
        let ahead = i64::from(day.number) - (day.begin / DAY) as i64 + 1;
        if seconds >> LENGTH_BITS == 0 && (0..4).contains(&ahead) {
            self.shift.store(DAY.saturating_add_signed(offset), Relaxed);
            let word = seconds | (day.begin / SECOND) << LENGTH_BITS | (ahead as u64) << (LENGTH_BITS + BEGIN_BITS);
            self.word(at).store(word, Relaxed);
        }
    }

    #[inline(always)]
    fn word(&self, at: u64) -> &AtomicU64 {
        let day = at.wrapping_add(self.shift.load(Relaxed)) / DAY;
        &self.words[day as usize % WORDS]
    }
}
