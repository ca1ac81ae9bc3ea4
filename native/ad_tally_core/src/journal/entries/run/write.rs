//! Writes a run: entries in their order, as frames.
//!
//! The page `guides/internals/store-format.md` has the format of every kind.

use super::frame::{Chain, FRAME_HEADER_BYTES, FULL_FRAME_BYTES, seal};
use super::pair;
use crate::codec::Writer;
use crate::journal::{Entry, EntryKind, SketchRef, TickChange, TouchEntry, Users, WindowState};

/// Where the beginning of a group says how many entries it has.
const GROUP_ENTRIES_AT: usize = 2;

/// What entries of a group have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    pub(crate) part: u16,
    pub(crate) kind: EntryKind,
    /// The tier or table, 0 of kinds without.
    pub(crate) table: u8,
}

impl Group {
    /// By what groups are ordered.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        u32::from(self.part) << 16 | u32::from(self.kind as u8) << 8 | u32::from(self.table)
    }

    pub(crate) fn of(part: u16, entry: &Entry<'_>) -> Self {
        let table = match entry {
            Entry::Ticks { tier: table, .. }
            | Entry::Count { tier: table, .. }
            | Entry::Latest { table, .. }
            | Entry::Item { table, .. } => *table,
            _ => 0,
        };
        Self { part, kind: entry.kind(), table }
    }
}

/// Writes the frames of a run, one after the other.
#[derive(Debug)]
pub struct RunWriter {
    chain: Chain,
    /// The interval that the run is, or 0.
    interval: u64,
    /// Frames, of which the last one is being written.
    out: Writer,
    /// Where that begins.
    begin: usize,
    /// How many entries it has.
    entries: u32,
    group: Option<Group>,
    group_at: usize,
    group_entries: u32,
    /// The first number of the key that was written last in this group.
    lead: u64,
    /// The words of its key, if it has some.
    words: Vec<u64>,
    /// How many entries there were in all frames.
    written: u64,
}

impl RunWriter {
    /// Begins a run whose first frame follows those of a chain.
    #[must_use]
    pub fn new(chain: Chain) -> Self {
        Self::of_interval(chain, 0)
    }

    /// Begins the run that an interval is.
    #[must_use]
    pub fn of_interval(chain: Chain, interval: u64) -> Self {
        let mut this = Self {
            chain,
            interval,
            out: Writer::default(),
            begin: 0,
            entries: 0,
            group: None,
            group_at: 0,
            group_entries: 0,
            lead: 0,
            words: Vec::new(),
            written: 0,
        };
        this.begin_frame();
        this
    }

    /// The frames that are whole.
    #[must_use]
    pub fn whole(&self) -> &[u8] {
        &self.out.as_bytes()[..self.begin]
    }

    /// Forgets the frames that are whole, once they are somewhere else.
    pub fn clear_whole(&mut self) {
        let begin = std::mem::take(&mut self.begin);
        self.out.with(|bytes| drop(bytes.drain(..begin)));
        self.group_at -= begin.min(self.group_at);
    }

    /// How many entries were written.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.written
    }

    /// Ends the run: its frames that were not cleared, and the chain behind them.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, Chain) {
        self.end_frame(true);
        (self.out.into_bytes(), self.chain)
    }

    /// Writes an entry, which comes after the one before it.
    pub fn push(&mut self, part: u16, entry: &Entry<'_>) {
        let group = Group::of(part, entry);
        // A frame is of one part, so that who reads another one passes over it.
        let is_other = self.group.is_some_and(|last| last.part != part);
        if is_other || self.out.len() - self.begin >= FULL_FRAME_BYTES {
            self.end_frame(false);
            self.begin_frame();
        }
        if self.group != Some(group) {
            debug_assert!(self.group.is_none_or(|last| last < group), "{:?} before {group:?}", self.group);
            self.begin_group(group);
        }
        self.group_entries += 1;
        self.entries += 1;
        self.written += 1;
        match *entry {
            Entry::Meta { name, value } => self.pair(u64::from(name), value),
            Entry::Atom { hash, text } => {
                self.pair(hash, text.len() as u64);
                self.out.bytes(text.as_bytes());
            }
            Entry::Forgotten { owner } => self.pair(owner, 0),
            Entry::Window { instance, number, config, state } => {
                self.pair(instance, number);
                self.out.number(u64::from(config));
                window_state(&mut self.out, state);
            }
            Entry::Row { instance, key, sums } => {
                self.key(instance, key);
                self.out.number(sums.len() as u64);
                sums.iter().for_each(|sum| self.out.signed(*sum));
            }
            Entry::Sketch { instance, key, sketch } => {
                self.key(instance, key);
                users(&mut self.out, sketch);
            }
            Entry::Id { hash, generation } => self.pair(hash, generation),
            Entry::Ticks { tier: _, pair, changes } => {
                let mut words = changes.iter().copied().map(tick_word);
                self.pair(pair, words.next().unwrap_or_else(|| unreachable!("a pair has a change")));
                self.out.number(changes.len() as u64 - 1);
                changes.windows(2).for_each(|changes| {
                    let [before, after] = [changes[0], changes[1]].map(|change| i128::from(tick_word(change)));
                    self.out.signed(after - before);
                });
            }
            Entry::Count { tier: _, pair, change } => self.pair(pair, zigzag(change)),
            Entry::Touches { user, touches, evicted } => {
                self.pair(user, evicted);
                put_touches(&mut self.out, touches);
            }
            Entry::Latest { table: _, hash, version, words } => {
                self.pair(hash, version);
                self.out.number(words.len() as u64);
                self.out.bytes(bytemuck::cast_slice(words));
            }
            Entry::Item { table: _, owner, key, bytes } => {
                self.pair(owner, key.len() as u64);
                self.out.number(bytes.len() as u64);
                self.out.bytes(key);
                self.out.bytes(bytes);
            }
            Entry::Number { number, key } => {
                self.pair(u64::from(number), key.len() as u64);
                self.out.bytes(bytemuck::cast_slice(key));
            }
        }
    }

    fn begin_frame(&mut self) {
        self.begin = self.out.len();
        self.out.bytes(&[0; FRAME_HEADER_BYTES]);
        (self.entries, self.group) = (0, None);
    }

    fn end_frame(&mut self, is_last: bool) {
        self.end_group();
        let part = self.group.map_or(0, |group| group.part);
        let Self { chain, interval, begin, entries, .. } = self;
        self.out.with(|bytes| seal(&mut bytes[*begin..], *entries, part, is_last, *interval, chain));
        self.begin = self.out.len();
    }

    fn begin_group(&mut self, group: Group) {
        self.end_group();
        (self.group, self.group_at, self.group_entries, self.lead) = (Some(group), self.out.len(), 0, 0);
        self.out.u8(group.kind as u8);
        self.out.u8(group.table);
        self.out.u32(0);
    }

    fn end_group(&mut self) {
        if self.group.is_some() {
            let (at, entries) = (self.group_at + GROUP_ENTRIES_AT, self.group_entries);
            self.out.with(|bytes| bytes[at..at + 4].copy_from_slice(&entries.to_le_bytes()));
        }
    }

    /// The first number of a key, by how much it is greater than the one before, and a number of the value.
    #[inline(always)]
    fn pair(&mut self, lead: u64, number: u64) {
        debug_assert!(lead >= self.lead, "{lead} after {}", self.lead);
        let step = lead - self.lead;
        self.lead = lead;
        self.out.with(|bytes| pair::write(step, number, bytes));
    }

    /// A window and the words of a key, but for those that it has in common with the key before.
    fn key(&mut self, instance: u64, key: &[u64]) {
        let shared = if self.group_entries > 1 && instance == self.lead {
            self.words.iter().zip(key).take_while(|(before, own)| before == own).count()
        } else {
            0
        };
        self.pair(instance, (key.len() - shared) as u64);
        self.out.number(shared as u64);
        self.out.bytes(bytemuck::cast_slice(&key[shared..]));
        self.words.truncate(shared);
        self.words.extend_from_slice(&key[shared..]);
    }
}

fn window_state(out: &mut Writer, state: WindowState<'_>) {
    match state {
        WindowState::Open => out.u8(0),
        WindowState::Closed { sequence, partial, node, closed_at } => {
            out.u8(1);
            out.number(sequence);
            out.u8(u8::from(partial));
            out.number(closed_at);
            out.number(node.len() as u64);
            out.bytes(node.as_bytes());
        }
        WindowState::Gone => out.u8(2),
    }
}

/// The precision, and how many coupons follow, or 0 and the registers.
fn users(out: &mut Writer, sketch: SketchRef<'_>) {
    out.u8(sketch.precision);
    match sketch.users {
        Users::Coupons(coupons) => {
            out.number(coupons.len() as u64);
            coupons.iter().for_each(|coupon| out.u32(coupon.word()));
        }
        Users::Registers(registers) => {
            out.number(0);
            out.bytes(registers);
        }
    }
}

fn put_touches(out: &mut Writer, touches: &[TouchEntry]) {
    out.number(touches.len() as u64);
    let mut before = 0;
    for TouchEntry { at, id, kind, dimensions, repeats } in touches {
        out.number(at - before);
        out.u64(*id as u64);
        out.u8(*kind);
        out.number(u64::from(*dimensions));
        out.number(u64::from(*repeats));
        before = *at;
    }
}

/// A tick and, in the lowest bit, whether it was released.
fn tick_word(change: TickChange) -> u64 {
    match change {
        TickChange::Added(tick) => tick << 1,
        TickChange::Released(tick) => tick << 1 | 1,
    }
}

/// A signed number as one that is small where it is near 0.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}
