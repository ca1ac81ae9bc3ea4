//! A pair's bucket, locked: its events are counted, taken back, and given up when they are too old.

use super::entry::{self, Entry, Format, MOST_COUNT, TICKS};
use super::seen::{MOST_KEPT, Seen};
use super::table::{self, Table};
use crate::bucket::{Chain, Content, Full, Place};

/// A bucket whose lock is held until this is dropped.
pub(super) struct LockedBucket<'t> {
    pub(super) table: &'t Table,
    pub(super) chain: Chain<'t, Format>,
}

/// What [`LockedBucket::add`] did, so that it can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// The pair has a tick or a count more.
    More,
    /// The tick took the place of the pair's oldest one.
    InPlaceOf(u64),
    /// The tick is not kept: it is too old for the bucket, or the pair has as many as are kept and none is older.
    NotKept,
}

/// What is known of an event of a pair at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// There is one.
    Kept,
    /// There may have been one, which was given up: it is too old for the bucket, or no newer than the oldest tick of a pair
    /// that has as many as are kept.
    Lost,
    /// There is none.
    Absent,
}

impl Table {
    /// Locks a pair's bucket.
    #[inline(always)]
    pub(super) fn lock(&self, hash: u64) -> LockedBucket<'_> {
        LockedBucket { table: self, chain: self.buckets.lock(hash) }
    }

    /// Locks a bucket if it is that of a pair.
    pub(super) fn lock_at(&self, at: usize, hash: u64) -> Option<LockedBucket<'_>> {
        Some(LockedBucket { table: self, chain: self.buckets.lock_at(at, hash)? })
    }

    /// Reads what a pair has, without a lock unless its bucket changes all the time: as of `tick` or the bucket's end,
    /// whichever is later.
    #[inline(always)]
    pub(super) fn read(&self, hash: u64, tick: u64) -> Seen {
        let read = self.buckets.read(hash, |bucket, header| self.seen(bucket, header, hash));
        let mut seen = read.unwrap_or_else(|| self.lock(hash).seen(hash));
        seen.reach(tick);
        seen
    }

    /// Removes what is too old at a tick from buckets beginning at number `from`, as many as `most`: the number of the next
    /// one, if there is one, and how many entries became empty.
    pub(super) fn sweep(&self, from: usize, most: usize, tick: u64) -> (Option<usize>, usize) {
        let end = if self.format() == Format::Count { 0 } else { tick + self.ahead };
        let mut removed = 0;
        let next = self.buckets.sweep(from, most, |chain| {
            removed += LockedBucket { table: self, chain }.reach_end(end);
        });
        (next, removed)
    }
}

impl<'t> LockedBucket<'t> {
    /// The bucket's end.
    #[inline(always)]
    pub(super) fn end(&self) -> u64 {
        table::end(self.chain.header)
    }

    /// Has the bucket reach to a tick at least: removes what is too old to be told from it. All ticks of a lifetime are 0.
    #[inline(always)]
    pub(super) fn reach(&mut self, tick: u64) {
        if tick > self.end() {
            self.reach_end(tick + self.table.ahead);
        }
    }

    /// Whether it is that of a pair.
    pub(super) fn is_of(&self, hash: u64) -> bool {
        self.table.buckets.is_place_of(self.chain.at, self.chain.header, hash)
    }

    /// What a pair has here.
    pub(super) fn seen(&self, hash: u64) -> Seen {
        self.table.seen(self.chain.bucket, self.chain.header, hash)
    }

    /// Counts an event of a pair, at a tick up to the bucket's end.
    pub(super) fn add(&mut self, hash: u64, tick: u64) -> Result<Added, Full> {
        let format = self.table.format();
        if format == Format::Count {
            return self.add_count(hash, 1).map(|()| Added::More);
        }
        if self.end() - tick >= TICKS {
            return Ok(Added::NotKept);
        }
        let (fingerprint, kept) = (format.fingerprint(hash), entry::kept(tick));
        let (mut is_first, mut seen, mut with_room, mut empty) = (true, 0, None, None);
        self.chain.visit(|place, entry| {
            if entry.value == 0 {
                empty = empty.or(Some(place));
            } else if entry.fingerprint == fingerprint {
                is_first = false;
                seen += entry::ages(entry.value, 0).count();
                if let Some(value) = entry::with(entry.value, format.ticks(), kept) {
                    with_room = Some((place, Entry { fingerprint, value }));
                }
            }
        });
        if seen >= MOST_KEPT {
            let oldest = self.oldest_of_full(hash).filter(|oldest| tick > *oldest);
            return Ok(oldest.map_or(Added::NotKept, |oldest| {
                self.replace(hash, oldest, tick);
                Added::InPlaceOf(oldest)
            }));
        }
        match with_room {
            Some((place, entry)) => self.chain.set(place, entry),
            None => self.add_entry(is_first, empty, Entry { fingerprint, value: kept })?,
        }
        Ok(Added::More)
    }

    /// Adds so many events to a pair's count.
    pub(super) fn add_count(&mut self, hash: u64, count: u64) -> Result<(), Full> {
        let fingerprint = self.table.format().fingerprint(hash);
        let (mut own, mut empty) = (None, None);
        self.chain.visit(|place, entry| {
            if entry.value == 0 {
                empty = empty.or(Some(place));
            } else if entry.fingerprint == fingerprint {
                own = Some((place, entry.value));
            }
        });
        let Some((place, before)) = own else {
            return self.add_entry(true, empty, Entry { fingerprint, value: count });
        };
        self.chain.set(place, Entry { fingerprint, value: (before + count).min(MOST_COUNT) });
        Ok(())
    }

    /// Adds so many events to a pair's count, or takes as many back, as far as it has them.
    pub(super) fn change_count(&mut self, hash: u64, change: i64) -> Result<(), Full> {
        let Ok(less) = u64::try_from(-change) else { return self.add_count(hash, change as u64) };
        let fingerprint = self.table.format().fingerprint(hash);
        if let Some((place, value)) = self.place_with(hash, 0) {
            // One less, unless it has come to its end.
            let left = if value == MOST_COUNT { value } else { (value + 1).saturating_sub(less) };
            self.chain.set(place, Entry { fingerprint, value: left });
            if left == 0 {
                self.forget(vec![fingerprint]);
            }
        }
        Ok(())
    }

    /// Puts an entry of a pair, its first one or one more, into an empty place or one more overflow bucket.
    #[inline(never)]
    fn add_entry(&mut self, is_first: bool, empty: Option<Place<'t>>, entry: Entry) -> Result<(), Full> {
        let Table { buckets, population, .. } = self.table;
        if is_first && !population.has_room(self.chain.at) {
            return Err(Full);
        }
        match empty {
            Some(place) => self.chain.set(place, entry),
            None => self.chain.push_overflow(entry)?,
        }
        let level = buckets.level();
        if population.add(self.chain.at, is_first, level) {
            buckets.grow(level);
        }
        Ok(())
    }

    /// The oldest tick of a pair that is full: there may have been older ones.
    fn oldest_of_full(&self, hash: u64) -> Option<u64> {
        let (fingerprint, end) = (self.table.format().fingerprint(hash), self.end());
        let mut ages = Vec::new();
        self.chain.visit(|_, entry| {
            if entry.value != 0 && entry.fingerprint == fingerprint {
                ages.extend(entry::ages(entry.value, end % TICKS).map(u64::from));
            }
        });
        ages.iter().max().filter(|_| ages.len() >= MOST_KEPT).map(|oldest| end - oldest)
    }

    /// What is known of an event of a pair at a tick. Of a lifetime, which knows no ticks, whether there is an event at all.
    pub(super) fn known(&self, hash: u64, tick: u64) -> Known {
        if self.table.format() == Format::Count {
            return if self.seen(hash).count > 0 { Known::Kept } else { Known::Absent };
        }
        let Some(age) = self.end().checked_sub(tick) else { return Known::Absent };
        if age >= TICKS || self.oldest_of_full(hash).is_some_and(|oldest| tick <= oldest) {
            return Known::Lost;
        }
        if self.place_with(hash, tick).is_some() { Known::Kept } else { Known::Absent }
    }

    /// Takes an event back that is known to be there: one at that tick, or any of a lifetime.
    pub(super) fn take_back(&mut self, hash: u64, tick: u64) {
        if self.table.format() != Format::Count
            && let Some(oldest) = self.oldest_of_full(hash)
        {
            // It stays full: of older events it may have lost some.
            self.replace(hash, tick, oldest);
        } else {
            self.remove(hash, tick);
        }
    }

    /// Undoes what [`LockedBucket::add`] has done a moment ago, under the same lock.
    pub(super) fn undo(&mut self, hash: u64, tick: u64, added: Added) {
        match added {
            Added::More => self.remove(hash, tick),
            Added::InPlaceOf(oldest) => self.replace(hash, tick, oldest),
            Added::NotKept => {}
        }
    }

    /// An entry of a pair that has a tick, and what it holds without it. Of a lifetime: with one event less.
    fn place_with(&self, hash: u64, tick: u64) -> Option<(Place<'t>, u64)> {
        let format = self.table.format();
        let fingerprint = format.fingerprint(hash);
        let mut found = None;
        self.chain.visit(|place, entry| {
            if found.is_none() && entry.value != 0 && entry.fingerprint == fingerprint {
                let less = match format {
                    // A count that has come to its end is no longer known.
                    Format::Count => Some(if entry.value == MOST_COUNT { MOST_COUNT } else { entry.value - 1 }),
                    _ => entry::without(entry.value, format.ticks(), entry::kept(tick)),
                };
                found = less.map(|value| (place, value));
            }
        });
        found
    }

    /// Puts one tick of a pair in the place of another one, which is there.
    fn replace(&mut self, hash: u64, tick: u64, other: u64) {
        let format = self.table.format();
        let Some((place, without)) = self.place_with(hash, tick) else { return };
        if let Some(value) = entry::with(without, format.ticks(), entry::kept(other)) {
            self.chain.set(place, Entry { fingerprint: format.fingerprint(hash), value });
        }
    }

    /// Removes one tick of a pair, or one event of a lifetime.
    fn remove(&mut self, hash: u64, tick: u64) {
        let fingerprint = self.table.format().fingerprint(hash);
        let Some((place, value)) = self.place_with(hash, tick) else { return };
        self.chain.set(place, Entry { fingerprint, value });
        if value == 0 {
            self.forget(vec![fingerprint]);
        }
    }

    /// Has the bucket reach to an end at least, and removes ticks that are too old for it. How many entries became empty.
    #[inline(never)]
    pub(super) fn reach_end(&mut self, end: u64) -> usize {
        if end <= self.end() {
            return 0;
        }
        let format = self.table.format();
        let (old_end, passed) = (self.end(), end - self.end());
        self.chain.change();
        let mut emptied = Vec::new();
        self.chain.visit(|(bucket, at), Entry { fingerprint, value }| {
            if value != 0 {
                let left = match (TICKS - 1).checked_sub(passed) {
                    Some(oldest) => entry::without_older(value, format.ticks(), old_end % TICKS, oldest),
                    None => 0,
                };
                if left != value {
                    format.set(bucket, at, Entry { fingerprint, value: left });
                }
                if left == 0 {
                    emptied.push(fingerprint);
                }
            }
        });
        self.chain.header = self.chain.header.with_policy(end);
        let count = emptied.len();
        if count > 0 {
            self.forget(emptied);
        }
        count
    }

    /// Counts entries that became empty, one of each of these fingerprints, and gives back overflow buckets that are no longer
    /// needed.
    fn forget(&mut self, mut emptied: Vec<u64>) {
        let entries = emptied.len();
        emptied.sort_unstable();
        emptied.dedup();
        // Of those pairs that have no other entry, the last one is gone.
        let mut last = emptied.len();
        for fingerprint in &emptied {
            let mut has_more = false;
            self.chain.visit(|_, entry| {
                has_more |= entry.value != 0 && entry.fingerprint == *fingerprint;
            });
            last -= usize::from(has_more);
        }
        self.table.population.remove(self.chain.at, entries, entries - last);
        self.chain.compact();
    }
}
