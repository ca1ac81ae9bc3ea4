//! Plans that come and go, on the node that coordinates their budgets.

use ad_tally_core::HashedKey;
use ad_tally_core::journal::Busy;
use ad_tally_core::pacer::ledger::PutError;
use ad_tally_core::pacer::message::{Grants, write_grants};
use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::Table;
use super::plan;
use super::reserve::{busy, error};
use crate::atoms;
use crate::decode::{bad_argument, keys};
use crate::encode;
use crate::resource;

/// The node that coordinates the budget of a campaign.
#[rustler::nif]
fn pacer_coordinator<'a>(env: Env<'a>, pacer: Term<'a>, campaign: Term<'a>) -> NifResult<Atom> {
    let pacer: &Table = resource::expect(pacer)?;
    let at = keys::with_key(env, pacer.seed(), campaign.into(), |campaign| pacer.coordinator(campaign.hash))?;
    Ok(pacer.nodes[at].atom)
}

/// Gives a campaign a plan, on its coordinator: `{:ok, granted}`, what is granted to this node, to be applied once all is in the store;
/// `no_time` before a clock of its own was told a time, or `{:error, full | busy}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_put<'a>(env: Env<'a>, pacer: Term<'a>, campaign: Term<'a>, plan: Term<'a>) -> NifResult<Term<'a>> {
    let (pacer, plan): (&Table, _) = (resource::expect(pacer)?, plan::read(plan)?);
    let now = pacer.now();
    if now == 0 {
        return Ok(atoms::no_time().to_term(env));
    }
    let put = keys::with_key(env, pacer.seed(), campaign.into(), |key| {
        // Before the ledger has the plan: other nodes would spend it.
        if !pacer.node().has_room(key) {
            return Ok(None);
        }
        let version = pacer.ledger().put(key, plan.clone(), now)?;
        // Without a grant it has no money yet.
        let installed = pacer.node().install(key, version, &plan, now);
        Ok::<_, PutError>(installed.ok().map(|()| granted(env, pacer, key)))
    })?;
    Ok(match put {
        Ok(Some(granted)) => (atoms::ok(), granted).encode(env),
        Ok(None) | Err(PutError::Full(_)) => error(env, atoms::full()),
        Err(PutError::Busy(_)) => busy(env, pacer)?,
        Err(other) => return Err(bad_argument::refused(other.to_string()).into()),
    })
}

/// Takes the plan of a campaign away, on its coordinator: as `pacer_put`, with nothing granted, or `{:error, unknown | busy}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_delete<'a>(env: Env<'a>, pacer: Term<'a>, campaign: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let now = pacer.now();
    let deleted = keys::with_key(env, pacer.seed(), campaign.into(), |key| {
        let is_there = pacer.ledger().delete(key, now)?;
        if is_there {
            pacer.node().remove(key, pacer.ledger().version(), now);
        }
        Ok::<_, Busy>(is_there)
    })?;
    Ok(match deleted {
        Ok(true) => (atoms::ok(), Vec::<Term<'a>>::new()).encode(env),
        Ok(false) => error(env, atoms::unknown()),
        Err(_busy) => busy(env, pacer)?,
    })
}

/// What this node is granted of one campaign, as frames.
fn granted<'a>(env: Env<'a>, pacer: &Table, campaign: HashedKey<'_>) -> Vec<Term<'a>> {
    let Some(report) = pacer.report(campaign) else { return Vec::new() };
    // With no room in the journal it is granted in the next round.
    let grants = pacer.ledger().renew(pacer.own_ref(), &[report], pacer.now()).unwrap_or_default();
    let grants = Grants { to: pacer.own_ref(), grants };
    write_grants(pacer.seed(), &grants).iter().map(|frame| encode::binary(env, frame)).collect()
}
