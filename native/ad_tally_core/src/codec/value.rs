//! What a setting is, as bytes and in words.
//!
//! ```text
//! number   u64
//! flag     u8, 0 or 1
//! check    u8, 1 if there is one; u64
//! texts    u8, how many; for each u16, how many bytes; those, in UTF-8
//! pairs    u8, how many; for each u64, u64
//! named    u8, how many; for each a text, and u8: 0, 1 and u64, or 2 and a text
//! ```

use std::ops::RangeInclusive;

use super::{FrameError, Name, Reader, Writer};

/// The most pairs of a setting: three tiers and the lifetime.
const MOST_PAIRS: u8 = 4;

/// What follows a name of [`Value::Named`].
const NOTHING: u8 = 0;
const NUMBER: u8 = 1;
const WORD: u8 = 2;
/// How conversions of an action are counted.
pub const COUNTINGS: [&str; 3] = ["every", "once_per_user", "once_per_touch"];
/// How credit is given, where nothing more is to be said.
pub const MODELS: [&str; 4] = ["last_touch", "first_touch", "linear", "position_based"];
/// How credit is given by a half-life.
pub const TIME_DECAY: &str = "time_decay";

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
    /// Names, and what is said of each.
    Named(Vec<(String, Said)>),
}

/// What is said of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// A number.
    Number(u64),
    /// One word of several.
    Word(String),
}

impl Value {
    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::Number(number) => writer.u64(*number),
            Self::Flag(flag) => writer.u8(u8::from(*flag)),
            Self::Check(check) => {
                writer.u8(u8::from(check.is_some()));
                check.iter().for_each(|check| writer.u64(*check));
            }
            Self::Texts(texts) => {
                writer.u8(length(texts.len()));
                texts.iter().for_each(|text| write_text(text, writer));
            }
            Self::Pairs(pairs) => {
                writer.u8(length(pairs.len()));
                pairs.iter().for_each(|(one, other)| {
                    writer.u64(*one);
                    writer.u64(*other);
                });
            }
            Self::Named(named) => {
                writer.u8(length(named.len()));
                for (name, said) in named {
                    write_text(name, writer);
                    match said {
                        Said::Nothing => writer.u8(NOTHING),
                        Said::Number(number) => {
                            writer.u8(NUMBER);
                            writer.u64(*number);
                        }
                        Said::Word(word) => {
                            writer.u8(WORD);
                            write_text(word, writer);
                        }
                    }
                }
            }
        }
    }

    /// How many bytes it is written in.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Number(_) => 8,
            Self::Flag(_) => 1,
            Self::Check(check) => 1 + check.map_or(0, |_| 8),
            Self::Texts(texts) => 1 + texts.iter().map(|text| 2 + text.len()).sum::<usize>(),
            Self::Pairs(pairs) => 1 + 16 * pairs.len(),
            Self::Named(named) => {
                let length = |said: &Said| match said {
                    Said::Nothing => 1,
                    Said::Number(_) => 9,
                    Said::Word(word) => 3 + word.len(),
                };
                1 + named.iter().map(|(name, said)| 2 + name.len() + length(said)).sum::<usize>()
            }
        }
    }

    /// Reads that of a name: what it may be is checked here, so that a table can be made of it.
    pub(super) fn read(name: Name, reader: &mut Reader<'_>) -> Result<Self, FrameError> {
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
            | Name::Newest
            | Name::Users
            | Name::TouchesPerUser
            | Name::Dimensions
            | Name::Orders
            | Name::AdjustableFor
            | Name::Node
            | Name::Incarnation
            | Name::After
            | Name::Version
            | Name::Coordinator => reader.u64(field).map(Value::Number),
            Name::Lifetime | Name::Prevail | Name::Collapse => reader.flag(field).map(Value::Flag),
            Name::SecretCheck => match reader.u8(field)? {
                0 => Ok(Value::Check(None)),
                1 => reader.u64(field).map(|check| Value::Check(Some(check))),
                other => Err(FrameError::new(field, at, other, "0, for none, or 1")),
            },
            Name::Metrics => read_texts(field, reader, 1..=16),
            Name::By => read_texts(field, reader, 0..=8),
            Name::Tiers | Name::Places => {
                let count = reader.u8(field)?;
                if count > MOST_PAIRS {
                    return Err(FrameError::new(field, at, count, format_args!("at most {MOST_PAIRS}")));
                }
                (0..count)
                    .map(|_| Ok((reader.u64(field)?, reader.u64(field)?)))
                    .collect::<Result<_, _>>()
                    .map(Value::Pairs)
            }
            Name::Touches => read_named(field, reader, 8, |_name, said| matches!(said, Said::Number(_))),
            Name::Conversions => read_named(
                field,
                reader,
                64,
                |_name, said| matches!(said, Said::Word(word) if COUNTINGS.contains(&word.as_str())),
            ),
            Name::Models => read_named(field, reader, 8, |name, said| match said {
                Said::Nothing => MODELS.contains(&name),
                Said::Number(_) => name == TIME_DECAY,
                Said::Word(_) => false,
            }),
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
            Self::Named(named) => {
                let shown = named.iter().map(|(name, said)| match said {
                    Said::Nothing => format!(":{name}"),
                    Said::Number(number) => format!("{name}: {number}"),
                    Said::Word(word) => format!("{name}: :{word}"),
                });
                write!(f, "[{}]", shown.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn write_text(text: &str, writer: &mut Writer) {
    writer.u16(u16::try_from(text.len()).unwrap_or_else(|_| unreachable!("a name is shorter")));
    writer.bytes(text.as_bytes());
}

fn length(length: usize) -> u8 {
    u8::try_from(length).unwrap_or_else(|_| unreachable!("settings have at most 255 parts"))
}

fn read_texts(field: &'static str, reader: &mut Reader<'_>, allowed: RangeInclusive<u8>) -> Result<Value, FrameError> {
    let at = reader.at();
    let count = reader.u8(field)?;
    if !allowed.contains(&count) {
        let expected = format!("{} to {}", allowed.start(), allowed.end());
        return Err(FrameError::new(field, at, format_args!("{count} names"), expected));
    }
    (0..count).map(|_| read_text(field, reader)).collect::<Result<_, _>>().map(Value::Texts)
}

fn read_named(
    field: &'static str,
    reader: &mut Reader<'_>,
    most: u8,
    is_right: impl Fn(&str, &Said) -> bool,
) -> Result<Value, FrameError> {
    let at = reader.at();
    let count = reader.u8(field)?;
    if !(1..=most).contains(&count) {
        return Err(FrameError::new(field, at, format_args!("{count} names"), format_args!("1 to {most}")));
    }
    let mut named = Vec::new();
    for _ in 0..count {
        let name = read_text(field, reader)?;
        let at = reader.at();
        let said = match reader.u8(field)? {
            NOTHING => Said::Nothing,
            NUMBER => Said::Number(reader.u64(field)?),
            WORD => Said::Word(read_text(field, reader)?),
            other => return Err(FrameError::new(field, at, other, "0, 1 or 2")),
        };
        if !is_right(&name, &said) {
            let found = Value::Named(vec![(name, said)]);
            return Err(FrameError::new(field, at, found, format_args!("one of {field}")));
        }
        named.push((name, said));
    }
    Ok(Value::Named(named))
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
