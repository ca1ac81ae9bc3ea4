//! Reports: windows are read into groups, and then groups become terms in order, both in steps.

use std::mem;

use ad_tally_core::KeyRef;
use ad_tally_core::attribution::{self, DatedBy, Group, PARTS, Query, SortKey, Sorted, Sums};
use parking_lot::Mutex;
use rustler::{Atom, Decoder, Encoder, Env, Error, NifResult, Term};

use super::{Period, Table};
use crate::atoms;
use crate::decode::{BadArgument, interner};
use crate::encode;
use crate::resource::{self, Kept, resource};
use crate::steps::{self, Page};

/// A report of an attribution, in the making or being shown.
pub struct Report {
    stage: Mutex<Stage>,
    table: Kept<Table>,
    by: Vec<Atom>,
}

enum Stage {
    Reading(Box<attribution::Report>),
    Showing(Sorted<(Group, Sums)>),
    /// Nobody has any more of it.
    Shown,
}

resource!(Report, c"attribution_report", "a report of an AdTally.Attribution");

/// Up to when, where that is said.
pub(super) struct To(pub(super) u64);

impl<'a> Decoder<'a> for To {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        if term == atoms::infinity().to_term(term.get_env()) { Ok(Self(u64::MAX)) } else { term.decode().map(Self) }
    }
}

struct By(DatedBy);

impl<'a> Decoder<'a> for By {
    fn decode(term: Term<'a>) -> NifResult<Self> {
        match term.decode::<Atom>()? {
            name if name == atoms::touch() => Ok(Self(DatedBy::Touch)),
            name if name == atoms::conversion() => Ok(Self(DatedBy::Conversion)),
            _ => Err(Error::BadArg),
        }
    }
}

/// Begins a report by dimensions, with their places in keys, by kind and by action, of the model of that number.
#[rustler::nif]
fn attribution_report_new<'a>(
    env: Env<'a>,
    table: Term<'a>,
    by: Vec<(Atom, usize)>,
    (by_kind, by_action): (bool, bool),
    model: usize,
    By(dated_by): By,
    (from, To(to)): (u64, To),
) -> NifResult<Term<'a>> {
    let table = Kept::<Table>::of(table)?;
    let (by, places): (Vec<Atom>, Vec<usize>) = by.into_iter().unzip();
    let model = *table.labels.models.get(model).ok_or(Error::BadArg)?;
    if places.iter().any(|place| *place >= table.dimensions) {
        return Err(Error::BadArg);
    }
    let query = Query { by: places, by_kind, by_action, model, dated_by, from, to };
    let stage = Mutex::new(Stage::Reading(Box::new(attribution::Report::new(query))));
    Ok(resource::make(env, Report { stage, table, by }))
}

/// Reads windows of a list, as far as time permits: the rest of the list.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_report_read<'a>(env: Env<'a>, report: Term<'a>, windows: Term<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    let rest = steps::in_steps(env, windows, |windows, _in_time| {
        let [window, rest] = steps::first(env, windows, "window", 0)?;
        let Period { window, .. } = resource::read(env, window)?;
        if let Stage::Reading(reading) = &mut *stage {
            reading.read(&report.table.attribution, window);
        }
        Ok::<_, BadArgument>(rest)
    })?;
    Ok(rest)
}

/// Puts rows in front of a list, as many as time permits: `{:more | :done, list}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_report_rows<'a>(report: Term<'a>, list: Term<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    let mut page = Page::before(list);
    if let Stage::Reading(_) = &*stage
        && let Stage::Reading(reading) = mem::replace(&mut *stage, Stage::Shown)
    {
        *stage = Stage::Showing(Sorted::new(reading.into_groups(), |(group, _sums)| sort_key(group)));
    }
    let Stage::Showing(rows) = &mut *stage else { return Ok(page.answer(false)) };
    while rows.sort() {
        if !page.in_time() {
            return Ok(page.answer(true));
        }
    }
    while let Some((group, sums)) = rows.next_row() {
        let row = report.row(page.env(), &group, &sums);
        if page.push(row, 1).is_break() {
            return Ok(page.answer(true));
        }
    }
    *stage = Stage::Shown;
    Ok(page.answer(false))
}

/// Has what a report holds be freed, whoever still refers to it.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_report_end(report: Term<'_>) -> NifResult<Atom> {
    let report: &Report = resource::expect(report)?;
    *report.stage.lock() = Stage::Shown;
    Ok(atoms::ok())
}

/// Groups come in the order of their values, kind and action, then those without a touch, then those without dimensions.
fn sort_key(group: &Group) -> SortKey {
    let mut key = SortKey::default();
    let words = group.dimensions.as_deref();
    key.push(if group.is_unattributed { 1 } else { 2 * u8::from(words.is_none()) });
    // Of no dimensions it is no key.
    if let Some(words) = words.filter(|words| **words != [0]) {
        KeyRef::new(words).elements().for_each(|element| key.push_element(element, interner::text_of_hash));
    }
    [group.kind, group.action].into_iter().flatten().for_each(|place| key.push(place));
    key
}

impl Report {
    fn row<'a>(&self, env: Env<'a>, group: &Group, sums: &Sums) -> Term<'a> {
        let Sums { parts, value, touches, cost } = *sums;
        let yes = true.encode(env);
        let mut pairs: Vec<(Atom, Term<'a>)> = Vec::with_capacity(encode::MAX_PAIRS);
        match &group.dimensions {
            _ if group.is_unattributed => pairs.push((atoms::unattributed(), yes)),
            Some(words) => {
                let elements = KeyRef::new(words).elements().map(|element| encode::element(env, element));
                pairs.extend(self.by.iter().copied().zip(elements));
            }
            None => pairs.push((atoms::overflow(), yes)),
        }
        let kind = group.kind.map(|kind| self.table.labels.kinds[usize::from(kind)]);
        let action = group.action.map(|action| self.table.labels.actions[usize::from(action)]);
        pairs.extend(kind.map(|kind| (atoms::kind(), kind.encode(env))));
        pairs.extend(action.map(|action| (atoms::action(), action.encode(env))));
        let of_all = i128::from(PARTS);
        let total = |total: i128| encode::total(env, total);
        // Nobody has spent anything for an action in particular, or for conversions without a touch.
        let has_spend = group.action.is_none();
        let roas = (cost > 0).then(|| value as f64 / cost as f64);
        // To the nearest micro, halves up.
        let cost_per_conversion = (parts > 0 && has_spend && !group.is_unattributed)
            .then(|| (2 * cost * of_all + parts).div_euclid(2 * parts));
        pairs.extend([
            (atoms::conversions(), (parts as f64 / of_all as f64).encode(env)),
            (atoms::conversions_ppm(), total(parts)),
            (atoms::value_micros(), total(value)),
            (atoms::spend_micros(), has_spend.then(|| total(cost)).encode(env)),
            (atoms::touches(), has_spend.then(|| total(touches)).encode(env)),
            (atoms::roas(), roas.encode(env)),
            (atoms::cpa_micros(), cost_per_conversion.map(total).encode(env)),
        ]);
        encode::map(env, pairs.into_iter())
    }
}
