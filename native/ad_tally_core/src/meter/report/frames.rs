//! A report in the making as frames, for another node that unites it with its own.
//!
//! ```text
//! group      u8     0
//!            u8     1 if a row of counters belongs to it, 2 if one of its keys had no room for a sketch, 4 if a sketch follows
//!            key    its bytes, see `key::bytes`; where rows are grouped by nothing there is none
//! overflow   u8     1, what had no row: the last row of all
//!            u8     4 if a sketch follows
//! both       then for each metric its sum, signed LEB128
//!            then how many bytes the sketch has, LEB128, and those, see `sketch::bytes`
//! ```
//!
//! Frames of one report come in order, and all of them: a report of some of its groups would be a wrong one.

use super::groups::{Group, Groups};
use crate::codec::{
    Frame, FrameError, FrameWriter, Kind, MAX_FRAME_BYTES, Name, Reader, Settings, StreamId, Value, Writer,
};
use crate::counters::{self, Cells};
use crate::key::{AtomNames, KeyRef, encode_key};
use crate::reach::{self, Sketches};
use crate::sketch::{Secret, Sketch};
use crate::table::Portable;

const OF_A_GROUP: u8 = 0;
const OVERFLOW: u8 = 1;

/// Where a frame ends, unless a row is longer: some 350 groups. Of twice as many, one call in a hundred took 0.9 ms to take them.
const ENOUGH_BYTES: usize = 1 << 14;

const COUNTED: u8 = 1;
const INCOMPLETE: u8 = 2;
const SKETCH: u8 = 4;

/// What groups have: only reports of the same can be united.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The names of the dimensions that rows are grouped by.
    pub by: Vec<String>,
    /// The names of the metrics.
    pub metrics: Vec<String>,
    /// What sketches are, where users are asked for.
    pub reach: Option<reach::Config>,
}

impl Columns {
    /// The settings of frames.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let precision = self.reach.as_ref().map_or(0, |reach| reach.precision);
        let secret = self.reach.as_ref().and_then(|reach| reach.secret.as_ref());
        Settings::new(
            Kind::MeterReport,
            [
                (Name::Metrics, Value::Texts(self.metrics.clone())),
                (Name::By, Value::Texts(self.by.clone())),
                (Name::Precision, Value::Number(precision.into())),
                (Name::SecretCheck, Value::Check(secret.map(Secret::check))),
            ],
        )
    }
}

/// The frames of a report.
pub struct Frames {
    groups: Groups,
    has_key: bool,
    last: Option<Group>,
    /// Sums of what had no row, until they are written, and its users.
    overflow: Option<(Vec<i128>, Option<Sketch>)>,
    frames: FrameWriter,
    is_done: bool,
}

impl Frames {
    pub(super) fn new(groups: Groups, columns: &Columns, sums: Vec<i128>, users: Option<Sketch>) -> Self {
        let frames = FrameWriter::new(Kind::MeterReport, StreamId::random(), &columns.settings());
        let has_key = !columns.by.is_empty();
        Self { groups, has_key, last: None, overflow: Some((sums, users)), frames, is_done: false }
    }

    /// The next frame, of at most [`MAX_FRAME_BYTES`]. `None` after the last one.
    ///
    /// # Panics
    /// If an atom in a key has no text.
    pub fn next_frame(&mut self, atoms: &impl AtomNames) -> Option<Vec<u8>> {
        while let Some(group) = self.groups.next(self.last) {
            self.last = Some(group);
            let Self { groups, has_key, frames, .. } = self;
            let has_room = frames.row(|writer| write_group(groups, group, *has_key, atoms, writer));
            if !has_room || frames.bytes() >= ENOUGH_BYTES {
                return Some(self.frames.finish(false));
            }
        }
        if let Some((sums, users)) = self.overflow.take()
            && !self.frames.row(|writer| write_overflow(&sums, users.as_ref(), writer))
        {
            return Some(self.frames.finish(false));
        }
        (!std::mem::replace(&mut self.is_done, true)).then(|| self.frames.finish(true))
    }
}

fn write_group(groups: &Groups, group: Group, has_key: bool, atoms: &impl AtomNames, writer: &mut Writer) {
    let users = groups.users(group);
    let sketch = users.and_then(|users| users.sketch.as_deref());
    let is_counted = users.is_none_or(|users| users.is_counted);
    let is_incomplete = users.is_some_and(|users| users.is_incomplete);
    writer.u8(OF_A_GROUP);
    writer.u8(flag(is_counted, COUNTED) | flag(is_incomplete, INCOMPLETE) | flag(sketch.is_some(), SKETCH));
    if has_key {
        writer.with(|bytes| encode_key(groups.key(group), atoms, bytes)).expect("atoms of keys have texts");
    }
    Cells::encode(&groups.sums(group), writer);
    sketch.into_iter().for_each(|sketch| Sketches::encode(sketch, writer));
}

fn write_overflow(sums: &Vec<i128>, users: Option<&Sketch>, writer: &mut Writer) {
    writer.u8(OVERFLOW);
    writer.u8(flag(users.is_some(), SKETCH));
    Cells::encode(sums, writer);
    users.into_iter().for_each(|sketch| Sketches::encode(sketch, writer));
}

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

/// A row of a frame.
pub(super) struct Row {
    /// Whether it is of a group, whose key is in the buffer then.
    pub is_group: bool,
    pub is_counted: bool,
    pub is_incomplete: bool,
    pub sums: Vec<i128>,
    pub sketch: Option<Sketch>,
}

/// The frames that a report has taken: those of one other, in order.
#[derive(Default)]
pub(super) struct Taking {
    stream: Option<StreamId>,
    next: u32,
    /// Whether the last row of all was read.
    is_whole: bool,
}

impl Taking {
    /// Whether no row of another report was taken, or all.
    pub(super) fn is_none_or_whole(&self) -> bool {
        self.stream.is_none() || self.is_whole
    }

    /// Whether all rows of another report were taken.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Reads a frame, which has to be the one after the last that was read. Each row is handed on with the words of its key.
    pub(super) fn read(
        &mut self,
        columns: &Columns,
        frame: &Frame<'_>,
        atoms: &mut impl AtomNames,
        mut act: impl FnMut(&[u64], Row),
    ) -> Result<(), FrameError> {
        frame.expect(Kind::MeterReport, &columns.settings())?;
        let stream = *self.stream.get_or_insert(frame.stream);
        if frame.stream != stream {
            return Err(frame.stream_error(frame.stream, format_args!("{stream}, that of the frames before it")));
        }
        if frame.number != self.next || self.is_whole {
            let expected = if self.is_whole { "none after the last".to_owned() } else { self.next.to_string() };
            return Err(frame.number_error(frame.number, expected));
        }
        self.next += 1;
        // Of a report by nothing every row has the key of no elements.
        let mut key = vec![0];
        let mut is_over = false;
        frame.check_rows(|reader| {
            if is_over {
                return Err(FrameError::new("row", reader.at(), "one", "none after that of what had no row"));
            }
            let row = read_row(columns, reader, atoms, &mut key)?;
            is_over = !row.is_group;
            act(&key, row);
            Ok(())
        })?;
        if is_over != frame.is_last {
            let expected = "what had no row as the last row of the last frame, and of no other one";
            return Err(FrameError::new("payload", frame.payload().all().len(), "the end", expected));
        }
        self.is_whole = is_over;
        Ok(())
    }
}

fn read_row(
    columns: &Columns,
    reader: &mut Reader<'_>,
    atoms: &mut impl AtomNames,
    key: &mut Vec<u64>,
) -> Result<Row, FrameError> {
    let at = reader.at();
    let is_group = match reader.u8("row")? {
        OF_A_GROUP => true,
        OVERFLOW => false,
        other => return Err(FrameError::new("row", at, other, "0, of a group, or 1, of what had no row")),
    };
    let at = reader.at();
    let flags = reader.u8("flags")?;
    let users = if columns.reach.is_some() { SKETCH | flag(is_group, INCOMPLETE) } else { 0 };
    if flags & !(users | flag(is_group, COUNTED)) != 0 {
        return Err(FrameError::new("flags", at, flags, format_args!("such as are in {}", users | COUNTED)));
    }
    if is_group && !columns.by.is_empty() {
        let at = reader.at();
        reader.key(atoms, key)?;
        if KeyRef::new(key).arity() != Some(columns.by.len()) {
            let expected = format!("a tuple of {}", columns.by.len());
            return Err(FrameError::new("key", at, "of another number of elements", expected));
        }
    }
    let config = counters::Config { metrics: columns.metrics.len(), linked: false };
    let sums = Cells::decode(&config, reader)?;
    let reach = columns.reach.as_ref().filter(|_| flags & SKETCH != 0);
    let sketch = reach.map(|reach| Sketches::decode(reach, reader)).transpose()?;
    Ok(Row { is_group, is_counted: flags & COUNTED != 0, is_incomplete: flags & INCOMPLETE != 0, sums, sketch })
}

// A group has room in a frame: its key, sums and sketch at most, and as many names.
const _: () = assert!(
    8 * (4 + crate::key::MAX_BYTES) + (1 << crate::sketch::MAX_PRECISION) + 24 * 1_022 + 1_024 < MAX_FRAME_BYTES
);
