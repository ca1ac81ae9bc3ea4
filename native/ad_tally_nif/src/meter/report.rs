//! Reports: windows are read into groups, and then groups become terms or frames for another node, all in steps.

use std::mem;

use ad_tally_core::codec::Frame;
use ad_tally_core::meter::report;
use ad_tally_core::meter::report::{Columns, Frames, Order, Query, Reach, ReportRows, Row};
use ad_tally_core::{KeyRef, Secret, Seed, reach};
use parking_lot::Mutex;
use rustler::types::map::MapIterator;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Term};

use super::{Period, Table};
use crate::atoms;
use crate::decode::interner::ImportedAtoms;
use crate::decode::{BadArgument, interner, keys};
use crate::encode;
use crate::hot::Index;
use crate::resource::{self, resource};
use crate::steps::{self, Page};

/// A report of a meter, in the making or being shown.
pub struct Report {
    stage: Mutex<Stage>,
    seed: Seed,
    /// The names in a row and what each is of, in the order in which the VM keeps the keys of such a map: one whose keys come in
    /// that order need not be sorted.
    columns: Vec<(Atom, Column)>,
    by: Box<[Atom]>,
    metrics: Box<[Atom]>,
    /// What sketches are, where users are asked for.
    reach: Option<reach::Config>,
    order: Order,
    limit: usize,
}

enum Stage {
    Reading(Box<report::Report>),
    Sending(Box<Frames>),
    Showing(Box<ReportRows>),
    /// Nobody has any more of it.
    Shown,
}

/// What is in a place of a row.
#[derive(Clone, Copy)]
enum Column {
    Value(usize),
    Sum(usize),
    Users,
    Low,
    High,
}

resource!(Report, c"meter_report", "a report of an AdTally.Meter");

/// Dimensions that rows are grouped by, with their places in keys; places that are filtered by, each with that in keys of
/// sketches; and where keys of sketches have the dimensions, if users are asked for.
type Groups = (Vec<Atom>, Vec<usize>, Vec<(usize, Option<usize>)>, Option<Vec<usize>>);

/// Begins a report, in the order of a metric or of the dimensions, with that many groups at most.
#[rustler::nif]
fn meter_report_new<'a>(
    env: Env<'a>,
    table: Term<'a>,
    (names, by, filters, sketch_by): Groups,
    order: Option<usize>,
    limit: Option<u64>,
) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let metrics: Box<[Atom]> = (*table.metrics).into();
    let columns = columns(env, &names, &metrics, sketch_by.is_some())?;
    let reach = table.meter.reach().filter(|_| sketch_by.is_some());
    let reach = reach.map(|reach| reach::Config { precision: reach.precision, secret: reach.secret.clone() });
    let query = Query { by, filters, sketch_by, metrics: metrics.len() };
    let seed = table.meter.seed().clone();
    let stage = Stage::Reading(Box::new(report::Report::new(query, seed.clone())));
    let order = order.map_or(Order::Key, Order::Metric);
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let by = names.into();
    Ok(resource::make(env, Report { stage: Mutex::new(stage), seed, columns, by, metrics, reach, order, limit }))
}

/// In the VM's order.
fn columns(env: Env<'_>, by: &[Atom], metrics: &[Atom], has_users: bool) -> NifResult<Vec<(Atom, Column)>> {
    let mut columns: Vec<(Atom, Column)> = Vec::new();
    columns.extend(by.iter().enumerate().map(|(at, name)| (*name, Column::Value(at))));
    columns.extend(metrics.iter().enumerate().map(|(at, name)| (*name, Column::Sum(at))));
    if has_users {
        let users =
            [(atoms::reach(), Column::Users), (atoms::reach_low(), Column::Low), (atoms::reach_high(), Column::High)];
        columns.extend(users);
    }
    let places: Vec<(Atom, usize)> = columns.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let in_order = MapIterator::new(Term::map_from_pairs(env, &places)?);
    in_order.into_iter().flatten().map(|(_name, at)| Ok(columns[at.decode::<usize>()?])).collect()
}

/// Allows values of a list in the place of a filter, as far as time permits: the rest of the list, and the index of that. What no key
/// has is allowed for nothing.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_allow<'a>(
    env: Env<'a>,
    report: Term<'a>,
    filter: usize,
    values: Term<'a>,
    from: usize,
) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    let rest = steps::each(env, values, Index(from), "value", |value, _index| {
        if let Stage::Reading(reading) = &mut *stage {
            let _ = keys::with_key(env, &report.seed, value.into(), |key| {
                if let Some(value) = KeyRef::new(key.words).bare() {
                    reading.allow(filter, value);
                }
            });
        }
        Ok::<_, BadArgument>(())
    })?;
    Ok(rest.encode(env))
}

/// Reads windows of a list, as far as time permits: the rest of the list, the first of which may have been read in part.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_read<'a>(env: Env<'a>, report: Term<'a>, windows: Term<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    let rest = steps::in_steps(env, windows, |windows, in_time| {
        let [window, rest] = steps::first(env, windows, "window", 0)?;
        let Period { window, .. } = resource::read(env, window)?;
        let Stage::Reading(reading) = &mut *stage else { return Ok(rest) };
        Ok::<_, BadArgument>(if reading.read(window, in_time) { windows } else { rest })
    })?;
    Ok(rest)
}

/// Puts rows in front of a list, as many as time permits: `{:more | :done, list}`. What had no row is the last one.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_rows<'a>(env: Env<'a>, report: Term<'a>, list: Term<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    *stage = match mem::replace(&mut *stage, Stage::Shown) {
        Stage::Reading(reading) => Stage::Showing(Box::new(reading.into_rows(report.order, report.limit))),
        other => other,
    };
    let mut page = Page::before(list);
    let Stage::Showing(rows) = &mut *stage else { return Ok(page.answer(false)) };
    while rows.sort(interner::text_of_hash) {
        if !page.in_time() {
            return Ok(page.answer(true));
        }
    }
    while let Some(row) = rows.next_row() {
        // Registers are counted, 4,096 in the time of some ten rows.
        let cost = 1 + row.registers() / 256;
        if page.push(report.row(env, &row), cost).is_break() {
            return Ok(page.answer(true));
        }
    }
    if let Some((sums, reach)) = rows.overflow() {
        let _ = page.push(report.overflow(env, sums, reach)?, 1);
    }
    *stage = Stage::Shown;
    Ok(page.answer(false))
}

/// What reports of meters have to have in common, but for names: milliseconds of a window, and of sketches their precision and by
/// which their secret is told from others.
#[rustler::nif]
fn meter_shape<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table: &Table = resource::expect(table)?;
    let reach = table.meter.reach().map(|reach| (reach.precision, reach.secret.as_ref().map(Secret::check)));
    Ok((table.meter.window_length(), reach).encode(env))
}

/// The next frame of a report's groups, for another node, or nil after the last one.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_frame<'a>(env: Env<'a>, report: Term<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    *stage = match mem::replace(&mut *stage, Stage::Shown) {
        Stage::Reading(reading) => Stage::Sending(Box::new(reading.into_frames(&report.frame_columns(env)))),
        other => other,
    };
    let Stage::Sending(frames) = &mut *stage else { return Ok(atoms::nil().to_term(env)) };
    let frame = frames.next_frame(&ImportedAtoms::new(env));
    Ok(frame.map_or_else(|| atoms::nil().to_term(env), |frame| encode::binary(env, &frame)))
}

/// Adds the groups of a frame of another node's report: `:more | :done`, or `{:error, byte, field, reason}`, after which the report
/// has nothing any more.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_take<'a>(env: Env<'a>, report: Term<'a>, frame: Binary<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    let mut stage = report.stage.lock();
    let Stage::Reading(reading) = &mut *stage else {
        return Ok((atoms::error(), 0_usize, "report", "has ended, expected one that takes frames").encode(env));
    };
    let columns = report.frame_columns(env);
    let taken = Frame::read(&frame).and_then(|frame| reading.take(&columns, &frame, &mut ImportedAtoms::new(env)));
    Ok(match taken {
        Ok(is_whole) => (if is_whole { atoms::done() } else { atoms::more() }).to_term(env),
        Err(fault) => {
            // It may have some of the frame's groups.
            *stage = Stage::Shown;
            (atoms::error(), fault.at, fault.field, fault.reason).encode(env)
        }
    })
}

/// Adds the groups of another report of the same options, as many as time permits: `:more | :done`. The other one has nothing any more.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_merge<'a>(env: Env<'a>, report: Term<'a>, other: Term<'a>) -> NifResult<Term<'a>> {
    let (report, other): (&Report, &Report) = (resource::expect(report)?, resource::expect(other)?);
    // Never both locks at once.
    let whole = match &mut *other.stage.lock() {
        stage @ Stage::Reading(_) if !std::ptr::eq(report, other) => mem::replace(stage, Stage::Shown),
        _ => Stage::Shown,
    };
    let mut stage = report.stage.lock();
    let Stage::Reading(reading) = &mut *stage else { return Ok(atoms::done().to_term(env)) };
    if let Stage::Reading(other) = whole {
        reading.begin_merge(*other);
    }
    let page = Page::before(Term::list_new_empty(env));
    let more = reading.merge(|| page.in_time());
    Ok((if more { atoms::more() } else { atoms::done() }).to_term(env))
}

/// Has what a report holds be freed, whoever still refers to it.
#[rustler::nif(schedule = "DirtyCpu")]
fn meter_report_end<'a>(env: Env<'a>, report: Term<'a>) -> NifResult<Term<'a>> {
    let report: &Report = resource::expect(report)?;
    *report.stage.lock() = Stage::Shown;
    Ok(atoms::ok().to_term(env))
}

impl Report {
    fn frame_columns(&self, env: Env<'_>) -> Columns {
        let texts = |names: &[Atom]| names.iter().map(|name| interner::text(name.to_term(env))).collect();
        Columns { by: texts(&self.by), metrics: texts(&self.metrics), reach: self.reach.clone() }
    }

    fn row<'a>(&self, env: Env<'a>, row: &Row<'_>) -> Term<'a> {
        let mut values = [atoms::nil().to_term(env); encode::MAX_PAIRS];
        values.iter_mut().zip(row.values()).for_each(|(place, value)| *place = encode::element(env, value));
        let reach = row.reach();
        let users = |part: fn(Reach) -> f64| reach.map(part).encode(env);
        let column = |column| match column {
            Column::Value(at) => values[at],
            Column::Sum(at) => encode::total(env, row.sum(at)),
            Column::Users => users(|reach| reach.users),
            Column::Low => users(|reach| reach.low),
            Column::High => users(|reach| reach.high),
        };
        encode::map(env, self.columns.iter().map(|(name, of)| (*name, column(*of))))
    }

    fn overflow<'a>(&self, env: Env<'a>, sums: &[i128], reach: Option<Reach>) -> NifResult<Term<'a>> {
        let mut pairs = vec![(atoms::overflow(), true.encode(env))];
        pairs.extend(self.metrics.iter().zip(sums).map(|(metric, sum)| (*metric, encode::total(env, *sum))));
        if let Some(Reach { users, low, high }) = reach {
            let parts = [(atoms::reach(), users), (atoms::reach_low(), low), (atoms::reach_high(), high)];
            pairs.extend(parts.map(|(name, part)| (name, part.encode(env))));
        }
        Term::map_from_pairs(env, &pairs)
    }
}
