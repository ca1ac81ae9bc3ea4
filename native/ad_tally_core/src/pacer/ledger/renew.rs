//! A node says what it has, and is told what it may have.

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
    let is_changed = campaign.accounts[at].take(report, now);
    let is_current = campaign.current.as_ref().is_some_and(|current| current.of.number == report.period);
    if is_changed && !is_current {
        // What a day of a flight gives back, or spends after its end, is another one's.
        campaign.settle();
    }
    let granted = if is_current { campaign.grant(at, lease) } else { 0 };
    if is_changed || granted > 0 {
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
        keep: campaign.keep(at, lease),
        pass: campaign.rate.pass,
        plan: campaign.version,
    })
}
