//! Paths: which touches, in order, led to how many conversions, and which have led to none so far. It is what data-driven models
//! are made from, elsewhere.

use std::collections::HashMap;

use ahash::RandomState;

use super::Attribution;
use super::path;
use super::types::Step;
use super::window::Window;
use crate::key::{KeyRef, Parts, length_in_words};

/// Buckets of the ring that are read at once.
const BUCKETS_AT_ONCE: usize = 256;

/// Which paths are asked for.
#[derive(Debug, Clone)]
pub struct PathQuery {
    /// Places of the dimensions that a touch is shown by.
    pub by: Vec<usize>,
    /// Only conversions, and touches that led to none, of this time or later.
    pub from: u64,
    /// And before this one.
    pub to: u64,
}

/// What a path has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Led {
    /// Conversions.
    pub conversions: i128,
    /// Their value in micros.
    pub value: i128,
    /// Users whose touches since their last conversion are the path.
    pub none: u64,
}

/// Paths in the making. A path is the words of its touches' tuples, one after the other; where a touch has no dimensions they are
/// those of an empty tuple.
pub struct Paths {
    query: PathQuery,
    paths: HashMap<Box<[u64]>, Led, RandomState>,
    /// The next bucket of the ring that is to be read.
    bucket: Option<u64>,
}

impl Paths {
    /// None yet.
    #[must_use]
    pub fn new(query: PathQuery) -> Self {
        Self { query, paths: HashMap::default(), bucket: Some(0) }
    }

    /// Adds the conversions that a window has booked, or would book if it were closed now, less those that were retracted.
    pub fn read(&mut self, attribution: &Attribution, window: &Window) {
        for posting in attribution.postings_of(window) {
            if !(self.query.from..self.query.to).contains(&posting.at) || posting.steps.is_empty() {
                continue;
            }
            let led = self.led(attribution, &posting.steps);
            led.conversions += i128::from(posting.after.counts) - i128::from(posting.before.counts);
            led.value += i128::from(posting.after.value) - i128::from(posting.before.value);
        }
    }

    /// Adds touches that have led to nothing, of some users. Whether there are more users.
    pub fn read_users(&mut self, attribution: &Attribution) -> bool {
        let Some(bucket) = self.bucket else { return false };
        let mut without = Vec::new();
        self.bucket = attribution.ring.visit(bucket, BUCKETS_AT_ONCE, |_key, owned| {
            let since = |step: &&Step| owned.converted.is_none_or(|converted| step.at > converted);
            let steps: Vec<Step> = owned.touches.iter().filter(since).copied().collect();
            if steps.last().is_some_and(|last| (self.query.from..self.query.to).contains(&last.at)) {
                without.push(steps);
            }
        });
        for steps in without {
            // As a conversion would be credited that came right after.
            let (at, forever) = (steps.last().map_or(0, |last| last.at), vec![u64::MAX; super::MAX_KINDS]);
            let mut eligible = Vec::new();
            let config = attribution.config();
            path::eligible(&steps, at, &forever, config.prevail, config.collapse, &mut eligible);
            self.led(attribution, &eligible).none += 1;
        }
        self.bucket.is_some()
    }

    fn led(&mut self, attribution: &Attribution, steps: &[Step]) -> &mut Led {
        let (mut words, mut touch) = (Vec::new(), Vec::new());
        for step in steps {
            match attribution.dimensions().words(step.dimensions) {
                Some(dimensions) => Parts::of(&dimensions).project(&self.query.by, &mut touch),
                None => {
                    touch.clear();
                    touch.push(0);
                }
            }
            words.extend_from_slice(&touch);
        }
        self.paths.entry(words.into()).or_default()
    }

    /// The touches of a path, as tuples of the dimensions that were asked for: an empty one where a touch has no dimensions.
    pub fn touches(mut words: &[u64]) -> impl Iterator<Item = KeyRef<'_>> {
        std::iter::from_fn(move || {
            // The header of an empty tuple is that of no key, and nothing follows it.
            let length = if *words.first()? == 0 { 1 } else { length_in_words(|at| words[at]) };
            let (touch, rest) = words.split_at(length);
            words = rest;
            Some(KeyRef::new(touch))
        })
    }

    /// The paths, in no order, without those that led to nothing in the end and to no user's last touches.
    pub fn into_paths(self) -> impl Iterator<Item = (Box<[u64]>, Led)> + Send {
        self.paths.into_iter().filter(|(_, led)| *led != Led::default())
    }
}
