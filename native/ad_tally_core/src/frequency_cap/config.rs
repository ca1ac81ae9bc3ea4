//! What a table of caps is to be.

use super::entry::{Format, HORIZON_TICKS, TICKS};
use super::table::{MOST_TIERS, Table, first_buckets};
use crate::error::{Error, TIMES};
use crate::key::bits;
use crate::time::DAY;

/// The most pairs.
const MOST_CAPACITY: usize = 1_000_000_000;
/// The most of which a lifetime's fingerprints have no bits that name a bucket as well.
const MOST_APART: usize = 294_912;

// A pair's bucket says nothing of its fingerprint, so both together tell pairs apart: see `key::hash`.
const _: () = assert!(Format::Ticks.fingerprint_bits() <= bucket_bits_from(Format::Ticks, MOST_CAPACITY));
const _: () = assert!(Format::Count.fingerprint_bits() <= bucket_bits_from(Format::Count, MOST_APART));
const _: () = assert!(Format::Count.fingerprint_bits() > bucket_bits_from(Format::Count, MOST_APART + 1));

/// The lowest of the bits that name a bucket before any split.
const fn bucket_bits_from(format: Format, capacity: usize) -> u32 {
    bits::below_bucket(first_buckets(format, capacity))
}
/// How often a table may double its capacity: every time, one bit of the fingerprints no longer tells pairs apart.
const MOST_GROWTH: usize = 16;
const GRANULARITIES: std::ops::RangeInclusive<u64> = 1_000..=DAY;
/// Ticks that a bucket is set ahead at least when it is looked through for old ones.
const LEAST_AHEAD: u64 = TICKS - 2 - HORIZON_TICKS;

/// What a table is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Pairs of scope and user that have live events, as the table is laid out for.
    pub capacity: usize,
    /// The most of them, up to which it grows.
    pub max_capacity: usize,
    /// Granularity and horizon of each tier in milliseconds, from fine to coarse.
    pub tiers: Vec<(u64, u64)>,
    /// Whether all events of a pair are counted for ever besides.
    pub lifetime: bool,
    /// Whether pairs are told apart by 64 bits instead of 16.
    pub strict: bool,
    /// How many milliseconds ahead of the system's time an event is believed: the smaller of a day and a quarter of the
    /// shortest horizon unless it is given.
    pub max_ahead: Option<u64>,
}

impl Config {
    pub(super) fn check(&self) -> Result<(), Error> {
        let Self { capacity, max_capacity, ref tiers, lifetime, .. } = *self;
        if capacity == 0 || capacity > MOST_CAPACITY {
            return Err(Error::Capacity(capacity));
        }
        let most = capacity.saturating_mul(MOST_GROWTH).min(MOST_CAPACITY);
        if max_capacity < capacity || max_capacity > most {
            return Err(Error::MaxCapacity { max_capacity, least: capacity, most });
        }
        if tiers.len() > MOST_TIERS || tiers.is_empty() && !lifetime {
            return Err(Error::Tiers(tiers.len()));
        }
        for (granularity, horizon) in tiers.iter().copied() {
            let ticks = horizon.div_ceil(granularity.max(1));
            if !GRANULARITIES.contains(&granularity) || horizon < granularity || ticks > HORIZON_TICKS {
                return Err(Error::Tier { granularity, horizon });
            }
        }
        if tiers.windows(2).any(|pair| pair[0].0 >= pair[1].0 || pair[0].1 >= pair[1].1) {
            return Err(Error::TierOrder);
        }
        if self.max_ahead() >= TIMES {
            return Err(Error::MaxAhead(self.max_ahead()));
        }
        Ok(())
    }

    /// The shortest horizon in milliseconds.
    pub(super) fn horizon(&self) -> u64 {
        self.tiers.first().map_or(u64::MAX, |tier| tier.1)
    }

    pub(super) fn max_ahead(&self) -> u64 {
        self.max_ahead.unwrap_or((self.horizon() / 4).min(DAY))
    }

    /// Empty tables of all tiers, the lifetime last.
    pub(super) fn tables(&self) -> Result<Vec<Table>, Error> {
        let format = if self.strict { Format::Strict } else { Format::Ticks };
        let ticks = self.tiers.iter().map(|(granularity, horizon)| {
            let ticks = horizon.div_ceil(*granularity);
            // A window of the whole horizon may reach one tick further back than it is long. Of what is left, up to a quarter
            // of the horizon is kept besides, for events that are late.
            let spare = TICKS - 2 - ticks;
            let ahead = spare - (ticks / 4).min(spare.saturating_sub(LEAST_AHEAD));
            (format, [*granularity, spare, ahead])
        });
        let all = ticks.chain(self.lifetime.then_some((Format::Count, [1, 0, 0])));
        let capacities = (self.capacity, self.max_capacity);
        all.map(|(format, ticks)| Table::new(format, capacities, ticks).map_err(Error::Memory)).collect()
    }
}
