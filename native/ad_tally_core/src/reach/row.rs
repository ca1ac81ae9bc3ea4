//! One sketch of a table: a row that grows from a list of coupons to a set of them to registers.
//!
//! ```text
//! row
//!   cell 0       state:  bits 0..2    list, set or registers
//!                        bits 2..6    binary logarithm of a set's lines
//!                        bits 6..48   where the set or the registers lie: they begin at a line
//!                        bits 48..63  how many coupons there are; of registers, a lower bound: none is below
//!                        bit 63       locked
//!   cells 1..5   the list; with registers, cell 1 is the number of one that was at the lower bound
//! ```
//!
//! Most keys see a handful of users and never need more than the row. A coupon is added under the row's lock, which is held for
//! a few instructions, or for as long as it takes to copy the coupons into something larger. Looking one up takes no lock, nor
//! does raising a register.
//!
//! The lines of a set are given to other rows when the set has grown out of them. So whoever has read some of a set looks at the
//! state once more (a sequence lock): if it still names those lines, what was read was the set. Registers stay where they are.
//!
//! A user whose value is not above the lower bound cannot change the sketch, and no register is loaded for it: of a key that has
//! seen a million users that are nineteen users in twenty (precision 12). The bound follows when no register is at it any more,
//! which is found out by remembering one that is.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use parking_lot::Mutex;

use super::lines::Lines;
use super::list::{CELLS, List};
use super::registers::{Registers, View};
use super::set::{Lookup, Set};
use crate::sketch::{self, Coupon, Sketch, most_coupons};
use crate::sync::{AtomicU64, AtomicUsize, fence, wait};

/// Cells of a row.
pub(super) const WIDTH: usize = 1 + CELLS;

const KIND_MASK: u64 = 3;
const LIST: u64 = 0;
const SET: u64 = 1;
const REGISTERS: u64 = 2;
const SIZE_SHIFT: u32 = 2;
const SIZE_MASK: u64 = 15;
const ADDRESS_MASK: u64 = (1 << COUNT_SHIFT) - (1 << 6);
const COUNT_SHIFT: u32 = 48;
const LOCKED: u64 = 1 << 63;

/// The first cell of a row.
#[derive(Clone, Copy)]
struct State(u64);

impl State {
    fn set(address: usize, lines: usize, count: usize) -> Self {
        Self(address as u64 | u64::from(lines.ilog2()) << SIZE_SHIFT | SET).with_count(count)
    }

    fn registers(address: usize) -> Self {
        Self(address as u64 | REGISTERS)
    }

    #[inline(always)]
    fn kind(self) -> u64 {
        self.0 & KIND_MASK
    }

    #[inline(always)]
    fn address(self) -> usize {
        (self.0 & ADDRESS_MASK) as usize
    }

    fn lines(self) -> usize {
        1 << (self.0 >> SIZE_SHIFT & SIZE_MASK)
    }

    /// How many coupons, or the lower bound.
    #[inline(always)]
    fn count(self) -> usize {
        ((self.0 & !LOCKED) >> COUNT_SHIFT) as usize
    }

    fn with_count(self, count: usize) -> Self {
        Self(self.0 & ((1 << COUNT_SHIFT) - 1) | (count as u64) << COUNT_SHIFT)
    }

    #[inline(always)]
    fn bound(self) -> u8 {
        self.count() as u8
    }

    /// Whether the coupons lie where they lay.
    fn is_where(self, other: Self) -> bool {
        (self.0 ^ other.0) << (64 - COUNT_SHIFT) == 0
    }

    /// The lock of a row that has this state, unless that has changed or somebody has it.
    fn try_lock(self, cell: &AtomicU64) -> Option<Held<'_>> {
        let is_free = self.0 & LOCKED == 0;
        let is_mine = is_free && cell.compare_exchange(self.0, self.0 | LOCKED, Acquire, Relaxed).is_ok();
        // Made only then: a lock that is dropped is given back.
        is_mine.then(|| Held { cell, then: self })
    }
}

/// A row's lock, held until this is dropped, also by a panic.
struct Held<'a> {
    cell: &'a AtomicU64,
    /// The state afterwards.
    then: State,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.cell.store(self.then.0, Release);
    }
}

/// What a row is.
enum Form<'a> {
    List(List<'a>),
    Set(Set<'a>),
    Registers(View<'a>),
}

impl Form<'_> {
    /// Coupons that there is room for.
    fn room(&self) -> usize {
        match self {
            Self::List(_) => super::list::LISTED,
            Self::Set(set) => Set::room(set.lines()),
            Self::Registers(_) => 0,
        }
    }

    /// Does something with each of so many coupons.
    fn each(&self, count: usize, mut act: impl FnMut(Coupon)) {
        match self {
            Self::List(list) => list.coupons(count).for_each(&mut act),
            Self::Set(set) => set.coupons().for_each(&mut act),
            Self::Registers(_) => {}
        }
    }
}

/// What the sketches of a generation have in common.
pub(super) struct Shared {
    pub(super) precision: u8,
    /// How many have registers.
    pub(super) dense: AtomicUsize,
    /// Where sets and registers lie.
    pub(super) lines: Mutex<Lines>,
}

/// A sketch in the cells of a row.
#[derive(Clone, Copy)]
pub(crate) struct SketchRef<'a> {
    pub(super) shared: &'a Shared,
    pub(super) cells: &'a [AtomicU64; WIDTH],
}

impl<'a> SketchRef<'a> {
    #[inline(always)]
    fn state(self) -> State {
        State(self.cells[0].load(Acquire))
    }

    /// Whether the coupons that were just read in a row of that state were the row's.
    fn is_still(self, state: State) -> bool {
        // With the fence where lines are given back: if one that was zeroed, or what came afterwards, was read, a later state is
        // seen.
        fence(Acquire);
        State(self.cells[0].load(Relaxed)).is_where(state)
    }

    #[inline(always)]
    fn registers(self, state: State) -> Option<View<'a>> {
        // SAFETY: `grow` has put the address of registers of this precision there, which are part of the table's memory.
        (state.kind() == REGISTERS).then(|| unsafe { View::at(state.address() as u64, self.shared.precision) })
    }

    fn form(self, state: State) -> Form<'a> {
        if let Some(registers) = self.registers(state) {
            return Form::Registers(registers);
        }
        if state.kind() == LIST {
            let list = self.cells.last_chunk().unwrap_or_else(|| unreachable!("they are part of the row"));
            return Form::List(List(list));
        }
        // SAFETY: `grow` has put the address of so many lines of the table's memory there.
        Form::Set(unsafe { Set::at(state.address(), state.lines()) })
    }

    /// Asks for what is loaded when a user is inserted.
    #[inline(always)]
    pub(crate) fn prefetch(self, coupon: Coupon) {
        let state = self.state();
        match self.registers(state) {
            Some(registers) => registers.prefetch(coupon),
            None => self.prefetch_few(state, coupon),
        }
    }

    #[inline(never)]
    fn prefetch_few(self, state: State, coupon: Coupon) {
        if let Form::Set(set) = self.form(state) {
            set.prefetch(coupon);
        }
    }

    /// Adds a user.
    #[inline(always)]
    pub(crate) fn insert(self, coupon: Coupon) {
        let state = self.state();
        match self.registers(state) {
            Some(registers) => self.raise(registers, state.bound(), coupon),
            None => self.insert_few(coupon),
        }
    }

    #[inline(always)]
    fn raise(self, registers: View<'_>, bound: u8, coupon: Coupon) {
        if let Some(before) = registers.raise(bound, coupon)
            && before <= bound
            && registers.value(self.cells[1].load(Relaxed) as usize) > bound
        {
            self.raise_bound(registers);
        }
    }

    /// Looks for another register that is at the lower bound, and raises that if there is none.
    #[cold]
    fn raise_bound(self, registers: View<'_>) {
        let [first, at_bound, ..] = self.cells;
        loop {
            let state = self.state();
            let (number, least) = registers.least(state.bound(), at_bound.load(Relaxed) as usize);
            at_bound.store(number as u64, Relaxed);
            // Release: who relies on the bound has to see the registers as they were found.
            let raised = state.with_count(usize::from(least)).0;
            if least <= state.bound() || first.compare_exchange(state.0, raised, Release, Relaxed).is_ok() {
                return;
            }
        }
    }

    #[inline(never)]
    fn insert_few(self, coupon: Coupon) {
        let mut looks = 0;
        loop {
            let state = self.state();
            let form = self.form(state);
            let slot = match &form {
                Form::Registers(registers) => return self.raise(*registers, state.bound(), coupon),
                Form::List(list) if list.contains(coupon) => return,
                Form::List(list) => list.slot(state.count()),
                Form::Set(set) => match set.look_up(coupon) {
                    Lookup::Found if self.is_still(state) => return,
                    Lookup::Found | Lookup::Full => continue,
                    Lookup::Free(slot) => Some(slot),
                },
            };
            // If nothing has changed since, the coupon is not there, and the slot is free.
            let Some(mut held) = state.try_lock(&self.cells[0]) else {
                wait(&mut looks);
                continue;
            };
            let count = state.count() + 1;
            match slot {
                Some(slot) if count <= form.room().min(most_coupons(self.shared.precision)) => {
                    slot.fill(coupon);
                    held.then = state.with_count(count);
                }
                _ => self.grow(held, &form, count, Some(coupon)),
            }
            return;
        }
    }

    /// Copies the coupons of a row, and perhaps one more, to a set of twice the size, or to registers if there are to be too many.
    #[cold]
    fn grow(self, mut held: Held<'_>, form: &Form<'_>, count: usize, more: Option<Coupon>) {
        let shared = self.shared;
        let state = held.then;
        if count > most_coupons(shared.precision) {
            let address = shared.lines.lock().take(Registers::lines(shared.precision));
            // SAFETY: so many zeroed lines of the table's memory are there, and nobody else knows.
            let registers = unsafe { View::at(address as u64, shared.precision) };
            let mut raise = |coupon| registers.raise_unshared(coupon);
            form.each(state.count(), &mut raise);
            more.into_iter().for_each(raise);
            self.cells[1].store(0, Relaxed);
            shared.dense.fetch_add(1, Relaxed);
            held.then = State::registers(address);
        } else {
            let lines = if let Form::Set(set) = form { 2 * set.lines() } else { 1 };
            let address = shared.lines.lock().take(lines);
            // SAFETY: as above.
            let set = unsafe { Set::at(address, lines) };
            form.each(state.count(), |coupon| set.insert(coupon));
            more.into_iter().for_each(|coupon| set.insert(coupon));
            held.then = State::set(address, lines, count);
        }
        drop(held);
        if let Form::Set(set) = form {
            shared.lines.lock().give_back(state.address(), set.lines());
        }
    }

    /// Raises its registers to others, as many. It gets some if it has none.
    pub(super) fn raise_all(self, values: &[u8]) {
        let mut looks = 0;
        let registers = loop {
            let state = self.state();
            if let Some(registers) = self.registers(state) {
                break registers;
            }
            match state.try_lock(&self.cells[0]) {
                Some(held) => self.grow(held, &self.form(state), usize::MAX, None),
                None => wait(&mut looks),
            }
        };
        registers.raise_all(values);
        self.raise_bound(registers);
    }

    /// The number of different users it has seen.
    pub(crate) fn estimate(self) -> f64 {
        let state = self.state();
        match self.registers(state) {
            Some(registers) => sketch::estimate_of_registers(&sketch::histogram(registers.words())),
            None => sketch::estimate_of_coupons(state.count()),
        }
    }

    /// Adds all its users to a sketch, of any precision, of users hidden under the same secret.
    pub(crate) fn merge_into(self, into: &mut Sketch) {
        into.fold(self.shared.precision);
        let mut coupons = Vec::new();
        loop {
            let state = self.state();
            if let Some(registers) = self.registers(state) {
                return into.raise_to_words(registers.words());
            }
            coupons.clear();
            coupons.reserve(state.count());
            self.form(state).each(state.count(), |coupon| coupons.push(coupon));
            if self.is_still(state) {
                return into.insert_all(coupons.len(), coupons.iter().copied());
            }
        }
    }

    /// The lower bound of its registers, and the least of them.
    #[cfg(test)]
    pub(crate) fn bound_and_least(self) -> Option<(u8, u8)> {
        let state = self.state();
        Some((state.bound(), self.registers(state)?.values().min()?))
    }
}
