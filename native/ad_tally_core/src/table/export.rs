//! A keyed table as frames, and frames into one.
//!
//! ```text
//! every row   u8      0 of a key; 1 of what had no row, the last row of a stream
//!             key     its bytes, see `key::bytes`; not of what had no row
//!             value   by the value kind
//! ```

use std::ops::ControlFlow;

use super::added::Added;
use super::drainable::Drainable;
use super::durable::Durable;
use super::rows::Rows;
use super::stored::{TAKEN, record_taken};
use crate::codec::{Claim, Frame, FrameError, FrameWriter, Imported, Kind, Reader, Settings, StreamId, Writer};
use crate::key::{AtomNames, encode_key};

const OF_A_KEY: u8 = 0;
const OVERFLOW: u8 = 1;

/// A value kind whose tables can be exported.
pub trait Portable: Durable {
    /// What its frames are called.
    const KIND: Kind;

    /// Whether a value is as good as none.
    fn is_nothing(value: &Self::Snapshot) -> bool;

    /// Writes a value.
    fn encode(value: &Self::Snapshot, writer: &mut Writer);

    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode(config: &Self::Config, reader: &mut Reader<'_>) -> Result<Self::Snapshot, FrameError>;

    /// Writes how much had no row, where the value does not tell.
    fn encode_overflowed(overflowed: &Self::Overflowed, writer: &mut Writer);

    /// Reads how much had no row.
    ///
    /// # Errors
    /// What is wrong with it.
    fn decode_overflowed(config: &Self::Config, reader: &mut Reader<'_>) -> Result<Self::Overflowed, FrameError>;
}

/// An export of one generation of a table: a drain after its beginning takes nothing out of it.
pub struct Export<V: Portable> {
    rows: Rows<V>,
    frames: FrameWriter,
    stage: Stage,
}

/// What is written next.
#[derive(PartialEq, Eq)]
enum Stage {
    Rows,
    Overflow,
    Last,
    Nothing,
}

/// A row that was read.
enum Row<V: Portable> {
    /// Its key's words are in the buffer.
    OfAKey(V::Snapshot),
    Overflow(V::Snapshot, V::Overflowed),
}

impl<V: Portable> Export<V> {
    /// The next frame. `None` after the last one.
    ///
    /// # Panics
    /// If an atom in a key has no text.
    pub fn next_frame(&mut self, atoms: &impl AtomNames) -> Option<Vec<u8>> {
        let Self { rows, frames, stage } = self;
        if *stage == Stage::Rows {
            let is_full = rows.walk(|key, value| {
                let has_room = V::is_nothing(value)
                    || frames.row(|writer| {
                        writer.u8(OF_A_KEY);
                        writer.with(|bytes| encode_key(key.words(), atoms, bytes)).expect("atoms of keys have texts");
                        V::encode(value, writer);
                    });
                if has_room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            if is_full {
                return Some(frames.finish(false));
            }
            *stage = Stage::Overflow;
        }
        if *stage == Stage::Overflow {
            *stage = Stage::Last;
            let has_room = frames.row(|writer| {
                let (value, overflowed) = rows.overflow();
                writer.u8(OVERFLOW);
                V::encode_overflowed(&overflowed, writer);
                V::encode(&value, writer);
            });
            if !has_room {
                return Some(frames.finish(false));
            }
        }
        (std::mem::replace(stage, Stage::Nothing) == Stage::Last).then(|| frames.finish(true))
    }
}

impl<V: Portable> Drainable<V> {
    /// Begins an export of what there is now.
    #[must_use]
    pub fn export(&self, settings: &Settings) -> Export<V> {
        let frames = FrameWriter::new(V::KIND, StreamId::random(), settings);
        Export { rows: self.rows(), frames, stage: Stage::Rows }
    }

    /// Merges the rows of a frame into the table, unless it has taken the frame before. `settings` are the table's.
    ///
    /// # Errors
    /// What is wrong with the frame. Nothing has changed then.
    pub fn import(
        &self,
        settings: &Settings,
        frame: &Frame<'_>,
        atoms: &mut impl AtomNames,
    ) -> Result<Imported, FrameError> {
        frame.expect(V::KIND, settings)?;
        let mut key = Vec::new();
        frame.check_rows(|reader| self.read_row(reader, atoms, &mut key).map(drop))?;
        if self.taken().claim(frame)? == Claim::AlreadyTaken {
            return Ok(Imported::AlreadyTaken);
        }
        // One event, however many rows it has: a frame is taken as a whole.
        let scribe = self.journal().map(|stored| (stored, stored.begin_anyway()));
        if let Some((stored, scribe)) = &scribe {
            record_taken(stored.part.number, TAKEN, scribe, frame);
        }
        let (mut rows, mut overflow) = (0, 0);
        frame.check_rows(|reader| {
            match self.read_row(reader, atoms, &mut key)? {
                Row::OfAKey(value) if V::is_nothing(&value) => {}
                Row::OfAKey(value) => {
                    rows += 1;
                    let added = self.merge_row(self.seed().key(&key), &value);
                    overflow += u32::from(added == Added::Overflow);
                }
                Row::Overflow(value, overflowed) => {
                    let merged = self.merge_overflow(&value, &overflowed);
                    debug_assert!(merged.is_ok(), "what is within an event is not refused");
                }
            }
            Ok(())
        })?;
        Ok(Imported::Rows { rows, overflow })
    }

    fn read_row(
        &self,
        reader: &mut Reader<'_>,
        atoms: &mut impl AtomNames,
        key: &mut Vec<u64>,
    ) -> Result<Row<V>, FrameError> {
        let at = reader.at();
        match reader.u8("row")? {
            OF_A_KEY => {
                reader.key(atoms, key)?;
                V::decode(self.config(), reader).map(Row::OfAKey)
            }
            OVERFLOW => {
                let overflowed = V::decode_overflowed(self.config(), reader)?;
                Ok(Row::Overflow(V::decode(self.config(), reader)?, overflowed))
            }
            other => Err(FrameError::new("row", at, other, "0, of a key, or 1, of what had no row")),
        }
    }
}
