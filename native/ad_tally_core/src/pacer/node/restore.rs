//! A node is filled again with what was kept of it.
//!
//! Sums of a book are exact as of the last interval that is on disk. What of its grants is neither spent, returned, presumed nor held by
//! a reservation was available then. Where the node had ended in order it is so again. After a crash it is presumed to be spent:
//! the interval that was lost may have spent it. For the same reason a reservation that was live then is one that *survived*: if
//! it is not confirmed, what it holds is presumed too.
//!
//! Campaigns, books and reservations are put back in an order that depends on nothing but what was kept: so a node that starts
//! again does so with the same reports in the same order.
//!
//! Where there is no room for all books the ones that ended first are forgotten. What the coordinator has granted of a book that is
//! forgotten counts as used: see `grants`. A campaign that there is no room for is only left out: another start may have room.
//! That start does not know of a crash of before, so what a crash makes of such a campaign is written now.
//!
//! That this start has begun is written before anything else. Who restores a node syncs that before the node is used: else a
//! crash right after the start would find that the last end was in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

use ahash::RandomState;
use parking_lot::Mutex;

use super::Node;
use super::book::Totals;
use super::campaigns::{Campaigns, OfBook};
use super::entry::{Entry, LAST_EXPIRY, MOST_PRICE, State, expires};
use super::fold::{BEGUN, BOOKS, CAMPAIGNS, LEFT, RESERVATIONS};
use super::till::Change;
use super::written::{Journal, Sums, Writing};
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
    /// Books of campaigns that there is room for.
    pub books: u64,
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
                if amount == 0
                    || amount > MOST_PRICE
                    || expires(version) > LAST_EXPIRY
                    || State::of(version) == State::Empty
                {
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

impl Found {
    /// The sums of a book, and requests that took part in it.
    fn totals(&self, instance: u64) -> (Totals, u64) {
        let sum = |at: usize| self.sums.get(&instance).map_or(0, |sums| sums[at].clamp(0, 1 << 63) as u64);
        let totals = Totals {
            granted: sum(0),
            returned: sum(1),
            spent: sum(2),
            overspent: sum(3),
            presumed: sum(4),
            confirms: sum(5),
            ..Totals::default()
        };
        (totals, sum(6))
    }
}

impl Restoring<'_> {
    /// Fills the node, once all is read, and writes that it has begun again: to be synced before it is used.
    pub fn finish(self, now: u64) -> WithoutRoom {
        let (node, found) = (self.node, self.found.into_inner());
        let Some(journal) = &node.journal else { return WithoutRoom::default() };
        let mut campaigns = node.campaigns.lock();
        // Begun under the lock, as everywhere.
        let writing = journal.begin_anyway();
        node.reach(now.max(found.newest));
        node.begun.store(found.begun + 1, Relaxed);
        writing.meta(BEGUN, found.begun + 1);
        let was_crash = found.begun != found.left;
        let mut filling = Filling {
            node,
            journal,
            writing,
            was_crash,
            now,
            numbers: BTreeMap::new(),
            ended: HashSet::default(),
            without_room: WithoutRoom::default(),
        };
        filling.campaigns(&mut campaigns, &found);
        filling.books(&mut campaigns, &found);
        let held = filling.reservations(found.reservations);
        filling.rest(&held);
        for campaign in &mut campaigns.all {
            campaign.books.sort_unstable_by_key(|book| book.period);
            node.roll(campaign, now);
        }
        filling.without_room
    }
}

/// A node that what was read is put into.
struct Filling<'n> {
    node: &'n Node,
    journal: &'n Journal,
    writing: Writing<'n>,
    was_crash: bool,
    now: u64,
    /// By a book's instance its number.
    numbers: BTreeMap<u64, u32>,
    /// Instances that are left out, of which no reservation lives on.
    ended: HashSet<u64, RandomState>,
    without_room: WithoutRoom,
}

impl Filling<'_> {
    fn campaigns(&mut self, campaigns: &mut Campaigns, found: &Found) {
        let with_books: HashSet<u64, RandomState> = found.books.values().map(|(campaign, ..)| *campaign).collect();
        for (hash, (version, words)) in &found.campaigns {
            let Some((key, plan)) = campaign(words) else { continue };
            if plan.is_none() && !with_books.contains(hash) {
                // It was removed, and nothing that may still come is of it: its room is another one's.
                continue;
            }
            let key = HashedKey { hash: *hash, words: key };
            let Some(row) = self.node.rows.insert(key) else {
                self.without_room.campaigns += 1;
                continue;
            };
            let row = self.node.row_at(row);
            row.set_pass(u64::MAX);
            row.install(plan.is_some(), plan.as_ref().is_some_and(|plan| plan.pace == Pace::Learned));
            campaigns.with_plan += usize::from(plan.is_some());
            let campaign = campaigns.put(*hash, key.words);
            (campaign.version, campaign.plan) = ((version >> 1) as u32, plan);
        }
    }

    fn books(&mut self, campaigns: &mut Campaigns, found: &Found) {
        let mut books: Vec<_> = found.books.iter().map(|(instance, book)| (*instance, *book)).collect();
        books.sort_unstable_by_key(|(instance, (_, _, end))| Reverse((*end, *instance)));
        for (instance, (hash, period, end)) in books {
            let (totals, passed) = found.totals(instance);
            let Some(at) = campaigns.number(hash) else {
                if self.was_crash {
                    let presumed = totals.reserved() as i64;
                    self.writing.sums_of(instance, &Sums { presumed, ..Sums::default() });
                    self.ended.insert(instance);
                }
                continue;
            };
            let (campaign, mut free) = campaigns.with_books(at);
            let Some(number) = free.take(self.node.till.books()) else {
                self.without_room.books += 1;
                self.writing.gone_of(instance);
                self.ended.insert(instance);
                continue;
            };
            self.node.till.book(number).set(&totals, true);
            self.journal.set_instance(number, instance);
            self.numbers.insert(instance, number);
            let mut book = OfBook::new(number, period, end, 0);
            (book.closed, book.passed, book.written) = (Some(self.now), passed, [totals.returned, passed]);
            campaign.books.push(book);
        }
    }

    /// By a book's number what live reservations hold of it.
    fn reservations(&mut self, found: HashMap<u64, Kept, RandomState>) -> HashMap<u32, u64, RandomState> {
        let mut held = HashMap::<u32, u64, RandomState>::default();
        let mut reservations: Vec<(u64, Kept)> = found.into_iter().collect();
        reservations.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, Kept { version, amount, instance }) in reservations {
            let (state, expires) = (State::of(version), expires(version));
            let Some(book) = self.numbers.get(&instance) else {
                if state.is_live() && self.ended.contains(&instance) {
                    let ended = Entry { hash, state: State::Expired, book: 0, amount, expires };
                    self.writing.reservation_of(instance, &ended, Change::default());
                }
                continue;
            };
            let survived = state == State::Live && self.was_crash;
            let state = if survived { State::Survived } else { state };
            let entry = Entry { hash, state, book: *book, amount, expires };
            if self.node.till.put(entry, self.now).is_err() {
                // Not held by anything, so it is presumed below.
                self.without_room.reservations += u64::from(state.is_live());
                continue;
            }
            if state.is_live() {
                *held.entry(*book).or_default() += amount;
            }
            if survived {
                self.writing.reservation(&entry, Change::default());
            }
        }
        held
    }

    /// What of each book is nothing else is what its reservations hold, or was available.
    fn rest(&self, held: &HashMap<u32, u64, RandomState>) {
        for number in self.numbers.values() {
            let book = self.node.till.book(*number);
            let rest = book.totals().reserved().saturating_sub(held.get(number).copied().unwrap_or(0));
            if self.was_crash || self.without_room.reservations > 0 {
                book.presume(rest);
                self.writing.sums(*number, &Sums { presumed: rest as i64, ..Sums::default() });
            } else {
                book.put_aside(rest);
            }
        }
    }
}
