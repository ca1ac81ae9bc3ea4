//! Structs that Elixir shows in a way of its own: dates, times, ranges, and sketches.

use rustler::{Atom, Term};

use super::super::layout::Unknown;
use super::super::read;
use super::text::MOST_BYTES;
use crate::atoms::sketch;

mod fields {
    rustler::atoms! {
        year,
        month,
        day,
        hour,
        minute,
        second,
        microsecond,
        calendar,
        iso = "Elixir.Calendar.ISO",
        time_zone,
        zone_abbr,
        utc_offset,
        std_offset,
        date_time = "Elixir.DateTime",
        naive_date_time = "Elixir.NaiveDateTime",
        date = "Elixir.Date",
        time = "Elixir.Time",
        range = "Elixir.Range",
        first,
        last,
        step,
    }
}

/// A struct that Elixir shows in a way of its own, if this is a right one.
pub(super) fn known_struct<'a>(of: Term<'a>, term: Term<'a>) -> Option<String> {
    let env = term.get_env();
    let is = |module: Atom| of == module.to_term(env);
    let field = |name: Atom| term.map_get(name).ok();
    let number = |name: Atom| field(name)?.decode::<i64>().ok();
    if is(sketch()) {
        // Its bytes tell nobody anything.
        return Some(String::from("#AdTally.Sketch<...>"));
    }
    if is(fields::range()) {
        let (first, last) = (number(fields::first())?, number(fields::last())?);
        let step = number(fields::step()).filter(|step| *step != 1);
        return Some(format!("{first}..{last}{}", step.map(|step| format!("//{step}")).unwrap_or_default()));
    }
    if field(fields::calendar())? != fields::iso().to_term(env) {
        return None;
    }
    let date = || {
        let (year, month, day) = (number(fields::year())?, number(fields::month())?, number(fields::day())?);
        Some(format!("{year:04}-{month:02}-{day:02}"))
    };
    let time = || {
        let (hour, minute, second) = (number(fields::hour())?, number(fields::minute())?, number(fields::second())?);
        let (micros, precision) = field(fields::microsecond())?.decode::<(u32, usize)>().ok()?;
        let digits = format!("{micros:06}");
        let fraction = if precision == 0 { String::new() } else { format!(".{}", digits.get(..precision)?) };
        Some(format!("{hour:02}:{minute:02}:{second:02}{fraction}"))
    };
    if is(fields::date()) {
        return Some(format!("~D[{}]", date()?));
    }
    if is(fields::time()) {
        return Some(format!("~T[{}]", time()?));
    }
    if is(fields::naive_date_time()) {
        return Some(format!("~N[{} {}]", date()?, time()?));
    }
    if !is(fields::date_time()) {
        return None;
    }
    let text = |name: Atom| {
        let bytes = read::binary::<Unknown>(env, field(name)?.into()).filter(|bytes| bytes.len() <= MOST_BYTES)?;
        std::str::from_utf8(bytes).ok()
    };
    let zone = text(fields::time_zone())?;
    if zone == "Etc/UTC" {
        return Some(format!("~U[{} {}Z]", date()?, time()?));
    }
    let offset = number(fields::utc_offset())?.checked_add(number(fields::std_offset())?)?;
    let (sign, seconds) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
    let offset = format!("{sign}{:02}:{:02}", seconds / 3_600, seconds / 60 % 60);
    Some(format!("#DateTime<{} {}{offset} {} {zone}>", date()?, time()?, text(fields::zone_abbr())?))
}
