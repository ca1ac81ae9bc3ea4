//! The functions of `AdTally.Admission`.

use ad_tally_core::admission::{self, Admitted, Ask, Reason};
use rustler::{Encoder, Env, Term};

use crate::atoms;
use crate::decode::{BadArgument, Raw, keys};
use crate::frequency_cap::{self, RuleSet};
use crate::hot::{At, Index, hot};
use crate::pacer::{self, MaxPrice, Reservation, Ttl};
use crate::resource;

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
            Admitted::Refused(reason) => {
                if reason == Reason::Busy {
                    resource::check_owner_again(env, caps)?;
                    resource::check_owner_again(env, pacer)?;
                }
                refused(env, reason)
            }
        })
    }

    /// Releases a reservation, and takes back the event that was counted with it.
    fn admission_release(
        env, caps: &frequency_cap::Table, pacer: &pacer::Table, reservation: Reservation
    ) {
        let Some(token) = reservation.0 else { return Ok(pacer::error(env, atoms::unknown())) };
        pacer::released(env, pacer, admission::release(&caps.0, pacer.node(), &token))
    }

    /// Which campaigns of a list may be shown to a user for a request, by caps and budget: those, or those and the rest of a long list.
    fn admission_admissible(
        env, caps: &frequency_cap::Table, pacer: &pacer::Table, candidates: Raw<'a>, user: Raw<'a>, request: Raw<'a>,
        at: At, from: Index
    ) {
        let request = pacer.request(env, request)?;
        let now = || pacer.now_at(at.0);
        frequency_cap::admissible(env, caps, (candidates, from.0), user, (at.0, now), |campaign| {
            is_open(env, pacer, campaign, request, at.0)
        })
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
