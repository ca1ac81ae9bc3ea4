//! Plans that come, change and go.

use std::ops::Bound::{Excluded, Unbounded};

use super::campaign::Campaign;
use super::journal::Writing;
use super::{Ledger, State};
use crate::error::Error;
use crate::journal::Busy;
use crate::key::HashedKey;
use crate::pacer::message::{PlanOf, Plans};
use crate::pacer::plan::Plan;

/// Why a plan was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// There can be no such plan.
    #[error(transparent)]
    Plan(#[from] Error),
    /// There are as many campaigns as there may be.
    #[error("there are {0} campaigns already, with those that were deleted in the last two days")]
    Full(usize),
    /// Another campaign's key has the same hash.
    #[error("its key has the hash of another campaign's: give it another key")]
    Collision,
    /// The journal has no room.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl Ledger {
    /// Gives a campaign a plan, its first one or another one: the version that it has with it. Budget and walls are those of the plan from
    /// now on, its rate with the next tick. The plan that it has already changes nothing.
    ///
    /// As with [`Self::renew`], the store must be synced before anybody is told.
    ///
    /// # Errors
    /// [`PutError`]. Nothing was done then.
    pub fn put(&self, key: HashedKey<'_>, plan: Plan, now: u64) -> Result<u32, PutError> {
        plan.check()?;
        let mut state = self.state.lock();
        if let Some(campaign) = state.campaigns.get(&key.hash) {
            if *campaign.key != *key.words {
                return Err(PutError::Collision);
            }
            if campaign.plan.as_ref() == Some(&plan) {
                return Ok(campaign.version);
            }
        } else if state.campaigns.len() >= self.config.max_campaigns {
            return Err(PutError::Full(state.campaigns.len()));
        }
        let writing = Writing::begin(self.journal.as_ref())?;
        let version = state.next_version(&writing).ok_or(PutError::Full(u32::MAX as usize))?;
        let State { campaigns, sums, .. } = &mut *state;
        let campaign = campaigns.entry(key.hash).or_insert_with(|| Campaign::new(key.words.into(), version).into());
        let before = campaign.version;
        campaign.rate.follow(&plan.pace);
        campaign.set_plan(Some(plan), version);
        campaign.roll(now);
        campaign.begin(now);
        sums.count(campaign, now);
        writing.campaign(key.hash, campaign);
        state.index(before, version, key.hash);
        Ok(version)
    }

    /// Takes a campaign out: whether there was one. Nodes give back what they have of it. As with [`Self::renew`], the store must be synced
    /// before anybody is told.
    ///
    /// # Errors
    /// [`Busy`] where the journal is full: nothing was done.
    pub fn delete(&self, key: HashedKey<'_>, now: u64) -> Result<bool, Busy> {
        let mut state = self.state.lock();
        let found = state.campaigns.get(&key.hash).filter(|campaign| *campaign.key == *key.words);
        if found.is_none_or(|campaign| campaign.plan.is_none()) {
            return Ok(false);
        }
        let writing = Writing::begin(self.journal.as_ref())?;
        // There are as many versions as puts: without one more, the campaign stays until the ledger is made anew.
        let Some(version) = state.next_version(&writing) else { return Err(Busy) };
        let State { campaigns, sums, .. } = &mut *state;
        let Some(campaign) = campaigns.get_mut(&key.hash) else { return Ok(false) };
        let before = campaign.version;
        campaign.set_plan(None, version);
        campaign.deleted_at = now;
        campaign.rate.pass = 0;
        sums.count(campaign, now);
        writing.campaign(key.hash, campaign);
        state.index(before, version, key.hash);
        Ok(true)
    }

    /// The plans of versions above `after`, as a coordinator that calls itself `from` has them: at most `most`, the oldest first. Who has
    /// them asks again with [`Plans::version`], until it is what it asked with.
    #[must_use]
    pub fn plans(&self, from: u64, after: u32, most: usize) -> Plans {
        let state = self.state.lock();
        let versions = state.by_version.range((Excluded(after), Unbounded));
        let plans: Vec<PlanOf> = versions
            .take(most)
            .filter_map(|(version, hash)| {
                let campaign = state.campaigns.get(hash)?;
                Some(PlanOf { version: *version, key: campaign.key.clone(), plan: campaign.plan.clone() })
            })
            .collect();
        let version = if plans.len() < most { Some(state.version) } else { plans.last().map(|plan| plan.version) };
        Plans { from, after, version: version.unwrap_or(after).max(after), plans }
    }

    /// A node has plans up to version `has`, and this ledger has sent it those up to `sent` since it was made or restored. If it has
    /// later ones than there were then, they are of a time that this ledger has forgotten, because its store is an older copy, or
    /// because it has none. Then all plans get versions anew, in their order, above those that the node has: so it takes them, and those
    /// that come. As with [`Self::renew`], the store must be synced before anybody is told.
    ///
    /// # Errors
    /// [`Busy`] where the journal is full: nothing was done.
    pub fn overtake(&self, has: u32, sent: u32) -> Result<(), Busy> {
        let mut state = self.state.lock();
        let above = has.max(state.version);
        // There are not as many versions as that.
        let is_last = above.checked_add(state.campaigns.len() as u32).is_none();
        if has <= sent.max(state.first) || is_last {
            return Ok(());
        }
        let writing = Writing::begin(self.journal.as_ref())?;
        (state.first, state.version, state.ticked) = (above, above, 0);
        writing.version(above);
        for hash in std::mem::take(&mut state.by_version).into_values() {
            let Some(version) = state.next_version(&writing) else { break };
            let Some(campaign) = state.campaigns.get_mut(&hash) else { continue };
            campaign.version = version;
            writing.campaign(hash, campaign);
            state.by_version.insert(version, hash);
        }
        Ok(())
    }

    /// The version of the plans: each that came or went since made it larger.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.state.lock().version
    }
}

impl State {
    fn next_version(&mut self, writing: &Writing<'_>) -> Option<u32> {
        self.version = self.version.checked_add(1)?;
        writing.version(self.version);
        Some(self.version)
    }

    fn index(&mut self, before: u32, version: u32, campaign: u64) {
        self.by_version.remove(&before);
        self.by_version.insert(version, campaign);
    }
}
