//! Reads the entries of a frame. Every field is checked before it is used.

use std::ops::Range;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, RunFrame};
use super::pair;
use super::write::Group;
use crate::codec::{FrameError, Reader};
use crate::journal::{Entry, EntryKind, SketchRef, TickChange, TouchEntry, Users, WindowState};
use crate::key::{MAX_KEY_WORDS, is_key};
use crate::sketch::{Coupon, MAX_PRECISION, MIN_PRECISION, most_coupons};

/// The most bytes of an atom's text.
const MAX_TEXT_BYTES: u64 = 1_020;
/// The most sums of a row.
const MAX_SUMS: u64 = 1 << 16;

/// The entries of a frame, in order.
#[derive(Debug)]
pub struct FrameEntries<'a> {
    frame: &'a [u8],
    decoder: Decoder,
}

impl<'a> RunFrame<'a> {
    /// Reads its entries.
    #[must_use]
    pub fn read_entries(&self) -> FrameEntries<'a> {
        let mut decoder = Decoder::default();
        decoder.begin(&self.header);
        FrameEntries { frame: self.bytes, decoder }
    }
}

impl FrameEntries<'_> {
    /// The next entry, with its part.
    ///
    /// # Errors
    /// The first field that is wrong. There is no next entry then.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<(u16, Entry<'_>)>, FrameError> {
        if !self.decoder.next(self.frame)? {
            return Ok(None);
        }
        Ok(Some((self.decoder.group.part, self.decoder.entry(self.frame))))
    }
}

/// Where in a frame reading is, and the entry that was read last, with room for all that such an entry may have.
#[derive(Debug)]
pub(crate) struct Decoder {
    at: usize,
    /// Entries that are still to come in the frame, and in the group.
    left: u32,
    left_in_group: u32,
    /// Whose entries the frame says that it has.
    part: u16,
    pub(crate) group: Group,
    /// Whether the entry is the first one of its group in this frame, and of the frame.
    is_first: bool,
    /// The first number of its key.
    pub(crate) lead: u64,
    /// The number that comes with it.
    number: u64,
    /// The words of a key.
    pub(crate) words: Vec<u64>,
    /// Where the bytes of an item's key lie, and those of the value.
    key: Range<usize>,
    bytes: Range<usize>,
    value: Value,
}

/// What values are made of, beside bytes.
#[derive(Debug, Default)]
struct Value {
    config: u32,
    state: State,
    precision: u8,
    sums: Vec<i128>,
    coupons: Vec<Coupon>,
    changes: Vec<TickChange>,
    touches: Vec<TouchEntry>,
    words: Vec<u64>,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Open,
    Closed {
        sequence: u64,
        partial: bool,
        closed_at: u64,
    },
    Gone,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            at: FRAME_HEADER_BYTES,
            left: 0,
            left_in_group: 0,
            part: 0,
            group: Group { part: 0, kind: EntryKind::Meta, table: 0 },
            is_first: true,
            lead: 0,
            number: 0,
            words: Vec::new(),
            key: 0..0,
            bytes: 0..0,
            value: Value::default(),
        }
    }
}

impl Decoder {
    /// Begins a frame.
    pub(crate) fn begin(&mut self, header: &FrameHeader) {
        (self.at, self.left, self.left_in_group, self.is_first) = (FRAME_HEADER_BYTES, header.entries, 0, true);
        self.part = header.part;
    }

    /// Reads the next entry of a frame: whether there is one.
    pub(crate) fn next(&mut self, frame: &[u8]) -> Result<bool, FrameError> {
        let mut reader = Reader::new(frame, self.at);
        if self.left == 0 {
            if !reader.is_empty() {
                return Err(FrameError::new("payload", self.at, "longer", "the end after the last entry"));
            }
            return Ok(false);
        }
        let read = self.read(&mut reader);
        // After an error there is nothing more to be read.
        self.left = if read.is_ok() { self.left - 1 } else { 0 };
        self.at = if read.is_ok() { reader.at() } else { frame.len() };
        read.map(|()| true)
    }

    #[inline(always)]
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), FrameError> {
        let is_first = self.left_in_group == 0;
        if is_first {
            self.read_group(reader)?;
        }
        self.left_in_group -= 1;
        let at = reader.at();
        let (step, number) = pair::read(reader, lead_names(self.group.kind))?;
        let lead = if is_first { Some(step) } else { self.lead.checked_add(step) };
        let Some(lead) = lead else {
            return Err(FrameError::new(lead_names(self.group.kind)[0], at, "too large", "a number of 64 bits"));
        };
        let is_same = !is_first && step == 0;
        (self.lead, self.number) = (lead, number);
        match self.group.kind {
            EntryKind::Row | EntryKind::Sketch => self.read_key(reader, at, is_same)?,
            EntryKind::Item => {}
            kind if is_same => return Err(FrameError::new(lead_names(kind)[0], at, lead, "more than the one before")),
            _ => {}
        }
        self.read_value(reader, at, is_same)
    }

    #[inline(never)]
    fn read_group(&mut self, reader: &mut Reader<'_>) -> Result<(), FrameError> {
        let at = reader.at();
        let kind = reader.u8("kind")?;
        let Some(kind) = EntryKind::ALL.get(usize::from(kind)).copied() else {
            return Err(FrameError::new("kind", at, kind, "0 to 12"));
        };
        let table = reader.u8("table")?;
        let has_tables =
            matches!(kind, EntryKind::Ticks | EntryKind::Count | EntryKind::Latest | EntryKind::Item) || table == 0;
        if !has_tables {
            return Err(FrameError::new("table", at + 1, table, "0"));
        }
        let group = Group { part: self.part, kind, table };
        if !self.is_first && group <= self.group {
            return Err(FrameError::new(
                "kind",
                at,
                format_args!("{group:?}"),
                format_args!("more than {:?}", self.group),
            ));
        }
        let entries = reader.u32("entries")?;
        if entries == 0 || entries > self.left {
            let expected = format!("1 to {}, as many as the frame still has", self.left);
            return Err(FrameError::new("entries", at + 2, entries, expected));
        }
        (self.group, self.left_in_group, self.is_first) = (group, entries, false);
        Ok(())
    }

    /// The words of a key, which begin with those of the key before, in place of those.
    fn read_key(&mut self, reader: &mut Reader<'_>, at: usize, is_same: bool) -> Result<(), FrameError> {
        let shared_at = reader.at();
        let most = if is_same { self.words.len() } else { 0 };
        let shared = reader.number("words in common", 0..=most as u64)? as usize;
        let length = self.number.saturating_add(shared as u64);
        if length > MAX_KEY_WORDS as u64 {
            return Err(FrameError::new("words", at, length, format_args!("at most {MAX_KEY_WORDS}")));
        }
        let begin = reader.at();
        let new = reader.bytes("key", self.number as usize * 8)?;
        let first = new.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        // The first word that differs tells which of two keys is greater: so that there is one form only, it must differ.
        if is_same && first <= self.words.get(shared).copied() {
            return Err(FrameError::new("key", shared_at, "not greater", "more than the one before"));
        }
        self.words.truncate(shared);
        push_words(new, &mut self.words);
        if !self.words.is_empty() && !is_key(&self.words) {
            return Err(FrameError::new("key", begin, "other words", "those of a key"));
        }
        Ok(())
    }

    #[inline(always)]
    fn read_value(&mut self, reader: &mut Reader<'_>, at: usize, is_same: bool) -> Result<(), FrameError> {
        let Self { number, value, .. } = self;
        match self.group.kind {
            EntryKind::Meta => at_most("name", self.lead, u64::from(u8::MAX), at),
            EntryKind::Atom => {
                self.bytes = text("text", *number, reader)?;
                Ok(())
            }
            EntryKind::Forgotten => at_most("forgotten", *number, 0, at),
            EntryKind::Window => self.read_window(reader),
            EntryKind::Row => {
                let sums = reader.number("sums", 0..=MAX_SUMS)?;
                value.sums.clear();
                for _ in 0..sums {
                    value.sums.push(reader.signed("sum")?);
                }
                Ok(())
            }
            EntryKind::Sketch => self.read_users(reader),
            EntryKind::Id => Ok(()),
            EntryKind::Ticks => self.read_ticks(reader),
            EntryKind::Count => Ok(()),
            EntryKind::Touches => self.read_touches(reader),
            EntryKind::Latest => {
                let length = reader.number("words", 0..=MOST_WORDS)?;
                value.words.clear();
                push_words(reader.bytes("words", length as usize * 8)?, &mut value.words);
                Ok(())
            }
            EntryKind::Item => self.read_item(reader, at, is_same),
            EntryKind::Number => {
                at_most("number", self.lead, u64::from(u32::MAX), at)?;
                at_most("words", *number, MAX_KEY_WORDS as u64, at)?;
                let begin = reader.at();
                let bytes = reader.bytes("key", *number as usize * 8)?;
                self.words.clear();
                push_words(bytes, &mut self.words);
                if is_key(&self.words) {
                    Ok(())
                } else {
                    Err(FrameError::new("key", begin, "other words", "those of a key"))
                }
            }
        }
    }

    #[inline(never)]
    fn read_window(&mut self, reader: &mut Reader<'_>) -> Result<(), FrameError> {
        self.value.config = reader.number("config", 0..=u64::from(u32::MAX))? as u32;
        let at = reader.at();
        self.value.state = match reader.u8("state")? {
            0 => State::Open,
            1 => {
                let sequence = reader.number("sequence", 0..=u64::MAX)?;
                let partial = reader.flag("partial")?;
                let closed_at = reader.number("closed_at", 0..=u64::MAX)?;
                let length = reader.number("node", 0..=MAX_TEXT_BYTES)?;
                self.bytes = text("node", length, reader)?;
                State::Closed { sequence, partial, closed_at }
            }
            2 => State::Gone,
            other => return Err(FrameError::new("state", at, other, "0 (open), 1 (closed) or 2 (gone)")),
        };
        Ok(())
    }

    #[inline(never)]
    fn read_users(&mut self, reader: &mut Reader<'_>) -> Result<(), FrameError> {
        let at = reader.at();
        let precision = reader.u8("precision")?;
        if !(MIN_PRECISION..=MAX_PRECISION).contains(&precision) {
            let expected = format!("{MIN_PRECISION} to {MAX_PRECISION}");
            return Err(FrameError::new("precision", at, precision, expected));
        }
        self.value.precision = precision;
        self.value.coupons.clear();
        let count = reader.number("coupons", 0..=most_coupons(precision) as u64)? as usize;
        let at = reader.at();
        if count == 0 {
            let registers = reader.bytes("registers", 1 << precision)?;
            self.bytes = at..reader.at();
            let too_large = registers.iter().position(|register| *register > Coupon::LARGEST);
            return too_large.map_or(Ok(()), |place| {
                let expected = format!("at most {}", Coupon::LARGEST);
                Err(FrameError::new("register", at + place, registers[place], expected))
            });
        }
        let mut before = 0;
        for (place, word) in reader.bytes("coupons", 4 * count)?.as_chunks().0.iter().enumerate() {
            let word = u32::from_le_bytes(*word);
            let coupon = Coupon::from_word(word).filter(|_| word > before);
            let Some(coupon) = coupon else {
                return Err(FrameError::new("coupon", at + 4 * place, word, "a coupon, and more than the one before"));
            };
            self.value.coupons.push(coupon);
            before = word;
        }
        Ok(())
    }

    #[inline(never)]
    fn read_ticks(&mut self, reader: &mut Reader<'_>) -> Result<(), FrameError> {
        // Each takes a byte at least.
        let more = reader.number("changes", 0..=reader.rest().len() as u64)?;
        self.value.changes.clear();
        let mut word = self.number;
        self.value.changes.push(tick_change(word));
        for _ in 0..more {
            let at = reader.at();
            let step = reader.signed("tick")?;
            let Some(next) = i128::from(word).checked_add(step).and_then(|next| u64::try_from(next).ok()) else {
                return Err(FrameError::new("tick", at, step, "one that leads to a tick"));
            };
            word = next;
            self.value.changes.push(tick_change(word));
        }
        Ok(())
    }

    #[inline(never)]
    fn read_touches(&mut self, reader: &mut Reader<'_>) -> Result<(), FrameError> {
        // Each takes twelve bytes at least.
        let count = reader.number("touches", 0..=reader.rest().len() as u64 / 12)?;
        let touches = &mut self.value.touches;
        touches.clear();
        for _ in 0..count {
            let at = reader.at();
            let step = reader.number("at", 0..=u64::MAX)?;
            let before = touches.last().copied();
            let Some(time) = before.map_or(0, |before| before.at).checked_add(step) else {
                return Err(FrameError::new("at", at, step, "one that leads to a number of 64 bits"));
            };
            let id = reader.u64("id")? as i64;
            if before.is_some_and(|before| (time, id) <= (before.at, before.id)) {
                return Err(FrameError::new("touch", at, format_args!("{time}, {id}"), "more than the one before"));
            }
            let kind = reader.u8("kind of touch")?;
            let dimensions = reader.number("dimensions", 0..=u64::from(u32::MAX))? as u32;
            let repeats = reader.number("repeats", 0..=u64::from(u16::MAX))? as u16;
            touches.push(TouchEntry { at: time, id, kind, dimensions, repeats });
        }
        Ok(())
    }

    #[inline(never)]
    fn read_item(&mut self, reader: &mut Reader<'_>, at: usize, is_same: bool) -> Result<(), FrameError> {
        let most = reader.rest().len() as u64;
        at_most("key length", self.number, most, at)?;
        let length = reader.number("bytes", 0..=most)? as usize;
        let begin = reader.at();
        let (all, before) = (reader.all(), self.key.clone());
        let key = reader.bytes("key", self.number as usize)?;
        if is_same && key <= &all[before] {
            return Err(FrameError::new("key", begin, "not greater", "more than the one before"));
        }
        self.key = begin..reader.at();
        reader.bytes("bytes", length)?;
        self.bytes = self.key.end..reader.at();
        Ok(())
    }

    /// What the key has behind its first number: words, or the bytes of an item's key.
    #[inline(always)]
    pub(crate) fn rest<'a>(&'a self, frame: &'a [u8]) -> (&'a [u64], &'a [u8]) {
        match self.group.kind {
            EntryKind::Row | EntryKind::Sketch => (&self.words, &[]),
            EntryKind::Item => (&[], &frame[self.key.clone()]),
            _ => (&[], &[]),
        }
    }

    /// The entry that was read last, of the frame that it was read from.
    #[inline(always)]
    pub(crate) fn entry<'a>(&'a self, frame: &'a [u8]) -> Entry<'a> {
        let Self { lead, number, words, value, .. } = self;
        let (lead, number, table, bytes) = (*lead, *number, self.group.table, self.bytes.clone());
        match self.group.kind {
            EntryKind::Meta => Entry::Meta { name: lead as u8, value: number },
            EntryKind::Atom => Entry::Atom { hash: lead, text: text_of(&frame[bytes]) },
            EntryKind::Forgotten => Entry::Forgotten { owner: lead },
            EntryKind::Window => {
                let state = match value.state {
                    State::Open => WindowState::Open,
                    State::Closed { sequence, partial, closed_at } => {
                        WindowState::Closed { sequence, partial, node: text_of(&frame[bytes]), closed_at }
                    }
                    State::Gone => WindowState::Gone,
                };
                Entry::Window { instance: lead, number, config: value.config, state }
            }
            EntryKind::Row => Entry::Row { instance: lead, key: words, sums: &value.sums },
            EntryKind::Sketch => {
                let users = match &*value.coupons {
                    [] => Users::Registers(&frame[bytes]),
                    coupons => Users::Coupons(coupons),
                };
                Entry::Sketch { instance: lead, key: words, sketch: SketchRef { precision: value.precision, users } }
            }
            EntryKind::Id => Entry::Id { hash: lead, generation: number },
            EntryKind::Ticks => Entry::Ticks { tier: table, pair: lead, changes: &value.changes },
            EntryKind::Count => Entry::Count { tier: table, pair: lead, change: unzigzag(number) },
            EntryKind::Touches => Entry::Touches { user: lead, touches: &value.touches, evicted: number },
            EntryKind::Latest => Entry::Latest { table, hash: lead, version: number, words: &value.words },
            EntryKind::Item => Entry::Item { table, owner: lead, key: &frame[self.key.clone()], bytes: &frame[bytes] },
            EntryKind::Number => Entry::Number { number: lead as u32, key: words },
        }
    }
}

/// More words than a frame has.
const MOST_WORDS: u64 = 1 << 32;

/// What the two numbers are called that an entry begins with.
fn lead_names(kind: EntryKind) -> [&'static str; 2] {
    match kind {
        EntryKind::Meta => ["name", "value"],
        EntryKind::Atom => ["hash", "text"],
        EntryKind::Forgotten => ["owner", "forgotten"],
        EntryKind::Window => ["instance", "number"],
        EntryKind::Row | EntryKind::Sketch => ["instance", "words"],
        EntryKind::Id => ["hash", "generation"],
        EntryKind::Ticks => ["pair", "tick"],
        EntryKind::Count => ["pair", "change"],
        EntryKind::Touches => ["user", "evicted"],
        EntryKind::Latest => ["hash", "version"],
        EntryKind::Item => ["owner", "key length"],
        EntryKind::Number => ["number", "words"],
    }
}

fn at_most(field: &'static str, number: u64, most: u64, at: usize) -> Result<(), FrameError> {
    if number <= most { Ok(()) } else { Err(FrameError::new(field, at, number, format_args!("at most {most}"))) }
}

fn push_words(bytes: &[u8], words: &mut Vec<u64>) {
    words.extend(bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)));
}

/// Where a text of so many bytes lies.
fn text(field: &'static str, length: u64, reader: &mut Reader<'_>) -> Result<Range<usize>, FrameError> {
    let at = reader.at();
    at_most(field, length, MAX_TEXT_BYTES, at)?;
    let bytes = reader.bytes(field, length as usize)?;
    std::str::from_utf8(bytes).map_err(|_| FrameError::new(field, at, "no UTF-8", "a text"))?;
    Ok(at..reader.at())
}

/// Bytes that were a text when they were read.
fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_else(|_| unreachable!("it was checked"))
}

fn tick_change(word: u64) -> TickChange {
    if word & 1 == 0 { TickChange::Added(word >> 1) } else { TickChange::Released(word >> 1) }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
