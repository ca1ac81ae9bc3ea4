//! The functions of `AdTally.Frame`, and the exports and imports of all tables: a frame a call, on a dirty scheduler.

use ad_tally_core::attribution::Names;
use ad_tally_core::codec::{Frame, FrameError, Imported, Said, Settings, Taken, Value, frame_bytes};
use parking_lot::Mutex;
use rustler::{Atom, Binary, Encoder, Env, NifResult, Term};

use crate::clock::now;
use crate::decode::BadArgument;
use crate::decode::interner::{self, ImportedAtoms};
use crate::resource::{self, Kept, Resource, resource};
use crate::store::unless_over;
use crate::{atoms, attribution, counters, dedupe, encode, frequency_cap, reach};

/// Makes the next frame, or `None` after the last one. It is refused once the table's owner has ended.
type Next = dyn FnMut(Env<'_>) -> Result<Option<Vec<u8>>, BadArgument> + Send;

/// An export that is under way.
pub struct Export(Mutex<Box<Next>>);

resource!(Export, c"export", "an export of a table");

/// A reference to an export of a table, whose frames are made so.
fn export<'a, T: Resource>(
    env: Env<'a>,
    table: Kept<T>,
    mut next: impl FnMut(&T, &ImportedAtoms<'_>) -> Option<Vec<u8>> + Send + 'static,
) -> Term<'a> {
    let next = move |env: Env<'_>| {
        resource::check_runs(env, &*table)?;
        Ok(next(&table, &ImportedAtoms::new(env)))
    };
    resource::make(env, Export(Mutex::new(Box::new(next))))
}

/// The next frame of an export, or nil.
#[rustler::nif(schedule = "DirtyCpu")]
fn export_next<'a>(env: Env<'a>, export: Term<'a>) -> NifResult<Term<'a>> {
    let export: &Export = resource::expect(export)?;
    let frame = export.0.lock()(env)?;
    Ok(frame.map_or_else(|| atoms::nil().to_term(env), |frame| encode::binary(env, &frame)))
}

/// Imports a frame: `{:ok, stream, complete?, rows, overflow}`, `{:taken, stream, complete?}` if the table had taken it before,
/// or `{:error, byte, field, reason}`.
fn import<'a>(
    env: Env<'a>,
    frame: &Binary<'a>,
    taken: &Taken,
    import: impl FnOnce(&Frame<'_>, &mut ImportedAtoms<'a>) -> Result<Imported, FrameError>,
) -> Term<'a> {
    let imported = Frame::read(frame).and_then(|frame| {
        let imported = import(&frame, &mut ImportedAtoms::new(env))?;
        Ok((imported, frame.stream))
    });
    let (imported, stream) = match imported {
        Ok(imported) => imported,
        Err(fault) => return error(env, &fault),
    };
    let (id, is_complete) = (encode::binary(env, &stream.0), taken.is_complete(stream));
    match imported {
        Imported::Rows { rows, overflow } => (atoms::ok(), id, is_complete, rows, overflow).encode(env),
        Imported::AlreadyTaken => (atoms::taken(), id, is_complete).encode(env),
    }
}

/// How many bytes the frame has that a binary begins with, or `{:error, byte, field, reason}`.
#[rustler::nif(name = "frame_bytes")]
fn bytes_of_frame<'a>(env: Env<'a>, bytes: Binary<'a>) -> Term<'a> {
    frame_bytes(&bytes).map_or_else(|fault| error(env, &fault), |bytes| bytes.encode(env))
}

/// What a frame says of itself: `{kind, last?, number, stream, rows, [{name, value}]}`, or `{:error, byte, field, reason}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn frame_describe<'a>(env: Env<'a>, bytes: Binary<'a>) -> Term<'a> {
    let frame = match Frame::read(&bytes) {
        Ok(frame) => frame,
        Err(fault) => return error(env, &fault),
    };
    let settings = frame.settings.iter().map(|setting| (setting.name.text(), value(env, &setting.value)));
    let settings = settings.collect::<Vec<_>>();
    let stream = encode::binary(env, &frame.stream.0);
    (frame.kind.text(), frame.is_last, frame.number, stream, frame.rows, settings).encode(env)
}

/// What is wrong with a frame: `{:error, byte, field, reason}`.
fn error<'a>(env: Env<'a>, fault: &FrameError) -> Term<'a> {
    (atoms::error(), fault.at, fault.field, &fault.reason).encode(env)
}

fn value<'a>(env: Env<'a>, value: &Value) -> Term<'a> {
    match value {
        Value::Number(number) => number.encode(env),
        Value::Flag(flag) => flag.encode(env),
        Value::Check(check) => check.is_some().encode(env),
        Value::Texts(texts) => texts.encode(env),
        Value::Pairs(pairs) => pairs.encode(env),
        Value::Named(named) => {
            let said = |said: &Said| match said {
                Said::Nothing => atoms::nil().to_term(env),
                Said::Number(number) => number.encode(env),
                Said::Word(word) => word.encode(env),
            };
            named.iter().map(|(name, of)| (name, said(of))).collect::<Vec<_>>().encode(env)
        }
    }
}

fn counters_settings(env: Env<'_>, table: &counters::Table) -> Settings {
    let metrics = table.metrics.iter().map(|metric| interner::text(metric.to_term(env)));
    table.counters.settings(metrics.collect())
}

/// Begins an export.
#[rustler::nif]
fn counters_export<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = Kept::<counters::Table>::of(table)?;
    let mut frames = table.counters.export(&counters_settings(env, &table));
    Ok(export(env, table, move |_table, atoms| frames.next_frame(atoms)))
}

/// Imports a frame.
#[rustler::nif(schedule = "DirtyCpu")]
fn counters_import<'a>(env: Env<'a>, table: Term<'a>, frame: Binary<'a>) -> NifResult<Term<'a>> {
    let table: &counters::Table = resource::expect(table)?;
    let settings = counters_settings(env, table);
    let counters = &table.counters;
    let imported = import(env, &frame, counters.taken(), |frame, atoms| counters.import(&settings, frame, atoms));
    unless_over(env, table)?;
    Ok(imported)
}

/// Begins an export.
#[rustler::nif]
fn reach_export<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = Kept::<reach::Table>::of(table)?;
    let mut frames = table.0.export(&table.0.settings());
    Ok(export(env, table, move |_table, atoms| frames.next_frame(atoms)))
}

/// Imports a frame.
#[rustler::nif(schedule = "DirtyCpu")]
fn reach_import<'a>(env: Env<'a>, table: Term<'a>, frame: Binary<'a>) -> NifResult<Term<'a>> {
    let table: &reach::Table = resource::expect(table)?;
    let reach = &table.0;
    let imported = import(env, &frame, reach.taken(), |frame, atoms| reach.import(&reach.settings(), frame, atoms));
    unless_over(env, table)?;
    Ok(imported)
}

/// Begins an export.
#[rustler::nif]
fn caps_export<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = Kept::<frequency_cap::Table>::of(table)?;
    let mut frames = table.0.frames();
    Ok(export(env, table, move |table, _atoms| frames.next_frame(&table.0)))
}

/// Imports a frame.
#[rustler::nif(schedule = "DirtyCpu")]
fn caps_import<'a>(env: Env<'a>, table: Term<'a>, frame: Binary<'a>) -> NifResult<Term<'a>> {
    let table: &frequency_cap::Table = resource::expect(table)?;
    let caps = &table.0;
    let imported = import(env, &frame, caps.taken(), |frame, _atoms| caps.import_frame(frame, now()));
    unless_over(env, table)?;
    Ok(imported)
}

/// Begins an export.
#[rustler::nif]
fn dedupe_export<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = Kept::<dedupe::Table>::of(table)?;
    let mut frames = table.0.frames();
    Ok(export(env, table, move |table, _atoms| frames.next_frame(&table.0)))
}

/// Imports a frame.
#[rustler::nif(schedule = "DirtyCpu")]
fn dedupe_import<'a>(env: Env<'a>, table: Term<'a>, frame: Binary<'a>) -> NifResult<Term<'a>> {
    let table: &dedupe::Table = resource::expect(table)?;
    let dedupe = &table.0;
    let imported = import(env, &frame, dedupe.taken(), |frame, _atoms| dedupe.import_frame(frame, now));
    unless_over(env, table)?;
    Ok(imported)
}

fn attribution_names(env: Env<'_>, table: &attribution::Table) -> Names {
    let text = |name: &Atom| interner::text(name.to_term(env));
    Names {
        dimensions: table.dimensions(),
        kinds: table.labels.kinds.iter().map(text).collect(),
        actions: table.labels.actions.iter().map(text).collect(),
    }
}

/// Begins an export.
#[rustler::nif]
fn attribution_export<'a>(env: Env<'a>, table: Term<'a>) -> NifResult<Term<'a>> {
    let table = Kept::<attribution::Table>::of(table)?;
    let mut frames = table.attribution.frames(&attribution_names(env, &table));
    Ok(export(env, table, move |table, atoms| frames.next_frame(&table.attribution, atoms)))
}

/// Imports a frame.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_import<'a>(env: Env<'a>, table: Term<'a>, frame: Binary<'a>) -> NifResult<Term<'a>> {
    let table: &attribution::Table = resource::expect(table)?;
    // All its windows are closed then: a conversion could be booked in none.
    resource::check_runs(env, table)?;
    let settings = table.attribution.settings(&attribution_names(env, table));
    let attribution = &table.attribution;
    let import_frame =
        |frame: &Frame<'_>, atoms: &mut ImportedAtoms<'a>| attribution.import_frame(&settings, frame, atoms, now);
    let imported = import(env, &frame, attribution.taken(), import_frame);
    unless_over(env, table)?;
    Ok(imported)
}
