//! What a node answers, and how often it did.

use crate::pacer::token::Token;

/// What became of an attempt to reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The money is reserved.
    Reserved(Token),
    /// The same request has a reservation that lives: that one.
    Again(Token),
    /// The campaign does not take part in this request.
    Paced,
    /// There is no money.
    NoBudget,
    /// There is no such campaign.
    Unknown,
    /// It was not tried.
    Refused(Reason),
}

impl Reserved {
    /// The token, if there is a reservation.
    #[must_use]
    pub fn token(&self) -> Option<Token> {
        match self {
            Self::Reserved(token) | Self::Again(token) => Some(*token),
            _ => None,
        }
    }
}

/// Why it was not tried to reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The event is too far ahead of the clock.
    Future,
    /// There is no room for another live reservation.
    Full,
    /// The store has no room until more of what was recorded is on disk.
    Busy,
}

/// What became of a confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// The price is booked.
    Confirmed,
    /// It is booked, though the reservation had expired or was released.
    Expired,
    /// It is booked, though it is above what was reserved.
    OverPrice,
    /// It was confirmed before. Nothing has changed.
    Duplicate,
    /// There is no such reservation. Nothing has changed.
    Unknown,
    /// Another node has it: [`crate::pacer::node_of`] its name's hash. Nothing has changed.
    Elsewhere(u64),
    /// The store has no room. Nothing has changed.
    Busy,
}

/// What became of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Nothing is reserved any more.
    Released,
    /// It was confirmed. Nothing has changed.
    Confirmed,
    /// There is no such reservation. Nothing has changed.
    Unknown,
    /// Another node has it. Nothing has changed.
    Elsewhere(u64),
    /// The store has no room. Nothing has changed.
    Busy,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Reserved,
    Again,
    Paced,
    NoBudget,
    NoCampaign,
    Future,
    Full,
    Busy,
    Confirmed,
    Late,
    OverPrice,
    Duplicate,
    NoReservation,
    Elsewhere,
    Released,
    Expired,
    NoBook,
}

pub(super) const KINDS: usize = Kind::NoBook as usize + 1;

/// How often each of them happened since the node was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Reservations.
    pub reserved: u64,
    /// The same reservation, asked for again.
    pub again: u64,
    /// Requests that a campaign did not take part in.
    pub paced: u64,
    /// Requests without money.
    pub no_budget: u64,
    /// Requests of campaigns that are not known.
    pub unknown_campaign: u64,
    /// Events too far ahead of the clock.
    pub future: u64,
    /// Requests without room for a reservation.
    pub full: u64,
    /// Calls that the store had no room for.
    pub busy: u64,
    /// Confirms in time and at most of the reserved price.
    pub confirmed: u64,
    /// Confirms after the reservation's time.
    pub late: u64,
    /// Confirms above the reserved price.
    pub over_price: u64,
    /// Confirms of what was confirmed.
    pub duplicate: u64,
    /// Confirms and releases of reservations that are not known.
    pub unknown_reservation: u64,
    /// Confirms and releases of another node's reservations.
    pub elsewhere: u64,
    /// Releases.
    pub released: u64,
    /// Reservations whose time ended without either.
    pub expired: u64,
    /// Grants for which there was no book: their campaign has no money of its period.
    pub no_book: u64,
}

impl Counts {
    pub(super) fn of(count: impl Fn(Kind) -> u64) -> Self {
        Self {
            reserved: count(Kind::Reserved),
            again: count(Kind::Again),
            paced: count(Kind::Paced),
            no_budget: count(Kind::NoBudget),
            unknown_campaign: count(Kind::NoCampaign),
            future: count(Kind::Future),
            full: count(Kind::Full),
            busy: count(Kind::Busy),
            confirmed: count(Kind::Confirmed),
            late: count(Kind::Late),
            over_price: count(Kind::OverPrice),
            duplicate: count(Kind::Duplicate),
            unknown_reservation: count(Kind::NoReservation),
            elsewhere: count(Kind::Elsewhere),
            released: count(Kind::Released),
            expired: count(Kind::Expired),
            no_book: count(Kind::NoBook),
        }
    }
}
