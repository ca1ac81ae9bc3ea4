//! The table of all tiers.

use super::config::Config;
use super::outcome::NotAdmitted;
use super::rules::Tiers;
use super::table::Tier;
use super::times::Times;
use crate::error::Error;
use crate::key::Seed;

/// Caps on how often pairs of scope and user are admitted.
pub struct FrequencyCap {
    seed: Seed,
    pub(super) tiers: Tiers,
    pub(super) is_simple: bool,
    pub(super) tables: Vec<Tier>,
    pub(super) times: Times,
    pub(super) not_admitted: NotAdmitted,
}

impl FrequencyCap {
    /// An empty table.
    ///
    /// # Errors
    /// What is wrong with the configuration, or [`Error::Memory`].
    pub fn new(config: &Config) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            seed: Seed::random(),
            tiers: Tiers::new(config.tiers.clone(), config.lifetime),
            is_simple: config.is_simple(),
            tables: config.tables()?,
            times: Times::new(config.horizon(), config.max_ahead()),
            not_admitted: NotAdmitted::new(),
        })
    }

    /// The seed that scopes and users are hashed under.
    #[inline]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The hash of a pair, of its parts' hashes.
    #[inline(always)]
    #[must_use]
    pub fn pair(scope: u64, user: u64) -> u64 {
        // Both are hashes under the table's seed already. The product mixes them, so that neither order nor equality of
        // parts shows.
        let product = u128::from(scope ^ 0x9e37_79b9_7f4a_7c15) * u128::from(user.rotate_left(32) | 1);
        product as u64 ^ (product >> 64) as u64
    }
}
