//! What is called for every request: reservations, confirms, releases, and which campaigns are open.

use std::cell::RefCell;

use ad_tally_core::Batch;
use ad_tally_core::pacer::Token;
use ad_tally_core::pacer::node::{Confirmed, Reason, Released, Reserved};
use arrayvec::ArrayVec;
use rustler::{Atom, Encoder, Env, Term};

use super::Table;
use super::arguments::{MaxPrice, Price, Reservation, Ttl};
use crate::atoms;
use crate::decode::{self, BadArgument, Layout, Raw, bad_argument, keys, with_layout};
use crate::encode;
use crate::hot::{At, Index, hot};
use crate::resource;
use crate::steps;

/// Campaigns that one call looks at, at most.
const CAMPAIGNS: usize = 64;

hot! {
    /// Reserves an amount of a campaign's budget for a request.
    fn pacer_reserve(
        env, pacer: &Table, campaign: Raw<'a>, request: Raw<'a>, price: MaxPrice, at: At, ttl: Ttl
    ) {
        let request = pacer.request(env, request)?;
        let node = pacer.node();
        let now = || pacer.now_at(at.0);
        let reserved = keys::with_key(env, pacer.seed(), campaign, |campaign| {
            node.reserve(campaign, request, price.0, at.0, ttl.0, now)
        })?;
        reserved_term(env, pacer, reserved)
    }

    /// Books the price of a reservation.
    fn pacer_confirm(env, pacer: &Table, reservation: Reservation, price: Price, at: At) {
        let Some(token) = reservation.0 else { return Ok(error(env, atoms::unknown())) };
        let confirmed = pacer.node().confirm(&token, price.0, at.0);
        Ok(match confirmed {
            Confirmed::Confirmed => atoms::ok().to_term(env),
            Confirmed::Elsewhere(node) => elsewhere(env, pacer, node),
            other => not_confirmed(env, pacer, other)?,
        })
    }

    /// Gives back what was reserved.
    fn pacer_release(env, pacer: &Table, reservation: Reservation) {
        let Some(token) = reservation.0 else { return Ok(error(env, atoms::unknown())) };
        released(env, pacer, pacer.node().release(&token))
    }

    /// Which campaigns of a list take part in a request and have money: those, or those, the rest of a long list and its index.
    fn pacer_open(env, pacer: &Table, campaigns: Raw<'a>, request: Raw<'a>, at: At, from: Index) {
        let request = pacer.request(env, request)?;
        with_layout!(L => open_some::<L>(env, pacer, campaigns, request, at.0, from.0))
    }
}

/// `{:ok, reservation}`, or why there is none.
#[inline(always)]
fn reserved_term<'a>(env: Env<'a>, pacer: &Table, reserved: Reserved) -> Result<Term<'a>, BadArgument> {
    Ok(match reserved {
        Reserved::Reserved(token) | Reserved::Again(token) => (atoms::ok(), reservation(env, &token)).encode(env),
        Reserved::Paced => atoms::paced().to_term(env),
        Reserved::NoBudget => atoms::no_budget().to_term(env),
        Reserved::Unknown => atoms::unknown().to_term(env),
        Reserved::Refused(reason) => refused(env, pacer, reason)?,
    })
}

/// A binary on the heap of the process.
#[inline(always)]
pub fn reservation<'a>(env: Env<'a>, token: &Token) -> Term<'a> {
    encode::binary(env, &token.to_bytes())
}

#[cold]
fn refused<'a>(env: Env<'a>, pacer: &Table, reason: Reason) -> Result<Term<'a>, BadArgument> {
    match reason {
        Reason::Future => Ok(error(env, atoms::future())),
        Reason::Full => Ok(error(env, atoms::full())),
        Reason::Busy => busy(env, pacer),
    }
}

/// `{:error, :busy}`, unless the pacer has ended meanwhile.
#[cold]
pub fn busy<'a>(env: Env<'a>, pacer: &Table) -> Result<Term<'a>, BadArgument> {
    resource::check_owner_again(env, pacer)?;
    Ok(error(env, atoms::busy()))
}

pub fn error(env: Env<'_>, reason: Atom) -> Term<'_> {
    (atoms::error(), reason).encode(env)
}

#[cold]
fn not_confirmed<'a>(env: Env<'a>, pacer: &Table, confirmed: Confirmed) -> Result<Term<'a>, BadArgument> {
    let reason = match confirmed {
        Confirmed::Busy => return busy(env, pacer),
        Confirmed::Expired => atoms::expired(),
        Confirmed::OverPrice => atoms::over_price(),
        Confirmed::Duplicate => atoms::duplicate(),
        Confirmed::Confirmed | Confirmed::Unknown | Confirmed::Elsewhere(_) => atoms::unknown(),
    };
    Ok(error(env, reason))
}

/// `ok`, or why it is not released.
pub fn released<'a>(env: Env<'a>, pacer: &Table, released: Released) -> Result<Term<'a>, BadArgument> {
    Ok(match released {
        Released::Released => atoms::ok().to_term(env),
        Released::Confirmed => error(env, atoms::confirmed()),
        Released::Unknown => error(env, atoms::unknown()),
        Released::Busy => busy(env, pacer)?,
        Released::Elsewhere(node) => elsewhere(env, pacer, node),
    })
}

/// `{:elsewhere, node}`: the node that has a reservation.
#[cold]
fn elsewhere<'a>(env: Env<'a>, pacer: &Table, node: u64) -> Term<'a> {
    pacer.node_of(node).map_or_else(|| error(env, atoms::unknown()), |node| (atoms::elsewhere(), node).encode(env))
}

thread_local! {
    static BATCH: RefCell<Batch<()>> = RefCell::default();
}

/// Which of the first campaigns of a list are open. They are read first, so that the lookups of one overlap those of others: 20 of
/// 10,000 took a quarter less.
fn open_some<'a, L: Layout>(
    env: Env<'a>,
    pacer: &Table,
    campaigns: Raw<'a>,
    request: u64,
    at: u64,
    from: usize,
) -> Result<Term<'a>, BadArgument> {
    BATCH.with_borrow_mut(|batch| {
        batch.clear();
        let mut read = ArrayVec::<Raw<'a>, CAMPAIGNS>::new();
        let mut rest = campaigns;
        while !read.is_full() && !steps::is_full(batch) && !decode::is_empty_list::<L>(env, rest) {
            let index = from + read.len();
            let cell = decode::list_cell::<L>(env, rest);
            let [campaign, tail] = cell.ok_or_else(|| bad_argument::list(rest.in_env(env), "campaign", index))?;
            steps::push::<L, ()>(env, batch, pacer.seed(), campaign, ()).map_err(|error| error.at_index(index))?;
            read.push(campaign);
            rest = tail;
        }
        let mut open = ArrayVec::<Raw<'a>, CAMPAIGNS>::new();
        pacer.node().each_open(batch, request, at, |number| open.push(read[number]));
        let open = encode::list(env, &open);
        let is_end = decode::is_empty_list::<L>(env, rest);
        Ok(if is_end { open } else { (open, rest.in_env(env), from + read.len()).encode(env) })
    })
}
