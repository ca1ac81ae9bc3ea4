//! Paths: windows and users are read, and then paths become terms in order, all in steps.

use std::mem;

use ad_tally_core::KeyRef;
use ad_tally_core::attribution::{self, Led, PathQuery, SortKey, Sorted};
use parking_lot::Mutex;
use rustler::{Atom, Encoder, Env, Error, NifResult, Term};

use super::report::To;
use super::{Period, Table};
use crate::atoms;
use crate::decode::{BadArgument, interner};
use crate::encode;
use crate::resource::{self, Kept, resource};
use crate::steps::{self, Page};

type Path = (Box<[u64]>, Led);

/// Paths of an attribution, in the making or being shown.
pub struct Paths {
    stage: Mutex<Stage>,
    table: Kept<Table>,
}

enum Stage {
    Reading(Box<attribution::Paths>),
    Showing(Sorted<Path>),
    /// Nobody has any more of it.
    Shown,
}

resource!(Paths, c"attribution_paths", "paths of an AdTally.Attribution");

/// Begins paths of touches that are shown by the dimensions at these places.
#[rustler::nif]
fn attribution_paths_new<'a>(
    env: Env<'a>,
    table: Term<'a>,
    by: Vec<usize>,
    (from, To(to)): (u64, To),
) -> NifResult<Term<'a>> {
    let table = Kept::<Table>::of(table)?;
    if by.iter().any(|place| *place >= table.dimensions) {
        return Err(Error::BadArg);
    }
    let stage = Mutex::new(Stage::Reading(Box::new(attribution::Paths::new(PathQuery { by, from, to }))));
    Ok(resource::make(env, Paths { stage, table }))
}

/// Reads windows of a list, as far as time permits: the rest of the list.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_paths_read<'a>(env: Env<'a>, paths: Term<'a>, windows: Term<'a>) -> NifResult<Term<'a>> {
    let paths: &Paths = resource::expect(paths)?;
    let mut stage = paths.stage.lock();
    let rest = steps::in_steps(env, windows, |windows, _in_time| {
        let [window, rest] = steps::first(env, windows, "window", 0)?;
        let Period { window, .. } = resource::read(env, window)?;
        if let Stage::Reading(reading) = &mut *stage {
            reading.read(&paths.table.attribution, window);
        }
        Ok::<_, BadArgument>(rest)
    })?;
    Ok(rest)
}

/// Puts rows in front of a list, as many as time permits: `{:more | :done, list}`. Before the first one the users are read whose
/// touches have led to nothing.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_paths_rows<'a>(paths: Term<'a>, list: Term<'a>) -> NifResult<Term<'a>> {
    let paths: &Paths = resource::expect(paths)?;
    let mut stage = paths.stage.lock();
    let mut page = Page::before(list);
    if let Stage::Reading(reading) = &mut *stage {
        while reading.read_users(&paths.table.attribution) {
            if !page.in_time() {
                return Ok(page.answer(true));
            }
        }
        if let Stage::Reading(reading) = mem::replace(&mut *stage, Stage::Shown) {
            *stage = Stage::Showing(Sorted::new(reading.into_paths(), |(words, _led)| sort_key(words)));
        }
    }
    let Stage::Showing(rows) = &mut *stage else { return Ok(page.answer(false)) };
    while rows.sort() {
        if !page.in_time() {
            return Ok(page.answer(true));
        }
    }
    while let Some((words, led)) = rows.next_row() {
        let touches = attribution::Paths::touches(&words).count();
        let row = row(page.env(), &words, &led);
        if page.push(row, 1 + touches / 4).is_break() {
            return Ok(page.answer(true));
        }
    }
    *stage = Stage::Shown;
    Ok(page.answer(false))
}

/// Has what paths hold be freed, whoever still refers to them.
#[rustler::nif(schedule = "DirtyCpu")]
fn attribution_paths_end(paths: Term<'_>) -> NifResult<Atom> {
    let paths: &Paths = resource::expect(paths)?;
    *paths.stage.lock() = Stage::Shown;
    Ok(atoms::ok())
}

/// In the order of the lists that they are shown as: `nil`, which is an atom, comes before tuples.
fn sort_key(words: &[u64]) -> SortKey {
    let mut key = SortKey::default();
    for touch in attribution::Paths::touches(words) {
        key.push(1 + u8::from(has_dimensions(touch)));
        if has_dimensions(touch) {
            touch.elements().for_each(|element| key.push_element(element, interner::text_of_hash));
        }
    }
    key.push(0);
    key
}

/// Where a touch has no dimensions its tuple is empty.
fn has_dimensions(touch: KeyRef<'_>) -> bool {
    touch.words() != [0]
}

fn row<'a>(env: Env<'a>, words: &[u64], led: &Led) -> Term<'a> {
    let nil = atoms::nil().to_term(env);
    let touches: Vec<Term<'a>> = attribution::Paths::touches(words)
        .map(|touch| if has_dimensions(touch) { encode::key(env, touch) } else { nil })
        .collect();
    let pairs = [
        (atoms::path(), touches.encode(env)),
        (atoms::conversions(), encode::total(env, led.conversions)),
        (atoms::value_micros(), encode::total(env, led.value)),
        (atoms::non_conversions(), led.none.encode(env)),
    ];
    encode::map(env, pairs.into_iter())
}
