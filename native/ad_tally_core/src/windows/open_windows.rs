//! The windows that can be written to, as whoever writes sees them: by number, and never changed.
//!
//! ```text
//! first, length, newest
//! buckets   128 of them, each an array of windows with their numbers, at most half of its places taken
//! ```
//!
//! To open or to close a window is to make another such set, which shares all buckets with the one before but those of that
//! window: of 40,000 windows that copies 128 pointers to buckets and some 300 to windows, where all of them took 8 ms.

use std::sync::Arc;

const BUCKET_BITS: u32 = 7;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// Windows whose numbers differ in these lowest bits alone are in one bucket: closing some in a row copies one or two buckets.
const GROUP_BITS: u32 = 6;
/// Odd, with bits as good as random: high bits of the product depend on many of a number's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Windows that can be written to.
pub struct OpenWindows<W> {
    /// Windows before this number are closed.
    first: u64,
    /// Milliseconds of a window.
    length: u64,
    buckets: [Arc<Bucket<W>>; BUCKETS],
    /// Where events mostly belong: the newest one, if there is any, and when it begins. Without a division.
    newest: Option<Arc<W>>,
    newest_begins: u64,
}

/// Windows, each where its number says or behind it.
type Bucket<W> = [Option<Place<W>>];

/// A window, with its number.
struct Place<W> {
    number: u64,
    window: Arc<W>,
}

impl<W> Clone for Place<W> {
    fn clone(&self) -> Self {
        Self { number: self.number, window: self.window.clone() }
    }
}

impl<W> OpenWindows<W> {
    /// None, of which those before `first` are closed. Each would be so long.
    pub(super) fn none(first: u64, length: u64) -> Self {
        let empty = bucket(Vec::new());
        Self { first, length, buckets: std::array::from_fn(|_| empty.clone()), newest: None, newest_begins: 0 }
    }

    /// These and another window.
    pub(super) fn with(&self, number: u64, window: Arc<W>) -> Self {
        let mut buckets = self.buckets.clone();
        let into = &mut buckets[bucket_of(number)];
        *into = bucket(into.iter().flatten().cloned().chain([Place { number, window: window.clone() }]).collect());
        let begins = number * self.length;
        let newest = self.newest.clone().filter(|_| self.newest_begins > begins);
        let newest_begins = if newest.is_some() { self.newest_begins } else { begins };
        Self { first: self.first, length: self.length, buckets, newest_begins, newest: newest.or(Some(window)) }
    }

    /// These without those of the numbers, which are all of those before `first`.
    pub(super) fn without(&self, first: u64, numbers: impl Iterator<Item = u64>) -> Self {
        let mut buckets = self.buckets.clone();
        let mut is_changed = [false; BUCKETS];
        numbers.for_each(|number| is_changed[bucket_of(number)] = true);
        for (windows, _) in buckets.iter_mut().zip(is_changed).filter(|(_, is_changed)| *is_changed) {
            *windows = bucket(windows.iter().flatten().filter(|place| place.number >= first).cloned().collect());
        }
        let newest = self.newest.clone().filter(|_| self.newest_begins / self.length >= first);
        Self { first, length: self.length, buckets, newest, newest_begins: self.newest_begins }
    }

    /// The number of the first window that is not closed.
    #[inline(always)]
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the first one that is there, from a number on. It looks at all.
    #[must_use]
    pub fn first_number_from(&self, number: u64) -> Option<u64> {
        let numbers = self.buckets.iter().flat_map(|bucket| bucket.iter().flatten().map(|place| place.number));
        numbers.filter(|there| *there >= number).min()
    }

    /// The window of a time, if it is there.
    #[inline(always)]
    #[must_use]
    pub fn find_at(&self, at: u64) -> Option<&W> {
        match &self.newest {
            Some(newest) if at.wrapping_sub(self.newest_begins) < self.length => Some(newest),
            _ => self.find(at / self.length),
        }
    }

    /// The window of a number, if it is there.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, number: u64) -> Option<&W> {
        let bucket = &self.buckets[bucket_of(number)];
        let mut at = home(number);
        let mask = bucket.len() - 1;
        while let Some(place) = &bucket[at & mask] {
            if place.number == number {
                return Some(&place.window);
            }
            at += 1;
        }
        None
    }
}

#[inline(always)]
fn bucket_of(number: u64) -> usize {
    ((number >> GROUP_BITS).wrapping_mul(SPREAD) >> (u64::BITS - BUCKET_BITS)) as usize
}

/// Where in its bucket a window belongs.
#[inline(always)]
fn home(number: u64) -> usize {
    (number.wrapping_mul(SPREAD) >> 32) as usize
}

fn bucket<W>(windows: Vec<Place<W>>) -> Arc<Bucket<W>> {
    let mut places = vec![None; (2 * windows.len()).next_power_of_two()];
    let mask = places.len() - 1;
    for place in windows {
        let mut at = home(place.number);
        while places[at & mask].is_some() {
            at += 1;
        }
        places[at & mask] = Some(place);
    }
    places.into()
}
