//! What a store tells of itself, as maps of Elixir.

use std::time::Duration;

use ad_tally_core::store::{Backup, Event, FileReport, Info, PartInfo, PartReport, Report};
use rustler::{Atom, Encoder, Env, Term};

use crate::atoms;
use crate::encode;

/// A map of names that are known here.
fn map<'a>(env: Env<'a>, pairs: &[(&str, Term<'a>)]) -> Term<'a> {
    let named = |(name, value): &(&str, Term<'a>)| Some((Atom::from_str(env, name).ok()?, *value));
    encode::map(env, pairs.iter().filter_map(named))
}

/// What happened: `{:ad_tally_store, what, measurements}`. Durations are in microseconds.
pub(super) fn event<'a>(env: Env<'a>, event: &Event) -> Term<'a> {
    let micros = |duration: &Duration| (duration.as_micros() as u64).encode(env);
    let millis = |duration: &Duration| (duration.as_millis() as u64).encode(env);
    let (what, measured) = match event {
        Event::Committed { records, entries, bytes, took } => {
            let measured = [
                ("records", records.encode(env)),
                ("entries", entries.encode(env)),
                ("bytes", bytes.encode(env)),
                ("duration_us", micros(took)),
            ];
            ("commit", map(env, &measured))
        }
        Event::Failed { reason, lag } => {
            ("error", map(env, &[("message", reason.encode(env)), ("lag_ms", millis(lag))]))
        }
        Event::Compacted { part, is_base, from_bytes, bytes, entries, took } => {
            let measured = [
                ("part", part.encode(env)),
                ("base?", is_base.encode(env)),
                ("from_bytes", from_bytes.encode(env)),
                ("bytes", bytes.encode(env)),
                ("entries", entries.encode(env)),
                ("duration_us", micros(took)),
            ];
            ("compaction", map(env, &measured))
        }
        Event::CompactionFailed { reason } => ("compaction_error", map(env, &[("message", reason.encode(env))])),
        Event::Torn { file, bytes } => ("torn", map(env, &[("file", file.encode(env)), ("bytes", bytes.encode(env))])),
        Event::Repaired { damage, bytes } => {
            let measured = [("message", damage.to_string().encode(env)), ("bytes", bytes.encode(env))];
            ("repaired", map(env, &measured))
        }
        Event::Loaded { part, entries, bytes, took } => {
            let measured = [
                ("part", part.encode(env)),
                ("entries", entries.encode(env)),
                ("bytes", bytes.encode(env)),
                ("duration_us", micros(took)),
            ];
            ("loaded", map(env, &measured))
        }
    };
    message(env, what, measured)
}

/// How far the load of a part is: bytes of all of them.
pub(super) fn loading<'a>(env: Env<'a>, part: &str, done: u64, total: u64) -> Term<'a> {
    let measured = [("part", part.encode(env)), ("done", done.encode(env)), ("total", total.encode(env))];
    message(env, "loading", map(env, &measured))
}

/// A part had no room for all events of so many pairs.
pub(super) fn without_room<'a>(env: Env<'a>, part: &str, pairs: u64) -> Term<'a> {
    message(env, "without_room", map(env, &[("part", part.encode(env)), ("pairs", pairs.encode(env))]))
}

fn message<'a>(env: Env<'a>, what: &str, measured: Term<'a>) -> Term<'a> {
    let what = Atom::from_str(env, what).unwrap_or_else(|_| atoms::nil());
    (atoms::ad_tally_store(), what, measured).encode(env)
}

/// A store as it lies on disk.
pub(super) fn report<'a>(env: Env<'a>, report: &Report) -> Term<'a> {
    let parts: Vec<Term<'a>> = report.parts.iter().map(|part| part_report(env, part)).collect();
    let files: Vec<Term<'a>> = report.files.iter().map(|file| file_report(env, file)).collect();
    let damages: Vec<String> = report.damages.iter().map(ToString::to_string).collect();
    let pairs = [
        ("id", report.id.encode(env)),
        ("opened", report.opened.encode(env)),
        ("parts", parts.encode(env)),
        ("files", files.encode(env)),
        ("torn_bytes", report.torn_bytes.encode(env)),
        ("damages", damages.encode(env)),
        ("start_ms", (report.start_takes().as_millis() as u64).encode(env)),
    ];
    map(env, &pairs)
}

fn part_report<'a>(env: Env<'a>, part: &PartReport) -> Term<'a> {
    let entries: Vec<(&str, u64)> = part.entries.iter().map(|(kind, count)| (*kind, *count)).collect();
    let pairs = [
        ("name", part.name.encode(env)),
        ("kind", part.kind.encode(env)),
        ("configs", part.configs.encode(env)),
        ("entries", entries.encode(env)),
        ("bytes", part.bytes.encode(env)),
    ];
    map(env, &pairs)
}

fn file_report<'a>(env: Env<'a>, file: &FileReport) -> Term<'a> {
    let (from, to) = file.intervals;
    let pairs = [
        ("name", file.name.encode(env)),
        ("part", file.part.encode(env)),
        ("base?", file.is_base.encode(env)),
        ("from", from.encode(env)),
        ("to", to.encode(env)),
        ("bytes", file.bytes.encode(env)),
        ("frames", file.frames.encode(env)),
        ("entries", file.entries.encode(env)),
    ];
    map(env, &pairs)
}

/// What was copied.
pub(super) fn backup<'a>(env: Env<'a>, backup: &Backup) -> Term<'a> {
    let pairs = [
        ("files", backup.files.encode(env)),
        ("bytes", backup.bytes.encode(env)),
        ("interval", backup.interval.encode(env)),
    ];
    map(env, &pairs)
}

/// The figures of a store.
pub(super) fn info<'a>(env: Env<'a>, info: &Info) -> Term<'a> {
    let number = |number: u64| number.encode(env);
    let parts: Vec<Term<'a>> = info.parts.iter().map(|part| self::part(env, part)).collect();
    let pairs = [
        ("opened", info.opened.encode(env)),
        ("lag_ms", number(info.lag_ms)),
        ("lag_bytes", number(info.lag_bytes)),
        ("records", number(info.records)),
        ("busy", number(info.busy)),
        ("intervals", number(info.intervals)),
        ("written_bytes", number(info.written_bytes)),
        ("syncs", number(info.syncs)),
        ("last_sync_us", number(info.last_sync_us)),
        ("max_sync_us", number(info.max_sync_us)),
        ("errors", number(info.errors)),
        ("error", info.error.encode(env)),
        ("files", number(info.files)),
        ("segment_bytes", number(info.segment_bytes)),
        ("run_bytes", number(info.run_bytes)),
        ("base_bytes", number(info.base_bytes)),
        ("compactions", number(info.compactions)),
        ("compaction_errors", number(info.compaction_errors)),
        ("compacted_bytes", number(info.compacted_bytes)),
        ("torn_bytes", number(info.torn_bytes)),
        ("dropped_bytes", number(info.dropped_bytes)),
        ("parts", parts.encode(env)),
    ];
    map(env, &pairs)
}

fn part<'a>(env: Env<'a>, part: &PartInfo) -> Term<'a> {
    let pairs = [
        ("name", part.name.encode(env)),
        ("kind", part.kind.encode(env)),
        ("attached?", part.is_attached.encode(env)),
        ("entries", part.entries.encode(env)),
        ("bytes", part.bytes.encode(env)),
    ];
    map(env, &pairs)
}
