//! What a meter writes into a journal, and the entries that become of it.
//!
//! ```text
//! EVENT    instance of the window | time, and flags above | coupon, and above it what was spilled
//!          | hash of the key | [hash of the id | generation] | words of the key | amounts
//! ID       hash of the id | generation                            an id that a copy has renewed
//! CLOSED   instance | number | configuration, and above it whether partial | sequence | closed at | node
//! GONE     instance
//! CLOSING  instance | number | whether its time had passed       it is closed
//! EARLY    version | until when windows were closed before their time
//! ```
//!
//! An event makes the entry of its window as well, so that no interval has rows of a window that only a later one knows. Who recorded
//! before the epoch ended may have counted in a window that began after it.

use super::config::{Config, ReachConfig};
use super::event::Event;
use super::window::Window;
use crate::counters::{amounts, are_of_metrics, are_wide, count_words, fold_amounts, push_amounts};
use crate::dedupe;
use crate::journal::{Draft, Entries, Entry, Fold, NO_KEY, Record, Scribe, WindowState, split_bytes, words_of_bytes};
use crate::key::{self, HashedKey, Seed};
use crate::sketch::Coupon;
use crate::table::Spilled;
use crate::windows::Numbered;

const EVENT: u8 = 0;
const ID: u8 = 1;
const CLOSED: u8 = 2;
const GONE: u8 = 3;
const CLOSING: u8 = 4;
const EARLY: u8 = 5;

/// The begin of the newest generation of ids: what ids are too old by.
pub(super) const META_IDS: u8 = crate::journal::META_NEWEST;
/// The greatest number that a closed window was given.
pub(super) const META_SEQUENCE: u8 = crate::journal::META_SEQUENCE;
/// The newest time of an event that was counted.
pub(super) const META_NEWEST_EVENT: u8 = 2;
/// The clock by which windows were closed because their time had passed.
pub(super) const META_CLOSED_BY: u8 = 3;

/// The table of records that has one: until when windows were closed before their time.
pub(super) const CLOSED_EARLY: u8 = 0;
/// The table of items by which a window is known to be closed.
pub(super) const CLOSINGS: u8 = 0;

/// Above a time.
const HAS_ID: u64 = 1 << 62;
const ARE_WIDE: u64 = 1 << 63;
const TIME_MASK: u64 = HAS_ID - 1;
/// Above the number of a configuration.
const PARTIAL: u64 = 1 << 32;

/// Where the words of an event are that are known last.
const SPILLED_AT: usize = 2;
const GENERATION_AT: usize = 5;

/// What a part writes by: the right to, and its number.
#[derive(Clone, Copy)]
pub(super) struct Writer<'s> {
    pub(super) scribe: &'s Scribe<'s>,
    pub(super) part: u16,
}

impl<'s> Writer<'s> {
    /// An event is to be counted, and its id, which has that hash, to be known.
    #[inline(never)]
    pub(super) fn event(self, window: &Window, event: &Event<'_>, id: Option<u64>) -> EventDraft<'s> {
        let are_wide = are_wide(event.amounts);
        let flags = if id.is_some() { HAS_ID } else { 0 } | if are_wide { ARE_WIDE } else { 0 };
        let head = [window.instance, event.at | flags, user_and_spilled(event, Spilled::NOTHING), event.key.hash];
        let count = head.len() + if id.is_some() { 2 } else { 0 };
        let count = count + event.key.words.len() + count_words(event.amounts, are_wide);
        EventDraft(self.scribe.draft(self.part, EVENT, count, |words| {
            words.extend(&head);
            if let Some(hash) = id {
                words.extend(&[hash, 0]);
            }
            words.extend(event.key.words);
            push_amounts(words, event.amounts, are_wide);
        }))
    }

    /// An id was seen again, in a later generation.
    pub(super) fn seen_again(self, hash: u64, generation: u64) {
        self.scribe.record(self.part, ID, 2, |words| words.extend(&[hash, generation]));
    }

    /// A closed window has a number.
    pub(super) fn closed(self, window: &Window, config: u32, numbered: &Numbered) {
        let Numbered { sequence, partial, node, closed_at } = numbered;
        let config = u64::from(config) | if *partial { PARTIAL } else { 0 };
        self.scribe.record(self.part, CLOSED, 5 + words_of_bytes(node.len()), |words| {
            words.extend(&[window.instance, window.number, config, *sequence, *closed_at]);
            words.bytes(node.as_bytes());
        });
    }

    /// Everybody has a window, or it has no events.
    pub(super) fn gone(self, window: &Window) {
        self.scribe.record(self.part, GONE, 1, |words| words.push(window.instance));
    }

    /// A window is closed: because its time has passed, or before that.
    pub(super) fn closing(self, window: &Window, is_in_time: bool) {
        let words = [window.instance, window.number, is_in_time.into()];
        self.scribe.record(self.part, CLOSING, words.len(), |into| into.extend(&words));
    }

    /// Windows were closed before their time, until then.
    pub(super) fn closed_early(self, version: u64, until: u64) {
        self.scribe.record(self.part, EARLY, 2, |words| words.extend(&[version, until]));
    }
}

/// An event that is to be counted, written down while its id and rows are still on their way to the cache.
pub(super) struct EventDraft<'s>(Draft<'s>);

impl EventDraft<'_> {
    /// It was counted: its id, if it has one, is known in a generation, and this of it had no row.
    #[inline(always)]
    pub(super) fn counted(mut self, event: &Event<'_>, generation: Option<u64>, spilled: Spilled) {
        if let Some(generation) = generation {
            self.0.set(GENERATION_AT, generation);
        }
        if spilled != Spilled::NOTHING {
            self.0.set(SPILLED_AT, user_and_spilled(event, spilled));
        }
        self.0.finish();
    }
}

fn user_and_spilled(event: &Event<'_>, spilled: Spilled) -> u64 {
    u64::from(event.user.map_or(0, Coupon::word)) | u64::from(spilled.word()) << 32
}

/// What becomes of a meter's records.
pub(super) struct Folding {
    config: u32,
    window: u64,
    lateness: u64,
    metrics: usize,
    seed: Seed,
    reach: Option<ReachConfig>,
    ids: Option<dedupe::Folding>,
}

impl Folding {
    /// That of a meter whose configuration has that number.
    pub(super) fn new(config: &Config, number: u32, seed: Seed) -> Self {
        let ids = config.dedupe.as_ref().map(dedupe::Folding::new);
        let Config { window, lateness, metrics, .. } = *config;
        Self { config: number, window, lateness, metrics, seed, reach: config.reach.clone(), ids }
    }

    fn event(&self, part: u16, words: &[u64], into: &mut Entries) {
        let [instance, flags, user, hash, rest @ ..] = words else { unreachable!("as it was written") };
        let at = flags & TIME_MASK;
        let (id, rest) = match (flags & HAS_ID != 0, rest) {
            (true, [id, generation, rest @ ..]) => (Some((*id, *generation)), rest),
            _ => (None, rest),
        };
        let (key, adds) = rest.split_at(key::length_in_words(|at| rest[at]));
        let key = HashedKey { hash: *hash, words: key };
        let spilled = Spilled::from_word((user >> 32) as u32);
        let adds = amounts(adds, flags & ARE_WIDE != 0);
        if !are_of_metrics(part, self.metrics, adds.clone(), into) {
            return;
        }
        into.window(part, *instance, at / self.window, self.config, WindowState::Open);
        into.meta(part, META_NEWEST_EVENT, at);
        if let Some((id, generation)) = id {
            self.id(part, id, generation, into);
        }
        fold_amounts((part, *instance), key, self.metrics, adds, spilled, into);
        if let (Some(user), Some(reach)) = (Coupon::from_word(*user as u32), &self.reach) {
            let projection;
            let key = if spilled.has_more() {
                NO_KEY
            } else {
                projection = key::projection(key.words, &reach.by);
                self.seed.key(&projection)
            };
            into.coupon(part, *instance, key, reach.precision, user);
        }
    }

    fn id(&self, part: u16, hash: u64, generation: u64, into: &mut Entries) {
        if let Some(ids) = &self.ids {
            ids.id(part, hash, generation, into);
        }
    }
}

impl Fold for Folding {
    fn fold(&self, Record { part, kind, words }: Record<'_>, into: &mut Entries) {
        match (kind, words) {
            (EVENT, words) => self.event(part, words, into),
            (ID, [hash, generation]) => self.id(part, *hash, *generation, into),
            (CLOSED, [instance, number, config, sequence, closed_at, rest @ ..]) => {
                let node = split_bytes(rest).and_then(|(bytes, _)| str::from_utf8(bytes).ok());
                let state = WindowState::Closed {
                    sequence: *sequence,
                    partial: config & PARTIAL != 0,
                    node: node.unwrap_or_default(),
                    closed_at: *closed_at,
                };
                into.window(part, *instance, *number, *config as u32, state);
                into.meta(part, META_SEQUENCE, *sequence);
            }
            (GONE, [instance]) => into.gone(part, *instance),
            (CLOSING, [instance, number, is_in_time]) => {
                into.window(part, *instance, *number, self.config, WindowState::Open);
                into.item(part, CLOSINGS, *instance, &[], &[]);
                if *is_in_time == 1 {
                    into.meta(part, META_CLOSED_BY, (number + 1) * self.window + self.lateness);
                }
            }
            (EARLY, [version, until]) => into.latest(part, CLOSED_EARLY, 0, *version, &[*until]),
            _ => unreachable!("a meter writes no record of kind {kind} with {} words", words.len()),
        }
    }

    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.keeps(entry, newest))
    }
}
