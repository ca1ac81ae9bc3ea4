//! What keys are for: in which domain they are hashed, and which are refused.

use ad_tally_core::key::Domain;

/// What a key is for.
pub trait Role {
    /// What it is hashed as.
    const DOMAIN: Domain;
    /// Where `nil` and `""` are refused, bare or in a tuple: why.
    const NO_EMPTY: Option<&'static str> = None;

    /// Whether an element is one that is refused.
    #[inline(always)]
    fn refuses(is_empty: impl FnOnce() -> bool) -> bool {
        Self::NO_EMPTY.is_some() && is_empty()
    }
}

/// What is kept as a hash alone.
pub trait Hashed: Role {
    /// What it is hashed as if it is one binary.
    const BYTES: Domain;
}

/// A key of counters or sketches, or the dimensions of an event: a value like any other may be missing.
pub struct Place;
/// A scope of caps. The same holds of it.
pub struct Scope;
/// The id of an event. All events with the id of an empty column would be copies of the first.
pub struct Id;
/// A user of caps. All events with the user of an empty column would have one cap.
pub struct User;

/// A request that campaigns take part in. All requests with the id of an empty column would have one reservation.
pub struct Request;

/// A user of attribution. All touches with the user of an empty column would be those of one person.
pub struct Person;

impl Role for Place {
    const DOMAIN: Domain = Domain::Key;
}

impl Role for Scope {
    const DOMAIN: Domain = Domain::Scope;
}

impl Hashed for Scope {
    const BYTES: Domain = Domain::ScopeBytes;
}

impl Hashed for Id {
    const BYTES: Domain = Domain::IdBytes;
}

impl Hashed for User {
    const BYTES: Domain = Domain::UserBytes;
}

impl Role for Id {
    const DOMAIN: Domain = Domain::Id;
    const NO_EMPTY: Option<&'static str> = Some(
        "expected an id that is of one event only: with nil or \"\", alone or in a tuple, all events of an empty column \
         would be copies of the first (for an event without an id, set id: nil in AdTally.Event, and do not ask \
         AdTally.Dedupe)",
    );
}

impl Role for Request {
    const DOMAIN: Domain = Domain::Id;
    const NO_EMPTY: Option<&'static str> = Some(
        "expected a request that is one only: with nil or \"\", alone or in a tuple, all requests of an empty column would \
         have one reservation",
    );
}

impl Hashed for Request {
    const BYTES: Domain = Domain::IdBytes;
}

impl Role for User {
    const DOMAIN: Domain = Domain::User;
    const NO_EMPTY: Option<&'static str> = Some(
        "expected a user that is one person only: with nil or \"\", alone or in a tuple, all events of an empty column \
         would share one cap (do not ask for a cap where the user is not known)",
    );
}

impl Role for Person {
    const DOMAIN: Domain = Domain::User;
    const NO_EMPTY: Option<&'static str> = Some(
        "expected a user that is one person only: with nil or \"\", alone or in a tuple, all touches of an empty column \
         would be those of one person (leave out the touches and conversions whose user is not known)",
    );
}

impl Hashed for Person {
    const BYTES: Domain = Domain::UserBytes;
}
