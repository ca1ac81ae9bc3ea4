//! A ledger's entries, taken back after a restart.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::account::{Account, Totals};
use super::campaign::Campaign;
use super::journal::{ACCOUNT_WORDS, ACCOUNTS, CAMPAIGN_WORDS, CAMPAIGNS, LEARNED, META_VERSION, key_of};
use super::{Ledger, State};
use crate::journal::{Entry, Restore, split_bytes};
use crate::key::is_key;
use crate::pacer::message::{MOST_TOTAL, NodeRef};
use crate::pacer::plan::{PeriodOf, Plan};

/// A ledger that takes its entries back.
pub struct Restoring<'l> {
    ledger: &'l Ledger,
    found: Mutex<Found>,
}

/// Records by hash, with their versions.
type Table = HashMap<u64, (u64, Box<[u64]>)>;

/// The last records of each table, in the order of their numbers.
#[derive(Default)]
struct Found {
    tables: [Table; 4],
    version: u32,
}

impl Ledger {
    /// Begins to take entries back. The ledger is empty, and is not used before [`Restoring::finish`].
    #[must_use]
    pub fn restoring(&self) -> Restoring<'_> {
        Restoring { ledger: self, found: Mutex::default() }
    }
}

impl Restore for Restoring<'_> {
    fn restore(&self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Meta { name: META_VERSION, value } => {
                let version = u32::try_from(value).map_err(|_| format!("no version of plans is {value}"))?;
                let mut found = self.found.lock();
                found.version = found.version.max(version);
                Ok(())
            }
            Entry::Latest { table: table @ CAMPAIGNS..=LEARNED, hash, version, words } => {
                self.check(table, hash, words)
                    .ok_or_else(|| format!("a record {table} of {} words is wrong", words.len()))?;
                let mut found = self.found.lock();
                let of_table = &mut found.tables[usize::from(table - CAMPAIGNS)];
                if of_table.get(&hash).is_none_or(|(own, _)| *own < version) {
                    of_table.insert(hash, (version, words.into()));
                }
                Ok(())
            }
            other => Err(format!("a ledger has no {} like this", other.kind().text())),
        }
    }
}

fn campaign_of(words: &[u64]) -> Option<Campaign> {
    let begin: &[u64; CAMPAIGN_WORDS] = words.first_chunk()?;
    let [version, deleted_at, closed, totals @ .., _] = *begin;
    let key = key_of(words).filter(|key| is_key(key))?;
    let (plan, _) = split_bytes(&words[CAMPAIGN_WORDS + key.len()..])?;
    let plan = if plan.is_empty() { None } else { Some(Plan::from_bytes(plan).ok()?) };
    let mut campaign = Campaign::new(key.into(), u32::try_from(version).ok()?);
    campaign.plan = plan;
    campaign.deleted_at = deleted_at;
    campaign.closed = closed.checked_sub(1).and_then(|closed| u32::try_from(closed).ok());
    campaign.past = totals_of(totals)?;
    Some(campaign)
}

fn account_of(words: &[u64]) -> Option<(u64, Account)> {
    let words: &[u64; ACCOUNT_WORDS] = words.try_into().ok()?;
    let [campaign, name, incarnation, number, begin, end, totals @ ..] = *words;
    let mut account =
        Account::new(NodeRef { name, incarnation }, PeriodOf { number: u32::try_from(number).ok()?, begin, end });
    account.totals = totals_of(totals)?;
    Some((campaign, account))
}

fn totals_of([granted, returned, spent, overspent, confirms, passed]: [u64; 6]) -> Option<Totals> {
    let is_right = granted < MOST_TOTAL && returned <= granted && overspent <= spent;
    is_right.then_some(Totals { granted, returned, spent, overspent, confirms, passed })
}

impl Restoring<'_> {
    /// Whether these can be the words of a record.
    fn check(&self, table: u8, hash: u64, words: &[u64]) -> Option<()> {
        if words.is_empty() {
            return Some(());
        }
        match table {
            // Under another seed it would have another hash.
            CAMPAIGNS => {
                campaign_of(words).filter(|campaign| self.ledger.seed.key(&campaign.key).hash == hash).map(drop)
            }
            ACCOUNTS => account_of(words).map(drop),
            _ => Some(()),
        }
    }

    /// Has the ledger be as it was, once all is read. `now` is the time.
    pub fn finish(self, now: u64) {
        let Found { tables: [campaigns, accounts, rates, learned], version } = self.found.into_inner();
        let mut state = State { version, ..State::default() };
        for (hash, (_, words)) in campaigns {
            let Some(campaign) = campaign_of(&words) else { continue };
            state.version = state.version.max(campaign.version);
            state.by_version.insert(campaign.version, hash);
            state.campaigns.insert(hash, campaign.into());
        }
        state.first = state.version;
        for (_, words) in accounts.into_values() {
            let Some((campaign, account)) = account_of(&words) else { continue };
            if let Some(campaign) = state.campaigns.get_mut(&campaign) {
                campaign.accounts.push(account);
            }
        }
        for (hash, campaign) in &mut state.campaigns {
            // In an order that does not depend on how they were found.
            campaign.accounts.sort_unstable_by_key(|account| (account.period, account.node));
            // A rate that cannot be read begins anew: it decides about no money.
            if let Some((_, words)) = rates.get(hash) {
                campaign.rate.restore(words);
            }
            if let Some((_, words)) = learned.get(hash) {
                campaign.rate.restore_learned(words);
            }
            if let Some(plan) = &campaign.plan {
                campaign.rate.follow(&plan.pace);
            }
            campaign.roll(now);
            state.sums.count(campaign, now);
        }
        *self.ledger.state.lock() = state;
    }
}
