//! From records to entries: what of attribution is in which entry.
//!
//! ```text
//! entry                       what it has                               two of one key
//! Meta 0, 1                   newest time, last number of a window      the greatest
//! Meta 2, 3                   newest time of a touch that was dropped,  the greatest
//!                             clock that windows were closed by
//! Window                      how far a window is                       the furthest
//! Row, of a window            touches and cost by dimensions            added
//! Touches, of a user          its newest touches                        united
//! Number                      dimensions by number                      are equal
//! Latest 0, of an order       the conversion                            the last version
//! Latest 1                    until when windows were closed        the last version
//!                             before their time
//! Item 0                      a frame that was taken                    a set
//! Item 1, of a window         a posting, by its place                   a set
//! Item 2, of a window         a touch that came into a path             a set
//! Item 3, of a window         that it is closed                         a set
//! Item 128, of a user         a mark                                    a set
//! Latest 129, of a user       when it has converted                     the newest time
//! Latest 130, of a user       whose alias it is                         the last version
//! ```
//!
//! Users are those that were told, aliases or not. That an alias is a user is applied when all is read, as it was when they were
//! linked: to unite what both have comes to the same whenever it is done.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::super::types::Config;
use super::super::window::METRICS;
use super::kinds::{
    ALIAS, CLOSED, CLOSING, CONVERTED, EARLY, EVICTED, FORGOTTEN, GONE, MARK, META, META_CLOSED_BY, META_DROPPED,
    NUMBER, ORDER, PATH, POSTING, STEP, TAKEN, TOUCH,
};
use super::packed::{final_time, numbers, split_time};
use crate::counters::{Add, fold_amounts};
use crate::journal::{
    Entries, Entry, Fold, META_NEWEST, META_SEQUENCE, MOST_TOUCHES, Record, TouchEntry, WindowState, split_bytes,
};
use crate::key::HashedKey;
use crate::sync::AtomicU64;
use crate::table::{Spilled, fold_taken};

pub(super) const ORDERS: u8 = 0;
pub(super) const CLOSED_EARLY: u8 = 1;
/// Items of 0 are frames that were taken.
pub(super) const POSTINGS: u8 = 1;
pub(super) const PATHS: u8 = 2;
pub(super) const CLOSINGS: u8 = 3;
pub(super) const MARKS: u8 = 128;
pub(super) const CONVERSIONS: u8 = 129;
pub(super) const ALIASES: u8 = 130;

/// Above the number of a configuration.
pub(super) const PARTIAL: u64 = 1 << 32;

/// What becomes of an attribution's records.
pub(crate) struct Folding {
    config: u32,
    window: u64,
    lateness: u64,
    metrics: usize,
    most_touches: usize,
    /// For how long touches are kept.
    kept_for: u64,
    /// For how long orders are.
    known_for: u64,
    /// Numbers of dimensions that have been written, as bits.
    numbers: Mutex<Vec<u64>>,
    /// The newest time of a touch that was not kept, and that of those that entries have.
    dropped: AtomicU64,
    told: AtomicU64,
}

impl Folding {
    /// Of an attribution whose configuration has that number. A touch can matter for so long.
    pub(crate) fn new(config: &Config, number: u32, matters_for: u64) -> Self {
        Self {
            config: number,
            window: config.window,
            lateness: config.lateness,
            metrics: METRICS * config.lookbacks.len(),
            // Of a run that was put together there are two in the table, and more here.
            most_touches: if config.collapse { MOST_TOUCHES } else { config.touches_per_user },
            kept_for: kept_for(matters_for),
            known_for: config.adjustable_for.saturating_add(config.max_ahead.unwrap_or(0)),
            numbers: Mutex::default(),
            dropped: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    fn touch(&self, part: u16, words: &[u64], into: &mut Entries) {
        let ([instance, user, id, time, number, cost, hash], dimensions) = split(words);
        let (at, kind) = split_time(time);
        if instance > 0 {
            into.window(part, instance, at / self.window, self.config, WindowState::Open);
            into.meta(part, META_NEWEST, at);
            let first = METRICS as u32 * u32::from(kind);
            let amounts = [Add { metric: first, amount: 1 }, Add { metric: first + 1, amount: cost as i64 }];
            let spilled = Spilled::from_word((number >> 32) as u32);
            let key = HashedKey { hash, words: dimensions };
            fold_amounts((part, instance), key, self.metrics, amounts.into_iter(), spilled, into);
        }
        let dimensions_number = number as u32;
        into.touch(part, user, TouchEntry { at, id: id as i64, kind, dimensions: dimensions_number, repeats: 0 });
        self.number(part, dimensions_number, dimensions, into);
    }

    /// What a number stands for, once.
    fn number(&self, part: u16, number: u32, dimensions: &[u64], into: &mut Entries) {
        let (at, bit) = (number as usize / 64, 1 << (number % 64));
        let mut numbers = self.numbers.lock();
        if at >= numbers.len() {
            numbers.resize(at + 1, 0);
        }
        if number > 0 && numbers[at] & bit == 0 {
            numbers[at] |= bit;
            into.number(part, number, dimensions);
        }
    }

    fn order(&self, part: u16, words: &[u64], into: &mut Entries) {
        let ([order, version, instance, number], record) = split(words);
        if instance > 0 {
            into.window(part, instance, number, self.config, WindowState::Open);
        }
        into.latest(part, ORDERS, order, version, record);
    }

    fn posting(&self, part: u16, words: &[u64], into: &mut Entries) {
        let ([instance, number, place], posting) = split(words);
        into.window(part, instance, number, self.config, WindowState::Open);
        let (posting, _) = split_bytes(posting).unwrap_or_default();
        into.item(part, POSTINGS, instance, &place.to_be_bytes(), posting);
    }

    /// What was dropped when files were merged.
    fn tell(&self, part: u16, into: &mut Entries) {
        let dropped = self.dropped.load(Relaxed);
        if dropped > self.told.load(Relaxed) {
            self.told.store(dropped, Relaxed);
            into.meta(part, META_DROPPED, dropped);
        }
    }
}

/// The first words of a record, and the rest of it.
fn split<const N: usize>(words: &[u64]) -> ([u64; N], &[u64]) {
    let (first, rest) = words.split_first_chunk().unwrap_or_else(|| unreachable!("as it was written"));
    (*first, rest)
}

/// For how long touches are kept that can matter for so long: late conversions may have older ones.
pub(super) fn kept_for(matters_for: u64) -> u64 {
    matters_for.saturating_mul(2)
}

impl Fold for Folding {
    fn fold(&self, Record { part, kind, words }: Record<'_>, into: &mut Entries) {
        self.tell(part, into);
        match (kind, words) {
            (TOUCH, words) => self.touch(part, words, into),
            (PATH, [instance, order, born, revision, id, time, dimensions]) => {
                let key = [order, born, id, revision, time, dimensions].map(|word| word.to_be_bytes());
                into.item(part, PATHS, *instance, key.as_flattened(), &[]);
            }
            (ORDER, words) => self.order(part, words, into),
            (POSTING, words) => self.posting(part, words, into),
            (MARK, [user, action, has_touch, touch, order, at]) => {
                let key = [action, has_touch, touch, order, at].map(|word| word.to_be_bytes());
                into.item(part, MARKS, *user, key.as_flattened(), &[]);
            }
            (CONVERTED, [user, at, is_in_time]) => {
                into.latest(part, CONVERSIONS, *user, *at, &[*at]);
                if *is_in_time == 1 {
                    into.meta(part, META_NEWEST, *at);
                }
            }
            (ALIAS, [alias, version, user, is_whole]) => {
                into.latest(part, ALIASES, *alias, *version, &[*user, *is_whole]);
            }
            (FORGOTTEN, users) => users.iter().for_each(|user| into.forgotten(part, *user)),
            (CLOSING, [instance, number, is_in_time]) => {
                if *is_in_time == 1 {
                    into.meta(part, META_CLOSED_BY, (number + 1) * self.window + self.lateness);
                }
                into.window(part, *instance, *number, self.config, WindowState::Open);
                into.item(part, CLOSINGS, *instance, &[], &[]);
            }
            (CLOSED, [instance, number, config, sequence, closed_at, node @ ..]) => {
                let node = split_bytes(node).and_then(|(bytes, _)| str::from_utf8(bytes).ok()).unwrap_or_default();
                let partial = config & PARTIAL != 0;
                let state = WindowState::Closed { sequence: *sequence, partial, node, closed_at: *closed_at };
                into.window(part, *instance, *number, *config as u32, state);
                into.meta(part, META_SEQUENCE, *sequence);
            }
            (GONE, [instance]) => into.gone(part, *instance),
            (EARLY, [version, until]) => into.latest(part, CLOSED_EARLY, 0, *version, &[*until]),
            (META, [name, value]) => into.meta(part, *name as u8, *value),
            (STEP, [user, id, time, dimensions, repeats]) => {
                let (at, kind) = split_time(*time);
                let (dimensions, repeats) = (*dimensions as u32, *repeats as u16);
                into.touch(part, *user, TouchEntry { at, id: *id as i64, kind, dimensions, repeats });
            }
            (EVICTED, [user, at]) => into.evicted(part, *user, *at),
            (NUMBER, [number, dimensions @ ..]) => self.number(part, *number as u32, dimensions, into),
            (TAKEN, words) => fold_taken(part, words, into),
            _ => unreachable!("an attribution writes no record of kind {kind} with {} words", words.len()),
        }
    }

    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        let is_kept = |at: u64| at.saturating_add(self.kept_for) >= newest;
        match entry {
            Entry::Touches { touches, .. } => {
                let last = touches.iter().map(|touch| touch.at).max().unwrap_or(0);
                if !is_kept(last) {
                    self.dropped.fetch_max(last, Relaxed);
                }
                is_kept(last)
            }
            Entry::Latest { table: CONVERSIONS, version: at, .. } => is_kept(*at),
            // Of a touch that a conversion in time can have no more.
            Entry::Item { table: MARKS, key, .. } => match numbers(key) {
                Some([_, has_touch, _, _, at]) => has_touch == 0 || is_kept(at),
                None => true,
            },
            Entry::Latest { table: ORDERS, words: [first, ..], .. } => {
                final_time(*first).is_none_or(|at| at.saturating_add(self.known_for) >= newest)
            }
            _ => true,
        }
    }

    fn most_touches(&self) -> usize {
        self.most_touches
    }
}
