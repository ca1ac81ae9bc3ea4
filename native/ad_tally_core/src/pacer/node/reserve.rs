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
        let reserved: Result<_, Infallible> = self.reserve_with(campaign, request, amount, at, ttl, now, || Ok(()));
        reserved.unwrap_or_else(|never| match never {})
    }

    /// The same together with something else, which is asked once the money is there: unless it agrees nothing has changed. It
    /// is asked with a lock held, so it may not call the node. It is not asked for what is not reserved anew.
    ///
    /// # Errors
    /// Its own.
    #[expect(clippy::too_many_arguments, reason = "each of them is one number of the event")]
    #[inline(always)]
    pub fn reserve_with<D>(
        &self,
        campaign: HashedKey<'_>,
        request: u64,
        amount: u64,
        at: u64,
        ttl: u64,
        now: impl FnOnce() -> u64,
        also: impl FnOnce() -> Result<(), D>,
    ) -> Result<Reserved, D> {
        let (row, hash) = match self.takes_part(campaign, request) {
            Ok(taking_part) => taking_part,
            Err(not) => return Ok(not),
        };
        let clock = self.clock.load(Relaxed);
        if at >= TIMES || at > clock + self.config.max_ahead && at > now().saturating_add(self.config.max_ahead) {
            self.counts.add(Kind::Future as usize);
            return Ok(Reserved::Refused(Reason::Future));
        }
        let expires = (at.max(clock) + ttl.min(MOST_TTL)).min(LAST_EXPIRY);
        // No campaign ever has as much as more than that.
        let amount = amount.min(MOST_PRICE + 1);
        let ask = Ask { hash, amount, expires, book: || if amount <= MOST_PRICE { row.book(at) } else { None } };
        let taken = match &self.journal {
            None => self.till.reserve(&ask, clock, || Ok(()), also)?,
            Some(journal) => self.till.reserve(&ask, clock, || journal.begin().map(Some), also)?,
        };
        Ok(match taken {
            Taken::New(entry) => {
                self.counts.add(Kind::Reserved as usize);
                Reserved::Reserved(self.token(&entry, campaign.hash, request, at))
            }
            other => self.not_new(other, row, campaign.hash, request, amount, at),
        })
    }

    #[cold]
    fn not_new(&self, taken: Taken, row: Row<'_>, campaign: u64, request: u64, amount: u64, at: u64) -> Reserved {
        let (kind, reserved) = match taken {
            Taken::New(entry) | Taken::Again(entry) => {
                (Kind::Again, Reserved::Again(self.token(&entry, campaign, request, at)))
            }
            Taken::NoMoney => {
                self.want(row, amount);
                (Kind::NoBudget, Reserved::NoBudget)
            }
            Taken::Full => (Kind::Full, Reserved::Refused(Reason::Full)),
            Taken::Busy => (Kind::Busy, Reserved::Refused(Reason::Busy)),
        };
        self.counts.add(kind as usize);
        reserved
    }

    /// Whether a campaign would reserve for a request: it takes part, and has the request's reservation or money.
    #[must_use]
    pub fn is_open(&self, campaign: HashedKey<'_>, request: u64, at: u64) -> bool {
        let Ok((row, hash)) = self.takes_part(campaign, request) else { return false };
        match row.book(at) {
            Some(book) if self.till.book(book).has_money() => true,
            book => {
                if book.is_some() {
                    self.want(row, 0);
                }
                self.till.is_live(hash, self.clock.load(Relaxed))
            }
        }
    }

    /// The row of a campaign and the hash of its reservation, if it takes part in a request.
    #[inline(always)]
    fn takes_part(&self, campaign: HashedKey<'_>, request: u64) -> Result<(Row<'_>, u64), Reserved> {
        let hash = self.reservation(campaign.hash, request);
        let Some(row) = self.row(campaign) else {
            self.counts.add(Kind::NoCampaign as usize);
            return Err(Reserved::Unknown);
        };
        let head = row.head();
        if !head.is_installed() {
            self.counts.add(Kind::NoCampaign as usize);
            return Err(Reserved::Unknown);
        }
        // No hash is as large as the largest rate.
        if hash.min(u64::MAX - 1) >= row.pass() {
            self.counts.add(Kind::Paced as usize);
            return Err(Reserved::Paced);
        }
        self.till.reservations.fetch(hash);
        if head.is_learning() {
            row.count_passed();
        }
        Ok((row, hash))
    }

    /// The hash of a campaign and a request: by it a request takes part, and its reservation is found.
    #[inline(always)]
    pub(super) fn reservation(&self, campaign: u64, request: u64) -> u64 {
        self.seed().hash(Domain::Request, &[campaign, request])
    }

    #[inline(always)]
    fn token(&self, entry: &Entry, campaign: u64, request: u64, at: u64) -> Token {
        let Entry { amount, expires, .. } = *entry;
        let parts = Parts { node: self.config.name, campaign, request, amount, at, expires };
        Token::new(&parts, self.seed())
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
