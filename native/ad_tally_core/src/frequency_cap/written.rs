//! What is written to a journal, so that a table survives its process: what was counted and taken back, not what was asked.
//!
//! ```text
//! COUNTED    bits 0..47 the time, from 47 on 3 bits a tier: how often its buckets are split | the pairs, which it counts for
//! RELEASED   bits 0..47 the time, from 47 on a bit a tier: where it was taken back          | the pair
//! IMPORTED   the tier | a hash, see `restore` | ticks, or the count of a lifetime
//! REACHED    the tier | a hash, see `restore` | the last tick that the bucket can tell
//! NEWEST     the newest time that the table of a frame had seen
//! TAKEN      as `table::stored` has it
//! ```
//!
//! A record is the whole event: all pairs in all tiers, whose ticks follow from the time. Who counts or takes back begins to
//! write while the buckets are locked. So of an event and its release the release is never in an earlier interval; a denial,
//! which leaves no trace in the table either, writes nothing; and where the journal is full, nothing has happened yet.

use super::caps::FrequencyCap;
use super::decide::{Compiled, Decision, Reason};
use super::locked::{Added, LockedBucket};
use super::tiers::{ALL_TIERS, Moments};
use crate::codec::Frame;
use crate::error::TIMES;
use crate::journal::{self, Scribe};
use crate::table::record_taken;

pub(super) const COUNTED: u8 = 0;
pub(super) const RELEASED: u8 = 1;
pub(super) const IMPORTED: u8 = 2;
pub(super) const REACHED: u8 = 3;
pub(super) const NEWEST: u8 = 4;
pub(super) const TAKEN: u8 = 5;

/// Below what a record's first word says beside its time.
pub(super) const TIME_BITS: u32 = TIMES.trailing_zeros();
/// Bits that say how often a tier's buckets are split: at most four times.
pub(super) const LEVEL_BITS: u32 = 3;

const _: () = assert!(TIMES.is_power_of_two());
const _: () = assert!(TIME_BITS + LEVEL_BITS * ALL_TIERS as u32 <= u64::BITS);

impl FrequencyCap {
    /// [`FrequencyCap::add`], and the record of it.
    #[inline(never)]
    pub(super) fn add_and_write(
        &self,
        part: &journal::Part,
        pairs: &[(u64, &[Compiled])],
        buckets: &mut [Option<LockedBucket<'_>>],
        places: &[usize],
        added: &mut [Added],
        moments: &Moments,
    ) -> Decision {
        let Ok(scribe) = part.begin() else { return self.refuse(Reason::Busy) };
        let decision = self.add(pairs, buckets, places, added, moments);
        if decision == Decision::Admitted {
            let levels =
                self.tables.iter().rev().fold(0, |all, table| all << LEVEL_BITS | u64::from(table.buckets.level()));
            scribe.record(part.number, COUNTED, 1 + pairs.len(), |words| {
                words.push(moments[0].at | levels << TIME_BITS);
                pairs.iter().for_each(|(pair, _)| words.push(*pair));
            });
        }
        decision
    }

    /// Begins to write of what must not fail because the journal is full: there are no more releases than events were counted,
    /// and an import is asked for by hand.
    pub(super) fn write(&self) -> Option<Writing<'_>> {
        self.journal.as_ref().map(|part| Writing { scribe: part.begin_anyway(), part: part.number })
    }
}

/// What a caller writes who has begun to.
pub(super) struct Writing<'j> {
    scribe: Scribe<'j>,
    part: u16,
}

impl Writing<'_> {
    /// An event was taken back, in these tiers.
    pub(super) fn released(&self, pair: u64, at: u64, tiers: impl Iterator<Item = bool>) {
        let tiers = tiers.enumerate().fold(0, |all, (tier, is_in)| all | u64::from(is_in) << tier);
        self.words(RELEASED, &[at | tiers << TIME_BITS, pair]);
    }

    /// Ticks of a pair that is known by its place and fingerprint were added, or to its count.
    pub(super) fn imported(&self, tier: usize, hash: u64, ticks: &[u64]) {
        self.scribe.record(self.part, IMPORTED, 2 + ticks.len(), |words| {
            words.push(tier as u64);
            words.push(hash);
            words.extend(ticks);
        });
    }

    /// The buckets of a place reach to an end at least.
    pub(super) fn reached(&self, tier: usize, hash: u64, end: u64) {
        self.words(REACHED, &[tier as u64, hash, end]);
    }

    /// A table had seen that time.
    pub(super) fn newest(&self, newest: u64) {
        self.words(NEWEST, &[newest]);
    }

    /// A frame was taken.
    pub(super) fn taken(&self, frame: &Frame<'_>) {
        record_taken(self.part, TAKEN, &self.scribe, frame);
    }

    fn words(&self, kind: u8, all: &[u64]) {
        self.scribe.record(self.part, kind, all.len(), |words| words.extend(all));
    }
}
