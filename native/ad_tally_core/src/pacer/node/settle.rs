//! What becomes of reservations: their price is booked, or their money is given back.

use std::sync::atomic::Ordering::Relaxed;

use super::Node;
use super::config::MOST_TTL;
use super::entry::{Entry, LAST_EXPIRY, MOST_PRICE, State};
use super::outcome::{Confirmed, Kind, Released};
use super::till::Settled;
use crate::pacer::token::{Token, node_of};

/// Why a token is not this node's.
enum Foreign {
    Unknown,
    Elsewhere(u64),
}

impl Node {
    /// Books what a reservation has cost, in micros, at a time. Whatever is left of it is free again.
    #[inline]
    pub fn confirm(&self, token: &Token, price: u64, at: u64) -> Confirmed {
        let hash = match self.own(token) {
            Ok(hash) => hash,
            Err(Foreign::Unknown) => return Confirmed::Unknown,
            Err(Foreign::Elsewhere(node)) => return Confirmed::Elsewhere(node),
        };
        let price = price.min(MOST_PRICE);
        let settled = match &self.journal {
            None => self.till.confirm(hash, token.expires(), price, at, || Ok(())),
            Some(journal) => match self.till.confirm(hash, token.expires(), price, at, || journal.begin().map(Some)) {
                Settled::Missing => match self.confirm_lost(token, hash, price) {
                    Settled::Done | Settled::Over if at > token.expires() => Settled::Late,
                    settled => settled,
                },
                settled => settled,
            },
        };
        let (kind, confirmed) = match settled {
            Settled::Done => (Kind::Confirmed, Confirmed::Confirmed),
            Settled::Over => (Kind::OverPrice, Confirmed::OverPrice),
            Settled::Late => (Kind::Late, Confirmed::Expired),
            Settled::Confirmed => (Kind::Duplicate, Confirmed::Duplicate),
            Settled::Missing => (Kind::NoReservation, Confirmed::Unknown),
            Settled::Busy => (Kind::Busy, Confirmed::Busy),
        };
        self.counts.add(kind as usize);
        confirmed
    }

    /// Gives back what a reservation holds. Twice is as good as once.
    pub fn release(&self, token: &Token) -> Released {
        self.release_with(token, || {})
    }

    /// The same together with something else, which is done the first time. That is done with a lock held, so it may not call the
    /// node.
    pub fn release_with(&self, token: &Token, also: impl FnOnce()) -> Released {
        let hash = match self.own(token) {
            Ok(hash) => hash,
            Err(Foreign::Unknown) => return Released::Unknown,
            Err(Foreign::Elsewhere(node)) => return Released::Elsewhere(node),
        };
        let settled = match &self.journal {
            None => self.till.release(hash, token.expires(), || Ok(()), also),
            Some(journal) => self.till.release(hash, token.expires(), || journal.begin().map(Some), also),
        };
        let (kind, released) = match settled {
            Settled::Done | Settled::Over | Settled::Late => (Kind::Released, Released::Released),
            Settled::Confirmed => (Kind::Duplicate, Released::Confirmed),
            Settled::Missing => (Kind::NoReservation, Released::Unknown),
            Settled::Busy => (Kind::Busy, Released::Busy),
        };
        self.counts.add(kind as usize);
        released
    }

    /// The hash of a token's reservation, if that is one of this node.
    #[inline(always)]
    fn own(&self, token: &Token) -> Result<u64, Foreign> {
        let hash = token.reservation();
        // Whatever it is, it has a bucket. That it is this one's is checked while the bucket comes.
        self.till.reservations.fetch(hash);
        if !token.is_of(self.seed()) {
            self.counts.add(Kind::NoReservation as usize);
            return Err(Foreign::Unknown);
        }
        if token.node() != node_of(self.config.name) {
            self.counts.add(Kind::Elsewhere as usize);
            return Err(Foreign::Elsewhere(token.node()));
        }
        Ok(hash)
    }

    /// Books the price of a reservation that is not known from what a crash has lost, while one of that time would be remembered.
    #[cold]
    fn confirm_lost(&self, token: &Token, hash: u64, price: u64) -> Settled {
        let (clock, journal) = (self.clock.load(Relaxed), self.journal.as_ref());
        let is_remembered = token.expires().saturating_add(self.config.remember) >= clock;
        let is_believable = token.expires() <= clock.saturating_add(self.config.max_ahead + MOST_TTL).min(LAST_EXPIRY);
        if !is_remembered || !is_believable || !(1..=MOST_PRICE).contains(&token.amount()) {
            return Settled::Missing;
        }
        let books: Vec<u32> = {
            let mut campaigns = self.campaigns.lock();
            let campaign = campaigns.get(token.campaign());
            // The newest first.
            campaign.map(|campaign| campaign.books.iter().rev().map(|book| book.number).collect()).unwrap_or_default()
        };
        let lost = Entry { hash, state: State::Confirmed, book: 0, amount: token.amount(), expires: token.expires() };
        self.till.confirm_lost(lost, books, price, clock, || journal.map(|journal| journal.begin()).transpose())
    }
}
