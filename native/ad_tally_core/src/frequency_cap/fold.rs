//! What an interval of a table's journal becomes on disk.
//!
//! ```text
//! Ticks   tier | IMPORTED | END, pair    the ticks that were counted and taken back; with IMPORTED of a place and fingerprint;
//!                                        with END the ends that its place has reached
//! Count   tier | IMPORTED, pair          the same of a lifetime
//! Item    a frame that was taken, as `table::stored` has it
//! Meta    newest; of each tier its buckets, and the first buckets when something was imported
//! ```
//!
//! A pair is the whole hash, though the table keeps only a bucket and a fingerprint of it: so what is on disk does for a table
//! of any capacity. Two pairs that the table cannot tell apart are two here. A release that took back an event of the other one
//! takes nothing back here if both are merged into one file before they are read: the table denies more then, never less.

use super::caps::FrequencyCap;
use super::config::Config;
use super::tiers::ALL_TIERS;
use super::written::{COUNTED, IMPORTED, LEVEL_BITS, NEWEST, REACHED, RELEASED, TAKEN, TIME_BITS};
use crate::error::TIMES;
use crate::journal::{self, Entries, Entry, Record, TickChange};
use crate::table::fold_taken;

const IS_IMPORTED: u8 = 1 << 7;
const IS_END: u8 = 1 << 6;

/// A tier as entries name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tier {
    pub(super) number: usize,
    pub(super) is_imported: bool,
    pub(super) is_end: bool,
}

impl Tier {
    pub(super) fn of(tier: u8) -> Self {
        let number = usize::from(tier & !(IS_IMPORTED | IS_END));
        Self { number, is_imported: tier & IS_IMPORTED != 0, is_end: tier & IS_END != 0 }
    }
}

/// The numbers that are kept of a table, of which the largest holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The newest time seen.
    Newest,
    /// How many buckets a tier has.
    Buckets(usize),
    /// How many a tier had before any split, when something was imported: the least, from the top.
    LeastFirst(usize),
    /// The most.
    MostFirst(usize),
}

/// The first of a table's own numbers: those below are the same in all parts of a store.
const OWN: usize = 2;

impl Kept {
    pub(super) fn of(name: u8) -> Option<Self> {
        if name == 0 {
            return Some(Self::Newest);
        }
        let own = usize::from(name).checked_sub(OWN)?;
        let kind = [Self::Buckets, Self::LeastFirst, Self::MostFirst].into_iter().nth(own / ALL_TIERS)?;
        Some(kind(own % ALL_TIERS))
    }

    fn name(self) -> u8 {
        let of = |kind: usize, tier: usize| (OWN + kind * ALL_TIERS + tier) as u8;
        match self {
            Self::Newest => 0,
            Self::Buckets(tier) => of(0, tier),
            Self::LeastFirst(tier) => of(1, tier),
            Self::MostFirst(tier) => of(2, tier),
        }
    }
}

/// Makes entries of what a table has written.
pub struct Fold {
    /// Of each tier of ticks the granularity in milliseconds, and how far back from the newest time a tick can matter.
    ticks: Vec<(u64, u64)>,
    lifetime: bool,
    /// Of each tier the buckets before any split.
    first: Vec<u64>,
}

impl FrequencyCap {
    /// What makes entries of its records.
    #[must_use]
    pub fn fold(&self) -> Fold {
        let Config { tiers, lifetime, .. } = &self.config;
        // An event may be as late as the shortest horizon, a window before it as long as the tier's; and ticks round.
        let reach =
            |(granularity, horizon): &(u64, u64)| (*granularity, horizon + self.config.horizon() + 2 * granularity);
        Fold {
            ticks: tiers.iter().map(reach).collect(),
            lifetime: *lifetime,
            first: self.tables.iter().map(|table| table.buckets.first).collect(),
        }
    }
}

impl journal::Fold for Fold {
    fn fold(&self, Record { part, kind, words }: Record<'_>, into: &mut Entries) {
        match (kind, words) {
            (COUNTED, [first, pairs @ ..]) => self.counted(part, *first, pairs, into),
            (RELEASED, [first, pair]) => self.released(part, *first, *pair, into),
            (IMPORTED, [tier, hash, events @ ..]) => {
                let (number, named) = self.imported(part, *tier, into);
                if number < self.ticks.len() {
                    events.iter().for_each(|tick| into.tick(part, named, *hash, *tick));
                } else {
                    events.iter().for_each(|count| into.count(part, named, *hash, *count as i64));
                }
            }
            (REACHED, [tier, hash, end]) => {
                let (_, named) = self.imported(part, *tier, into);
                into.tick(part, named | IS_END, *hash, *end);
            }
            (NEWEST, [newest]) => into.meta(part, Kept::Newest.name(), *newest),
            (TAKEN, words) => fold_taken(part, words, into),
            _ => unreachable!("a frequency cap writes no such record: {kind} {words:?}"),
        }
    }

    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        match entry {
            Entry::Ticks { tier, changes, .. } => {
                let Some((granularity, reach)) = self.ticks.get(Tier::of(*tier).number) else { return true };
                let is_near = |tick: u64| tick.saturating_mul(*granularity).saturating_add(*reach) >= newest;
                changes.iter().any(|change| match change {
                    TickChange::Added(tick) | TickChange::Released(tick) => is_near(*tick),
                })
            }
            Entry::Count { change, .. } => *change != 0,
            _ => true,
        }
    }
}

impl Fold {
    fn counted(&self, part: u16, first: u64, pairs: &[u64], into: &mut Entries) {
        let (at, levels) = (first % TIMES, first >> TIME_BITS);
        for pair in pairs {
            for (tier, (granularity, _)) in self.ticks.iter().enumerate() {
                into.tick(part, tier as u8, *pair, at / granularity);
            }
            if self.lifetime {
                into.count(part, self.ticks.len() as u8, *pair, 1);
            }
        }
        into.meta(part, Kept::Newest.name(), at);
        for (tier, first) in self.first.iter().enumerate() {
            let level = levels >> (tier as u32 * LEVEL_BITS) & ((1 << LEVEL_BITS) - 1);
            into.meta(part, Kept::Buckets(tier).name(), first << level);
        }
    }

    fn released(&self, part: u16, first: u64, pair: u64, into: &mut Entries) {
        let (at, tiers) = (first % TIMES, first >> TIME_BITS);
        for (tier, (granularity, _)) in self.ticks.iter().enumerate() {
            if tiers >> tier & 1 == 1 {
                into.release(part, tier as u8, pair, at / granularity);
            }
        }
        if self.lifetime && tiers >> self.ticks.len() & 1 == 1 {
            into.count(part, self.ticks.len() as u8, pair, -1);
        }
    }

    /// Notes that something was imported into a tier: its number, and what entries of that name it.
    fn imported(&self, part: u16, tier: u64, into: &mut Entries) -> (usize, u8) {
        let (number, first) = (tier as usize, self.first[tier as usize]);
        into.meta(part, Kept::LeastFirst(number).name(), u64::MAX - first);
        into.meta(part, Kept::MostFirst(number).name(), first);
        (number, number as u8 | IS_IMPORTED)
    }
}
