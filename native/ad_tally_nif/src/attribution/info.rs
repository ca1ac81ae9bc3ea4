//! An attribution's numbers.

use ad_tally_core::attribution::{Counts, Info};
use rustler::{Atom, Encoder, Env, NifResult, Term};

use super::Table;
use super::refusals::Refusals;
use crate::atoms;
use crate::encode;
use crate::metered::{Metered, named, numbers};
use crate::resource;

/// Notes that so many touches of a list were refused, and why, if that is not the reason of one of them.
#[rustler::nif]
fn attribution_refuse_touches<'a>(table: Term<'a>, touches: u64, reason: Option<String>) -> NifResult<Atom> {
    let table: &Table = resource::expect(table)?;
    table.touches.replace(reason);
    table.attribution.refuse_touches(touches);
    Ok(atoms::ok())
}

/// The same of conversions.
#[rustler::nif]
fn attribution_refuse_conversions<'a>(table: Term<'a>, conversions: u64, reason: Option<String>) -> NifResult<Atom> {
    let table: &Table = resource::expect(table)?;
    table.conversions.replace(reason);
    table.attribution.refuse_conversions(conversions);
    Ok(atoms::ok())
}

/// Examples of touches and of conversions that were not taken, each as `meter_examples` has them. The time of one that was refused is in
/// the reason.
#[rustler::nif]
fn attribution_examples<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let [touches, conversions] = table.attribution.last_late_and_future();
    let examples = |(late, future): (u64, u64), refusals: &Refusals| {
        (late, future, refusals.last().map(|reason| (None::<i64>, reason))).encode(env)
    };
    Ok((examples(touches, &table.touches), examples(conversions, &table.conversions)).encode(env))
}

/// The counts of an attribution, as `attribution_info` has them.
fn counts<'a>(env: Env<'a>, table: &Table, info: &Info) -> [(Atom, Term<'a>); 5] {
    let outcomes = |of: &Counts| {
        let pairs = [
            (atoms::applied(), of.applied),
            (atoms::duplicate(), of.duplicate),
            (atoms::late(), of.late),
            (atoms::future(), of.future),
            (atoms::refused(), of.refused),
        ];
        // Only where there is a store.
        let busy = table.in_store.as_ref().map(|_| (atoms::busy(), of.busy));
        encode::map(env, pairs.into_iter().chain(busy).map(|(name, count)| (name, count.encode(env))))
    };
    let [unknown, retracted, future, refused] = table.adjustments.counts();
    let adjustments = [
        (atoms::applied(), info.adjusted - info.superseded),
        (atoms::superseded(), info.superseded),
        (atoms::unknown(), unknown),
        (atoms::retracted(), retracted),
        (atoms::future(), future),
        (atoms::refused(), refused),
    ];
    let adjustments = adjustments.into_iter().map(|(name, count)| (name, count.encode(env)));
    let counted = [
        (atoms::attributed(), info.attributed),
        (atoms::unattributed(), info.unattributed),
        (atoms::repeated(), info.repeated),
        (atoms::revised(), info.revised),
        (atoms::finalised_early(), info.final_early),
        (atoms::evicted_touches(), info.evicted_touches),
        (atoms::evicted_users(), info.evicted_users),
        (atoms::evicted_orders(), info.evicted_orders),
        (atoms::overflow(), info.without_dimensions),
        (atoms::linked(), info.linked),
        (atoms::forgotten(), info.forgotten),
    ];
    let counted = counted.into_iter().map(|(name, count)| (name, count.encode(env)));
    [
        (atoms::touches(), outcomes(&info.touches)),
        (atoms::conversions(), outcomes(&info.conversions)),
        (atoms::adjustments(), encode::map(env, adjustments)),
        (atoms::counts(), encode::map(env, counted)),
        (
            atoms::excluded(),
            encode::map(env, [(atoms::cost_micros(), encode::total(env, info.excluded_cost))].into_iter()),
        ),
    ]
}

/// The attribution's numbers.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_info<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let info = table.attribution.info();
    let pairs = [
        (atoms::users(), info.users.encode(env)),
        (atoms::kept_touches(), info.kept_touches.encode(env)),
        (atoms::orders(), info.orders.encode(env)),
        (atoms::keys(), info.dimensions.encode(env)),
        (atoms::open_windows(), info.open_windows.encode(env)),
        (atoms::newest(), info.newest.encode(env)),
        (atoms::user_bytes(), info.ring_bytes.encode(env)),
        (atoms::order_bytes(), info.order_bytes.encode(env)),
        (atoms::key_bytes(), info.dimension_bytes.encode(env)),
        (atoms::closed_bytes(), info.closed_bytes.encode(env)),
    ];
    Ok(encode::map(env, counts(env, table, &info).into_iter().chain(pairs)))
}

impl Metered for Table {
    fn totals<'a>(&self, env: Env<'a>) -> Term<'a> {
        encode::map(env, counts(env, self, &self.attribution.info()).into_iter())
    }

    fn gauges<'a>(&self, env: Env<'a>) -> Term<'a> {
        let info = self.attribution.info();
        let memory = [
            ("users", info.ring_bytes as u64),
            ("orders", info.order_bytes as u64),
            ("keys", info.dimension_bytes as u64),
            ("closed_windows", info.closed_bytes as u64),
        ];
        let pairs = [
            ("users", info.users.encode(env)),
            ("kept_touches", info.kept_touches.encode(env)),
            ("orders", info.orders.encode(env)),
            ("keys", info.dimensions.encode(env)),
            ("open_windows", info.open_windows.encode(env)),
            ("newest", info.newest.encode(env)),
            ("memory", numbers(env, &memory)),
        ];
        named(env, &pairs)
    }
}
