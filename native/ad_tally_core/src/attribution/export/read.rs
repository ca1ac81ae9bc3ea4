//! Reads the rows of a frame, of which everything is checked.

use super::super::Attribution;
use super::super::orders::{Adjustment, Record, State};
use super::super::posting::Net;
use super::super::ring::{Key, Mark, Owned};
use super::super::types::{MAX_TOUCHES, Step, VALUES};
use super::row::{
    CONVERSION, FINAL, FINGERPRINT_BYTES, MARK_ORDERS, MOST_ALIASES, MOST_CHANGES, MOST_MARKS, MOST_REPEATS,
    NOT_COUNTED, PROVISIONAL, USER,
};
use crate::codec::{FrameError, Reader};
use crate::error::TIMES;
use crate::key::{AtomNames, Element, KeyRef};

/// A row that was read. The dimensions of steps are places in it.
pub(super) struct Row {
    /// The words of its dimensions.
    pub(super) dimensions: Vec<Vec<u64>>,
    pub(super) of: RowOf,
}

/// What a row is of.
pub(super) enum RowOf {
    User(Key, Owned),
    /// An order's hash, and its conversion.
    Conversion(u64, Box<Record>),
}

/// Reads rows, of which everything is checked.
pub(super) struct RowReader<'a> {
    pub(super) of: &'a Attribution,
    /// How many dimensions touches have.
    pub(super) arity: u64,
}

impl RowReader<'_> {
    /// Reads a row.
    pub(super) fn read(&self, reader: &mut Reader<'_>, atoms: &mut impl AtomNames) -> Result<Row, FrameError> {
        let at = reader.at();
        let tag = reader.u8("row")?;
        let mut dimensions = Vec::new();
        for _ in 0..reader.number("dimensions", 0..=u64::from(u32::MAX))? {
            let at = reader.at();
            let words = read_key(reader, atoms)?;
            if KeyRef::new(&words).arity().unwrap_or(0) as u64 != self.arity {
                let expected = format!("a tuple of {}", self.arity);
                return Err(FrameError::new("dimensions", at, "another key", expected));
            }
            dimensions.push(words);
        }
        let places = dimensions.len() as u64;
        let of = match tag {
            USER => self.read_user(reader, places)?,
            CONVERSION => self.read_conversion(reader, atoms, places)?,
            other => return Err(FrameError::new("row", at, other, "0, of a user, or 1, of a conversion")),
        };
        Ok(Row { dimensions, of })
    }

    fn read_user(&self, reader: &mut Reader<'_>, places: u64) -> Result<RowOf, FrameError> {
        let bucket = reader.number("bucket", 0..=self.of.ring.buckets() - 1)?;
        let begin = reader.at();
        let mut fingerprint = [0; 8];
        fingerprint[..FINGERPRINT_BYTES].copy_from_slice(reader.bytes("fingerprint", FINGERPRINT_BYTES)?);
        let key = Key { bucket, fingerprint: u64::from_le_bytes(fingerprint) };
        if self.of.ring.hash_of(key).is_none() {
            return Err(FrameError::new("fingerprint", begin, key.fingerprint, "one of the bucket"));
        }
        let evicted = read_time(reader, "evicted")?;
        let converted = if reader.flag("converted")? { Some(read_time(reader, "converted")?) } else { None };
        let mut touches = Vec::new();
        let begin = reader.at();
        for _ in 0..reader.number("touches", 0..=MAX_TOUCHES as u64)? {
            touches.push(self.read_touch(reader, places)?);
        }
        check_ids("touches", begin, &touches)?;
        let mut marks = Vec::new();
        for _ in 0..reader.number("marks", 0..=MOST_MARKS)? {
            let (at, action) = (read_time(reader, "at")?, self.read_action(reader)?);
            let touch = read_optional(reader, "touch")?.map(|id| id as i64);
            let order_at = reader.at();
            let order = reader.u32("order")?;
            if order >= MARK_ORDERS {
                return Err(FrameError::new("order", order_at, order, format_args!("below {MARK_ORDERS}")));
            }
            marks.push(Mark { action, touch, order, at });
        }
        let mut aliases = Vec::new();
        for _ in 0..reader.number("aliases", 0..=MOST_ALIASES)? {
            aliases.push(reader.u64("alias")?);
        }
        Ok(RowOf::User(key, Owned { touches, pending: Vec::new(), marks, aliases, evicted, converted }))
    }

    fn read_conversion(
        &self,
        reader: &mut Reader<'_>,
        atoms: &mut impl AtomNames,
        places: u64,
    ) -> Result<RowOf, FrameError> {
        let begin = reader.at();
        let (state, order, words) = match reader.u8("state")? {
            PROVISIONAL => {
                let at = reader.at();
                let words = read_key(reader, atoms)?;
                if matches!(KeyRef::new(&words).bare(), None | Some(Element::Atom(_))) {
                    return Err(FrameError::new("order", at, "another key", "an integer or a binary"));
                }
                (State::Provisional, self.of.seed.key(&words).hash, words)
            }
            state @ (FINAL | NOT_COUNTED) => {
                (State::Final { counts: state == FINAL }, reader.u64("order")?, Vec::new())
            }
            other => return Err(FrameError::new("state", begin, other, "0, 1 or 2")),
        };
        let user = read_optional(reader, "user")?;
        let at = read_time(reader, "at")?;
        let action = self.read_action(reader)?;
        let truncated = reader.flag("truncated")?;
        let revision = reader.number("revision", 1..=u64::from(u32::MAX))? as u32;
        let value = read_value(reader)?;
        let mut adjustments = Vec::new();
        let most = if state == State::Provisional { MOST_CHANGES as u64 } else { 0 };
        for _ in 0..reader.number("changes", 0..=most)? {
            adjustments.push(Adjustment { at: read_time(reader, "at")?, net: read_net(reader)? });
        }
        let net = read_net(reader)?;
        let adjusted_at = if reader.flag("adjusted")? { Some(read_time(reader, "at")?) } else { None };
        let most = self.of.config.touches_per_user as u64;
        let mut steps: Vec<Step> = Vec::new();
        let begin_of_steps = reader.at();
        for _ in 0..reader.number("steps", 0..=most)? {
            let begin = reader.at();
            let step = self.read_touch(reader, places)?;
            if step.at > at || steps.last().is_some_and(|last| last.order() >= step.order()) {
                let expected = "steps from old to new, none after the conversion";
                return Err(FrameError::new("steps", begin, "another order", expected));
            }
            steps.push(step);
        }
        check_ids("steps", begin_of_steps, &steps)?;
        let words = words.into();
        let record =
            Record { words, user, at, action, state, truncated, revision, steps, value, net, adjusted_at, adjustments };
        Ok(RowOf::Conversion(order, Box::new(record)))
    }

    fn read_touch(&self, reader: &mut Reader<'_>, places: u64) -> Result<Step, FrameError> {
        let at = read_time(reader, "at")?;
        let kind = read_place(reader, "kind", self.of.config.lookbacks.len())?;
        let id = reader.u64("id")? as i64;
        let repeats = reader.number("repeats", 0..=MOST_REPEATS)? as u16;
        let first_at = at - reader.number("before", 0..=at)?;
        let dimensions = reader.number("dimensions", 0..=places)? as u32;
        Ok(Step { id, at, first_at, kind, dimensions, repeats })
    }

    fn read_action(&self, reader: &mut Reader<'_>) -> Result<u8, FrameError> {
        read_place(reader, "action", self.of.config.actions.len())
    }
}

fn read_place(reader: &mut Reader<'_>, field: &'static str, count: usize) -> Result<u8, FrameError> {
    let at = reader.at();
    match reader.u8(field)? {
        place if usize::from(place) < count => Ok(place),
        place => Err(FrameError::new(field, at, place, format_args!("0 to {}", count - 1))),
    }
}

fn read_key(reader: &mut Reader<'_>, atoms: &mut impl AtomNames) -> Result<Vec<u64>, FrameError> {
    let mut words = Vec::new();
    reader.key(atoms, &mut words)?;
    Ok(words)
}

fn read_time(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, FrameError> {
    reader.number(field, 0..=TIMES - 1)
}

fn read_optional(reader: &mut Reader<'_>, field: &'static str) -> Result<Option<u64>, FrameError> {
    if reader.flag(field)? { reader.u64(field).map(Some) } else { Ok(None) }
}

fn read_value(reader: &mut Reader<'_>) -> Result<i64, FrameError> {
    let at = reader.at();
    let value = reader.signed("value")?;
    match i64::try_from(value) {
        Ok(value) if -VALUES < value && value < VALUES => Ok(value),
        _ => Err(FrameError::new("value", at, value, format_args!("less than {VALUES} either way"))),
    }
}

fn read_net(reader: &mut Reader<'_>) -> Result<Net, FrameError> {
    if reader.flag("counts")? { Ok(Net { value: read_value(reader)?, counts: true }) } else { Ok(Net::default()) }
}

/// Refuses touches of which two have one id, which no table has.
fn check_ids(field: &'static str, begin: usize, touches: &[Step]) -> Result<(), FrameError> {
    let mut ids: Vec<i64> = touches.iter().map(|step| step.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(FrameError::new(field, begin, format_args!("id {} twice", pair[0]), "each id once")),
        None => Ok(()),
    }
}
