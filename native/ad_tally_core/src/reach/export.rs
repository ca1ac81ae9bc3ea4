//! Sketches as frames.
//!
//! ```text
//! of what had no row   how many adds had none, LEB128
//! value                how many bytes the sketch has, LEB128; those, see `sketch::bytes`
//! ```

use super::Reach;
use super::value::{Config, Sketches};
use crate::codec::{FrameError, Kind, Name, Reader, Settings, Value, Writer};
use crate::sketch::{Secret, Sketch};
use crate::table::Portable;

/// The most bytes of a sketch: a register a byte at the highest precision, and what comes before them.
const MOST_BYTES: u64 = (1 << crate::sketch::MAX_PRECISION) + 40;

impl Reach {
    /// The settings of its frames.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings::new(
            Kind::Reach,
            [
                (Name::Seed, Value::Number(self.seed().value())),
                (Name::MaxKeys, Value::Number(self.max_keys() as u64)),
                (Name::Precision, Value::Number(u64::from(self.precision()))),
                (Name::SecretCheck, Value::Check(self.secret().map(Secret::check))),
            ],
        )
    }
}

impl Portable for Sketches {
    const KIND: Kind = Kind::Reach;

    /// A row is there for a moment before its first user is.
    fn is_nothing(sketch: &Sketch) -> bool {
        sketch.is_empty()
    }

    fn encode(sketch: &Sketch, writer: &mut Writer) {
        let bytes = sketch.to_bytes();
        writer.number(bytes.len() as u64);
        writer.bytes(&bytes);
    }

    fn decode(config: &Config, reader: &mut Reader<'_>) -> Result<Sketch, FrameError> {
        let length = reader.number("sketch length", 0..=MOST_BYTES)?;
        let at = reader.at();
        let bytes = reader.bytes("sketch", length as usize)?;
        let sketch = Sketch::from_bytes(bytes).map_err(|error| FrameError::because("sketch", at, error))?;
        if sketch.precision() != config.precision {
            let (found, expected) = (sketch.precision(), config.precision);
            return Err(FrameError::new(
                "sketch",
                at,
                format_args!("of precision {found}"),
                format_args!("{expected}"),
            ));
        }
        Ok(sketch.with_secret_check(config.secret.as_ref().map(Secret::check)))
    }

    fn encode_overflowed(adds: &u64, writer: &mut Writer) {
        writer.number(*adds);
    }

    fn decode_overflowed(_config: &Config, reader: &mut Reader<'_>) -> Result<u64, FrameError> {
        // So that a sum of many of them is in range as well.
        reader.number("adds without a row", 0..=1 << 48)
    }
}
