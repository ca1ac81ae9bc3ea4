//! Reads the rows of a frame, of which everything is checked.

use super::super::Attribution;
use super::super::fields::{
    check_ids, read_adjustments, read_net, read_optional, read_optional_time, read_path, read_place, read_state,
    read_step, read_time, read_value,
};
use super::super::orders::{Record, State};
use super::super::ring::{Key, Mark, Owned};
use super::super::types::{MAX_TOUCHES, Step};
use super::row::{CONVERSION, FINGERPRINT_BYTES, MARK_ORDERS, MOST_ALIASES, MOST_CHANGES, MOST_MARKS, USER};
use crate::codec::{FrameError, Reader};
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
        let converted = read_optional_time(reader, "converted")?;
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
        let state = read_state(reader)?;
        let (order, words) = match state {
            State::Provisional => {
                let at = reader.at();
                let words = read_key(reader, atoms)?;
                if matches!(KeyRef::new(&words).bare(), None | Some(Element::Atom(_))) {
                    return Err(FrameError::new("order", at, "another key", "an integer or a binary"));
                }
                (self.of.seed.key(&words).hash, words)
            }
            State::Final { .. } => (reader.u64("order")?, Vec::new()),
        };
        let user = read_optional(reader, "user")?;
        let at = read_time(reader, "at")?;
        let action = self.read_action(reader)?;
        let truncated = reader.flag("truncated")?;
        let revision = reader.number("revision", 1..=u64::from(u32::MAX))? as u32;
        let value = read_value(reader)?;
        let most = if state == State::Provisional { MOST_CHANGES as u64 } else { 0 };
        let adjustments = read_adjustments(reader, most)?;
        let net = read_net(reader)?;
        let adjusted_at = read_optional_time(reader, "adjusted")?;
        let most = self.of.config.touches_per_user as u64;
        let steps = read_path(reader, at, most, |reader| self.read_touch(reader, places))?;
        let (words, journaled) = (words.into(), Default::default());
        let record = Record {
            words,
            user,
            at,
            action,
            state,
            truncated,
            revision,
            steps,
            value,
            net,
            adjusted_at,
            adjustments,
            journaled,
        };
        Ok(RowOf::Conversion(order, Box::new(record)))
    }

    fn read_touch(&self, reader: &mut Reader<'_>, places: u64) -> Result<Step, FrameError> {
        read_step(reader, self.of.config.lookbacks.len(), places)
    }

    fn read_action(&self, reader: &mut Reader<'_>) -> Result<u8, FrameError> {
        read_place(reader, "action", self.of.config.actions.len())
    }
}

fn read_key(reader: &mut Reader<'_>, atoms: &mut impl AtomNames) -> Result<Vec<u64>, FrameError> {
    let mut words = Vec::new();
    reader.key(atoms, &mut words)?;
    Ok(words)
}
