//! What a frame tells of the table it came from: the options that it was made with, and its seed.
//!
//! ```text
//! for every name of the kind, in the order of `names`:
//!   u8         the name's number
//!   the value  number   u64
//!              flag     u8, 0 or 1
//!              check    u8, 1 if there is one; u64
//!              texts    u8, how many; for each u16, how many bytes; those, in UTF-8
//!              pairs    u8, how many; for each u64, u64
//! ```

use super::{FrameError, Kind, Reader, Writer};

/// The most bytes of all settings of a frame: sixteen names of 255 characters of four bytes, and the rest.
pub const MAX_SETTINGS_BYTES: usize = 1 << 15;

/// The most pairs of a setting: three tiers and the lifetime.
const MOST_PAIRS: u8 = 4;

/// The name of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "they are the tables' options")]
pub enum Name {
    Seed = 1,
    Metrics = 2,
    MaxKeys = 3,
    Precision = 4,
    SecretCheck = 5,
    Window = 6,
    Capacity = 7,
    FingerprintBits = 8,
    MaxCapacity = 9,
    Tiers = 10,
    Lifetime = 11,
    MaxAhead = 12,
    Newest = 13,
    Buckets = 14,
    Places = 15,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// Whether something is so.
    Flag(bool),
    /// By which a secret is told from others, where there is one.
    Check(Option<u64>),
    /// Names.
    Texts(Vec<String>),
    /// Pairs of numbers: granularities and horizons, places and levels.
    Pairs(Vec<(u64, u64)>),
}

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

impl Name {
    /// The name, as an option of a table has it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Metrics => "metrics",
            Self::MaxKeys => "max_keys",
            Self::Precision => "precision",
            Self::SecretCheck => "secret",
            Self::Window => "window",
            Self::Capacity => "capacity",
            Self::FingerprintBits => "fingerprint_bits",
            Self::MaxCapacity => "max_capacity",
            Self::Tiers => "tiers",
            Self::Lifetime => "lifetime",
            Self::MaxAhead => "max_ahead",
            Self::Newest => "newest",
            Self::Buckets => "buckets",
            Self::Places => "places",
        }
    }

    /// Whether only a table of the same value takes the frame. Sizes may differ. The seed of keys does not matter to counters and
    /// reach, whose frames have the keys themselves.
    fn must_be_equal(self, kind: Kind) -> bool {
        match self {
            Self::MaxKeys
            | Self::Capacity
            | Self::MaxCapacity
            | Self::MaxAhead
            | Self::Newest
            | Self::Buckets
            | Self::Places => false,
            Self::Seed => matches!(kind, Kind::Dedupe | Kind::FrequencyCap),
            _ => true,
        }
    }
}

impl Kind {
    /// The settings of a table of this kind, in the order in which they are written.
    fn names(self) -> &'static [Name] {
        match self {
            Self::Counters => &[Name::Seed, Name::MaxKeys, Name::Metrics],
            Self::Reach => &[Name::Seed, Name::MaxKeys, Name::Precision, Name::SecretCheck],
            Self::Dedupe => {
                &[Name::Seed, Name::Capacity, Name::Window, Name::FingerprintBits, Name::Buckets, Name::Newest]
            }
            Self::FrequencyCap => &[
                Name::Seed,
                Name::Capacity,
                Name::MaxCapacity,
                Name::Tiers,
                Name::Lifetime,
                Name::FingerprintBits,
                Name::MaxAhead,
                Name::Places,
                Name::Newest,
            ],
        }
    }
}

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
            match value {
                Value::Number(number) => writer.u64(*number),
                Value::Flag(flag) => writer.u8(u8::from(*flag)),
                Value::Check(check) => {
                    writer.u8(u8::from(check.is_some()));
                    check.iter().for_each(|check| writer.u64(*check));
                }
                Value::Texts(texts) => {
                    writer.u8(length(texts.len()));
                    for text in texts {
                        writer.u16(u16::try_from(text.len()).unwrap_or_else(|_| unreachable!("a name is shorter")));
                        writer.bytes(text.as_bytes());
                    }
                }
                Value::Pairs(pairs) => {
                    writer.u8(length(pairs.len()));
                    pairs.iter().for_each(|(one, other)| {
                        writer.u64(*one);
                        writer.u64(*other);
                    });
                }
            }
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
        1 + match &self.value {
            Value::Number(_) => 8,
            Value::Flag(_) => 1,
            Value::Check(check) => 1 + check.map_or(0, |_| 8),
            Value::Texts(texts) => 1 + texts.iter().map(|text| 2 + text.len()).sum::<usize>(),
            Value::Pairs(pairs) => 1 + 16 * pairs.len(),
        }
    }
}

/// As Elixir would show it.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Check(check) => f.write_str(if check.is_some() { "one" } else { "none" }),
            Self::Texts(texts) => {
                write!(f, "[{}]", texts.iter().map(|text| format!(":{text}")).collect::<Vec<_>>().join(", "))
            }
            Self::Pairs(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(one, other)| format!("{{{one}, {other}}}")).collect();
                write!(f, "[{}]", pairs.join(", "))
            }
        }
    }
}

fn length(length: usize) -> u8 {
    u8::try_from(length).unwrap_or_else(|_| unreachable!("settings have at most 255 parts"))
}

/// Reads a setting of a name: what a value may be is checked here, so that a table can be made of it.
fn read_setting(name: Name, reader: &mut Reader<'_>) -> Result<Value, FrameError> {
    let begin = reader.at();
    let number = reader.u8(name.text())?;
    if number != name as u8 {
        let expected = format!("{}, the number of the setting {}", name as u8, name.text());
        return Err(FrameError::new("settings", begin, number, expected));
    }
    let field = name.text();
    let at = reader.at();
    match name {
        Name::Seed
        | Name::MaxKeys
        | Name::Precision
        | Name::Window
        | Name::Capacity
        | Name::FingerprintBits
        | Name::MaxCapacity
        | Name::MaxAhead
        | Name::Buckets
        | Name::Newest => reader.u64(field).map(Value::Number),
        Name::Lifetime => match reader.u8(field)? {
            flag @ 0..=1 => Ok(Value::Flag(flag == 1)),
            other => Err(FrameError::new(field, at, other, "0 or 1")),
        },
        Name::SecretCheck => match reader.u8(field)? {
            0 => Ok(Value::Check(None)),
            1 => reader.u64(field).map(|check| Value::Check(Some(check))),
            other => Err(FrameError::new(field, at, other, "0, for none, or 1")),
        },
        Name::Metrics => {
            let count = reader.u8(field)?;
            if !(1..=16).contains(&count) {
                return Err(FrameError::new(field, at, format_args!("{count} names"), "1 to 16"));
            }
            (0..count).map(|_| read_text(field, reader)).collect::<Result<_, _>>().map(Value::Texts)
        }
        Name::Tiers | Name::Places => {
            let count = reader.u8(field)?;
            if count > MOST_PAIRS {
                return Err(FrameError::new(field, at, count, format_args!("at most {MOST_PAIRS}")));
            }
            (0..count).map(|_| Ok((reader.u64(field)?, reader.u64(field)?))).collect::<Result<_, _>>().map(Value::Pairs)
        }
    }
}

fn read_text(field: &'static str, reader: &mut Reader<'_>) -> Result<String, FrameError> {
    let length = reader.u16(field)?;
    let at = reader.at();
    let bytes = reader.bytes(field, usize::from(length))?;
    let text = std::str::from_utf8(bytes).map_err(|_| FrameError::new(field, at, "no UTF-8", "the name of an atom"))?;
    match text.chars().count() {
        0..=255 => Ok(text.to_owned()),
        characters => Err(FrameError::new(field, at, format_args!("{characters} characters"), "at most 255")),
    }
}
