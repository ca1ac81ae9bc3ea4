//! Requests: whether a campaign takes part, and the money for it.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;

use super::Node;
use super::config::MOST_TTL;
use super::entry::{Entry, LAST_EXPIRY, MOST_PRICE};
use super::outcome::{Kind, Reason, Reserved};
use super::row::Row;
use super::till::{Ask, Taken};
use crate::error::TIMES;
use crate::key::{Domain, HashedKey};
use crate::pacer::token::{Parts, Token};
use crate::table::Batch;

/// What is to be reserved of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// What may have to be paid, in micros, at least 1.
    pub amount: u64,
    /// When, in Unix milliseconds.
    pub at: u64,
    /// For how many milliseconds the money is held, from then on or from now, whichever is later.
    pub ttl: u64,
    /// The pair of a frequency cap that is counted with it, or 0.
    pub pair: u64,
}

/// A request that a campaign takes part in.
#[derive(Clone, Copy)]
pub struct TakingPart<'n> {
    node: &'n Node,
    row: Row<'n>,
    campaign: u64,
    /// Of its reservation.
    hash: u64,
}

impl Node {
    /// Reserves an amount in micros for a request, by the hash of its id, at a time, for `ttl` milliseconds from then on or from
    /// now, whichever is later. The system's time is asked for where it matters.
    #[inline]
    pub fn reserve(
        &self,
        campaign: HashedKey<'_>,
        request: u64,
        amount: u64,
        at: u64,
        ttl: u64,
        now: impl FnOnce() -> u64,
    ) -> Reserved {
        let part = match self.ask(campaign, request) {
            Ok(part) => part,
            Err(not) => return not,
        };
        let hold = Hold { amount, at, ttl, pair: 0 };
        let reserved: Result<_, Infallible> = part.reserve_with(&hold, now, || Ok(()));
        reserved.unwrap_or_else(|never| match never {})
    }

    /// Asks whether a campaign takes part in a request, by the hash of its id. That counts as one request, whatever becomes of it.
    ///
    /// # Errors
    /// [`Reserved::Unknown`] and [`Reserved::Paced`].
    #[inline(always)]
    pub fn ask(&self, campaign: HashedKey<'_>, request: u64) -> Result<TakingPart<'_>, Reserved> {
        match self.takes_part(self.row(campaign), campaign, request) {
            Ok((row, hash)) => {
                let head = row.head();
                // Most likely there is money. Where a request found none a moment ago most likely there is none.
                if head.denied_from() == 0 && !head.is_wanting() {
                    self.till.reservations.fetch(hash);
                    head.book().inspect(|book| self.till.book(*book).fetch());
                }
                if head.is_learning() {
                    row.count_passed();
                }
                Ok(TakingPart { node: self, row, campaign: campaign.hash, hash })
            }
            Err(not) => {
                let kind = if not == Reserved::Paced { Kind::Paced } else { Kind::NoCampaign };
                self.counts.add(kind as usize);
                Err(not)
            }
        }
    }

    /// Whether a campaign would reserve for a request: it takes part, and has the request's reservation or money.
    #[must_use]
    pub fn is_open(&self, campaign: HashedKey<'_>, request: u64, at: u64) -> bool {
        self.is_open_in(self.row(campaign), campaign, request, at)
    }

    /// Shows which campaigns of a batch would do that, by their numbers in it.
    pub fn each_open(&self, campaigns: &Batch<()>, request: u64, at: u64, mut show: impl FnMut(usize)) {
        let mut number = 0;
        self.rows.for_each(
            campaigns,
            || true,
            |row, campaign, ()| {
                if self.is_open_in(row.map(|row| self.row_at(row)), campaign, request, at) {
                    show(number);
                }
                number += 1;
                false
            },
        );
    }

    #[inline(always)]
    fn is_open_in(&self, row: Option<Row<'_>>, campaign: HashedKey<'_>, request: u64, at: u64) -> bool {
        let Ok((row, hash)) = self.takes_part(row, campaign, request) else { return false };
        if row.is_denied(1, at) {
            self.want(row, 0);
            return false;
        }
        row.book(at).is_some_and(|book| self.till.book(book).has_money()) || self.is_open_again(row, hash, at)
    }

    /// Whether a request has the reservation of a campaign that has no money for another one.
    #[cold]
    fn is_open_again(&self, row: Row<'_>, hash: u64, at: u64) -> bool {
        if row.book(at).is_some() {
            self.want(row, 0);
        }
        self.till.live(hash, self.clock.load(Relaxed)).is_some()
    }

    /// The row of a campaign and the hash of its reservation, if it takes part in a request.
    #[inline(always)]
    fn takes_part<'n>(
        &self,
        row: Option<Row<'n>>,
        campaign: HashedKey<'_>,
        request: u64,
    ) -> Result<(Row<'n>, u64), Reserved> {
        let hash = self.reservation(campaign.hash, request);
        let Some(row) = row.filter(|row| row.head().is_installed()) else { return Err(Reserved::Unknown) };
        if row.takes_part(hash) { Ok((row, hash)) } else { Err(Reserved::Paced) }
    }

    /// The hash of a campaign and a request: by it a request takes part, and its reservation is found.
    #[inline(always)]
    fn reservation(&self, campaign: u64, request: u64) -> u64 {
        self.seed().hash(Domain::Request, &[campaign, request])
    }

    /// Has a report made soon.
    fn want(&self, row: Row<'_>, amount: u64) {
        if row.want(amount)
            && let Some(wake) = self.waker.get()
        {
            wake();
        }
    }
}

impl TakingPart<'_> {
    /// Reserves together with something else, which is asked once the money is there: unless it agrees nothing has changed. It is
    /// asked with a lock held, so it may not call the node. It is not asked for what is not reserved anew.
    ///
    /// # Errors
    /// Its own.
    #[inline(always)]
    pub fn reserve_with<D>(
        self,
        hold: &Hold,
        now: impl FnOnce() -> u64,
        also: impl FnOnce() -> Result<(), D>,
    ) -> Result<Reserved, D> {
        let Self { node, row, hash, .. } = self;
        let Hold { amount, at, ttl, .. } = *hold;
        let (clock, max_ahead) = (node.clock.load(Relaxed), node.config.max_ahead);
        if at >= TIMES || at > clock + max_ahead && at > now().saturating_add(max_ahead) {
            node.counts.add(Kind::Future as usize);
            return Ok(Reserved::Refused(Reason::Future));
        }
        let expires = (at.max(clock) + ttl.min(MOST_TTL)).min(LAST_EXPIRY);
        // Nothing cannot be reserved: a book knows that something is by how much. No campaign ever has as much as more than the most.
        let amount = amount.clamp(1, MOST_PRICE + 1);
        if row.is_denied(amount, at) {
            return Ok(self.not_taken(Taken::NoMoney, amount, at));
        }
        let ask = Ask { hash, amount, expires, book: || if amount <= MOST_PRICE { row.book(at) } else { None } };
        // With the bucket's lock held: whoever finds the reservation is not denied it.
        let also = || also().inspect(|()| row.clear_denied());
        let taken = match &node.journal {
            None => node.till.reserve(&ask, clock, || Ok(()), also)?,
            Some(journal) => node.till.reserve(&ask, clock, || journal.begin().map(Some), also)?,
        };
        Ok(match taken {
            Taken::New(entry) => {
                node.counts.add(Kind::Reserved as usize);
                Reserved::Reserved(self.token(&entry, hold))
            }
            Taken::Again(entry) => {
                node.counts.add(Kind::Again as usize);
                Reserved::Again(self.token_again(&entry, hold))
            }
            other => self.not_taken(other, amount, at),
        })
    }

    /// The reservation that the request has, if it has one that lives.
    pub fn find(self, hold: &Hold) -> Option<Token> {
        let live = self.node.till.live(self.hash, self.node.clock.load(Relaxed));
        live.map(|entry| self.token_again(&entry, hold))
    }

    #[cold]
    fn not_taken(self, taken: Taken, amount: u64, at: u64) -> Reserved {
        let (kind, reserved) = match taken {
            Taken::Full => (Kind::Full, Reserved::Refused(Reason::Full)),
            Taken::Busy => (Kind::Busy, Reserved::Refused(Reason::Busy)),
            Taken::NoMoney | Taken::New(_) | Taken::Again(_) => {
                // A grant brings money of the current period only, and nobody is granted as much as the largest amount.
                let is_of_period = self.row.head().book().is_none() || self.row.book(at).is_some();
                if is_of_period && amount <= MOST_PRICE {
                    self.node.want(self.row, amount);
                }
                (Kind::NoBudget, Reserved::NoBudget)
            }
        };
        self.node.counts.add(kind as usize);
        reserved
    }

    /// The token of a reservation that is asked for again. When it was made is not kept: that is as in the first one if `ttl` is the
    /// same, and it was not made for a time in the past.
    fn token_again(self, entry: &Entry, hold: &Hold) -> Token {
        let at = hold.at.min(entry.expires.saturating_sub(hold.ttl));
        self.token(entry, &Hold { at, ..*hold })
    }

    #[inline(always)]
    fn token(self, entry: &Entry, &Hold { at, pair, .. }: &Hold) -> Token {
        let Entry { amount, expires, .. } = *entry;
        let Self { node, campaign, hash, .. } = self;
        let parts = Parts { node: node.config.name, campaign, reservation: hash, amount, at, expires, pair };
        Token::new(&parts, node.seed())
    }
}
