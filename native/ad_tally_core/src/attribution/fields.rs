//! Fields that rows of frames and what is kept of a journal have in common: how they are written, and read with every one checked.

use super::orders::{Adjustment, State};
use super::posting::Net;
use super::types::{Step, VALUES};
use crate::codec::{FrameError, Reader, Writer};
use crate::error::TIMES;

/// Touches for which another one stands at most.
const MOST_REPEATS: u64 = (1 << 13) - 1;

const PROVISIONAL: u8 = 0;
const FINAL: u8 = 1;
const NOT_COUNTED: u8 = 2;

pub(super) fn write_state(writer: &mut Writer, state: State) {
    writer.u8(match state {
        State::Provisional => PROVISIONAL,
        State::Final { counts: true } => FINAL,
        State::Final { counts: false } => NOT_COUNTED,
    });
}

pub(super) fn read_state(reader: &mut Reader<'_>) -> Result<State, FrameError> {
    let begin = reader.at();
    match reader.u8("state")? {
        PROVISIONAL => Ok(State::Provisional),
        state @ (FINAL | NOT_COUNTED) => Ok(State::Final { counts: state == FINAL }),
        other => Err(FrameError::new("state", begin, other, "0, 1 or 2")),
    }
}

/// A touch; its dimensions are whatever number stands for them there.
pub(super) fn write_step(writer: &mut Writer, step: &Step, dimensions: u64) {
    writer.number(step.at);
    writer.u8(step.kind);
    writer.u64(step.id as u64);
    writer.number(u64::from(step.repeats));
    writer.number(step.at - step.first_at);
    writer.number(dimensions);
}

/// A touch of one of so many kinds, with dimensions of a number up to that.
pub(super) fn read_step(reader: &mut Reader<'_>, kinds: usize, most_dimensions: u64) -> Result<Step, FrameError> {
    let at = read_time(reader, "at")?;
    let kind = read_place(reader, "kind", kinds)?;
    let id = reader.u64("id")? as i64;
    let repeats = reader.number("repeats", 0..=MOST_REPEATS)? as u16;
    let first_at = at - reader.number("before", 0..=at)?;
    let dimensions = reader.number("dimensions", 0..=most_dimensions)? as u32;
    Ok(Step { id, at, first_at, kind, dimensions, repeats })
}

/// The path of a conversion at `at`, of so many steps at most.
pub(super) fn read_path(
    reader: &mut Reader<'_>,
    at: u64,
    most: u64,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<Step, FrameError>,
) -> Result<Vec<Step>, FrameError> {
    let mut steps: Vec<Step> = Vec::new();
    let begin_of_steps = reader.at();
    for _ in 0..reader.number("steps", 0..=most)? {
        let begin = reader.at();
        let step = read(reader)?;
        if step.at > at || steps.last().is_some_and(|last| last.order() >= step.order()) {
            let expected = "steps from old to new, none after the conversion";
            return Err(FrameError::new("steps", begin, "another order", expected));
        }
        steps.push(step);
    }
    check_ids("steps", begin_of_steps, &steps)?;
    Ok(steps)
}

/// Refuses touches of which two have one id, which no table has.
pub(super) fn check_ids(field: &'static str, begin: usize, touches: &[Step]) -> Result<(), FrameError> {
    let mut ids: Vec<i64> = touches.iter().map(|step| step.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(FrameError::new(field, begin, format_args!("id {} twice", pair[0]), "each id once")),
        None => Ok(()),
    }
}

pub(super) fn write_adjustments(writer: &mut Writer, adjustments: &[Adjustment]) {
    writer.number(adjustments.len() as u64);
    for Adjustment { at, net } in adjustments {
        writer.number(*at);
        write_net(writer, *net);
    }
}

pub(super) fn read_adjustments(reader: &mut Reader<'_>, most: u64) -> Result<Vec<Adjustment>, FrameError> {
    let count = reader.number("changes", 0..=most)?;
    (0..count).map(|_| Ok(Adjustment { at: read_time(reader, "at")?, net: read_net(reader)? })).collect()
}

pub(super) fn write_net(writer: &mut Writer, net: Net) {
    writer.u8(u8::from(net.counts));
    if net.counts {
        writer.signed(net.value.into());
    }
}

pub(super) fn read_net(reader: &mut Reader<'_>) -> Result<Net, FrameError> {
    if reader.flag("counts")? { Ok(Net { value: read_value(reader)?, counts: true }) } else { Ok(Net::default()) }
}

pub(super) fn read_value(reader: &mut Reader<'_>) -> Result<i64, FrameError> {
    let at = reader.at();
    let value = reader.signed("value")?;
    match i64::try_from(value) {
        Ok(value) if -VALUES < value && value < VALUES => Ok(value),
        _ => Err(FrameError::new("value", at, value, format_args!("less than {VALUES} either way"))),
    }
}

/// The place of something among so many.
pub(super) fn read_place(reader: &mut Reader<'_>, field: &'static str, count: usize) -> Result<u8, FrameError> {
    let at = reader.at();
    match reader.u8(field)? {
        place if usize::from(place) < count => Ok(place),
        place => Err(FrameError::new(field, at, place, format_args!("0 to {}", count - 1))),
    }
}

pub(super) fn read_time(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, FrameError> {
    reader.number(field, 0..=TIMES - 1)
}

/// A time that may be missing.
pub(super) fn write_optional_time(writer: &mut Writer, at: Option<u64>) {
    writer.u8(u8::from(at.is_some()));
    at.iter().for_each(|at| writer.number(*at));
}

pub(super) fn read_optional_time(reader: &mut Reader<'_>, field: &'static str) -> Result<Option<u64>, FrameError> {
    if reader.flag(field)? { read_time(reader, "at").map(Some) } else { Ok(None) }
}

/// A hash or an id that may be missing.
pub(super) fn write_optional(writer: &mut Writer, value: Option<u64>) {
    writer.u8(u8::from(value.is_some()));
    value.iter().for_each(|value| writer.u64(*value));
}

pub(super) fn read_optional(reader: &mut Reader<'_>, field: &'static str) -> Result<Option<u64>, FrameError> {
    if reader.flag(field)? { reader.u64(field).map(Some) } else { Ok(None) }
}
