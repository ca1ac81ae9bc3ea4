//! What a ledger writes down, so that it survives.
//!
//! ```text
//! record    LATEST    table | hash | version | words
//!           VERSION   the last version of plans that was given
//!
//! Latest 16, of a campaign     its plan, key, and accounts that were closed
//! Latest 17, of an account     its totals
//! Latest 18, of a campaign     the controller
//! Latest 19, of a campaign     what was learned of its traffic
//! Meta 16                      the last version of plans
//! ```
//!
//! Kinds of records from 32 on, tables and numbers from 16 on are the ledger's, and those below the node's: both write to one part. All is written under the ledger's lock, and
//! each record whole, with a version that no other has. So what is read is what was last synced, of each record.
//!
//! An account is known by a hash of 64 bits of what it is of. Of a million accounts two have the same one once in forty million times.

use std::sync::Arc;

use super::Ledger;
use super::account::{Account, Totals};
use super::campaign::Campaign;
use super::rate::Rate;
use crate::journal::{Busy, Entries, Fold, Part, Record, Scribe, Words, words_of_bytes};
use crate::pacer::message::NodeRef;
use crate::pacer::plan::Plan;

/// Kinds of records from here on are the ledger's.
pub(in crate::pacer) const FIRST_KIND: u8 = 32;
/// Tables and numbers from here on are.
pub(in crate::pacer) const FIRST_TABLE: u8 = 16;
const LATEST: u8 = FIRST_KIND;
const VERSION: u8 = FIRST_KIND + 1;
pub(super) const CAMPAIGNS: u8 = FIRST_TABLE;
pub(super) const ACCOUNTS: u8 = FIRST_TABLE + 1;
pub(super) const RATES: u8 = FIRST_TABLE + 2;
pub(super) const LEARNED: u8 = FIRST_TABLE + 3;
pub(super) const META_VERSION: u8 = FIRST_TABLE;
/// Words of an account.
pub(super) const ACCOUNT_WORDS: usize = 12;
/// Words of a campaign before its key.
pub(super) const CAMPAIGN_WORDS: usize = 10;

/// What becomes of a ledger's records.
pub(in crate::pacer) struct Folding;

impl Ledger {
    /// What becomes of its records, for its store.
    #[must_use]
    pub fn fold(&self) -> Arc<dyn Fold> {
        Arc::new(Folding)
    }
}

impl Fold for Folding {
    fn fold(&self, record: Record<'_>, into: &mut Entries) {
        let Record { part, kind, words } = record;
        match (kind, words) {
            (LATEST, [table, hash, version, words @ ..]) => {
                if let (&CAMPAIGNS, Some(key)) = (&(*table as u8), key_of(words)) {
                    into.atoms_of(key);
                }
                into.latest(part, *table as u8, *hash, *version, words);
            }
            (VERSION, [version]) => into.meta(part, META_VERSION, *version),
            _ => unreachable!("a ledger writes no record of kind {kind} with {} words", words.len()),
        }
    }
}

/// The key in the words of a campaign.
pub(super) fn key_of(words: &[u64]) -> Option<&[u64]> {
    let length = usize::try_from(*words.get(CAMPAIGN_WORDS - 1)?).ok()?;
    words.get(CAMPAIGN_WORDS..)?.get(..length)
}

/// Who writes what one call does. Without a journal nothing is written.
pub(super) struct Writing<'j>(Option<(&'j Part, Scribe<'j>)>);

impl<'j> Writing<'j> {
    pub fn begin(part: Option<&'j Part>) -> Result<Self, Busy> {
        Ok(Self(part.map(|part| part.begin().map(|scribe| (part, scribe))).transpose()?))
    }

    pub fn version(&self, version: u32) {
        if let Some((part, scribe)) = &self.0 {
            scribe.record(part.number, VERSION, 1, |words| words.push(version.into()));
        }
    }

    /// A campaign, without its accounts.
    pub fn campaign(&self, hash: u64, campaign: &Campaign) {
        if self.0.is_none() {
            return;
        }
        let Totals { granted, returned, spent, overspent, confirms, passed } = campaign.past;
        let closed = campaign.closed.map_or(0, |closed| u64::from(closed) + 1);
        let plan = campaign.plan.as_ref().map(Plan::to_bytes).unwrap_or_default();
        let begin: [u64; CAMPAIGN_WORDS] = [
            campaign.version.into(),
            campaign.deleted_at,
            closed,
            granted,
            returned,
            spent,
            overspent,
            confirms,
            passed,
            campaign.key.len() as u64,
        ];
        let count = begin.len() + campaign.key.len() + words_of_bytes(plan.len());
        self.latest(CAMPAIGNS, hash, count, |words| {
            words.extend(&begin);
            words.extend(&campaign.key);
            words.bytes(&plan);
        });
    }

    /// Those accounts of a campaign that have other totals than were written.
    pub fn accounts(&self, campaign: u64, accounts: &mut [Account]) {
        for account in accounts.iter_mut().filter(|account| account.is_unwritten) {
            account.is_unwritten = false;
            let Account { node, period, begin, end, totals, .. } = &*account;
            let Totals { granted, returned, spent, overspent, confirms, passed } = *totals;
            let numbers = [granted, returned, spent, overspent, confirms, passed];
            self.latest(ACCOUNTS, account_hash(campaign, *node, *period), ACCOUNT_WORDS, |words| {
                words.extend(&[campaign, node.name, node.incarnation, (*period).into(), *begin, *end]);
                words.extend(&numbers);
            });
        }
    }

    /// An account that was closed, or put together with others.
    pub fn account_gone(&self, campaign: u64, node: NodeRef, period: u32) {
        self.latest(ACCOUNTS, account_hash(campaign, node, period), 0, |_| {});
    }

    pub fn rate(&self, campaign: u64, rate: &Rate) {
        if self.0.is_some() {
            let state: Vec<u64> = rate.to_words().collect();
            self.latest(RATES, campaign, state.len(), |words| words.extend(&state));
        }
    }

    pub fn learned(&self, campaign: u64, rate: &Rate) {
        if let Some(learned) = self.0.as_ref().and_then(|_| rate.learned_words()) {
            self.latest(LEARNED, campaign, learned.len(), |words| words.extend(&learned));
        }
    }

    /// A campaign that was deleted long ago, and all that is of it.
    pub fn campaign_gone(&self, hash: u64, campaign: &Campaign) {
        campaign.accounts.iter().for_each(|account| self.account_gone(hash, account.node, account.period));
        [CAMPAIGNS, RATES, LEARNED].into_iter().for_each(|table| self.latest(table, hash, 0, |_| {}));
    }

    fn latest(&self, table: u8, hash: u64, count: usize, write: impl FnOnce(&mut Words<'_>)) {
        let Some((part, scribe)) = &self.0 else { return };
        scribe.record(part.number, LATEST, 3 + count, |words| {
            words.extend(&[table.into(), hash, part.journal.instance()]);
            write(words);
        });
    }
}

/// By what an account is known in the journal.
fn account_hash(campaign: u64, node: NodeRef, period: u32) -> u64 {
    let words = [campaign, node.name, node.incarnation, period.into()];
    crate::key::fixed_hash(&words)
}
