//! The events of pairs in one tier: lines by hash, each with a lock of its own.
//!
//! A pair belongs to the line that the high bits of its hash name among `first` lines, and has as many slots there as its
//! events need. A line that is full gives its last word to the number of an overflow line, where its slots go on; there may
//! be several, one after the other, and all are guarded by the lock of the line they begin at.
//!
//! **Growth.** The memory for as many lines as there may ever be is reserved at once and not used until it is touched. To
//! grow is to allow one more split: line `i` of `first * 2^k` gives those of its pairs whose fingerprint has bit `k` to line
//! `i + first * 2^k`, when it is next touched. So no call ever moves more than a line or two, and an add never waits for
//! growth. A line that has not come into being yet (no splits, and not among the first) is looked for where its pairs still
//! are. Whoever has locked a line makes sure that it is still the one: it may have been split meanwhile.

use std::sync::atomic::Ordering::Relaxed;

use super::line::{Header, Held, Line, WORDS};
use super::slots::{self, Format, Lanes, Slot, TICKS};
use crate::bucket::free_list::FreeList;
use crate::memory::Lines;
use crate::sync::AtomicU64;

/// Ticks of a pair that are looked at: enough for any rule.
pub(super) const MOST_TICKS: usize = super::MOST_TICKS;
/// The same, four at a time.
pub(super) const MOST_LANES: usize = MOST_TICKS / 4;
/// Ticks of a pair that are kept: one more, so that a pair is known to have lost none as long as it has fewer than that.
const MOST_KEPT: usize = MOST_TICKS + 1;
/// Slots that a line is meant to hold at capacity, in 64ths: 4.5 of 7, so that a line in eleven has overflowed, with one pair
/// in eight of all; 1.9 of the 3 of a strict one.
const SLOTS_AT_CAPACITY: usize = 288;
const STRICT_SLOTS_AT_CAPACITY: usize = 120;
/// Overflow lines beside the lines, of 64.
const OVERFLOW: usize = 16;
const LEAST_OVERFLOW: usize = 64;
/// How many counts of words and pairs there are, so that threads seldom meet in one.
const STRIPES: usize = 64;
/// Below this capacity there is one, so that small tables are full exactly at theirs.
const STRIPED_CAPACITY: usize = 1 << 16;
/// The deepest chain that a reader follows: it may be led astray by a line that changes.
const DEEPEST: usize = 1 << 10;

pub(super) struct Table {
    lines: Lines<Line>,
    format: Format,
    /// Lines before any split.
    first: u64,
    /// How often they may be split, and are allowed to be by now.
    most_splits: u32,
    splits: AtomicU64,
    /// Lines behind all others that full ones go on in.
    overflow: FreeList,
    stripes: Box<[Stripe]>,
    /// What `end` is set ahead of the newest event, in ticks: as long a line need not be looked through for old ones.
    ahead: u64,
    /// Pairs and words at which a stripe is full, and lines are split once more.
    most_pairs: i64,
    words_before_split: i64,
}

/// Pairs that a stripe may have. They spread at random: with four standard deviations more than the average, hardly any
/// stripe is full before the table is.
fn most_of_a_stripe(max_capacity: usize, stripes: usize) -> usize {
    let average = max_capacity.div_ceil(stripes);
    if stripes == 1 { average } else { average + 4 * average.isqrt() }
}

#[repr(align(64))]
#[derive(Default)]
struct Stripe {
    words: Count,
    extra_words: Count,
}

#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, amount: i64) {
        self.0.fetch_add(amount as u64, Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Relaxed) as i64
    }
}

/// A table's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Size {
    pub(super) pairs: usize,
    pub(super) words: usize,
    pub(super) overflow_lines: usize,
    pub(super) slots: usize,
    pub(super) splits: u32,
}

/// There is no room for another pair or another line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// A pair's line, locked.
pub(super) struct Home<'t> {
    pub(super) table: &'t Table,
    pub(super) held: Held<'t>,
    pub(super) at: usize,
}

/// What [`Home::add`] did, so that it can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// The pair has a tick or a count more.
    More,
    /// The tick took the place of the pair's oldest one.
    InPlaceOf(u64),
    /// The tick is not kept: it is too old for the line, or the pair has as many as are kept and none is older.
    NotKept,
}

/// What is known of an event of a pair at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// There is one.
    Kept,
    /// There may have been one, which was given up: it is too old for the line, or no newer than the oldest tick of a pair
    /// that has as many as are kept.
    Lost,
    /// There is none.
    Absent,
}

/// What a pair has in a tier.
///
/// With fewer than [`MOST_KEPT`] ticks it has all events that the line reaches back to. With as many it is full: it has all
/// events that are newer than its oldest tick, and may have lost any number that are not. The oldest tick then only says from
/// where on events are known; how often it is there says nothing.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The newest [`MOST_TICKS`].
    ages: [Lanes; MOST_LANES],
    /// As many as are kept.
    length: usize,
    /// The count of a lifetime.
    pub(super) count: u64,
}

impl Seen {
    /// Nothing.
    pub(super) fn new() -> Self {
        Self { ages: [Lanes::EMPTY; MOST_LANES], length: 0, count: 0 }
    }

    /// The ages of its events.
    #[inline(always)]
    pub(super) fn ages(&self) -> &[Lanes; MOST_LANES] {
        &self.ages
    }

    /// How many events there are.
    #[cfg(loom)]
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Whether events no newer than the oldest tick may have been given up.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.length >= MOST_KEPT
    }

    #[inline(always)]
    fn push(&mut self, age: u64) {
        if self.length < MOST_TICKS {
            self.set(self.length, age);
        } else {
            self.push_instead(age);
        }
        self.length += 1;
    }

    /// One more than are looked at: the oldest is left out.
    #[cold]
    fn push_instead(&mut self, age: u64) {
        let oldest = self.each().enumerate().max_by_key(|(_, age)| *age);
        if let Some((at, _)) = oldest.filter(|(_, oldest)| *oldest > age) {
            self.set(at, age);
        }
    }

    #[inline(always)]
    fn set(&mut self, at: usize, age: u64) {
        let lanes = &mut self.ages[at / 4];
        *lanes = lanes.with(at % 4, age);
    }

    fn each(&self) -> impl Iterator<Item = u64> {
        self.ages.iter().flat_map(|lanes| lanes.each())
    }

    /// The same, counted from a later end.
    pub(super) fn later(&mut self, by: u64) {
        let before = self.each().count();
        self.ages = self.ages.map(|lanes| lanes.later(by));
        let left = self.each().count();
        // What a full pair may have lost is no newer than its oldest tick, so it is too old as soon as that is.
        if left < before {
            self.length = left;
        }
    }
}

impl Table {
    /// A table for so many pairs, and as many more as splits allow up to the most. `ahead` as in the field; `None` if the
    /// system has no memory for it.
    pub(super) fn new(format: Format, capacity: usize, max_capacity: usize, ahead: u64) -> Result<Self, usize> {
        let at_capacity = if format == Format::Strict { STRICT_SLOTS_AT_CAPACITY } else { SLOTS_AT_CAPACITY };
        let first = (capacity * 64).div_ceil(at_capacity).max(1);
        let most_splits = max_capacity.div_ceil(capacity).next_power_of_two().trailing_zeros();
        let most_lines = first << most_splits;
        let overflow = (most_lines * OVERFLOW / 64).max(LEAST_OVERFLOW);
        let count = most_lines + overflow;
        let lines = Lines::new(count).ok_or(count * size_of::<Line>())?;
        let stripes = if capacity < STRIPED_CAPACITY { 1 } else { STRIPES };
        Ok(Self {
            lines,
            format,
            first: first as u64,
            most_splits,
            splits: AtomicU64::new(0),
            overflow: FreeList::new(overflow as u32),
            stripes: (0..stripes).map(|_| Stripe::default()).collect(),
            ahead,
            most_pairs: most_of_a_stripe(max_capacity, stripes) as i64,
            // One in four more than it is meant to hold.
            words_before_split: (capacity * 5 / 4).div_ceil(stripes).max(8) as i64,
        })
    }

    fn splits(&self) -> u32 {
        self.splits.load(Relaxed) as u32
    }

    #[inline(always)]
    pub(super) fn line(&self, at: usize) -> &Line {
        &self.lines.all()[at]
    }

    pub(super) fn overflow_line(&self, number: u64) -> Option<&Line> {
        let all = self.lines.all();
        all.get((self.first as usize).checked_shl(self.most_splits)?.checked_add(number as usize)?)
    }

    fn stripe(&self, at: usize) -> &Stripe {
        &self.stripes[at & (self.stripes.len() - 1)]
    }

    /// Where a hash belongs among lines that were split so often.
    #[inline(always)]
    fn place(&self, hash: u64, splits: u32) -> usize {
        let among_first = (u128::from(hash) * u128::from(self.first)) >> 64;
        if splits == 0 {
            return among_first as usize;
        }
        // The fingerprint's lowest bits: the highest ones of the product choose among the first.
        let split = hash & ((1 << splits) - 1);
        among_first as usize + (self.first * split) as usize
    }

    /// The line before its last split, of one that is not among the first.
    fn parent(&self, at: usize) -> usize {
        let power = at as u64 / self.first;
        at - (self.first << power.ilog2()) as usize
    }

    fn is_born(&self, at: usize, header: Header) -> bool {
        header.splits() > 0 || (at as u64) < self.first
    }

    /// The number of a pair's line, which exists.
    #[inline(always)]
    pub(super) fn home(&self, hash: u64) -> usize {
        let splits = self.splits();
        let at = self.place(hash, splits);
        if splits > 0 { self.home_after_splits(at) } else { at }
    }

    fn home_after_splits(&self, at: usize) -> usize {
        let mut at = at;
        while !self.is_born(at, self.line(at).peek()) {
            at = self.parent(at);
        }
        at
    }

    /// Locks a pair's line, and splits it before if it is its turn.
    #[inline(always)]
    pub(super) fn lock(&self, hash: u64) -> Home<'_> {
        loop {
            self.split_for(hash);
            let at = self.home(hash);
            if let Some(home) = self.lock_at(at, hash) {
                return home;
            }
        }
    }

    /// Whether a line that the caller has locked is that of a hash.
    pub(super) fn is_home(&self, at: usize, hash: u64) -> bool {
        self.is_home_by(self.line(at).peek(), at, hash)
    }

    /// The same by what the line's header says.
    #[inline(always)]
    pub(super) fn is_home_by(&self, header: Header, at: usize, hash: u64) -> bool {
        header.splits() == 0 || self.place(hash, header.splits()) == at
    }

    /// Locks a line if it is that of a hash.
    #[inline(always)]
    pub(super) fn lock_at(&self, at: usize, hash: u64) -> Option<Home<'_>> {
        let held = self.line(at).lock();
        self.is_home_by(held.header, at, hash).then(|| Home { table: self, held, at })
    }

    /// Brings the line of a pair into being, and splits it as often as is allowed.
    #[inline(always)]
    pub(super) fn split_for(&self, hash: u64) {
        let allowed = self.splits();
        if allowed > 0 && self.line(self.place(hash, allowed)).peek().splits() < allowed {
            self.split_up_to(hash, allowed);
        }
    }

    #[cold]
    fn split_up_to(&self, hash: u64, allowed: u32) {
        for splits in 0..allowed {
            let at = self.place(hash, splits);
            let held = self.line(at).lock();
            if held.header.splits() == splits {
                Home { table: self, held, at }.split();
            }
        }
    }

    /// Looks at a pair without a lock, its ages as of `tick` or the line's end, whichever is later: that end too. `None` if
    /// the line changes all the time.
    #[inline(always)]
    pub(super) fn look(&self, hash: u64, tick: u64) -> Option<(Seen, u64)> {
        loop {
            let at = self.home(hash);
            let line = self.line(at);
            let seen = line.read(|header| {
                self.is_home_by(header, at, hash).then(|| (self.seen(line, header, hash), header.end()))
            })?;
            if let Some((mut seen, end)) = seen {
                if tick > end {
                    seen.later(tick - end);
                }
                return Some((seen, end.max(tick)));
            }
        }
    }

    #[inline(always)]
    fn seen(&self, line: &Line, header: Header, hash: u64) -> Seen {
        let mut seen = Seen::new();
        let fingerprint = self.format.fingerprint(hash);
        let end = header.end() % TICKS;
        self.visit(line, header, |_, _, slot| {
            if slot.fingerprint == fingerprint && slot.content != 0 {
                if self.format == Format::Count {
                    seen.count += slot.content;
                } else {
                    slots::ages(slot.content, end).for_each(|age| seen.push(u64::from(age)));
                }
            }
            true
        });
        seen
    }

    /// Shows the slots of a line and its overflow lines until `show` is false.
    #[inline(always)]
    fn visit<'a>(&'a self, line: &'a Line, header: Header, mut show: impl FnMut(&'a Line, usize, Slot) -> bool) {
        for slot in 0..self.format.slots(header.is_linked()) {
            if !show(line, slot, self.format.get(line, slot)) {
                return;
            }
        }
        if header.is_linked() {
            self.visit_overflow(line.word(WORDS - 1), &mut show);
        }
    }

    #[cold]
    #[inline(never)]
    fn visit_overflow<'a>(&'a self, mut number: u64, show: &mut impl FnMut(&'a Line, usize, Slot) -> bool) {
        for _ in 0..DEEPEST {
            let Some(line) = self.overflow_line(number) else { return };
            let linked = line.peek().is_linked();
            for slot in 0..self.format.slots(linked) {
                if !show(line, slot, self.format.get(line, slot)) {
                    return;
                }
            }
            if !linked {
                return;
            }
            number = line.word(WORDS - 1);
        }
    }

    /// Takes back lines that are no longer linked.
    fn give_back(&self, numbers: Vec<u32>) {
        for line in numbers.iter().filter_map(|number| self.overflow_line(u64::from(*number))) {
            (0..WORDS).for_each(|word| line.set_word(word, 0));
            line.set_linked(false);
        }
        if !numbers.is_empty() {
            self.overflow.give_back(numbers);
        }
    }

    /// Allows one more split when a stripe holds more than it is meant to.
    fn split_if_crowded(&self, stripe: &Stripe) {
        let splits = self.splits();
        if splits < self.most_splits && stripe.words.get() > self.words_before_split << splits {
            let next = u64::from(splits + 1);
            let _ = self.splits.compare_exchange(u64::from(splits), next, Relaxed, Relaxed);
        }
    }

    /// Its numbers now.
    pub(super) fn size(&self) -> Size {
        let words: i64 = self.stripes.iter().map(|stripe| stripe.words.get()).sum();
        let extra: i64 = self.stripes.iter().map(|stripe| stripe.extra_words.get()).sum();
        let splits = self.splits();
        let lines = (self.first as usize) << splits;
        Size {
            pairs: (words - extra).max(0) as usize,
            words: words.max(0) as usize,
            overflow_lines: self.overflow.taken(),
            slots: lines * self.format.slots(false),
            splits,
        }
    }

    /// The memory of its lines, as far as they are in use.
    pub(super) fn bytes(&self) -> usize {
        let lines = (self.first as usize) << self.splits();
        (lines + self.overflow.touched()) * size_of::<Line>() + size_of_val::<[Stripe]>(&self.stripes)
    }

    pub(super) fn huge_bytes(&self) -> Option<usize> {
        self.lines.huge_bytes()
    }

    /// Removes what is too old at a tick from lines beginning at number `from`, as many as `most`: the number of the next
    /// line, if there is one, and how many slots became empty.
    pub(super) fn sweep(&self, from: usize, most: usize, tick: u64) -> (Option<usize>, usize) {
        let lines = (self.first as usize) << self.splits();
        let end = from.saturating_add(most).min(lines);
        let removed = (from..end).map(|at| {
            let held = self.line(at).lock();
            if !self.is_born(at, held.header) {
                return 0;
            }
            let mut home = Home { table: self, held, at };
            while home.held.header.splits() < self.splits() {
                home.split();
            }
            home.expire(tick)
        });
        let removed = removed.sum();
        ((end < lines).then_some(end), removed)
    }
}

impl<'t> Home<'t> {
    /// The line's end.
    #[inline(always)]
    pub(super) fn end(&self) -> u64 {
        self.held.header.end()
    }

    /// Has the line reach to a tick at least: removes what is too old to be told from it.
    #[inline(always)]
    pub(super) fn reach(&mut self, tick: u64) {
        if tick > self.end() && self.table.format != Format::Count {
            self.expire(tick);
        }
    }

    /// What a pair has here.
    pub(super) fn seen(&self, hash: u64) -> Seen {
        self.table.seen(self.held.line, self.held.header, hash)
    }

    /// Counts an event of a pair, at a tick up to the line's end.
    pub(super) fn add(&mut self, hash: u64, tick: u64) -> Result<Added, Full> {
        let format = self.table.format;
        let fingerprint = format.fingerprint(hash);
        let kept = slots::kept(tick);
        if format != Format::Count && self.end() - tick >= TICKS {
            return Ok(Added::NotKept);
        }
        let (mut own, mut with_room, mut empty) = (0, None, None);
        let mut seen = 0;
        let (table, line) = (self.table, self.held.line);
        table.visit(line, self.held.header, |line, slot, value| {
            if value.content == 0 {
                empty = empty.or(Some((line, slot)));
            } else if value.fingerprint == fingerprint {
                own += 1;
                let more = if format == Format::Count {
                    Some((value.content + 1).min(0xffff))
                } else {
                    seen += slots::ages(value.content, 0).count();
                    slots::with(value.content, format.ticks(), kept)
                };
                if let Some(content) = more {
                    with_room = Some((line, slot, Slot { fingerprint, content }));
                }
            }
            true
        });
        if seen >= MOST_KEPT {
            return Ok(self.replace_oldest(hash, tick));
        }
        if let Some((line, slot, value)) = with_room {
            self.held.change();
            format.set(line, slot, value);
            return Ok(Added::More);
        }
        self.add_slot(own, empty, Slot { fingerprint, content: if format == Format::Count { 1 } else { kept } })?;
        Ok(Added::More)
    }

    /// Puts a slot into an empty place or a line more.
    #[inline(never)]
    pub(super) fn add_slot(&mut self, own: usize, empty: Option<(&Line, usize)>, value: Slot) -> Result<(), Full> {
        let stripe = self.table.stripe(self.at);
        if own == 0 && stripe.words.get() - stripe.extra_words.get() >= self.table.most_pairs {
            return Err(Full);
        }
        match empty {
            Some((line, slot)) => {
                self.held.change();
                self.table.format.set(line, slot, value);
            }
            None => self.add_line(value)?,
        }
        stripe.words.add(1);
        if own > 0 {
            stripe.extra_words.add(1);
        }
        self.table.split_if_crowded(stripe);
        Ok(())
    }

    /// Goes on in an overflow line, whose first slot is this one.
    fn add_line(&mut self, value: Slot) -> Result<(), Full> {
        let number = u64::from(self.table.overflow.take().ok_or(Full)?);
        let Some(more) = self.table.overflow_line(number) else { return Err(Full) };
        self.held.change();
        let format = self.table.format;
        let (line, linked) = (self.held.line, self.held.header.is_linked());
        format.set(more, 0, value);
        // It goes between the line and what the line was linked to.
        more.set_linked(linked);
        if linked {
            more.set_word(WORDS - 1, line.word(WORDS - 1));
        } else if format != Format::Strict {
            format.set(more, 1, format.get(line, WORDS - 1));
        }
        line.set_word(WORDS - 1, number);
        self.held.header = self.held.header.with_linked(true);
        Ok(())
    }

    /// Gives up the oldest tick of a pair for another one, unless that is no newer.
    fn replace_oldest(&mut self, hash: u64, tick: u64) -> Added {
        let oldest = self.end() - self.oldest(hash).1;
        if tick <= oldest {
            return Added::NotKept;
        }
        self.replace(hash, oldest, tick);
        Added::InPlaceOf(oldest)
    }

    /// How many ticks of a pair are kept, and the age of the oldest one, 0 if there is none.
    fn oldest(&self, hash: u64) -> (usize, u64) {
        let fingerprint = self.table.format.fingerprint(hash);
        let end = self.end() % TICKS;
        let (mut count, mut oldest) = (0, 0);
        self.table.visit(self.held.line, self.held.header, |_, _, value| {
            if value.content != 0 && value.fingerprint == fingerprint {
                for age in slots::ages(value.content, end) {
                    count += 1;
                    oldest = oldest.max(u64::from(age));
                }
            }
            true
        });
        (count, oldest)
    }

    /// What is known of an event of a pair at a tick. Of a lifetime, which knows no ticks, whether there is an event at all.
    pub(super) fn known(&self, hash: u64, tick: u64) -> Known {
        if self.table.format == Format::Count {
            return if self.seen(hash).count > 0 { Known::Kept } else { Known::Absent };
        }
        let Some(age) = self.end().checked_sub(tick) else { return Known::Absent };
        let (count, oldest) = self.oldest(hash);
        if age >= TICKS || count >= MOST_KEPT && age >= oldest {
            return Known::Lost;
        }
        if self.place_with(hash, tick).is_some() { Known::Kept } else { Known::Absent }
    }

    /// Takes an event back that is known to be there: one at that tick, or any of a lifetime.
    pub(super) fn take_back(&mut self, hash: u64, tick: u64) {
        if self.table.format != Format::Count
            && let (count, oldest) = self.oldest(hash)
            && count >= MOST_KEPT
        {
            // It stays full: of older events it may have lost some.
            self.replace(hash, tick, self.end() - oldest);
        } else {
            self.remove(hash, tick);
        }
    }

    /// Undoes what [`Home::add`] has done a moment ago, under the same lock.
    pub(super) fn undo(&mut self, hash: u64, tick: u64, added: Added) {
        match added {
            Added::More => self.remove(hash, tick),
            Added::InPlaceOf(oldest) => self.replace(hash, tick, oldest),
            Added::NotKept => {}
        }
    }

    /// A slot of a pair that has a tick, and what it holds without it. Of a lifetime: with one event less.
    fn place_with(&self, hash: u64, tick: u64) -> Option<(&'t Line, usize, u64)> {
        let format = self.table.format;
        let fingerprint = format.fingerprint(hash);
        let mut found = None;
        self.table.visit(self.held.line, self.held.header, |line, slot, value| {
            if value.content != 0 && value.fingerprint == fingerprint {
                let less = match format {
                    // A count that has come to its end is no longer known.
                    Format::Count => Some(if value.content == 0xffff { 0xffff } else { value.content - 1 }),
                    _ => slots::without(value.content, format.ticks(), slots::kept(tick)),
                };
                found = less.map(|content| (line, slot, content));
            }
            found.is_none()
        });
        found
    }

    /// Puts one tick of a pair in the place of another one, which is there.
    fn replace(&mut self, hash: u64, tick: u64, other: u64) {
        let format = self.table.format;
        let Some((line, slot, without)) = self.place_with(hash, tick) else { return };
        if let Some(content) = slots::with(without, format.ticks(), slots::kept(other)) {
            self.held.change();
            format.set(line, slot, Slot { fingerprint: format.fingerprint(hash), content });
        }
    }

    /// Removes one tick of a pair, or one event of a lifetime.
    fn remove(&mut self, hash: u64, tick: u64) {
        let format = self.table.format;
        let fingerprint = format.fingerprint(hash);
        let Some((line, slot, content)) = self.place_with(hash, tick) else { return };
        self.held.change();
        format.set(line, slot, Slot { fingerprint, content });
        if content == 0 {
            self.forget(1, self.extra_among(&[fingerprint]));
            self.compact();
        }
    }

    /// Has the stripe know that slots became empty, some of pairs that have others.
    fn forget(&self, words: usize, extra: usize) {
        let stripe = self.table.stripe(self.at);
        stripe.words.add(-(words as i64));
        stripe.extra_words.add(-(extra as i64));
    }

    /// Removes ticks that are too old for a tick and for all up to the line's new end. How many slots became empty.
    #[inline(never)]
    fn expire(&mut self, tick: u64) -> usize {
        if self.table.format == Format::Count || tick + self.table.ahead <= self.end() {
            return 0;
        }
        let format = self.table.format;
        let (old_end, end) = (self.end(), tick + self.table.ahead);
        self.held.change();
        let mut emptied = Vec::new();
        let passed = end - old_end;
        self.table.visit(self.held.line, self.held.header, |line, slot, value| {
            if value.content != 0 {
                let content = match (TICKS - 1).checked_sub(passed) {
                    Some(oldest) => slots::without_older(value.content, format.ticks(), old_end % TICKS, oldest),
                    None => 0,
                };
                if content != value.content {
                    format.set(line, slot, Slot { fingerprint: value.fingerprint, content });
                }
                if content == 0 {
                    emptied.push(value.fingerprint);
                }
            }
            true
        });
        self.held.header = self.held.header.with_end(end);
        if !emptied.is_empty() {
            self.forget(emptied.len(), self.extra_among(&emptied));
            self.compact();
        }
        emptied.len()
    }

    /// How many of slots that became empty were not the last of their pair.
    fn extra_among(&self, emptied: &[u64]) -> usize {
        let mut different = emptied.to_vec();
        different.sort_unstable();
        different.dedup();
        let mut gone = different.len();
        for fingerprint in &different {
            let mut has_more = false;
            self.table.visit(self.held.line, self.held.header, |_, _, value| {
                has_more |= value.content != 0 && value.fingerprint == *fingerprint;
                !has_more
            });
            gone -= usize::from(has_more);
        }
        emptied.len() - gone
    }

    /// The slots that are not empty.
    fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.table.visit(self.held.line, self.held.header, |_, _, value| {
            if value.content != 0 {
                slots.push(value);
            }
            true
        });
        slots
    }

    /// The numbers of the overflow lines it goes on in.
    fn overflow_numbers(&self) -> Vec<u32> {
        let mut numbers = Vec::new();
        let (mut line, mut linked) = (self.held.line, self.held.header.is_linked());
        while linked {
            let number = line.word(WORDS - 1);
            numbers.push(number as u32);
            let Some(next) = self.table.overflow_line(number) else { break };
            (line, linked) = (next, next.peek().is_linked());
        }
        numbers
    }

    /// Makes the line one of just these slots, which go on in as many of the spare overflow lines as they need.
    fn rewrite(&mut self, mut slots: &[Slot], spare: &mut Vec<u32>) {
        let (table, format) = (self.table, self.table.format);
        self.held.change();
        let mut line = self.held.line;
        self.held.header = self.held.header.with_linked(false);
        loop {
            (0..WORDS).for_each(|word| line.set_word(word, 0));
            let goes_on = slots.len() > format.slots(false);
            let (here, rest) = slots.split_at(if goes_on { format.slots(true) } else { slots.len() });
            here.iter().enumerate().for_each(|(at, slot)| format.set(line, at, *slot));
            if !goes_on {
                break;
            }
            let number = spare.pop().unwrap_or_else(|| unreachable!("slots need no more lines than they had"));
            line.set_word(WORDS - 1, u64::from(number));
            if std::ptr::eq(line, self.held.line) {
                self.held.header = self.held.header.with_linked(true);
            } else {
                line.set_linked(true);
            }
            line = table.overflow_line(u64::from(number)).unwrap_or_else(|| unreachable!("it is one of the table's"));
            line.set_linked(false);
            slots = rest;
        }
    }

    /// Gives overflow lines back that are no longer needed.
    fn compact(&mut self) {
        if self.held.header.is_linked() {
            let (slots, mut spare) = (self.slots(), self.overflow_numbers());
            self.rewrite(&slots, &mut spare);
            self.table.give_back(spare);
        }
    }

    /// Gives the pairs whose time has come to the line that comes into being by it.
    fn split(&mut self) {
        let splits = self.held.header.splits();
        let child = self.at + (self.table.first << splits) as usize;
        let mut other = Home { table: self.table, held: self.table.line(child).lock(), at: child };
        let (stay, go): (Vec<Slot>, Vec<Slot>) =
            self.slots().into_iter().partition(|slot| slot.fingerprint >> splits & 1 == 0);
        other.held.change();
        other.held.header = other.held.header.with_splits(splits + 1).with_end(self.end());
        let mut spare = self.overflow_numbers();
        self.rewrite(&stay, &mut spare);
        other.rewrite(&go, &mut spare);
        self.table.give_back(spare);
        self.held.header = self.held.header.with_splits(splits + 1);
    }
}
