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
        let (row, hash) = match self.asked(campaign, request) {
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
            Taken::Again(entry) => {
                self.counts.add(Kind::Again as usize);
                Reserved::Again(self.token_again(&entry, campaign.hash, request, at, ttl))
            }
            other => self.not_taken(other, row, amount, at),
        })
    }

    /// The reservation that a request has, if it has one that lives; why the campaign does not take part in it.
    ///
    /// # Errors
    /// [`Reserved::Unknown`] and [`Reserved::Paced`].
    pub fn find(&self, campaign: HashedKey<'_>, request: u64, at: u64, ttl: u64) -> Result<Option<Token>, Reserved> {
        let (_row, hash) = self.asked(campaign, request)?;
        let live = self.till.live(hash, self.clock.load(Relaxed));
        Ok(live.map(|entry| self.token_again(&entry, campaign.hash, request, at, ttl)))
    }

    #[cold]
    fn not_taken(&self, taken: Taken, row: Row<'_>, amount: u64, at: u64) -> Reserved {
        let (kind, reserved) = match taken {
            Taken::Full => (Kind::Full, Reserved::Refused(Reason::Full)),
            Taken::Busy => (Kind::Busy, Reserved::Refused(Reason::Busy)),
            Taken::NoMoney | Taken::New(_) | Taken::Again(_) => {
                // A grant brings money of the current period only, and nobody is granted as much as the largest amount.
                let is_of_period = !row.head().has_book() || row.book(at).is_some();
                if is_of_period && amount <= MOST_PRICE {
                    self.want(row, amount);
                }
                (Kind::NoBudget, Reserved::NoBudget)
            }
        };
        self.counts.add(kind as usize);
        reserved
    }

    /// The token of a reservation that is asked for again. When it was made is not kept: that is as in the first one if `ttl` is the
    /// same, and it was not made for a time in the past.
    fn token_again(&self, entry: &Entry, campaign: u64, request: u64, at: u64, ttl: u64) -> Token {
        self.token(entry, campaign, request, at.min(entry.expires.saturating_sub(ttl)))
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
                self.till.live(hash, self.clock.load(Relaxed)).is_some()
            }
        }
    }

    /// The same as [`Node::takes_part`], counted.
    #[inline(always)]
    fn asked(&self, campaign: HashedKey<'_>, request: u64) -> Result<(Row<'_>, u64), Reserved> {
        match self.takes_part(campaign, request) {
            Ok((row, hash)) => {
                if row.head().is_learning() {
                    row.count_passed();
                }
                Ok((row, hash))
            }
            Err(not) => {
                let kind = if not == Reserved::Paced { Kind::Paced } else { Kind::NoCampaign };
                self.counts.add(kind as usize);
                Err(not)
            }
        }
    }

    /// The row of a campaign and the hash of its reservation, if it takes part in a request.
    #[inline(always)]
    fn takes_part(&self, campaign: HashedKey<'_>, request: u64) -> Result<(Row<'_>, u64), Reserved> {
        let hash = self.reservation(campaign.hash, request);
        let row = self.row(campaign).filter(|row| row.head().is_installed());
        let Some(row) = row else { return Err(Reserved::Unknown) };
        // No hash is as large as the largest rate.
        if hash.min(u64::MAX - 1) >= row.pass() {
            return Err(Reserved::Paced);
        }
        self.till.reservations.fetch(hash);
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
