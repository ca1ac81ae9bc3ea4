//! The entries of an interval: records are folded into them in any order, and they are written as one run.
//!
//! * [`keys`]: numbers for keys; [`part`]: what there is of one part
//! * [`write`]: sorted and merged, as a run; [`atoms`]: what the atoms in its keys stand for

mod atoms;
mod keys;
mod part;
mod write;

pub use self::atoms::Atoms;
use self::part::{Item, Latest, OfPart};
use super::values::window::OwnWindow;
use super::{TouchEntry, WindowState};
use crate::key::HashedKey;
use crate::sketch::{Coupon, SketchCow};

/// The key of what has no row.
pub const NO_KEY: HashedKey<'static> = HashedKey { hash: 0, words: &[] };

/// Windows that events of one moment are in, mostly.
const LAST_WINDOWS: usize = 4;

/// The entries of an interval. In whatever order they are added, they come to the same.
#[derive(Debug, Default)]
pub struct Entries {
    /// By the number of the part.
    parts: Vec<Option<Box<OfPart>>>,
    /// Hashes of atoms in keys, some more than once.
    atoms: Vec<u64>,
    /// How many records were refused, and why the first one was.
    refused: Option<(u64, String)>,
}

impl Entries {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[inline(always)]
    fn part(&mut self, part: u16) -> &mut OfPart {
        let at = usize::from(part);
        if at >= self.parts.len() {
            self.parts.resize_with(at + 1, || None);
        }
        self.parts[at].get_or_insert_default()
    }

    /// Counts a record that does not fit its part's configuration. The caller leaves it out; what of it was added before stays.
    #[cold]
    pub fn refuse(&mut self, what: impl FnOnce() -> String) {
        self.refused.get_or_insert_with(|| (0, what())).0 += 1;
    }

    /// How many records were refused since it was asked last, and why the first one was, if any was.
    pub fn take_refused(&mut self) -> Option<(u64, String)> {
        self.refused.take()
    }

    /// A number of a part, of which the greatest stays.
    #[inline]
    pub fn meta(&mut self, part: u16, name: u8, value: u64) {
        let own = self.part(part).metas.entry(name).or_default();
        *own = value.max(*own);
    }

    /// How far a window is. It may be said for each event: what was said of the last few windows is not kept again.
    pub fn window(&mut self, part: u16, instance: u64, number: u64, config: u32, state: WindowState<'_>) {
        let window = OwnWindow::new(instance, number, config, state);
        let windows = &mut self.part(part).windows;
        if !windows.iter().rev().take(LAST_WINDOWS).any(|last| *last == window) {
            windows.push(window);
        }
    }

    /// A window is gone, and all that goes with it.
    pub fn gone(&mut self, part: u16, instance: u64) {
        self.window(part, instance, 0, 0, WindowState::Gone);
    }

    /// Adds amounts, each of a metric below `metrics`, to a key of a window. Where one is not, the record is refused without it.
    #[inline]
    pub fn row(
        &mut self,
        part: u16,
        instance: u64,
        key: HashedKey<'_>,
        metrics: usize,
        amounts: impl IntoIterator<Item = (usize, i64)>,
    ) {
        let (sums, is_new) = self.part(part).rows.sums_of(instance, key, metrics);
        let mut beyond = None;
        for (metric, amount) in amounts {
            match sums.get_mut(metric) {
                Some(sum) => *sum = sum.wrapping_add(i128::from(amount)),
                None => beyond = Some(metric),
            }
        }
        if is_new {
            self.atoms_of(key.words);
        }
        if let Some(metric) = beyond {
            self.refuse(|| format!("metric {metric} of part {part}, which has {metrics}"));
        }
    }

    /// Adds sums by metric to a key of a window.
    pub fn row_sums(&mut self, part: u16, instance: u64, key: HashedKey<'_>, sums: &[i128]) {
        let (own, is_new) = self.part(part).rows.sums_of(instance, key, sums.len());
        own.iter_mut().zip(sums).for_each(|(own, sum)| *own = own.wrapping_add(*sum));
        if is_new {
            self.atoms_of(key.words);
        }
    }

    /// Adds sums by metric to what has no row in a window.
    pub fn overflow(&mut self, part: u16, instance: u64, sums: &[i128]) {
        self.row_sums(part, instance, NO_KEY, sums);
    }

    /// Adds a user to the sketch of a key of a window, which is of that precision.
    #[inline]
    pub fn coupon(&mut self, part: u16, instance: u64, key: HashedKey<'_>, precision: u8, coupon: Coupon) {
        let sketches = &mut self.part(part).sketches;
        let (number, is_new) = sketches.number(instance, key, precision);
        sketches.push(number, coupon);
        if is_new {
            self.atoms_of(key.words);
        }
    }

    /// Adds all users of a sketch to that of a key of a window.
    pub fn sketch(&mut self, part: u16, instance: u64, key: HashedKey<'_>, sketch: &SketchCow<'_>) {
        let sketches = &mut self.part(part).sketches;
        let (number, is_new) = sketches.number(instance, key, sketch.precision());
        sketches.merge(number, sketch);
        if is_new {
            self.atoms_of(key.words);
        }
    }

    /// An id was seen in a generation.
    #[inline]
    pub fn id(&mut self, part: u16, hash: u64, generation: u64) {
        self.part(part).ids.push((hash, generation));
    }

    /// A tick of a pair was counted. Ticks are below 2^63.
    #[inline]
    pub fn tick(&mut self, part: u16, tier: u8, pair: u64, tick: u64) {
        self.part(part).ticks.push((tier, pair, tick, false));
    }

    /// A tick of a pair was taken back that was counted before, in this interval or an older one.
    #[inline]
    pub fn release(&mut self, part: u16, tier: u8, pair: u64, tick: u64) {
        self.part(part).ticks.push((tier, pair, tick, true));
    }

    /// A count of a pair has changed.
    #[inline]
    pub fn count(&mut self, part: u16, tier: u8, pair: u64, change: i64) {
        self.part(part).counts.push((tier, pair, change));
    }

    /// A user has a touch.
    #[inline]
    pub fn touch(&mut self, part: u16, user: u64, touch: TouchEntry) {
        self.part(part).touches.push((user, touch));
    }

    /// A user had a touch of that time which was not kept.
    pub fn evicted(&mut self, part: u16, user: u64, at: u64) {
        self.part(part).evicted.push((user, at));
    }

    /// A record has a version. Without words it was removed.
    pub fn latest(&mut self, part: u16, table: u8, hash: u64, version: u64, words: &[u64]) {
        self.part(part).latest.push(Latest { table, hash, version, words: words.into() });
    }

    /// One of a set.
    pub fn item(&mut self, part: u16, table: u8, owner: u64, key: &[u8], bytes: &[u8]) {
        self.part(part).items.push(Item { table, owner, key: key.into(), bytes: bytes.into() });
    }

    /// What a number stands for.
    pub fn number(&mut self, part: u16, number: u32, key: &[u64]) {
        let numbers = &mut self.part(part).numbers;
        let known = numbers.get(&number);
        if known.is_none_or(|known| **known < *key) {
            numbers.insert(number, key.into());
            self.atoms_of(key);
        }
    }

    /// A user is to be forgotten: what older intervals have of it goes, what this one has stays.
    pub fn forgotten(&mut self, part: u16, owner: u64) {
        self.part(part).forgotten.push(owner);
    }

    /// Notes the atoms of a key, so that the store has their texts. Keys of rows, sketches and numbers are noted anyway.
    pub fn atoms_of(&mut self, key: &[u64]) {
        atoms::of_key(key, &mut self.atoms);
    }

    /// Forgets all of them, and keeps the room for others.
    pub fn clear(&mut self) {
        self.parts.iter_mut().flatten().for_each(|part| part.clear());
        self.atoms.clear();
    }
}
