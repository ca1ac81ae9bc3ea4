//! A frequency cap and a budget as one step: whether an ad may be shown, decided by both or by none.
//!
//! The pace is asked first, then the rules, without a lock, and the reservation of a request that a rule blocks: what is denied
//! writes to no line of its campaign. What no rule blocks gets its money, and while the lock of its reservation is held its event is counted, or a rule
//! that blocks by now gives the money back. So a reservation is there exactly if its event is counted, and a request that is repeated
//! counts once. What is journaled of the two is in one interval, if their store is the same.

use crate::error::Error;
use crate::frequency_cap::{self, Decision, FrequencyCap, Rules};
use crate::key::HashedKey;
use crate::pacer::node::{self, Hold, Node, Released, Reserved, TakingPart};
use crate::pacer::token::Token;

/// What is to be admitted.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The campaign.
    pub campaign: HashedKey<'a>,
    /// The hash of the request.
    pub request: u64,
    /// The hash of campaign and user, as the caps have it.
    pub pair: u64,
    /// The rules of the campaign.
    pub rules: &'a Rules,
    /// What may have to be paid, in micros.
    pub amount: u64,
    /// When, in Unix milliseconds.
    pub at: u64,
    /// For how many milliseconds the money is held.
    pub ttl: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Its money is reserved, and its event counted.
    Admitted(Token),
    /// The rule of that number blocks.
    Capped(usize),
    /// The campaign does not take part in this request.
    Paced,
    /// There is no money.
    NoBudget,
    /// There is no such campaign.
    Unknown,
    /// It was not decided.
    Refused(Reason),
}

/// Why it was not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The event is too far ahead of the clock.
    Future,
    /// The event is too old for the caps.
    TooOld,
    /// There is no room for another pair, or for another reservation.
    Full,
    /// A store has no room until more of what was recorded is on disk.
    Busy,
}

/// Why nothing is reserved though there is money.
enum Denied {
    Capped(usize),
    Refused(frequency_cap::Reason),
    Wrong(Error),
}

/// Asks whether a campaign takes part, no rule blocks, and there is money; then counts the event and reserves the money.
///
/// # Errors
/// As [`FrequencyCap::admit`], with nothing changed. Rules that the caps cannot serve are an error whether or not the campaign
/// takes part.
#[inline(always)]
pub fn admit(caps: &FrequencyCap, node: &Node, ask: &Ask<'_>, now: impl Fn() -> u64) -> Result<Admitted, Error> {
    let Ask { campaign, request, pair, rules, amount, at, ttl } = *ask;
    caps.check_fit(rules)?;
    // Asked before the caps: what is paced need not wait for their line, and that of the reservation is fetched meanwhile.
    let part = match node.ask(campaign, request) {
        Ok(part) => part,
        Err(not) => return Ok(admitted(not)),
    };
    let hold = Hold { amount, at, ttl, pair };
    if let Some(denied) = caps.denial(pair, rules, at, &now)?.transpose() {
        return Ok(not_counted(caps, part, &hold, denied));
    }
    let reserved = part.reserve_with(&hold, &now, || match caps.admit_locked(pair, rules, at, &now) {
        Ok(Decision::Admitted) => Ok(()),
        Ok(Decision::Capped { rule, .. }) => Err(Denied::Capped(rule)),
        Ok(Decision::Refused(reason)) => Err(Denied::Refused(reason)),
        Err(error) => Err(Denied::Wrong(error)),
    });
    match reserved {
        Ok(reserved) => Ok(admitted(reserved)),
        Err(Denied::Capped(rule)) => Ok(Admitted::Capped(rule)),
        Err(Denied::Refused(reason)) => Ok(refused(reason)),
        Err(Denied::Wrong(error)) => Err(error),
    }
}

/// What becomes of a request that the caps would not count: it may have been counted before.
#[inline(never)]
fn not_counted(
    caps: &FrequencyCap,
    part: TakingPart<'_>,
    hold: &Hold,
    denied: Result<frequency_cap::Denial, frequency_cap::Reason>,
) -> Admitted {
    match (part.find(hold), denied) {
        (Some(token), _) => Admitted::Admitted(token),
        (None, Err(reason)) => refused(reason),
        (None, Ok(denial)) => {
            caps.note_denial(&denial, hold.at);
            Admitted::Capped(denial.rule)
        }
    }
}

#[inline(always)]
fn admitted(reserved: Reserved) -> Admitted {
    match reserved {
        Reserved::Reserved(token) | Reserved::Again(token) => Admitted::Admitted(token),
        Reserved::Paced => Admitted::Paced,
        Reserved::NoBudget => Admitted::NoBudget,
        Reserved::Unknown => Admitted::Unknown,
        Reserved::Refused(reason) => Admitted::Refused(match reason {
            node::Reason::Future => Reason::Future,
            node::Reason::Full => Reason::Full,
            node::Reason::Busy => Reason::Busy,
        }),
    }
}

fn refused(reason: frequency_cap::Reason) -> Admitted {
    Admitted::Refused(match reason {
        frequency_cap::Reason::Future => Reason::Future,
        frequency_cap::Reason::TooOld => Reason::TooOld,
        frequency_cap::Reason::Full => Reason::Full,
        frequency_cap::Reason::Busy => Reason::Busy,
    })
}

/// Gives back the money of a reservation, and takes back the event that was counted with it, if there is one: once.
pub fn release(caps: &FrequencyCap, node: &Node, token: &Token) -> Released {
    node.release_with(token, || take_back(caps, token))
}

/// Takes back the event that was counted with a reservation, if there is one.
fn take_back(caps: &FrequencyCap, token: &Token) {
    if token.pair() != 0 {
        // Where the caps cannot know that there was such an event nothing is taken back.
        let _ = caps.release(token.pair(), token.at());
    }
}
