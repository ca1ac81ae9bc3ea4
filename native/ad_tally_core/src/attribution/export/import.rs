//! Frames come in: what is known of users and conversions is united with what there is.
//!
//! Touches, aliases and marks are sets, so the order in which frames come makes no difference. An order that is known stays as it is.

use super::super::convert::{Kept, Started};
use super::super::orders::{Journaled, Record};
use super::super::ring::{Begun, Key, Linked, Owned};
use super::super::types::Step;
use super::super::{Attribution, NO_DIMENSIONS};
use super::read::{Row, RowOf, RowReader};
use crate::codec::{Claim, Frame, FrameError, Imported, Kind, Name, Settings};
use crate::error::TIMES;
use crate::journal::META_NEWEST;
use crate::key::AtomNames;

/// What is done with the rows of a frame.
struct Taking<'a, F> {
    of: &'a Attribution,
    now: F,
    rows: u32,
    overflow: u32,
}

impl Attribution {
    /// Takes a frame in, unless it was taken before. `settings` are those of this attribution.
    ///
    /// A conversion that is provisional in the frame is provisional here too, if its window is open or may begin. Otherwise touches
    /// cannot change it any more: it is final at once, and booked in the first window that is open, as one that comes late is. A
    /// conversion that is final in the frame was booked where it became final. It can be adjusted here.
    ///
    /// # Errors
    /// What is wrong with the frame. Nothing has changed then.
    pub fn import_frame(
        &self,
        settings: &Settings,
        frame: &Frame<'_>,
        atoms: &mut impl AtomNames,
        now: impl Fn() -> u64,
    ) -> Result<Imported, FrameError> {
        frame.expect(Kind::Attribution, settings)?;
        let newest = frame.settings.number(Name::Newest);
        if newest >= TIMES {
            return Err(frame.setting_error(Name::Newest, newest, format_args!("below {TIMES}")));
        }
        let rows = RowReader { of: self, arity: settings.number(Name::Dimensions) };
        frame.check_rows(|reader| rows.read(reader, atoms).map(drop))?;
        if self.taken.claim(frame)? == Claim::AlreadyTaken {
            return Ok(Imported::AlreadyTaken);
        }
        // By the system's time a newer one would have times be taken that are too far ahead.
        let is_by_events = self.config.max_ahead.is_none();
        let newest = if is_by_events { newest } else { newest.min(now()) };
        self.windows.note_newest(newest);
        if let Some(writing) = self.write_anyway() {
            writing.number_of_all(META_NEWEST, newest);
        }
        let mut taking = Taking { of: self, now, rows: 0, overflow: 0 };
        frame.check_rows(|reader| {
            taking.take(rows.read(reader, atoms)?);
            Ok(())
        })?;
        // At the end: a frame of which a part is missing may be taken again, which changes nothing of the rest.
        if let Some(writing) = self.write_anyway() {
            writing.taken(frame);
        }
        Ok(Imported::Rows { rows: taking.rows, overflow: taking.overflow })
    }
}

impl<F: Fn() -> u64> Taking<'_, F> {
    fn take(&mut self, row: Row) {
        let numbers: Vec<u32> = row.dimensions.iter().map(|words| self.of.dimensions.number(words)).collect();
        if let Some(writing) = self.of.write_anyway() {
            numbers.iter().zip(&row.dimensions).for_each(|(number, words)| writing.number(*number, words));
        }
        match row.of {
            RowOf::User(key, mut owned) => {
                owned.touches.iter_mut().for_each(|step| *step = self.numbered(*step, &numbers));
                self.of.take_user(key, owned);
                self.rows += 1;
            }
            RowOf::Conversion(order, mut record) => {
                record.steps.iter_mut().for_each(|step| *step = self.numbered(*step, &numbers));
                self.rows += 1;
                self.overflow += u32::from(!self.of.take_record(order, *record, &self.now));
            }
        }
    }

    /// A touch with the number that its dimensions have here.
    fn numbered(&mut self, step: Step, numbers: &[u32]) -> Step {
        let Some(place) = (step.dimensions as usize).checked_sub(1) else { return step };
        let dimensions = numbers[place];
        self.overflow += u32::from(dimensions == NO_DIMENSIONS);
        Step { dimensions, ..step }
    }
}

impl Attribution {
    /// Unites what is known of a user with what another table knew of it.
    fn take_user(&self, key: Key, mut owned: Owned) {
        let Some(user) = self.ring.hash_of(key) else { return };
        let aliases = std::mem::take(&mut owned.aliases);
        let open = self.windows.protect();
        let writing = self.write_anyway();
        if let Some(writing) = &writing {
            writing.owned(user, &owned);
        }
        let restored = self.ring.restore(key, owned);
        let linked = aliases.into_iter().map(|alias| self.ring.link(alias, user));
        let all: Vec<Linked> = std::iter::once(restored).chain(linked).flatten().collect();
        all.iter().for_each(|linked| self.write_link(linked, writing.as_ref(), false));
        drop(writing);
        for Linked { alias, user: linked_to, pending, steps, evicted, forgotten } in all {
            let orders = pending.iter().map(|(order, _at)| *order).chain(forgotten.iter().copied());
            orders.for_each(|order| self.extend(order, &steps, evicted));
            forgotten.into_iter().for_each(|order| self.end_early(order, &open));
            if let (Some(alias), Some(writing)) = (alias, self.write_anyway()) {
                writing.alias(alias, linked_to, true);
            }
        }
    }

    /// Merges a user's touches into one of its provisional conversions.
    fn extend(&self, order: u64, steps: &[Step], evicted: u64) {
        let mut orders = self.orders.lock(order);
        let is_provisional = orders.update(order, |record| {
            if record.is_provisional() {
                self.merge(record, steps);
                record.truncated |= self.is_missing(record, evicted);
            }
            record.is_provisional()
        });
        if is_provisional == Some(true) {
            self.write_order(&mut orders, order);
        }
    }

    /// Whether the newest touch that was evicted of a user, by its time, is missing in a path. A conversion has touches of its own
    /// that its user has no more: what was evicted where it came from after it is none that is missing.
    fn is_missing(&self, record: &Record, evicted: u64) -> bool {
        evicted <= record.at
            && self.is_within_reach(evicted, record.at)
            && record.steps.iter().all(|step| step.at != evicted)
    }

    /// Takes a conversion of a frame, unless its order is known: false if there was no room for it.
    fn take_record(&self, order: u64, record: Record, now: impl Fn() -> u64) -> bool {
        if !record.is_provisional() {
            self.take_final(order, record, now);
            return true;
        }
        // Its window would be open until then.
        if self.windows.is_future(record.at, &now) {
            return false;
        }
        self.in_place(record.at, &now, |place, open| {
            let Some(place) = place else { return false };
            self.keep(&place, open, order, &now, || self.begin_again(order, record, place.is_late)) != Kept::Not
        })
    }

    /// Takes a conversion that was booked elsewhere.
    fn take_final(&self, order: u64, record: Record, now: impl Fn() -> u64) {
        let open = self.windows.protect();
        let mut orders = self.orders.lock(order);
        if self.known(&orders, order, &now).is_none() && !self.is_past(&record, &now) {
            self.make_room(&mut orders, &open);
            let version = orders.next_version();
            let journaled = Journaled { born: version, used: version, instance: 0 };
            orders.insert(order, Record { journaled, ..record });
            self.write_order(&mut orders, order);
        }
    }

    /// A provisional conversion, its path united with the touches that its user has here.
    fn begin_again(&self, order: u64, mut record: Record, is_late: bool) -> Option<Started<'_>> {
        let Some(user) = record.user else {
            return Some(Started { record, forgotten: None, writing: self.write_anyway() });
        };
        let (begun, writing) = self.begin_in_ring(user, order, record.at, is_late, || Ok(self.write_anyway()))?;
        if let Some(writing) = &writing {
            writing.converted(user, record.at, !is_late);
        }
        let Begun { path, evicted, forgotten } = begun;
        self.merge(&mut record, &path);
        record.truncated |= self.is_missing(&record, evicted);
        Some(Started { record, forgotten, writing })
    }
}
