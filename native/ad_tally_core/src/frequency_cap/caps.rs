//! The table of all tiers.

use super::config::Config;
use super::decide::{Block, Decision, Reason};
use super::rules::Tiers;
use super::table::Table;
use super::times::Times;
use crate::codec::Taken;
use crate::error::Error;
use crate::journal;
use crate::key::Seed;
use crate::sync::sharded_counter::ShardedCounter;

/// Caps on how often pairs of scope and user are admitted.
pub struct FrequencyCap {
    seed: Seed,
    pub(super) config: Config,
    pub(super) tiers: Tiers,
    /// Whether there is one tier, of ticks beside short fingerprints: nearly all tables, which have a faster way.
    pub(super) is_simple: bool,
    pub(super) tables: Vec<Table>,
    pub(super) times: Times,
    /// Events that were not admitted: by a rule for sure, by rounding, and for each reason.
    pub(super) not_admitted: ShardedCounter<6>,
    taken: Taken,
    /// Where what is counted and taken back is written, if it is to survive.
    pub(super) journal: Option<journal::Part>,
}

impl FrequencyCap {
    /// An empty table.
    ///
    /// # Errors
    /// What is wrong with the configuration, or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        Self::with_seed(config, Seed::random())
    }

    /// The same with a seed of the caller's.
    ///
    /// # Errors
    /// As [`FrequencyCap::new`].
    pub fn with_seed(config: &Config, seed: Seed) -> Result<Self, Error> {
        Self::with_journal(config, seed, None)
    }

    /// The same, of which all that is counted and taken back is written to a journal.
    ///
    /// # Errors
    /// As [`FrequencyCap::new`].
    pub fn with_journal(config: &Config, seed: Seed, journal: Option<journal::Part>) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            seed,
            config: config.clone(),
            tiers: Tiers::new(config.tiers.clone(), config.lifetime),
            is_simple: config.tiers.len() == 1 && !config.lifetime && !config.strict,
            tables: config.tables()?,
            times: Times::new(config.horizon(), config.max_ahead()),
            not_admitted: ShardedCounter::new(),
            taken: Taken::default(),
            journal,
        })
    }

    /// The seed that scopes and users are hashed under.
    #[inline]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// Counts an event that a rule blocks.
    #[inline(always)]
    pub(super) fn note_block(&self, block: Block) {
        self.not_admitted.add(block as usize);
    }

    /// Counts an event that cannot be decided.
    #[cold]
    pub(super) fn refuse(&self, reason: Reason) -> Decision {
        self.not_admitted.add(reason as usize);
        Decision::Refused(reason)
    }

    /// Which frames were imported.
    #[must_use]
    pub fn taken(&self) -> &Taken {
        &self.taken
    }
}
