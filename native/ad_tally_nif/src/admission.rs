//! The functions of `AdTally.Admission`.

use ad_tally_core::admission::{self, Admitted, Ask, Reason};
use ad_tally_core::frequency_cap::Decision;
use arrayvec::ArrayVec;
use rustler::{Encoder, Env, Term};

use crate::atoms;
use crate::decode::{BadArgument, Raw, keys, with_layout};
use crate::encode;
use crate::frequency_cap::{self, CANDIDATES, Candidates, RuleSet, read_candidates, unread};
use crate::hot::{At, Index, hot};
use crate::pacer::{self, MaxPrice, Reservation, Ttl};

hot! {
    /// Decides cap and budget of a campaign as one step: `{:ok, reservation}`, the number of the rule that blocks, or why not.
    fn admission_admit(
        env, caps: &frequency_cap::Table, pacer: &pacer::Table, campaign: Raw<'a>, user: Raw<'a>, rules: &RuleSet,
        request: Raw<'a>, amount: MaxPrice, at: At, ttl: Ttl
    ) {
        let pair = caps.pair(env, campaign, user)?;
        let request = pacer.request(env, request)?;
        let (rules, at, now) = (rules.rules(), at.0, || pacer.now_at(at.0));
        let admitted = keys::with_key(env, pacer.seed(), campaign, |campaign| {
            let ask = Ask { campaign, request, pair, rules, amount: amount.0, at, ttl: ttl.0 };
            admission::admit(&caps.0, pacer.node(), &ask, now)
        })??;
        Ok(match admitted {
            Admitted::Admitted(token) => (atoms::ok(), pacer::reservation(env, &token)).encode(env),
            Admitted::Capped(rule) => rule.encode(env),
            Admitted::Paced => atoms::paced().to_term(env),
            Admitted::NoBudget => atoms::no_budget().to_term(env),
            Admitted::Unknown => atoms::unknown().to_term(env),
            Admitted::Refused(reason) => refused(env, reason),
        })
    }

    /// Releases a reservation, and takes back the event that was counted with it.
    fn admission_release(
        env, caps: &frequency_cap::Table, pacer: &pacer::Table, reservation: Reservation
    ) {
        let Some(token) = reservation.0 else { return Ok(pacer::error(env, atoms::unknown())) };
        Ok(pacer::released(env, pacer, admission::release(&caps.0, pacer.node(), &token)))
    }

    /// Takes back the event that was counted with a reservation of another node.
    fn admission_take_back(
        env, caps: &frequency_cap::Table, pacer: &pacer::Table, reservation: Reservation
    ) {
        if let Some(token) = reservation.0.filter(|token| token.is_of(pacer.seed())) {
            admission::take_back(&caps.0, &token);
        }
        Ok(atoms::ok().to_term(env))
    }

    /// Which campaigns of a list may be shown to a user for a request, by caps and budget: those, or those and the rest of a long list.
    fn admission_admissible(
        env, caps: &frequency_cap::Table, pacer: &pacer::Table, candidates: Raw<'a>, user: Raw<'a>, request: Raw<'a>,
        at: At, from: Index
    ) {
        let request = pacer.request(env, request)?;
        let (moment, now) = (caps.0.at(at.0), || pacer.now_at(at.0));
        let find = |pair| {
            // As `caps_admissible`.
            let bucket = moment.find(pair);
            bucket.fetch();
            bucket
        };
        let (list, mut read) = ((candidates, from.0), Candidates::new());
        let rest = match with_layout!(L => read_candidates::<L, _>(env, caps, list, user, find, &mut read)) {
            Ok(rest) => rest,
            Err(why) => return unread(env, why),
        };
        let mut admissible = ArrayVec::<Raw<'a>, CANDIDATES>::new();
        for candidate in &read {
            match moment.check(candidate.pair, candidate.rules, now)? {
                Decision::Admitted if is_open(env, pacer, candidate.scope, request, at.0)? => {
                    admissible.push(candidate.scope);
                }
                Decision::Admitted | Decision::Capped { .. } => {}
                Decision::Refused(reason) => return Ok(frequency_cap::refused(env, reason)),
            }
        }
        let admissible = encode::list(env, &admissible);
        if read.is_full() {
            Ok((admissible, rest.in_env(env), from.0 + CANDIDATES).encode(env))
        } else {
            Ok(admissible)
        }
    }
}

#[inline(always)]
fn is_open<'a>(
    env: Env<'a>,
    pacer: &pacer::Table,
    campaign: Raw<'a>,
    request: u64,
    at: u64,
) -> Result<bool, BadArgument> {
    keys::with_key(env, pacer.seed(), campaign, |campaign| pacer.node().is_open(campaign, request, at))
}

#[cold]
fn refused(env: Env<'_>, reason: Reason) -> Term<'_> {
    let reason = match reason {
        Reason::Future => atoms::future(),
        Reason::TooOld => atoms::too_old(),
        Reason::Full => atoms::full(),
        Reason::Busy => atoms::busy(),
    };
    pacer::error(env, reason)
}
