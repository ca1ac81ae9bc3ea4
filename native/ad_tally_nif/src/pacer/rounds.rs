//! Rounds: what this node reports to coordinators and is granted, what it grants as one, and what is due by time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use ad_tally_core::codec::{Frame, FrameError, Kind};
use ad_tally_core::key::KeyRef;
use ad_tally_core::pacer::message::{
    Grants, Plans, Report, Reports, Unreadable, read_grants, read_plans, read_reports, write_grants, write_plans,
    write_reports,
};
use ad_tally_core::pacer::node::Noted;
use parking_lot::Mutex;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Term};

use super::reserve::busy;
use super::{Member, Table};
use crate::atoms;
use crate::decode::interner::ImportedAtoms;
use crate::encode;
use crate::resource::{self, resource};
use crate::steps;

/// Campaigns that one call reports of.
const AT_ONCE: usize = 512;
/// Plans that an answer has at most. A node that lacks more asks again soon.
const PLANS: usize = 512;

/// Money that may be used again once what made it so is in the store.
pub struct NotedMoney(Mutex<Option<Noted>>);

resource!(NotedMoney, c"pacer_noted", "what AdTally.Native.pacer_note_pending/1 has returned");

/// Notes the money that may be used again once all that was recorded until now is in the store; nil if there is none.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_note_pending<'a>(env: Env<'a>, pacer: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let noted = pacer.node().note_pending();
    if noted.is_empty() {
        return Ok(atoms::nil().to_term(env));
    }
    Ok(resource::make(env, NotedMoney(Mutex::new(Some(noted)))))
}

/// Lets it be used.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_free_pending<'a>(pacer: Term<'a>, noted: Term<'a>) -> NifResult<Atom> {
    let (pacer, noted): (&Table, &NotedMoney) = (resource::expect(pacer)?, resource::expect(noted)?);
    // Once.
    if let Some(noted) = noted.0.lock().take() {
        pacer.node().free_pending(&noted);
    }
    Ok(atoms::ok())
}

/// What there is to report, of some campaigns from a number on: `{next, [{node, frame, last?}]}`, where `next` is `done` after the
/// last ones. Each node of the pacer gets one frame that is the last one.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_reports<'a>(env: Env<'a>, pacer: Term<'a>, from: usize) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    if from == 0 {
        // Whoever finds no money from now on is in the next round.
        pacer.wake.is_told.store(false, Relaxed);
    }
    let mut reports = Vec::with_capacity(AT_ONCE);
    let next = pacer.node().reports(from, AT_ONCE, pacer.now(), &mut reports);
    let mut of_nodes: Vec<Vec<Report>> = pacer.nodes.iter().map(|_| Vec::new()).collect();
    if let [own] = &mut of_nodes[..] {
        *own = reports;
    } else {
        reports.into_iter().for_each(|report| of_nodes[pacer.coordinator(report.campaign)].push(report));
    }
    let mut frames = Vec::new();
    for (member, reports) in pacer.nodes.iter().zip(of_nodes) {
        if reports.is_empty() && next.is_some() {
            continue;
        }
        let written = write(pacer, member, reports);
        let last = written.len() - 1;
        for (at, frame) in written.iter().enumerate() {
            frames.push((member.atom, encode::binary(env, frame), next.is_none() && at == last));
        }
    }
    let next = next.map_or_else(|| atoms::done().to_term(env), |next| next.encode(env));
    Ok((next, frames).encode(env))
}

/// A report of no campaign, by which a coordinator is asked for plans that this node lacks.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_ask<'a>(env: Env<'a>, pacer: Term<'a>, node: Atom) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let frames = write(pacer, pacer.member(node)?, Vec::new());
    Ok(encode::binary(env, &frames[0]))
}

/// Reports for a coordinator as frames, one at least, with which of its plans this node has.
fn write(pacer: &Table, coordinator: &Member, reports: Vec<Report>) -> Vec<Vec<u8>> {
    let (start, has) = *coordinator.plans.lock();
    write_reports(pacer.seed(), &Reports { from: pacer.own_ref(), coordinator: start, has, reports })
}

/// Takes a node's reports, and grants it what it needs: `{:ok, frames}`, to be sent once all that was recorded until then is in the
/// store, or `{:error, busy | text}`. With the last reports of a round it gets plans that it lacks.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_renew<'a>(
    env: Env<'a>,
    pacer: Term<'a>,
    node: Atom,
    reports: Binary<'a>,
    is_last: bool,
) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let member = pacer.member(node)?;
    let (from, reports) = match read_reports(pacer.seed(), &reports) {
        Ok(reports) if reports.from.name == member.name => (reports.from, reports),
        Ok(_) => return Ok(refused(env, "reports of another node")),
        Err(fault) => return Ok(wrong(env, &fault)),
    };
    let Ok(grants) = pacer.ledger().renew(from, &reports.reports, pacer.now()) else {
        return Ok(busy(env, pacer)?);
    };
    let mut frames =
        if grants.is_empty() { Vec::new() } else { write_grants(pacer.seed(), &Grants { to: from, grants }) };
    if is_last {
        let has = if reports.coordinator == pacer.start { reports.has } else { 0 };
        let Ok(()) = pacer.ledger().overtake(reports.has, member.sent.load(Relaxed)) else {
            return Ok(busy(env, pacer)?);
        };
        let plans = pacer.ledger().plans(pacer.start, has, PLANS);
        member.sent.fetch_max(plans.version, Relaxed);
        match write_plans(pacer.seed(), &plans, &ImportedAtoms::new(env)) {
            Ok(plans) => frames.extend(plans),
            Err(_atom) => return Ok(refused(env, "a campaign with an atom that is not known")),
        }
    }
    let frames: Vec<Term<'a>> = frames.iter().map(|frame| encode::binary(env, frame)).collect();
    Ok((atoms::ok(), frames).encode(env))
}

/// Takes what a coordinator has granted: `{:ok, new, without_room, unreadable}`, of how many campaigns there are plans that were not known,
/// for how many there is no room, and `[{campaign, text}]` whose plans this node cannot read, or `{:error, text}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_apply<'a>(env: Env<'a>, pacer: Term<'a>, node: Atom, granted: Binary<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let member = pacer.member(node)?;
    let kind = Frame::read(&granted).map(|frame| frame.kind);
    let applied = match kind {
        Ok(Kind::PacerPlans) => read_plans(pacer.seed(), &granted, &mut ImportedAtoms::new(env))
            .map(|(plans, unreadable)| install(pacer, member, &plans, unreadable)),
        _ => read_grants(pacer.seed(), &granted).map(|grants| {
            if grants.to == pacer.own_ref() {
                let of = |campaign| std::ptr::eq(&pacer.nodes[pacer.coordinator(campaign)], member);
                let grants: Vec<_> = grants.grants.into_iter().filter(|grant| of(grant.campaign)).collect();
                pacer.node().apply(&grants, pacer.now());
            }
            (0, 0, Vec::new())
        }),
    };
    Ok(match applied {
        Ok((new, without_room, unreadable)) => {
            let of = |one: &Unreadable| (encode::key(env, KeyRef::new(&one.key)), one.error.to_string());
            let unreadable: Vec<_> = unreadable.iter().map(of).collect();
            (atoms::ok(), new, without_room, unreadable).encode(env)
        }
        Err(fault) => wrong(env, &fault),
    })
}

/// Installs the plans of a coordinator: how many were not known, for how many there is no room, and which of those that cannot be read
/// were not known.
fn install(
    pacer: &Table,
    member: &Member,
    plans: &Plans,
    mut unreadable: Vec<Unreadable>,
) -> (usize, usize, Vec<Unreadable>) {
    let mut known = member.plans.lock();
    if known.0 != plans.from {
        // Another start of it, with other versions.
        *known = (plans.from, 0);
    }
    if plans.after > known.1 {
        // Those before them are asked for in the next round.
        return (0, 0, Vec::new());
    }
    let coordinates = |campaign: u64| std::ptr::eq(&pacer.nodes[pacer.coordinator(campaign)], member);
    unreadable.retain(|plan| plan.version > known.1 && coordinates(pacer.seed().key(&plan.key).hash));
    for plan in &unreadable {
        // Whose plan is not known has no money. As of before this plan, which is taken once it can be read.
        pacer.node().remove(pacer.seed().key(&plan.key), plan.version - 1, pacer.now());
    }
    let (mut new, mut without_room) = (0, 0);
    for plan in plans.plans.iter().filter(|plan| plan.version > known.1) {
        let key = pacer.seed().key(&plan.key);
        if !coordinates(key.hash) {
            continue;
        }
        match &plan.plan {
            Some(of) => match pacer.node().install(key, plan.version, of, pacer.now()) {
                Ok(()) => new += 1,
                Err(_) => without_room += 1,
            },
            None => pacer.node().remove(key, plan.version, pacer.now()),
        }
    }
    known.1 = known.1.max(plans.version);
    (new, without_room, unreadable)
}

fn refused<'a>(env: Env<'a>, why: &str) -> Term<'a> {
    (atoms::error(), why).encode(env)
}

fn wrong<'a>(env: Env<'a>, fault: &FrameError) -> Term<'a> {
    (atoms::error(), fault.to_string()).encode(env)
}

/// Has some reservations expire whose time is over, from where the last call has ended: `done`, or another number.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_sweep<'a>(env: Env<'a>, pacer: Term<'a>, _from: usize) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    Ok(step(env, |in_time| pacer.node().sweep(pacer.now(), in_time)))
}

/// Gives some campaigns their tick, from where the last call has ended: `done`, or another number.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_tick<'a>(env: Env<'a>, pacer: Term<'a>, _from: usize) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    Ok(step(env, |in_time| pacer.ledger().tick(pacer.now(), in_time)))
}

fn step<'a>(env: Env<'a>, act: impl FnOnce(&mut dyn FnMut() -> bool) -> bool) -> Term<'a> {
    let begin = Instant::now();
    if act(&mut || begin.elapsed() < steps::TIME_LIMIT) { atoms::done().to_term(env) } else { 1.encode(env) }
}

/// Moves a clock of its own on: `ok`, or `{:earlier, time}` where it is later already.
#[rustler::nif]
fn pacer_set_time<'a>(env: Env<'a>, pacer: Term<'a>, at: u64) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let time = pacer.manual.as_ref().map_or(0, |time| time.fetch_max(at, Relaxed));
    Ok(if at < time { (atoms::earlier(), time).encode(env) } else { atoms::ok().to_term(env) })
}
