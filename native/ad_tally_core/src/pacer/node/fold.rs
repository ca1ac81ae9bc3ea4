//! From records to entries: what of a node is in which entry.
//!
//! ```text
//! entry                     what it has                                                      two of one key
//! Meta 0                    the newest time                                                  the greatest
//! Meta 2, 3                 how often the node began, and how often it ended in order        the greatest
//! Row, of a book            granted, returned, spent, overspent, presumed, confirms, passed  added
//! Item 0, of a book         campaign, period, its end                                        a set
//! Latest 0, of a hash       a reservation: amount, book; its version has state and expiry    the last version
//! Latest 1, of a campaign   words of the key, bytes of the plan                              the last version
//! ```

use super::Node;
use super::entry::{State, expires};
use super::written::{BOOK, CAMPAIGN, GONE, META, RESERVED, SETTLED, SUMS};
use crate::journal::{self, Entries, Entry, Record};

/// The number of [`Entry::Meta`] that says how often the node began.
pub(super) const BEGUN: u8 = 2;
/// And how often it ended in order.
pub(super) const LEFT: u8 = 3;
/// The table of [`Entry::Latest`] that reservations are in.
pub(super) const RESERVATIONS: u8 = 0;
/// And campaigns.
pub(super) const CAMPAIGNS: u8 = 1;
/// The table of [`Entry::Item`] that books are in.
pub(super) const BOOKS: u8 = 0;
/// The version of a campaign's entry. The same version of its plan does not bring one back that was removed.
fn campaign_version(version: u64, is_removed: bool) -> u64 {
    version << 1 | u64::from(is_removed)
}

/// Makes entries of what a node has written.
#[derive(Debug, Clone, Copy)]
pub struct Fold {
    remember: u64,
}

impl Node {
    /// What makes entries of its records.
    #[must_use]
    pub fn fold(&self) -> Fold {
        Fold { remember: self.config.remember }
    }
}

impl journal::Fold for Fold {
    fn fold(&self, record: Record<'_>, into: &mut Entries) {
        fold(record, into);
    }

    fn keeps(&self, entry: &Entry<'_>, newest: u64) -> bool {
        match entry {
            Entry::Latest { table: RESERVATIONS, version, .. } => {
                State::of(*version).is_live() || expires(*version).saturating_add(self.remember) >= newest
            }
            _ => true,
        }
    }
}

fn fold(Record { part, kind, words }: Record<'_>, into: &mut Entries) {
    match (kind, words) {
        (RESERVED, [hash, version, amount, instance]) => {
            into.latest(part, RESERVATIONS, *hash, *version, &[*amount, *instance]);
        }
        (SETTLED, [hash, version, amount, instance, change @ ..]) => {
            into.latest(part, RESERVATIONS, *hash, *version, &[*amount, *instance]);
            let [spent, overspent, presumed, confirms] = *change else { unreachable!("as it was written") };
            if change.iter().any(|change| *change != 0) {
                let presumed = i128::from(presumed as i64);
                let sums = [0, 0, spent.into(), overspent.into(), presumed, confirms.into(), 0];
                into.overflow(part, *instance, &sums);
            }
        }
        (BOOK, [instance, campaign, period, end]) => {
            let bytes = [campaign, period, end].map(|word| word.to_le_bytes()).concat();
            into.item(part, BOOKS, *instance, &[], &bytes);
        }
        (SUMS, [instance, sums @ ..]) => {
            let [granted, returned, spent, presumed, passed] = *sums else { unreachable!("as it was written") };
            let sum = |word: u64| i128::from(word as i64);
            let sums = [sum(granted), sum(returned), sum(spent), 0, sum(presumed), 0, sum(passed)];
            into.overflow(part, *instance, &sums);
        }
        (GONE, [instance]) => into.gone(part, *instance),
        (CAMPAIGN, [campaign, version, length, rest @ ..]) => {
            let (key, plan) = rest.split_at(*length as usize);
            into.atoms_of(key);
            let words: Vec<u64> = std::iter::once(*length).chain(key.iter().chain(plan).copied()).collect();
            into.latest(part, CAMPAIGNS, *campaign, campaign_version(*version, plan == [0]), &words);
        }
        (META, [name, value]) => into.meta(part, *name as u8, *value),
        _ => unreachable!("a node writes no record of kind {kind} with {} words", words.len()),
    }
}
