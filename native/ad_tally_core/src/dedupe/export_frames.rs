//! Ids as frames.
//!
//! ```text
//! every row   bucket       LEB128, below the setting `buckets`
//!             generation   LEB128, that of the row's newest ids: Unix milliseconds divided by a quarter of the window, rounded up
//!             ids          LEB128, how many, 1 or more
//!             each         u32, or u64 with 61 bits: the fingerprint, and in the 3 lowest bits, which it has not, how many
//!                          generations before the row's the id last came
//! ```
//!
//! A row has all ids of a bucket that are remembered, as of one moment.

use super::Dedupe;
use super::durable;
use super::export::ExportedId;
use crate::codec::{
    Claim, Frame, FrameError, FrameWriter, Imported, Kind, Name, Reader, Settings, StreamId, Value, Writer,
};

/// The lowest bits of an id.
const AGE_BITS: u32 = 3;
const AGE_MASK: u64 = (1 << AGE_BITS) - 1;
/// Times divided by a generation's length are less.
const MOST_GENERATION: u64 = 1 << 47;

/// An export of a table.
pub struct Export {
    frames: FrameWriter,
    /// The bucket that is next, if there is one.
    next: Option<u64>,
    is_done: bool,
    ids: Vec<ExportedId>,
}

impl Export {
    /// The next frame. `None` after the last one. `dedupe` is the table that the export was begun of.
    pub fn next_frame(&mut self, dedupe: &Dedupe) -> Option<Vec<u8>> {
        let Self { frames, next, is_done, ids } = self;
        while let Some(bucket) = *next {
            ids.clear();
            *next = dedupe.export(bucket, 1, |id| ids.push(id));
            if !ids.is_empty() && !frames.row(|writer| write_row(dedupe, ids, writer)) {
                return Some(frames.finish(false));
            }
        }
        (!std::mem::replace(is_done, true)).then(|| frames.finish(true))
    }
}

impl Dedupe {
    /// The settings of its frames now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(
            Kind::Dedupe,
            [
                (Name::Seed, Value::Number(self.seed().value())),
                (Name::Capacity, Value::Number(self.config.capacity as u64)),
                (Name::Window, Value::Number(self.config.window)),
                (Name::FingerprintBits, Value::Number(if self.config.wide { 61 } else { 28 })),
                (Name::Buckets, Value::Number(self.buckets())),
                (Name::Newest, Value::Number(self.newest())),
            ],
        )
    }

    /// Begins an export of what there is from now on.
    #[must_use]
    pub fn frames(&self) -> Export {
        let frames = FrameWriter::new(Kind::Dedupe, StreamId::random(), &self.settings());
        Export { frames, next: Some(0), is_done: false, ids: Vec::new() }
    }

    /// Remembers the ids of a frame too, unless the table has taken it before.
    ///
    /// # Errors
    /// What is wrong with the frame. Nothing has changed then.
    pub fn import_frame(&self, frame: &Frame<'_>, now: impl Fn() -> u64) -> Result<Imported, FrameError> {
        frame.expect(Kind::Dedupe, &self.settings())?;
        let (buckets, newest) = (frame.settings.number(Name::Buckets), frame.settings.number(Name::Newest));
        frame.check_rows(|reader| self.read_row(reader, buckets, |_id| {}))?;
        if self.taken().claim(frame)? == Claim::AlreadyTaken {
            return Ok(Imported::AlreadyTaken);
        }
        // One event, however many ids it has: a frame is taken as a whole.
        let scribe = self.journal.as_ref().map(|part| (part, part.begin_anyway()));
        if let Some((part, scribe)) = &scribe {
            durable::record_taken(part, scribe, frame);
        }
        let forgotten = self.forgotten();
        self.reach(newest, &now);
        let mut rows = 0;
        frame.check_rows(|reader| {
            self.read_row(reader, buckets, |id| {
                self.import(&id, buckets, &now);
                rows += 1;
            })
        })?;
        // Others may have come in between that something was forgotten for.
        let overflow = u32::try_from(self.forgotten() - forgotten).unwrap_or(u32::MAX);
        Ok(Imported::Rows { rows, overflow })
    }

    fn read_row(
        &self,
        reader: &mut Reader<'_>,
        buckets: u64,
        mut take: impl FnMut(ExportedId),
    ) -> Result<(), FrameError> {
        let bucket = reader.number("bucket", 0..=buckets.saturating_sub(1))?;
        let newest = reader.number("generation", 0..=MOST_GENERATION)?;
        for _ in 0..reader.number("ids", 1..=u64::from(u32::MAX))? {
            let at = reader.at();
            let id = if self.config.wide { reader.u64("id")? } else { reader.u32("id")?.into() };
            let age = id & AGE_MASK;
            let id = ExportedId { bucket, fingerprint: id & !AGE_MASK, generation: newest.saturating_sub(age) };
            if age > newest || !self.accepts(&id, buckets) {
                return Err(FrameError::new(
                    "id",
                    at,
                    format_args!("{:#x}", id.fingerprint | age),
                    "one of the bucket",
                ));
            }
            take(id);
        }
        Ok(())
    }
}

fn write_row(dedupe: &Dedupe, ids: &[ExportedId], writer: &mut Writer) {
    let newest = ids.iter().map(|id| id.generation).max().unwrap_or(0);
    writer.number(ids[0].bucket);
    writer.number(newest);
    writer.number(ids.len() as u64);
    for id in ids {
        let id = id.fingerprint | (newest - id.generation);
        if dedupe.config.wide { writer.u64(id) } else { writer.u32(id as u32) }
    }
}
