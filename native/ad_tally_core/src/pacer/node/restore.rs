//! A node is filled again with what was kept of it.
//!
//! Sums of a book are exact as of the last interval that is on disk. What of its grants is neither spent, returned, presumed nor held by
//! a reservation was available then. Where the node had ended in order it is so again. After a crash it is presumed to be spent:
//! the interval that was lost may have spent it. For the same reason a reservation that was live then is one that *survived*: if
//! it is not confirmed, what it holds is presumed too.
//!
//! Campaigns, books and reservations are put back in the order of their numbers and hashes, which depends on nothing but what was
//! kept: so a node that starts again with the same reports in the same order.
//!
//! That this start has begun is written before anything else. Who restores a node syncs that before the node is used: else a
//! crash right after the start would find that the last end was in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Relaxed;

use ahash::RandomState;
use parking_lot::Mutex;

use super::Node;
use super::book::Totals;
use super::campaigns::OfBook;
use super::entry::{Entry, LAST_EXPIRY, MOST_PRICE, State, expires};
use super::fold::{BEGUN, BOOKS, CAMPAIGNS, LEFT, RESERVATIONS};
use super::till::Change;
use super::written::Sums;
use crate::journal::{self, META_NEWEST, Restore, WindowState, split_bytes};
use crate::key::{HashedKey, is_key};
use crate::pacer::plan::{Pace, Plan};

/// A node that is being filled again.
pub struct Restoring<'n> {
    node: &'n Node,
    found: Mutex<Found>,
}

/// What was read.
#[derive(Default)]
struct Found {
    begun: u64,
    left: u64,
    newest: u64,
    sums: HashMap<u64, [i128; 7], RandomState>,
    /// By instance the campaign, the period, and its end.
    books: BTreeMap<u64, (u64, u32, u64)>,
    reservations: HashMap<u64, Kept, RandomState>,
    campaigns: BTreeMap<u64, (u64, Box<[u64]>)>,
}

struct Kept {
    version: u64,
    amount: u64,
    instance: u64,
}

/// What there was no room for, because the node is smaller than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WithoutRoom {
    /// Campaigns.
    pub campaigns: u64,
    /// Live reservations: what they held counts as spent.
    pub reservations: u64,
}

impl Node {
    /// Begins to fill the node, which has been made with the seed of before, from what was kept of it.
    #[must_use]
    pub fn restoring(&self) -> Restoring<'_> {
        Restoring { node: self, found: Mutex::default() }
    }
}

impl Restore for Restoring<'_> {
    fn restore(&self, entry: journal::Entry<'_>) -> Result<(), String> {
        let mut found = self.found.lock();
        match entry {
            journal::Entry::Meta { name: BEGUN, value } => found.begun = found.begun.max(value),
            journal::Entry::Meta { name: LEFT, value } => found.left = found.left.max(value),
            journal::Entry::Meta { name: META_NEWEST, value } => found.newest = found.newest.max(value),
            journal::Entry::Window { instance, state: WindowState::Gone, .. } => {
                found.books.remove(&instance);
                found.sums.remove(&instance);
            }
            journal::Entry::Row { instance, key: [], sums } => {
                let sums: &[i128; 7] = sums.try_into().map_err(|_| "a book of a number of sums that none has")?;
                let own = found.sums.entry(instance).or_default();
                own.iter_mut().zip(sums).for_each(|(own, sum)| *own = own.saturating_add(*sum));
            }
            journal::Entry::Item { table: BOOKS, owner, key: [], bytes } => {
                let (words, rest) = bytes.as_chunks::<8>();
                let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
                let [campaign, period, end] = *words else { return Err("a book that is none".into()) };
                let period = u32::try_from(period).ok().filter(|_| rest.is_empty());
                let period = period.ok_or("a book of no period")?;
                found.books.insert(owner, (campaign, period, end));
            }
            journal::Entry::Latest { table: RESERVATIONS, hash, version, words } => {
                let [amount, instance] = *words else { return Err("a reservation that is none".into()) };
                if amount > MOST_PRICE || expires(version) > LAST_EXPIRY || State::of(version) == State::Empty {
                    return Err("a reservation that cannot be".into());
                }
                let is_later = found.reservations.get(&hash).is_none_or(|kept| kept.version <= version);
                if is_later {
                    found.reservations.insert(hash, Kept { version, amount, instance });
                }
            }
            journal::Entry::Latest { table: CAMPAIGNS, hash, version, words } => {
                campaign(words).ok_or("a campaign whose key or plan is none")?;
                if found.campaigns.get(&hash).is_none_or(|(known, _)| *known <= version) {
                    found.campaigns.insert(hash, (version, words.into()));
                }
            }
            _ => return Err("an entry that no node has".into()),
        }
        Ok(())
    }
}

/// The key and the plan of a campaign; no plan: it was removed.
fn campaign(words: &[u64]) -> Option<(&[u64], Option<Plan>)> {
    let (length, rest) = words.split_first()?;
    let (key, plan) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
    let (plan, rest) = split_bytes(plan)?;
    if !is_key(key) || !rest.is_empty() {
        return None;
    }
    let plan = if plan.is_empty() { None } else { Some(Plan::from_bytes(plan).ok()?) };
    Some((key, plan))
}

impl Restoring<'_> {
    /// Fills the node, once all is read, and writes that it has begun again: to be synced before it is used.
    pub fn finish(self, now: u64) -> WithoutRoom {
        let (node, found) = (self.node, self.found.into_inner());
        let mut without_room = WithoutRoom::default();
        let Some(journal) = &node.journal else { return without_room };
        let writing = journal.begin_anyway();
        node.reach(now.max(found.newest));
        node.begun.store(found.begun + 1, Relaxed);
        writing.meta(BEGUN, found.begun + 1);
        let was_crash = found.begun != found.left;

        let mut campaigns = node.campaigns.lock();
        for (hash, (version, words)) in &found.campaigns {
            let Some((key, plan)) = campaign(words) else { continue };
            let key = HashedKey { hash: *hash, words: key };
            let Some(row) = node.rows.insert(key) else {
                without_room.campaigns += 1;
                continue;
            };
            let row = node.row_at(row);
            row.set_pass(u64::MAX);
            row.install(plan.is_some(), plan.as_ref().is_some_and(|plan| plan.pace == Pace::Learned));
            let campaign = campaigns.put(*hash, key.words);
            (campaign.version, campaign.plan) = ((version >> 1) as u32, plan);
        }

        // By instance the number.
        let mut numbers = BTreeMap::<u64, u32>::new();
        for (instance, (hash, period, end)) in &found.books {
            let Some(at) = campaigns.number(*hash) else { continue };
            let (campaign, mut free) = campaigns.with_books(at);
            let Some(number) = free.take(node.till.books()) else { continue };
            let sum = |at: usize| found.sums.get(instance).map_or(0, |sums| sums[at].clamp(0, 1 << 63) as u64);
            let totals = Totals {
                granted: sum(0),
                returned: sum(1),
                spent: sum(2),
                overspent: sum(3),
                presumed: sum(4),
                confirms: sum(5),
                ..Totals::default()
            };
            node.till.book(number).set(&totals, true);
            journal.set_instance(number, *instance);
            numbers.insert(*instance, number);
            let mut book = OfBook::new(number, *period, *end, 0);
            (book.closed, book.passed, book.written) = (Some(now), sum(6), [sum(1), sum(6)]);
            campaign.books.push(book);
        }

        let mut held = HashMap::<u32, u64, RandomState>::default();
        let mut reservations: Vec<(u64, Kept)> = found.reservations.into_iter().collect();
        reservations.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, kept) in &reservations {
            let Some(book) = numbers.get(&kept.instance) else { continue };
            let state = State::of(kept.version);
            let survived = state == State::Live && was_crash;
            let expires = expires(kept.version);
            let state = if survived { State::Survived } else { state };
            let entry = Entry { hash: *hash, state, book: *book, amount: kept.amount, expires };
            if node.till.put(entry, now).is_err() {
                // Not held by anything, so it is presumed below.
                without_room.reservations += u64::from(state.is_live());
                continue;
            }
            if state.is_live() {
                *held.entry(*book).or_default() += kept.amount;
            }
            if survived {
                writing.reservation(&entry, Change::default());
            }
        }

        for number in numbers.values() {
            let book = node.till.book(*number);
            // All that is not anything else is what reservations hold, or was available.
            let rest = book.totals().reserved().saturating_sub(held.get(number).copied().unwrap_or(0));
            if was_crash || without_room.reservations > 0 {
                book.presume(rest);
                writing.sums(*number, &Sums { presumed: rest as i64, ..Sums::default() });
            } else {
                book.put_aside(rest);
            }
        }
        for campaign in &mut campaigns.all {
            campaign.books.sort_unstable_by_key(|book| book.period);
            node.roll(campaign, now);
        }
        without_room
    }
}
