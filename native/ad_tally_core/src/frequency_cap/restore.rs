//! A table is filled again with what was kept of it.
//!
//! Entries of events name a pair by all 64 bits of its hash, so they come to their place in a table of any capacity. What was
//! imported from frames is known by less: a place, which is an interval of hashes, and a fingerprint. Its entries name the hash
//! under which it was put into the table ([`FrequencyCap::import_frame`]). In a table of as many first buckets that is its
//! place again. In one of another number it comes to every place that the interval may share hashes with: it can only deny
//! more. So these entries wait until all others are read, among them those that say how many first buckets there were.
//!
//! What has no room is counted and told: the table is smaller than what it is to hold.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::caps::FrequencyCap;
use super::entry::Format;
use super::export::interval;
use super::fold::{self, Kept};
use super::locked::Known;
use super::table::Table;
use super::tiers::ALL_TIERS;
use crate::bucket::Full;
use crate::error::TIMES;
use crate::journal::{Entry, Restore, TickChange};
use crate::table::restore_taken;

/// A table that is being filled again.
pub struct Restoring<'c> {
    caps: &'c FrequencyCap,
    /// What was imported, until all is read.
    imported: Mutex<Vec<Imported>>,
    /// Of each tier the least and the most first buckets that there were when something was imported.
    first: [[AtomicU64; 2]; ALL_TIERS],
    without_room: AtomicU64,
}

struct Imported {
    tier: usize,
    hash: u64,
    what: What,
}

enum What {
    Ticks(Vec<u64>),
    Count(u64),
    End(u64),
}

impl FrequencyCap {
    /// Begins to fill the table, which has been made with the seed and the tiers of before, from what was kept of it.
    #[must_use]
    pub fn restoring(&self) -> Restoring<'_> {
        Restoring {
            caps: self,
            imported: Mutex::default(),
            first: std::array::from_fn(|_| [AtomicU64::new(u64::MAX), AtomicU64::new(0)]),
            without_room: AtomicU64::new(0),
        }
    }
}

impl Restore for Restoring<'_> {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Meta { name, value } => self.meta(name, value),
            Entry::Ticks { tier, pair, changes } => {
                let tier = self.tier(tier, |format| format != Format::Count)?;
                let table = &self.caps.tables[tier.number];
                table.check_ticks(changes)?;
                let added = changes.iter().filter_map(|change| match change {
                    TickChange::Added(tick) => Some(*tick),
                    TickChange::Released(_) => None,
                });
                match (tier.is_end, tier.is_imported) {
                    (true, _) => self.put_aside(tier.number, pair, added.max().map(What::End)),
                    (_, true) => self.put_aside(tier.number, pair, Some(What::Ticks(added.collect()))),
                    _ => self.note_room(table.restore_ticks(pair, changes)),
                }
                Ok(())
            }
            Entry::Count { tier, pair, change } => {
                let tier = self.tier(tier, |format| format == Format::Count)?;
                if tier.is_imported {
                    self.put_aside(tier.number, pair, u64::try_from(change).ok().map(What::Count));
                } else {
                    self.note_room(self.caps.tables[tier.number].lock(pair).change_count(pair, change));
                }
                Ok(())
            }
            Entry::Item { key, bytes, .. } => restore_taken(self.caps.taken(), key, bytes),
            other => Err(format!("a frequency cap has no such entry: {other:?}")),
        }
    }
}

impl Restoring<'_> {
    /// All is read. How many pairs found no room for all of their events.
    #[must_use]
    pub fn finish(self) -> u64 {
        for Imported { tier, hash, what } in self.imported.into_inner() {
            let table = &self.caps.tables[tier];
            let own = table.buckets.first;
            let [least, most] = self.first[tier].each_ref().map(|first| first.load(Relaxed));
            let is_known = least == own && most == own;
            let hashes = |low_bits: u64, bits: u32| {
                let all = if is_known { own_place(hash, own) } else { from_on(hash, least) };
                table.hashes(all, low_bits, bits)
            };
            let bits = table.format().fingerprint_bits();
            let fingerprint = table.format().fingerprint(hash);
            let restored = match &what {
                What::End(end) => {
                    let level = table.buckets.level();
                    for hash in (0..1 << level).flat_map(|low_bits| hashes(low_bits, level)) {
                        table.lock(hash).reach_end(*end);
                    }
                    Ok(())
                }
                What::Ticks(ticks) => {
                    let changes: Vec<_> = ticks.iter().copied().map(TickChange::Added).collect();
                    hashes(fingerprint, bits).try_for_each(|hash| table.restore_ticks(hash, &changes))
                }
                What::Count(count) => {
                    hashes(fingerprint, bits).try_for_each(|hash| table.lock(hash).add_count(hash, *count))
                }
            };
            self.without_room.fetch_add(u64::from(restored == Err(Full)), Relaxed);
        }
        self.without_room.into_inner()
    }

    fn meta(&self, name: u8, value: u64) -> Result<(), String> {
        match Kept::of(name) {
            Some(Kept::Newest) if value < TIMES => self.caps.times.note_exactly(value),
            Some(Kept::Buckets(tier)) if tier < self.caps.tables.len() => {
                self.caps.tables[tier].buckets.grow_to(value);
            }
            Some(Kept::LeastFirst(tier)) if tier < self.caps.tables.len() => {
                self.first[tier][0].fetch_min(u64::MAX - value, Relaxed);
            }
            Some(Kept::MostFirst(tier)) if tier < self.caps.tables.len() => {
                self.first[tier][1].fetch_max(value, Relaxed);
            }
            _ => return Err(format!("a frequency cap has no number {name} that is {value}")),
        };
        Ok(())
    }

    fn tier(&self, tier: u8, is_of: impl Fn(Format) -> bool) -> Result<fold::Tier, String> {
        let tier = fold::Tier::of(tier);
        let table = self.caps.tables.get(tier.number).filter(|table| is_of(table.format()));
        table.map(|_| tier).ok_or_else(|| format!("tier is one of the table's, not {}", tier.number))
    }

    fn put_aside(&self, tier: usize, hash: u64, what: Option<What>) {
        self.imported.lock().extend(what.map(|what| Imported { tier, hash, what }));
    }

    fn note_room(&self, restored: Result<(), Full>) {
        self.without_room.fetch_add(u64::from(restored == Err(Full)), Relaxed);
    }
}

impl Table {
    /// Does what became of a pair's ticks.
    fn restore_ticks(&self, pair: u64, changes: &[TickChange]) -> Result<(), Full> {
        let mut bucket = self.lock(pair);
        for change in changes {
            match *change {
                TickChange::Added(tick) => {
                    bucket.reach(tick);
                    bucket.add(pair, tick)?;
                }
                // Without it a pair that looks alike may have had it.
                TickChange::Released(tick) if bucket.known(pair, tick) == Known::Kept => bucket.take_back(pair, tick),
                TickChange::Released(_) => {}
            }
        }
        Ok(())
    }

    /// Whether ticks are those of times.
    fn check_ticks(&self, changes: &[TickChange]) -> Result<(), String> {
        let most = TIMES / self.granularity + self.ahead;
        let tick = |change: &TickChange| match change {
            TickChange::Added(tick) | TickChange::Released(tick) => *tick,
        };
        let wrong = changes.iter().map(tick).find(|tick| *tick > most);
        wrong.map_or(Ok(()), |tick| {
            Err(format!("tick is at most {most} in a tier of {} ms, not {tick}", self.granularity))
        })
    }
}

/// The hashes of the first bucket that has a hash among so many.
fn own_place(hash: u64, first: u64) -> (u128, u128) {
    interval(((u128::from(hash) * u128::from(first)) >> 64) as u64, first)
}

/// The hashes from one on, as far as its place reached if there were at least so many: an entry names the lowest hash of a place
/// that its pair can have.
fn from_on(hash: u64, least: u64) -> (u128, u128) {
    let longest = (1_u128 << 64).div_ceil(u128::from(least));
    (u128::from(hash), (u128::from(hash) + longest).min(1 << 64))
}
