//! Pairs as frames.
//!
//! ```text
//! every row   tier     LEB128, from fine to coarse, the lifetime last
//!             place    LEB128, below the places that the setting `places` says: buckets before any split, and splits
//!             end      LEB128, the place's last tick
//!             pairs    LEB128, how many
//!             each     the fingerprint, in as many bytes as the tier keeps of it
//!                      LEB128, how many ticks, or the count of a lifetime
//!                      of each tick LEB128, how far before the end it lies
//! ```
//!
//! A row has all pairs of a place, as of one moment; see `export`.

use super::caps::FrequencyCap;
use super::entry::TICKS;
use super::export::{NotTaken, Part, Parts};
use crate::codec::{
    Claim, Frame, FrameError, FrameWriter, Imported, Kind, Name, Reader, Settings, StreamId, Value, Writer,
};

/// No end of a place is larger.
const MOST_END: u64 = 1 << 48;
/// Events of a pair: the most that a lifetime counts.
const MOST_EVENTS: u64 = (1 << 16) - 1;

/// An export of a table.
pub struct Export {
    frames: FrameWriter,
    /// Of each tier.
    parts: Vec<Parts>,
    /// The tier and the place that are next.
    tier: usize,
    place: u64,
    part: Part,
    is_done: bool,
}

/// A row that was read, and where its fields are.
#[derive(Default)]
struct Row {
    tier: usize,
    part: Part,
    begin: usize,
    /// Where each pair begins.
    pairs: Vec<usize>,
}

impl Export {
    /// The next frame. `None` after the last one. `caps` is the table that the export was begun of.
    pub fn next_frame(&mut self, caps: &FrequencyCap) -> Option<Vec<u8>> {
        let Self { frames, parts, tier, place, part, is_done } = self;
        while let Some(of_tier) = parts.get(*tier) {
            caps.export_part(*tier, *of_tier, *place, part);
            let has_room = part.is_empty() || frames.row(|writer| write_row(caps, *tier, part, writer));
            *place += 1;
            if *place == of_tier.count() {
                (*tier, *place) = (*tier + 1, 0);
            }
            if !has_room {
                return Some(frames.finish(false));
            }
        }
        (!std::mem::replace(is_done, true)).then(|| frames.finish(true))
    }
}

impl FrequencyCap {
    /// The settings of its frames now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let config = &self.config;
        let places = (0..self.tier_count()).map(|tier| self.parts(tier)).map(|parts| (parts.first, parts.level.into()));
        Settings::new(
            Kind::FrequencyCap,
            [
                (Name::Seed, Value::Number(self.seed().value())),
                (Name::Capacity, Value::Number(config.capacity as u64)),
                (Name::MaxCapacity, Value::Number(config.max_capacity as u64)),
                (Name::Tiers, Value::Pairs(config.tiers.clone())),
                (Name::Lifetime, Value::Flag(config.lifetime)),
                (Name::FingerprintBits, Value::Number(if config.strict { 64 } else { 16 })),
                (Name::MaxAhead, Value::Number(config.max_ahead())),
                (Name::Places, Value::Pairs(places.collect())),
                (Name::Newest, Value::Number(self.newest())),
            ],
        )
    }

    /// Begins an export of what there is from now on.
    #[must_use]
    pub fn frames(&self) -> Export {
        let settings = self.settings();
        let frames = FrameWriter::new(Kind::FrequencyCap, StreamId::random(), &settings);
        let parts = (0..self.tier_count()).map(|tier| self.parts(tier)).collect();
        Export { frames, parts, tier: 0, place: 0, part: Part::default(), is_done: false }
    }

    /// Adds the events of a frame, unless the table has taken it before, at a system's time. A table that is full takes all but
    /// the pairs that it has no room for, and tells how many those are.
    ///
    /// # Errors
    /// What is wrong with the frame. Nothing has changed then.
    pub fn import_frame(&self, frame: &Frame<'_>, now: u64) -> Result<Imported, FrameError> {
        frame.expect(Kind::FrequencyCap, &self.settings())?;
        let parts = self.parts_of(frame)?;
        let newest = frame.settings.number(Name::Newest);
        if newest > self.latest(now) {
            let expected = format!("at most {}, which is max_ahead past the system's time", self.latest(now));
            return Err(frame.setting_error(Name::Newest, newest, expected));
        }
        let mut row = Row::default();
        frame.check_rows(|reader| {
            self.read_row(reader, &mut row)?;
            let checked = self.check_part(row.tier, parts[row.tier], &row.part, now);
            checked.map_err(|not_taken| row.error(not_taken))
        })?;
        let writing = self.write();
        if self.taken().claim(frame)? == Claim::AlreadyTaken {
            return Ok(Imported::AlreadyTaken);
        }
        self.merge_newest(newest, writing.as_ref());
        let (mut rows, mut overflow) = (0, 0);
        frame.check_rows(|reader| {
            self.read_row(reader, &mut row)?;
            rows += row.part.pairs.len() as u32;
            overflow += self.merge_part(row.tier, parts[row.tier], &row.part, writing.as_ref()) as u32;
            Ok(())
        })?;
        if let Some(writing) = writing {
            writing.taken(frame);
        }
        Ok(Imported::Rows { rows, overflow })
    }

    /// The places of each tier of the table that a frame is of.
    fn parts_of(&self, frame: &Frame<'_>) -> Result<Vec<Parts>, FrameError> {
        let pairs = frame.settings.pairs(Name::Places);
        let parts = pairs.iter().enumerate().map(|(tier, (first, level))| {
            let parts = Parts { first: *first, level: u32::try_from(*level).unwrap_or(u32::MAX) };
            (tier < self.tier_count() && self.accepts(tier, parts)).then_some(parts)
        });
        let parts: Option<Vec<Parts>> = parts.collect();
        parts.filter(|parts| parts.len() == self.tier_count()).ok_or_else(|| {
            let expected = "those of each tier of a table with at least a 256th of this one's capacity";
            frame.setting_error(Name::Places, Value::Pairs(pairs.to_vec()), expected)
        })
    }

    fn read_row(&self, reader: &mut Reader<'_>, row: &mut Row) -> Result<(), FrameError> {
        let Row { tier, part, begin, pairs } = row;
        *begin = reader.at();
        *tier = reader.number("tier", 0..=self.tier_count() as u64 - 1)? as usize;
        part.number = reader.number("place", 0..=u64::from(u32::MAX) << 4)?;
        part.end = reader.number("end", 0..=MOST_END)?;
        part.pairs.clear();
        part.ticks.clear();
        pairs.clear();
        let is_count = self.is_lifetime(*tier);
        for _ in 0..reader.number("pairs", 0..=u64::from(u32::MAX))? {
            pairs.push(reader.at());
            let mut fingerprint = [0; 8];
            let bytes = reader.bytes("fingerprint", self.fingerprint_bits(*tier) as usize / 8)?;
            fingerprint[..bytes.len()].copy_from_slice(bytes);
            let events = reader.number("events", 1..=MOST_EVENTS)?;
            part.pairs.push((u64::from_le_bytes(fingerprint), events as u32));
            for _ in 0..if is_count { 0 } else { events } {
                let age = reader.number("tick", 0..=part.end.min(TICKS - 1))?;
                part.ticks.push(part.end - age);
            }
        }
        Ok(())
    }
}

impl Row {
    fn error(&self, not_taken: NotTaken) -> FrameError {
        let pair = |at: usize| self.pairs.get(at).copied().unwrap_or(self.begin);
        match not_taken {
            NotTaken::Number => FrameError::new("place", self.begin, self.part.number, "one of the tier"),
            NotTaken::End => FrameError::new("end", self.begin, self.part.end, "that of a time that is believed"),
            NotTaken::Fingerprint(at) => {
                FrameError::new("fingerprint", pair(at), "another place's", "one of the place")
            }
            NotTaken::Events(at) => FrameError::new("events", pair(at), "too many", "as many as are kept"),
            NotTaken::Tick(at) => {
                let mut left = at;
                let of = self.part.pairs.iter().position(|(_, events)| match left.checked_sub(*events as usize) {
                    Some(rest) => {
                        left = rest;
                        false
                    }
                    None => true,
                });
                let expected = "one of a time that is believed";
                FrameError::new("tick", of.map_or(self.begin, pair), self.part.ticks[at], expected)
            }
        }
    }
}

fn write_row(caps: &FrequencyCap, tier: usize, part: &Part, writer: &mut Writer) {
    writer.number(tier as u64);
    writer.number(part.number);
    writer.number(part.end);
    writer.number(part.pairs.len() as u64);
    let (bytes, is_count) = (caps.fingerprint_bits(tier) as usize / 8, caps.is_lifetime(tier));
    let mut ticks = part.ticks.iter();
    for (fingerprint, events) in &part.pairs {
        writer.bytes(&fingerprint.to_le_bytes()[..bytes]);
        writer.number(u64::from(*events));
        for tick in ticks.by_ref().take(if is_count { 0 } else { *events as usize }) {
            writer.number(part.end - tick);
        }
    }
}
