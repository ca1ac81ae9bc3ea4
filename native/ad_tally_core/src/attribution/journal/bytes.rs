//! A conversion and a posting as bytes, as they are kept.
//!
//! ```text
//! conversion  state          u8: 0 provisional, 1 final, 2 final and not counted
//!             order          words of its key: LEB128, how many; u64 each. None of a final one
//!             user           u8, 1 if there is one; u64, the hash
//!             at             LEB128
//!             action         u8, its place
//!             truncated      u8, 0 or 1
//!             revision       LEB128, 1 or more
//!             value          LEB128 in zigzag, micros at first
//!             changes        LEB128, how many that are not booked yet
//!   each      at, net        LEB128; u8, 1 if it counts, and then its value
//!             net            as of each change
//!             adjusted       u8, 1 if it was changed; LEB128, when it last was
//!             steps          LEB128, how many, from old to new
//!   each      at, kind, id   LEB128; u8, its place; u64
//!             repeats        LEB128
//!             before         LEB128, how long before it the first one was of those that were put together with it
//!             dimensions     LEB128, their number
//!             window, born, used   LEB128 each
//! posting     order, at, adjusted, action, before, after (nets), truncated, revision, steps
//! ```

use super::super::Config;
use super::super::dimensions::MAX_DIMENSIONS;
use super::super::fields::{
    read_adjustments, read_net, read_optional, read_optional_time, read_path, read_place, read_state, read_step,
    read_time, read_value, write_adjustments, write_net, write_optional, write_optional_time, write_state, write_step,
};
use super::super::orders::{Journaled, Record};
use super::super::posting::Posting;
use super::super::types::{MAX_ACTIONS, MAX_KINDS, MAX_TOUCHES, Step};
use crate::codec::{FrameError, Reader, Writer};
use crate::key::{KeyRef, MAX_BYTES, length_in_words};

/// The most words of an order's key, which is one element.
const MOST_WORDS: u64 = (2 + MAX_BYTES / size_of::<u64>()) as u64;

/// A conversion as bytes.
pub(super) fn conversion(record: &Record) -> Vec<u8> {
    let Record { words, user, at, action, state, truncated, revision, steps, value, .. } = record;
    let Record { net, adjusted_at, adjustments, journaled: Journaled { born, used, instance }, .. } = record;
    let mut writer = Writer::default();
    write_state(&mut writer, *state);
    write_words(&mut writer, words);
    write_optional(&mut writer, *user);
    writer.number(*at);
    writer.u8(*action);
    writer.u8(u8::from(*truncated));
    writer.number(u64::from(*revision));
    writer.signed((*value).into());
    write_adjustments(&mut writer, adjustments);
    write_net(&mut writer, *net);
    write_optional_time(&mut writer, *adjusted_at);
    write_steps(&mut writer, steps);
    [instance, born, used].into_iter().for_each(|number| writer.number(*number));
    writer.into_bytes()
}

/// A conversion of an attribution of that configuration.
pub(super) fn read_conversion(bytes: &[u8], config: &Config) -> Result<Record, FrameError> {
    let mut reader = Reader::new(bytes, 0);
    let reader = &mut reader;
    let state = read_state(reader)?;
    let words = read_words(reader)?;
    let user = read_optional(reader, "user")?;
    let at = read_time(reader, "at")?;
    let record = Record {
        words,
        user,
        at,
        action: read_place(reader, "action", config.actions.len())?,
        state,
        truncated: reader.flag("truncated")?,
        revision: read_revision(reader)?,
        value: read_value(reader)?,
        adjustments: read_adjustments(reader, u64::MAX)?,
        net: read_net(reader)?,
        adjusted_at: read_optional_time(reader, "adjusted")?,
        steps: read_steps(reader, at, config.lookbacks.len())?,
        journaled: {
            let [instance, born, used] = read_numbers(reader, ["window", "born", "used"])?;
            Journaled { born, used, instance }
        },
    };
    check_end(reader)?;
    Ok(record)
}

/// A posting as bytes.
pub(super) fn posting(posting: &Posting) -> Vec<u8> {
    let Posting { order, at, adjusted_at, action, steps, before, after, truncated, revision } = posting;
    let mut writer = Writer::default();
    write_words(&mut writer, order);
    writer.number(*at);
    write_optional_time(&mut writer, *adjusted_at);
    writer.u8(*action);
    write_net(&mut writer, *before);
    write_net(&mut writer, *after);
    writer.u8(u8::from(*truncated));
    writer.number(u64::from(*revision));
    write_steps(&mut writer, steps);
    writer.into_bytes()
}

/// A posting of an attribution of any configuration.
pub(super) fn read_posting(bytes: &[u8]) -> Result<Posting, FrameError> {
    let mut reader = Reader::new(bytes, 0);
    let reader = &mut reader;
    let order = read_words(reader)?;
    let at = read_time(reader, "at")?;
    let posting = Posting {
        order,
        at,
        adjusted_at: read_optional_time(reader, "adjusted")?,
        action: read_place(reader, "action", MAX_ACTIONS)?,
        before: read_net(reader)?,
        after: read_net(reader)?,
        truncated: reader.flag("truncated")?,
        revision: read_revision(reader)?,
        steps: read_steps(reader, at, MAX_KINDS)?.into(),
    };
    check_end(reader)?;
    Ok(posting)
}

fn write_words(writer: &mut Writer, words: &[u64]) {
    writer.number(words.len() as u64);
    words.iter().for_each(|word| writer.u64(*word));
}

fn read_words(reader: &mut Reader<'_>) -> Result<Box<[u64]>, FrameError> {
    let begin = reader.at();
    let count = reader.number("order", 0..=MOST_WORDS)?;
    let words: Vec<u64> = (0..count).map(|_| reader.u64("order")).collect::<Result<_, FrameError>>()?;
    let is_bare = |words: &[u64]| KeyRef::new(words).arity().is_none();
    let is_key =
        |words: &[u64]| is_bare(words) && length_in_words(|at| words.get(at).copied().unwrap_or(0)) == words.len();
    if words.is_empty() || is_key(&words) {
        return Ok(words.into());
    }
    Err(FrameError::new("order", begin, format_args!("{count} words"), "those of a key that is no tuple"))
}

fn write_steps(writer: &mut Writer, steps: &[Step]) {
    writer.number(steps.len() as u64);
    steps.iter().for_each(|step| write_step(writer, step, u64::from(step.dimensions)));
}

fn read_steps(reader: &mut Reader<'_>, at: u64, kinds: usize) -> Result<Vec<Step>, FrameError> {
    let dimensions = MAX_DIMENSIONS as u64;
    read_path(reader, at, MAX_TOUCHES as u64, |reader| read_step(reader, kinds, dimensions))
}

fn read_revision(reader: &mut Reader<'_>) -> Result<u32, FrameError> {
    Ok(reader.number("revision", 1..=u64::from(u32::MAX))? as u32)
}

fn read_numbers<const N: usize>(reader: &mut Reader<'_>, fields: [&'static str; N]) -> Result<[u64; N], FrameError> {
    let mut numbers = [0; N];
    for (number, field) in numbers.iter_mut().zip(fields) {
        *number = reader.number(field, 0..=u64::MAX)?;
    }
    Ok(numbers)
}

fn check_end(reader: &Reader<'_>) -> Result<(), FrameError> {
    match reader.rest().len() {
        0 => Ok(()),
        rest => Err(FrameError::new("end", reader.at(), format_args!("{rest} more bytes"), "none")),
    }
}
