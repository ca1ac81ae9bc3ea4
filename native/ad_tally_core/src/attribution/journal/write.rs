//! The records of what attribution does.

use std::sync::atomic::Ordering::Relaxed;

use super::super::orders::Record;
use super::super::posting::Posting;
use super::super::ring::{Mark, Owned};
use super::super::types::{Step, Touch};
use super::super::window::Window;
use super::fold::PARTIAL;
use super::kinds::{
    ALIAS, CLOSED, CLOSING, CONVERTED, EARLY, EVICTED, FORGOTTEN, GONE, MARK, META, META_DROPPED, NUMBER, ORDER, PATH,
    POSTING, STEP, TAKEN, TOUCH,
};
use super::packed::{order_state, time_and_kind};
use super::{Writing, bytes};
use crate::codec::Frame;
use crate::journal::{Words, words_of_bytes};
use crate::table::{Spilled, record_taken};
use crate::windows::Numbered;

/// What was added for a touch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// The window; 0 if that is closed and nothing was added.
    pub(crate) instance: u64,
    /// Which amounts went into the overflow.
    pub(crate) spilled: Spilled,
}

impl Writing<'_> {
    /// A touch that was not known, and the number of its dimensions.
    #[inline(always)]
    pub(crate) fn touch(&self, touch: &Touch<'_>, number: u32, Spent { instance, spilled }: Spent) {
        let key = touch.dimensions;
        self.record(TOUCH, 7 + key.words.len(), |words| {
            words.push(instance);
            words.push(touch.user);
            words.push(touch.id as u64);
            words.push(time_and_kind(touch.at, touch.kind));
            words.push(u64::from(number) | u64::from(spilled.word()) << 32);
            words.push(touch.cost as u64);
            words.push(key.hash);
            words.extend(key.words);
        });
    }

    /// A touch that came into the path of a provisional conversion.
    #[cold]
    pub(crate) fn path(&self, order: u64, record: &Record, step: &Step) {
        self.record(PATH, 7, |words| {
            words.extend(&[record.journaled.instance, order, record.journaled.born, u64::from(record.revision)]);
            words.push(step.id as u64);
            words.push(time_and_kind(step.at, step.kind));
            words.push(u64::from(step.dimensions));
        });
    }

    /// A conversion as it is now; `window` is the number of the window that it is provisional in.
    pub(crate) fn order(&self, order: u64, version: u64, window: u64, record: &Record) {
        let bytes = bytes::conversion(record);
        let instance = if record.is_provisional() { record.journaled.instance } else { 0 };
        let first = order_state(record.at, record.is_provisional());
        self.record(ORDER, 5 + words_of_bytes(bytes.len()), |words| {
            words.extend(&[order, version, instance, window, first]);
            words.bytes(&bytes);
        });
    }

    /// An order is not known any more.
    pub(crate) fn removed(&self, order: u64, version: u64) {
        self.record(ORDER, 4, |words| words.extend(&[order, version, 0, 0]));
    }

    /// What was booked at a place of a window.
    pub(crate) fn posting(&self, instance: u64, number: u64, place: u64, posting: &Posting) {
        let bytes = bytes::posting(posting);
        self.record(POSTING, 3 + words_of_bytes(bytes.len()), |words| {
            words.extend(&[instance, number, place]);
            words.bytes(&bytes);
        });
    }

    /// A conversion was counted.
    pub(crate) fn mark(&self, user: u64, mark: &Mark) {
        let Mark { action, touch, order, at } = *mark;
        self.record(MARK, 6, |words| {
            words.extend(&[user, action.into(), touch.is_some().into(), touch.unwrap_or(0) as u64, order.into(), at]);
        });
    }

    /// A user has converted: in time, or late.
    pub(crate) fn converted(&self, user: u64, at: u64, is_in_time: bool) {
        self.record(CONVERTED, 3, |words| words.extend(&[user, at, is_in_time.into()]));
    }

    /// Somebody has become an alias of a user. It is whole once the conversions of both are credited to the touches of both.
    pub(crate) fn alias(&self, alias: u64, user: u64, is_whole: bool) {
        let version = self.journal.next_alias();
        self.record(ALIAS, 4, |words| words.extend(&[alias, version, user, is_whole.into()]));
    }

    /// Users were forgotten, all that was recorded of them in older intervals.
    pub(crate) fn forgotten(&self, users: &[u64]) {
        self.record(FORGOTTEN, users.len(), |words| words.extend(users));
    }

    /// A window is closed, and what happens from now on is none of it: because its time has passed, or before that.
    pub(crate) fn closing(&self, window: &Window, is_in_time: bool) {
        self.record(CLOSING, 3, |words| words.extend(&[window.instance, window.number, is_in_time.into()]));
    }

    /// A closed window has a number.
    pub(crate) fn closed(&self, window: &Window, config: u32, numbered: &Numbered) {
        let Numbered { sequence, partial, node, closed_at } = numbered;
        let config = u64::from(config) | if *partial { PARTIAL } else { 0 };
        self.record(CLOSED, 5 + words_of_bytes(node.len()), |words| {
            words.extend(&[window.instance, window.number, config, *sequence, *closed_at]);
            words.bytes(node.as_bytes());
        });
    }

    /// Everybody has a window, or nothing has happened in it.
    pub(crate) fn gone(&self, instance: u64) {
        self.record(GONE, 1, |words| words.push(instance));
    }

    /// Windows were closed before their time, until then.
    pub(crate) fn closed_early(&self, until: u64) {
        let version = self.journal.instance();
        self.record(EARLY, 2, |words| words.extend(&[version, until]));
    }

    /// A number of the part, of which the greatest one stays.
    pub(crate) fn number_of_all(&self, name: u8, value: u64) {
        self.record(META, 2, |words| words.extend(&[name.into(), value]));
    }

    /// Touches were dropped up to that time because they were too old.
    #[inline(always)]
    pub(crate) fn dropped(&self, newest: u64) {
        if newest > self.journal.dropped.load(Relaxed) {
            self.journal.dropped.fetch_max(newest, Relaxed);
            self.number_of_all(META_DROPPED, newest);
        }
    }

    /// What a number of dimensions stands for.
    pub(crate) fn number(&self, number: u32, dimensions: &[u64]) {
        self.record(NUMBER, 1 + dimensions.len(), |words| {
            words.push(number.into());
            words.extend(dimensions);
        });
    }

    /// What is known of a user elsewhere, beside its aliases.
    pub(crate) fn owned(&self, user: u64, owned: &Owned) {
        for step in &owned.touches {
            self.record(STEP, 5, |words| {
                words.extend(&[user, step.id as u64, time_and_kind(step.at, step.kind)]);
                words.extend(&[step.dimensions.into(), step.repeats.into()]);
            });
        }
        owned.marks.iter().for_each(|mark| self.mark(user, mark));
        owned.converted.iter().for_each(|at| self.converted(user, *at, false));
        if owned.evicted > 0 {
            self.record(EVICTED, 2, |words| words.extend(&[user, owned.evicted]));
        }
    }

    /// A frame was taken.
    pub(crate) fn taken(&self, frame: &Frame<'_>) {
        record_taken(self.journal.part.number, TAKEN, &self.scribe, frame);
    }

    #[inline(always)]
    fn record(&self, kind: u8, count: usize, write: impl FnOnce(&mut Words<'_>)) {
        self.scribe.record(self.journal.part.number, kind, count, write);
    }
}
