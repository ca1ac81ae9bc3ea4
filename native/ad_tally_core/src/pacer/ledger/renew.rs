//! A node says what it has, and is told what it may have.

use super::account::Taken;
use super::campaign::Campaign;
use super::config::Lease;
use super::journal::Writing;
use super::{Ledger, State};
use crate::journal::Busy;
use crate::pacer::message::{Grant, NodeRef, Report};

impl Ledger {
    /// Takes a node's reports and grants it money: a grant for each report of a campaign that this ledger knows, in their order.
    ///
    /// They are written down, but not on disk yet. **The store must be synced before an answer is sent, or applied on the same
    /// node.** If that fails the answer is thrown away: the node gets the same with its next reports. This takes some hundred
    /// nanoseconds a report, so long lists are given in pieces.
    ///
    /// # Errors
    /// [`Busy`] where the journal is full: nothing was done.
    pub fn renew(&self, node: NodeRef, reports: &[Report], now: u64) -> Result<Vec<Grant>, Busy> {
        let mut state = self.state.lock();
        // Begun under the lock, so that no account is in an earlier interval than what it depends on.
        let writing = Writing::begin(self.journal.as_ref())?;
        let mut grants = Vec::with_capacity(reports.len());
        let State { campaigns, sums, .. } = &mut *state;
        for report in reports {
            let Some(campaign) = campaigns.get_mut(&report.campaign) else { continue };
            grants.extend(renew(campaign, node, report, self.config.lease, now, &writing));
            sums.count(campaign, now);
        }
        Ok(grants)
    }

    /// Takes what a node has of a campaign between two of its rounds, and grants nothing: what it wants is what it last said. Of a period that
    /// it has no account of this takes nothing.
    ///
    /// # Errors
    /// [`Busy`] where the journal is full: nothing was done.
    pub fn look(&self, node: NodeRef, report: &Report, now: u64) -> Result<(), Busy> {
        let mut state = self.state.lock();
        let writing = Writing::begin(self.journal.as_ref())?;
        let State { campaigns, sums, .. } = &mut *state;
        let Some(campaign) = campaigns.get_mut(&report.campaign) else { return Ok(()) };
        campaign.roll(now);
        let Some(at) = campaign.known_account(node, report.period) else { return Ok(()) };
        let report = Report { wanted: campaign.accounts[at].wanted, ..*report };
        if take(campaign, at, &report, now).is_changed {
            campaign.accounts[at].is_unwritten = true;
            writing.accounts(report.campaign, &mut campaign.accounts);
        }
        sums.count(campaign, now);
        Ok(())
    }
}

/// Takes a report into the account at a place.
fn take(campaign: &mut Campaign, at: usize, report: &Report, now: u64) -> Taken {
    let taken = campaign.accounts[at].take(report, now);
    if taken.is_changed && !campaign.is_in(report.period) {
        // What a day of a flight gives back, or spends after its end, is another one's.
        campaign.settle();
    }
    taken
}

fn renew(
    campaign: &mut Campaign,
    node: NodeRef,
    report: &Report,
    lease: Lease,
    now: u64,
    writing: &Writing<'_>,
) -> Option<Grant> {
    campaign.roll(now);
    let known = campaign.accounts.len();
    let mut at = campaign.account(node, report)?;
    if campaign.accounts.len() > known {
        let gone = campaign.put_together(at);
        if !gone.is_empty() {
            gone.iter().for_each(|(node, period)| writing.account_gone(report.campaign, *node, *period));
            writing.accounts(report.campaign, &mut campaign.accounts);
        }
        at = campaign.account(node, report)?;
    }
    let taken = take(campaign, at, report, now);
    let is_current = campaign.is_in(report.period);
    let granted = if is_current { campaign.grant(at, lease) } else { 0 };
    if taken.is_changed || granted > 0 {
        campaign.accounts[at].is_unwritten = true;
        writing.accounts(report.campaign, &mut campaign.accounts);
    }
    let account = &campaign.accounts[at];
    // An edit of a flight's end is one of its last period's.
    let of = campaign.current.as_ref().filter(|_| is_current).map_or(account.of(), |current| current.of);
    Some(Grant {
        campaign: report.campaign,
        period: report.period,
        begin: of.begin,
        until: of.end,
        granted: account.totals.granted,
        spent: account.totals.spent,
        returned: account.totals.returned,
        keep: campaign.keep(at, lease, taken),
        pass: campaign.rate.pass,
        plan: campaign.version,
    })
}
