//! What a frame tells of the table it came from: the options that it was made with, and its seed.
//!
//! ```text
//! for every name of the kind, in the order of `names`:
//!   u8         the name's number
//!              its value, see `value`
//! ```

use super::{FrameError, Kind, Name, Reader, Value, Writer};

/// The most bytes of all settings of a frame: 72 names of 255 characters of four bytes (kinds and actions), and the rest.
pub const MAX_SETTINGS_BYTES: usize = 1 << 17;

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Value,
}

/// All settings of a table, in the order of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// Those of a table.
    ///
    /// # Panics
    /// If they are not those of the kind, in its order.
    #[must_use]
    pub fn new(kind: Kind, settings: impl IntoIterator<Item = (Name, Value)>) -> Self {
        let settings: Vec<Setting> = settings.into_iter().map(|(name, value)| Setting { name, value }).collect();
        assert!(settings.iter().map(|setting| &setting.name).eq(kind.names()));
        Self(settings)
    }

    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }

    /// The number of a name that every table of the kind has.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn number(&self, name: Name) -> u64 {
        match self.0.iter().find(|setting| setting.name == name).map(|setting| &setting.value) {
            Some(Value::Number(number)) => *number,
            _ => panic!("no setting {} that is a number", name.text()),
        }
    }

    /// The pairs of a name that every table of the kind has.
    ///
    /// # Panics
    /// If there are none.
    #[must_use]
    pub fn pairs(&self, name: Name) -> &[(u64, u64)] {
        match self.0.iter().find(|setting| setting.name == name).map(|setting| &setting.value) {
            Some(Value::Pairs(pairs)) => pairs,
            _ => panic!("no setting {} that is pairs", name.text()),
        }
    }

    /// Where a setting begins, from where the first one does.
    pub(super) fn place(&self, name: Name) -> usize {
        self.0.iter().take_while(|setting| setting.name != name).map(Setting::length).sum()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        for Setting { name, value } in &self.0 {
            writer.u8(*name as u8);
            value.write(writer);
        }
    }

    pub(super) fn read(kind: Kind, reader: &mut Reader<'_>) -> Result<Self, FrameError> {
        let read = |name: &Name| Ok(Setting { name: *name, value: read_setting(*name, reader)? });
        let settings = kind.names().iter().map(read).collect::<Result<_, FrameError>>()?;
        if !reader.is_empty() {
            return Err(FrameError::new("settings", reader.at(), "longer than they are", "no more settings"));
        }
        Ok(Self(settings))
    }

    /// Whether a table with these takes a frame with others.
    pub(super) fn check(&self, kind: Kind, frame: &Self, begin: usize) -> Result<(), FrameError> {
        let mut at = begin;
        for (own, other) in self.iter().zip(frame.iter()) {
            if own.value != other.value && own.name.must_be_equal(kind) {
                return Err(difference(own, other, at));
            }
            at += other.length();
        }
        Ok(())
    }
}

#[cold]
fn difference(own: &Setting, other: &Setting, at: usize) -> FrameError {
    let (found, expected) = match (&own.value, &other.value) {
        // Which one stays unknown.
        (Value::Check(Some(_)), Value::Check(Some(_))) => ("another one", "the table's"),
        (Value::Check(Some(_)), _) => ("none", "the table's"),
        (Value::Check(None), _) => ("one", "none, as the table has none"),
        (own_value, value) => {
            return FrameError::new(own.name.text(), at, value, format_args!("the table's, {own_value}"));
        }
    };
    FrameError::new(own.name.text(), at, found, expected)
}

impl Setting {
    /// How many bytes it is written in.
    fn length(&self) -> usize {
        1 + self.value.length()
    }
}

/// Reads a setting of a name.
fn read_setting(name: Name, reader: &mut Reader<'_>) -> Result<Value, FrameError> {
    let begin = reader.at();
    let number = reader.u8(name.text())?;
    if number != name as u8 {
        let expected = format!("{}, the number of the setting {}", name as u8, name.text());
        return Err(FrameError::new("settings", begin, number, expected));
    }
    Value::read(name, reader)
}
