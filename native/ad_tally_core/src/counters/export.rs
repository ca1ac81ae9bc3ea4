//! Counters as frames.
//!
//! ```text
//! value   for each metric, in the order of the settings: its total, signed LEB128
//! ```

use super::cells::{Cells, Config};
use super::table::Counters;
use crate::codec::{FrameError, Kind, Name, Reader, Settings, Value, Writer};
use crate::table::Portable;

impl Counters {
    /// The settings of its frames, with the names of its metrics.
    #[must_use]
    pub fn settings(&self, metrics: Vec<String>) -> Settings {
        Settings::new(
            Kind::Counters,
            [
                (Name::Seed, Value::Number(self.seed().value())),
                (Name::MaxKeys, Value::Number(self.max_keys() as u64)),
                (Name::Metrics, Value::Texts(metrics)),
            ],
        )
    }
}

impl Portable for Cells {
    const KIND: Kind = Kind::Counters;

    /// A key that was counted has a row, whatever its totals are.
    fn is_nothing(_totals: &Vec<i128>) -> bool {
        false
    }

    fn encode(totals: &Vec<i128>, writer: &mut Writer) {
        totals.iter().for_each(|total| writer.signed(*total));
    }

    fn decode(config: &Config, reader: &mut Reader<'_>) -> Result<Vec<i128>, FrameError> {
        (0..config.metrics)
            .map(|_| {
                let at = reader.at();
                match reader.signed("total")? {
                    // So that a sum of many of them is in range as well.
                    total if total.unsigned_abs() >> 96 == 0 => Ok(total),
                    total => Err(FrameError::new("total", at, total, "less than 2^96 either way")),
                }
            })
            .collect()
    }

    fn encode_overflowed(_totals: &Vec<i128>, _writer: &mut Writer) {}

    fn decode_overflowed(_config: &Config, _reader: &mut Reader<'_>) -> Result<Vec<i128>, FrameError> {
        Ok(Vec::new())
    }
}
