//! What is told of campaigns and of the node.

use ad_tally_core::HashedKey;
use ad_tally_core::key::KeyRef;
use ad_tally_core::pacer::ledger::{Status, Sums};
use ad_tally_core::pacer::message::Report;
use ad_tally_core::pacer::node::Counts;
use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::Table;
use super::reserve::error;
use crate::atoms;
use crate::decode::keys;
use crate::encode;
use crate::metered::{Metered, named, numbers};
use crate::resource;

/// Campaigns that one call tells of.
const AT_ONCE: usize = 64;

impl Table {
    /// What this node has of a campaign, for its coordinator.
    pub(super) fn report(&self, campaign: HashedKey<'_>) -> Option<Report> {
        let status = self.node().status(campaign)?;
        Some(Report { wanted: status.wanted, ..status.current.report(campaign.hash, status.period?) })
    }

    /// Where a campaign stands, with what this node has spent until now.
    fn status(&self, campaign: HashedKey<'_>) -> Option<Status> {
        let now = self.now();
        if let Some(report) = self.report(campaign) {
            // Where the journal has no room, as of the last round.
            let _ = self.ledger().look(self.own_ref(), &report, now);
        }
        self.ledger().status(campaign, now)
    }
}

/// Where a campaign stands, on its coordinator: a map, or `{:error, unknown}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_status<'a>(env: Env<'a>, pacer: Term<'a>, campaign: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let status = keys::with_key(env, pacer.seed(), campaign.into(), |campaign| pacer.status(campaign))?;
    status.map_or_else(|| Ok(error(env, atoms::unknown())), |status| encode_status(env, pacer, &status))
}

/// The same of some campaigns: a list of maps, and of `nil` where there is none.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_statuses<'a>(env: Env<'a>, pacer: Term<'a>, campaigns: Vec<Term<'a>>) -> NifResult<Vec<Option<Term<'a>>>> {
    let pacer: &Table = resource::expect(pacer)?;
    let status = |campaign: Term<'a>| {
        let status = keys::with_key(env, pacer.seed(), campaign.into(), |campaign| pacer.status(campaign))?;
        status.map(|status| encode_status(env, pacer, &status)).transpose()
    };
    campaigns.into_iter().map(status).collect()
}

/// Some campaigns whose coordinator this node is, with where they stand, from a version of plans on:
/// `{next, [{campaign, map}]}`, where `next` is `done` after the last ones.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_campaigns<'a>(env: Env<'a>, pacer: Term<'a>, after: u32) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let plans = pacer.ledger().plans(0, after, AT_ONCE);
    let is_last = plans.plans.len() < AT_ONCE;
    let campaigns: Vec<_> = plans
        .plans
        .iter()
        .filter_map(|plan| {
            let status = pacer.ledger().status(pacer.seed().key(&plan.key), pacer.now())?;
            let status = encode_status(env, pacer, &status);
            Some(status.map(|status| (encode::key(env, KeyRef::new(&plan.key)), status)))
        })
        .collect::<NifResult<_>>()?;
    let next = if is_last { atoms::done().to_term(env) } else { plans.version.encode(env) };
    Ok((next, campaigns).encode(env))
}

fn encode_status<'a>(env: Env<'a>, pacer: &Table, status: &Status) -> NifResult<Term<'a>> {
    let time = |time: Option<u64>| time.encode(env);
    let mut nodes: Vec<(Atom, u64)> = Vec::new();
    for lease in &status.leases {
        let Some(member) = pacer.nodes.iter().find(|member| member.name == lease.node.name) else { continue };
        match nodes.iter_mut().find(|(node, _)| *node == member.atom) {
            Some((_, leased)) => *leased += lease.leased,
            None => nodes.push((member.atom, lease.leased)),
        }
    }
    // There may be more than `encode::map` takes.
    let nodes = Term::map_from_pairs(env, &nodes)?;
    let pairs = [
        (atoms::budget_micros(), status.money.budget.encode(env)),
        (atoms::most_micros(), status.wall.encode(env)),
        (atoms::spent_micros(), status.money.spent.encode(env)),
        (atoms::reserved_micros(), status.money.reserved.encode(env)),
        (atoms::leased_micros(), status.money.leased.encode(env)),
        (atoms::target_micros(), status.money.target.encode(env)),
        (atoms::total_budget_micros(), status.plan.budget.encode(env)),
        (atoms::total_spent_micros(), status.spent_in_all.encode(env)),
        (atoms::presumed_micros(), status.money.presumed.encode(env)),
        (atoms::overspent_micros(), status.money.overspent.encode(env)),
        (atoms::delivery(), status.delivery.encode(env)),
        (atoms::pass(), status.pass.encode(env)),
        (atoms::from(), time(status.period.map(|period| period.begin))),
        (atoms::to(), time(status.period.map(|period| period.end))),
        (atoms::awaits_history(), status.awaits_history.encode(env)),
        (atoms::nodes(), nodes),
    ];
    Ok(encode::map(env, pairs.into_iter()))
}

/// The node's numbers.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_info<'a>(env: Env<'a>, pacer: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    let info = pacer.node().info();
    let memory = info.memory_bytes + pacer.ledger().memory_bytes();
    let pairs = [
        (atoms::campaigns(), info.campaigns.encode(env)),
        (atoms::coordinated(), pacer.ledger().len().encode(env)),
        (atoms::memory_bytes(), memory.encode(env)),
        (atoms::outcomes(), outcomes(env, &info.counts)),
    ];
    Ok(encode::map(env, pairs.into_iter()))
}

/// How often what came of calls on this node.
fn outcomes<'a>(env: Env<'a>, counts: &Counts) -> Term<'a> {
    let outcomes = [
        (atoms::reserved(), counts.reserved),
        (atoms::again(), counts.again),
        (atoms::paced(), counts.paced),
        (atoms::no_budget(), counts.no_budget),
        (atoms::unknown(), counts.unknown_campaign),
        (atoms::future(), counts.future),
        (atoms::full(), counts.full),
        (atoms::busy(), counts.busy),
        (atoms::confirmed(), counts.confirmed),
        (atoms::late(), counts.late),
        (atoms::over_price(), counts.over_price),
        (atoms::duplicate(), counts.duplicate),
        (atoms::unknown_reservation(), counts.unknown_reservation),
        (atoms::elsewhere(), counts.elsewhere),
        (atoms::released(), counts.released),
        (atoms::expired(), counts.expired),
        (atoms::no_book(), counts.no_book),
    ];
    encode::map(env, outcomes.into_iter().map(|(name, count)| (name, count.encode(env))))
}

/// Sums over the campaigns whose coordinator this node is.
#[rustler::nif(schedule = "DirtyCpu")]
fn pacer_sums<'a>(env: Env<'a>, pacer: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    Ok(encode_sums(env, pacer.ledger().sums()))
}

/// The same, or those that were seen last while many campaigns are renewed.
#[rustler::nif]
fn pacer_last_sums<'a>(env: Env<'a>, pacer: Term<'a>) -> NifResult<Term<'a>> {
    let pacer: &Table = resource::expect(pacer)?;
    Ok(encode_sums(env, pacer.ledger().seen().sums))
}

fn encode_sums(env: Env<'_>, Sums { campaigns, money }: Sums) -> Term<'_> {
    let sums = [
        ("campaigns", campaigns as u64),
        ("budget_micros", money.budget),
        ("spent_micros", money.spent),
        ("reserved_micros", money.reserved),
        ("leased_micros", money.leased),
        ("target_micros", money.target),
        ("overspent_micros", money.overspent),
        ("presumed_micros", money.presumed),
    ];
    numbers(env, &sums)
}

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        named(env, &[("outcomes", outcomes(env, &self.node().counts()))])
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let (node, ledger) = (self.node().seen(), self.ledger().seen());
        let memory = (node.memory_bytes + ledger.bytes) as u64;
        let (campaigns, coordinated) = (node.campaigns as u64, ledger.campaigns as u64);
        numbers(env, &[("campaigns", campaigns), ("coordinated", coordinated), ("memory_bytes", memory)])
    }
}
