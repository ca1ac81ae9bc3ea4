//! The windows that can be recorded in, as whoever records sees them: by number, and never changed.
//!
//! ```text
//! first, newest
//! buckets   128 of them, each an array of windows with their numbers, at most half of its places taken
//! ```
//!
//! To open or to close a window is to make another such set, which shares all buckets with the one before but those of that
//! window: of 40,000 windows that copies 128 pointers to buckets and some 300 to windows, where all of them took 8 ms.

use std::sync::Arc;

use super::window::Window;

const BUCKET_BITS: u32 = 7;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// Windows whose numbers differ in these lowest bits alone are in one bucket: closing some in a row copies one or two buckets.
const GROUP_BITS: u32 = 6;
/// Odd, with bits as good as random: high bits of the product depend on many of a number's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Windows that can be recorded in.
pub(super) struct OpenWindows {
    /// Windows before this number are closed.
    pub(super) first: u64,
    buckets: [Arc<Bucket>; BUCKETS],
    /// Where events mostly belong: the newest one, if there is any, and when it begins. Without a division.
    newest: Option<Arc<Window>>,
    newest_begins: u64,
}

/// Windows, each where its number says or behind it.
type Bucket = [Option<Place>];

/// A window, with its number.
#[derive(Clone)]
struct Place {
    number: u64,
    window: Arc<Window>,
}

impl OpenWindows {
    /// None, of which those before `first` are closed.
    pub(super) fn none(first: u64) -> Self {
        let empty = bucket(Vec::new());
        Self { first, buckets: std::array::from_fn(|_| empty.clone()), newest: None, newest_begins: 0 }
    }

    /// These and another window, each being so long.
    pub(super) fn with(&self, window: Arc<Window>, length: u64) -> Self {
        let number = window.number;
        let mut buckets = self.buckets.clone();
        let into = &mut buckets[bucket_of(number)];
        *into = bucket(into.iter().flatten().cloned().chain([Place { number, window: window.clone() }]).collect());
        let newest = self.newest.as_ref().filter(|newest| newest.number > number).unwrap_or(&window).clone();
        Self { first: self.first, buckets, newest_begins: newest.number * length, newest: Some(newest) }
    }

    /// These without those of the numbers, which are all of those before `first`.
    pub(super) fn without(&self, first: u64, numbers: impl Iterator<Item = u64>) -> Self {
        let mut buckets = self.buckets.clone();
        let mut is_changed = [false; BUCKETS];
        numbers.for_each(|number| is_changed[bucket_of(number)] = true);
        for (windows, _) in buckets.iter_mut().zip(is_changed).filter(|(_, is_changed)| *is_changed) {
            *windows = bucket(windows.iter().flatten().filter(|place| place.number >= first).cloned().collect());
        }
        let newest = self.newest.clone().filter(|newest| newest.number >= first);
        Self { first, buckets, newest, newest_begins: self.newest_begins }
    }

    /// The window of a time, each being so long.
    #[inline(always)]
    pub(super) fn find_at(&self, at: u64, length: u64) -> Option<&Window> {
        match &self.newest {
            Some(newest) if at.wrapping_sub(self.newest_begins) < length => Some(newest),
            _ => self.find(at / length),
        }
    }

    /// The window of a number.
    #[inline(always)]
    pub(super) fn find(&self, number: u64) -> Option<&Window> {
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

fn bucket(windows: Vec<Place>) -> Arc<Bucket> {
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
