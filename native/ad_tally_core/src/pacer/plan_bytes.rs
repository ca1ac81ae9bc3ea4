//! A plan as bytes, for the journal and for other nodes.
//!
//! ```text
//! version    u8, 1
//! budget     LEB128, micros
//! price      LEB128, micros
//! daily_max  LEB128, millionths, or 0 where a flight has no daily walls
//! zone       u8, bytes of its name, and those; 0 for a fixed offset, and that in zigzag, ms
//! period     u8: 0 daily | 1 flight, begin and end LEB128, ms | 2 lifetime
//! pace       u8: 0 asap | 1 even | 2 front-loaded, LEB128, millionths | 3 traffic, 168 LEB128 | 4 learned
//! ```

use super::plan::{HOURS_OF_WEEK, MILLION, MOST_MICROS, Pace, Period, Plan};
use crate::codec::{FrameError, Reader, Writer};
use crate::error::TIMES;
use crate::time::Zone;

const VERSION: u8 = 1;
const FIXED: u8 = 0;

impl Plan {
    /// The plan as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.number(self.budget);
        writer.number(self.price);
        writer.number(self.daily_max.unwrap_or(0).into());
        write_zone(&mut writer, &self.zone);
        match self.period {
            Period::Daily => writer.u8(0),
            Period::Flight { from, to } => {
                writer.u8(1);
                writer.number(from);
                writer.number(to);
            }
            Period::Lifetime => writer.u8(2),
        }
        match &self.pace {
            Pace::Asap => writer.u8(0),
            Pace::Even => writer.u8(1),
            Pace::FrontLoaded(more) => {
                writer.u8(2);
                writer.number((*more).into());
            }
            Pace::Traffic(weights) => {
                writer.u8(3);
                weights.iter().for_each(|weight| writer.number((*weight).into()));
            }
            Pace::Learned => writer.u8(4),
        }
        writer.into_bytes()
    }

    /// Reads a plan, and checks it.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::new(bytes, 0);
        let version = reader.u8("version")?;
        if version != VERSION {
            return Err(FrameError::new("version", 0, version, VERSION));
        }
        let budget = reader.number("budget", 1..=MOST_MICROS)?;
        let price = reader.number("price", 1..=MOST_MICROS)?;
        let daily_max = match read_u32(&mut reader, "daily_max")? {
            0 => None,
            max => Some(max),
        };
        let zone = read_zone(&mut reader)?;
        let at = reader.at();
        let period = match reader.u8("period")? {
            0 => Period::Daily,
            1 => Period::Flight { from: read_time(&mut reader, "from")?, to: read_time(&mut reader, "to")? },
            2 => Period::Lifetime,
            other => return Err(FrameError::new("period", at, other, "0 to 2")),
        };
        let at = reader.at();
        let pace = match reader.u8("pace")? {
            0 => Pace::Asap,
            1 => Pace::Even,
            2 => Pace::FrontLoaded(reader.number("front_loaded", 0..=MILLION.into())? as u32),
            3 => {
                let mut weights = Box::new([0; HOURS_OF_WEEK]);
                for weight in weights.iter_mut() {
                    *weight = read_u32(&mut reader, "weight")?;
                }
                Pace::Traffic(weights)
            }
            4 => Pace::Learned,
            other => return Err(FrameError::new("pace", at, other, "0 to 4")),
        };
        if !reader.is_empty() {
            let left = bytes.len() - reader.at();
            return Err(FrameError::new("plan", reader.at(), format_args!("{left} bytes after it"), "none"));
        }
        let plan = Self { budget, period, zone, pace, daily_max, price };
        plan.check().map_err(|error| FrameError::because("plan", 0, error))?;
        Ok(plan)
    }
}

fn write_zone(writer: &mut Writer, zone: &Zone) {
    if let Some(offset) = zone.fixed_offset() {
        writer.u8(FIXED);
        writer.signed(offset.into());
        return;
    }
    let name = zone.name().as_bytes();
    // Names of zones are checked to be short.
    writer.u8(name.len() as u8);
    writer.bytes(name);
}

fn read_zone(reader: &mut Reader<'_>) -> Result<Zone, FrameError> {
    let at = reader.at();
    let length = reader.u8("zone")?;
    if length == FIXED {
        let offset = reader.signed("offset")?;
        let day = 86_400_000;
        if !(-day < offset && offset < day) {
            return Err(FrameError::new("offset", at + 1, offset, "less than 86400000 ms either way"));
        }
        return Ok(Zone::fixed(offset as i64));
    }
    let name = reader.bytes("zone", length.into())?;
    let name = std::str::from_utf8(name).map_err(|_| FrameError::new("zone", at + 1, "no UTF-8", "a name"))?;
    let zone = Zone::named(name).map_err(|error| FrameError::because("zone", at + 1, error))?;
    // What is written again is equal.
    if zone.name() != name {
        return Err(FrameError::new("zone", at + 1, format_args!("{name:?}"), format_args!("{:?}", zone.name())));
    }
    Ok(zone)
}

fn read_time(reader: &mut Reader<'_>, field: &'static str) -> Result<u64, FrameError> {
    reader.number(field, 0..=TIMES - 1)
}

fn read_u32(reader: &mut Reader<'_>, field: &'static str) -> Result<u32, FrameError> {
    reader.number(field, 0..=u32::MAX.into()).map(|number| number as u32)
}
