//! One generation of sketches: rows from the first user after a drain to the next drain, and what had no room.
//!
//! ```text
//! row
//!   cell 0      what it is:  4 * n        a list of n coupons, 0 to 8
//!                            address + 1  a set of coupons
//!                            address + 2  registers
//!   cells 1..5  the list, two coupons a cell; stays where it was once there is a set or registers
//!
//! row with registers, and what its key's entry in the index notes about it
//!   registers   2^precision bytes, whole lines
//!   row         its cells, so that the key after them begins a line
//!     cell 1    bits 0..8   1 + a value that no register is below
//!               bits 8..40  the number of a register that was not above it, when that was last looked for
//!   note        1 + a value that no register is below
//! ```
//!
//! Most keys see a handful of users and never need more than the row. A row goes from list to set to registers, and
//! changes that, or its list or set, under its lock; registers need none. They stay where they are until the table is
//! dropped, so whoever has seen their address may use it as long as the table lives.
//!
//! When it gets registers a row is copied behind them, and the index names the copy. So an add knows where the register of
//! its user lies, and whether it has to look there at all, as soon as it has seen the index, and need not wait for the row
//! to name them: of 1,000 keys with registers, which fill no near cache, that is a third of an add.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::overflow::{Overflow, Users};
use super::registers::{Register, Registers, View};
use crate::error::Error;
use crate::key::HashedKey;
use crate::sketch::{self, Coupon, Coupons, Secret, Sketch, most_coupons};
use crate::sync::hazard::Protected;
use crate::sync::{AtomicU64, AtomicUsize};
use crate::table::{self, Added, Generation, RowRef, Value, Writer};

/// Cells of a row.
const WIDTH: usize = 5;
/// Coupons that a row has room for.
const LISTED: usize = 2 * (WIDTH - 1);
/// Words that nothing is kept in, so that the key of a row behind registers begins a line.
const GAP: usize = (LINE_WORDS - WIDTH % LINE_WORDS) % LINE_WORDS;
const LINE_WORDS: usize = 8;
const KIND_MASK: u64 = 3;
const KIND_LIST: u64 = 0;
const KIND_SET: u64 = 1;
const KIND_REGISTERS: u64 = 2;
const LIST_SHIFT: u32 = 2;

/// What came of showing a user to a row that was found some time ago.
#[derive(Clone, Copy)]
pub(crate) enum Linked<'a> {
    Shown,
    /// It was shown, and more is noted of the row than when that was found: this is what to find it by.
    Noted(RowRef<'a>),
    /// It was not: the row has moved, and is to be looked for anew.
    Moved,
}

/// A row that was found some time ago, and the register of a user that is to be shown to it, if it has some.
#[derive(Clone, Copy)]
pub(crate) struct Near<'a> {
    found: RowRef<'a>,
    register: Option<Register<'a>>,
}

impl Near<'_> {
    /// Whether a user that it was found for is known not to raise anything.
    #[inline(always)]
    pub(crate) fn knows(self, coupon: Coupon) -> bool {
        // Rows that have registers have a note.
        self.register.is_some_and(|register| !register.is_raised(self.found.note().wrapping_sub(1), coupon))
    }
}

/// What a row with registers has in its cell 1. That of its index, and of whoever has found it, is behind or the same.
#[derive(Clone, Copy)]
struct Least {
    /// No register is below.
    value: u8,
    /// One that was not above it.
    number: usize,
}

impl Least {
    #[inline(always)]
    fn of(cell: u64) -> Self {
        Self { value: (cell as u8).wrapping_sub(1), number: (cell >> 8) as usize }
    }

    fn cell(self) -> u64 {
        (self.number as u64) << 8 | u64::from(self.note())
    }

    fn note(self) -> u8 {
        self.value + 1
    }
}

/// What the sketches of a table are to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Their precision.
    pub precision: u8,
    /// What users are hidden under.
    pub secret: Option<Secret>,
}

impl Config {
    /// A sketch of no users.
    ///
    /// # Errors
    /// [`Error::Precision`] unless that is 4 to 18.
    pub(crate) fn empty_sketch(&self) -> Result<Sketch, Error> {
        Sketch::new(self.precision, self.secret.as_ref().map(Secret::check))
    }
}

/// The sketches of a generation.
pub struct Sketches {
    empty: Sketch,
    precision: u8,
    /// Bytes before a row that has registers: those and a gap, so that the row's key begins a line.
    bytes_before: usize,
    /// Rows that have registers.
    dense: AtomicUsize,
    overflow: Overflow,
}

impl Value for Sketches {
    type Config = Config;
    type Snapshot = Sketch;
    /// Adds and merges.
    type Overflowed = u64;

    const RELEASE: Option<table::Release> = Some(release);

    fn new(config: &Config) -> Self {
        let empty = config.empty_sketch().unwrap_or_else(|_| unreachable!("checked when the table was made"));
        Self {
            precision: config.precision,
            bytes_before: Registers::bytes(config.precision) + GAP * size_of::<u64>(),
            dense: AtomicUsize::new(0),
            overflow: Overflow::new(empty.clone()),
            empty,
        }
    }

    fn words(&self) -> usize {
        WIDTH
    }

    fn bytes(&self) -> usize {
        self.overflow.bytes()
    }

    fn grown_rows(&self) -> usize {
        self.dense.load(Relaxed)
    }

    fn read(table: &Generation<Self>, row: RowRef<'_>) -> Sketch {
        let mut sketch = table.value.empty.clone();
        table.merge_into(row, &mut sketch);
        sketch
    }

    fn merge(table: &Protected<'_, Generation<Self>>, key: HashedKey<'_>, sketch: &Sketch) -> Added {
        table.merge(key, sketch)
    }

    fn overflow(&self) -> Sketch {
        let mut sketch = self.empty.clone();
        self.overflow.merge_into(&mut sketch);
        sketch
    }

    fn add_overflowed(&self, to: &mut u64) {
        *to += self.overflow.adds();
    }

    fn merge_overflow(table: &Protected<'_, Generation<Self>>, sketch: &Sketch, adds: &u64) {
        with_users(sketch, |users| table.value.overflow.insert(*adds, users));
    }
}

impl Generation<Sketches> {
    /// A sketch of no users.
    pub(crate) fn empty_sketch(&self) -> &Sketch {
        &self.value.empty
    }

    /// The registers of a row in that state, if it has some.
    #[inline(always)]
    fn registers(&self, state: u64) -> Option<View<'_>> {
        // SAFETY: `to_registers` has put the address of registers of this precision there, and they are kept until the
        // table is dropped.
        (state & KIND_MASK == KIND_REGISTERS).then(|| unsafe { View::at(state - KIND_REGISTERS, self.value.precision) })
    }

    /// The registers that a row lies behind, if it does, and a value that none of them is below.
    #[inline(always)]
    fn registers_before<'a>(&'a self, found: RowRef<'a>) -> Option<(View<'a>, u8)> {
        let least = found.note().checked_sub(1)?;
        let address = found.address().wrapping_byte_sub(self.value.bytes_before).expose_provenance();
        // SAFETY: a note is made of a row only when it lies behind registers of this precision, which are part of the
        // table's memory.
        Some((unsafe { View::at(address as u64, self.value.precision) }, least))
    }

    /// Shows a user to a key.
    #[inline(always)]
    pub(crate) fn add(&self, key: HashedKey<'_>, coupon: Coupon) -> Added {
        self.add_found(self.keyed.find(key), key, coupon)
    }

    /// A row that was found some time ago, for a user that is to be shown to it soon: the register is asked for, if it has some.
    #[inline(always)]
    pub(crate) fn fetch_register<'a>(&'a self, found: RowRef<'a>, coupon: Coupon) -> Near<'a> {
        let register = self.registers_before(found).map(|(registers, _least)| registers.fetch(coupon));
        Near { found, register }
    }

    /// Shows a user to a key whose row was looked for just now.
    #[inline(always)]
    pub(crate) fn add_found(&self, found: Option<RowRef<'_>>, key: HashedKey<'_>, coupon: Coupon) -> Added {
        if let Some(found) = found
            && let Some((registers, least)) = self.registers_before(found)
        {
            if let Some(before) = registers.raise_from(least, coupon) {
                self.raised(found, registers, before);
            }
            return Added::Row;
        }
        self.add_to(found, key, &[coupon])
    }

    /// Shows a user to a row that was found some time ago.
    pub(crate) fn add_near<'a>(&'a self, Near { found, .. }: Near<'a>, coupon: Coupon) -> Linked<'a> {
        let Some((registers, least)) = self.registers_before(found) else {
            return self.add_linked_to_few(found, coupon);
        };
        let Some(before) = registers.raise_from(least, coupon) else { return Linked::Shown };
        let noted = self.raised(found, registers, before);
        if noted.value > least { Linked::Noted(found.with_note(noted.note())) } else { Linked::Shown }
    }

    fn add_linked_to_few<'a>(&self, found: RowRef<'a>, coupon: Coupon) -> Linked<'a> {
        let cells = self.keyed.cells(found);
        if self.registers(cells[0].load(Acquire)).is_some() {
            return Linked::Moved;
        }
        // Mostly it is one that was seen before: then nobody asks for the hash, which is made of the row's key.
        if !is_listed(cells, coupon) {
            self.add_to_few(found, self.keyed.hash_of(found), &[coupon]);
        }
        Linked::Shown
    }

    /// Has what is noted of a row keep up when one of its registers was raised: what is noted by now.
    #[inline(always)]
    fn raised(&self, found: RowRef<'_>, registers: View<'_>, before: u8) -> Least {
        // Acquire, as it goes on from here in a link: who relies on it has to see the registers as they were found.
        let noted = Least::of(self.keyed.cells(found)[1].load(Acquire));
        // One that was not above what is noted is known. While that is so, it does not matter what becomes of the others.
        if before > noted.value || registers.value(noted.number) <= noted.value {
            return noted;
        }
        self.note_least(found, registers)
    }

    /// Looks for what no register of a row is below, and notes it.
    #[cold]
    fn note_least(&self, found: RowRef<'_>, registers: View<'_>) -> Least {
        let cell = &self.keyed.cells(found)[1];
        let noted = Least::of(cell.load(Acquire));
        let (number, value) = registers.least(noted.value, noted.number);
        let hash = self.keyed.hash_of(found);
        let mut writer = self.keyed.lock(hash);
        let noted = Least::of(cell.load(Relaxed));
        // Others may have found more meanwhile.
        if value < noted.value {
            return noted;
        }
        let least = Least { value: value.max(noted.value), number };
        cell.store(least.cell(), Release);
        if least.value > noted.value {
            self.keyed.note(&mut writer, found, hash, least.note());
        }
        least
    }

    /// The value that no register of a row is below as it is noted, and as it is.
    #[cfg(test)]
    pub(crate) fn noted_and_least(&self, found: RowRef<'_>) -> Option<(u8, u8)> {
        let (registers, noted) = self.registers_before(found)?;
        Some((noted, registers.values().min()?))
    }

    /// Shows users to a key whose row was looked for just now.
    #[inline(never)]
    pub(crate) fn add_to(&self, found: Option<RowRef<'_>>, key: HashedKey<'_>, coupons: &[Coupon]) -> Added {
        let Some(found) = found else {
            return self.add_to_new(key, coupons);
        };
        match self.registers_before(found) {
            Some((registers, least)) => {
                for coupon in coupons {
                    if let Some(before) = registers.raise_from(least, *coupon) {
                        self.raised(found, registers, before);
                    }
                }
            }
            None => self.add_to_few(found, key.hash, coupons),
        }
        Added::Row
    }

    /// Shows users to a key that had no row. No users, no row.
    #[cold]
    fn add_to_new(&self, key: HashedKey<'_>, coupons: &[Coupon]) -> Added {
        if coupons.is_empty() {
            return Added::Row;
        }
        match self.keyed.insert(key) {
            Some(found) => self.add_to(Some(found), key, coupons),
            None => {
                self.value.overflow.insert(coupons.len() as u64, Users::Coupons(coupons));
                Added::Overflow
            }
        }
    }

    /// Shows users to a row that had no registers.
    fn add_to_few(&self, found: RowRef<'_>, hash: u64, coupons: &[Coupon]) {
        let cells = self.keyed.cells(found);
        let mut new = coupons.iter().copied().skip_while(|coupon| is_listed(cells, *coupon)).peekable();
        if new.peek().is_none() {
            return;
        }
        let mut writer = self.keyed.lock(hash);
        new.for_each(|coupon| self.add_locked(&mut writer, found, hash, coupon));
        drop(writer);
        // Of the row's registers, if it has some by now, those were raised without a look at what is noted.
        if let Some((moved, registers)) = self.moved(cells, hash) {
            self.note_least(moved, registers);
        }
    }

    /// Where a row is now that was found before it had registers, and those.
    fn moved(&self, cells: &[AtomicU64], hash: u64) -> Option<(RowRef<'_>, View<'_>)> {
        let state = cells[0].load(Acquire);
        self.registers(state)?;
        let address = (state - KIND_REGISTERS) as usize + self.value.bytes_before;
        let moved = self.keyed.find_at_address(hash, address)?;
        Some((moved, self.registers_before(moved)?.0))
    }

    /// Shows a user to a row whose lock the caller has.
    fn add_locked(&self, writer: &mut Writer, found: RowRef<'_>, hash: u64, coupon: Coupon) {
        let cells = self.keyed.cells(found);
        let state = cells[0].load(Relaxed);
        if let Some(registers) = self.registers(state) {
            return registers.raise(coupon);
        }
        if state & KIND_MASK == KIND_LIST {
            let listed = (state >> LIST_SHIFT) as usize;
            if is_listed(cells, coupon) {
                return;
            }
            if listed < LISTED.min(most_coupons(self.value.precision)) {
                list(cells, listed, coupon);
                return cells[0].store(((listed + 1) as u64) << LIST_SHIFT, Release);
            }
            self.to_set(cells, listed, 1);
        }
        let state = cells[0].load(Relaxed);
        // SAFETY: the row has a set, and the caller has the lock.
        let set = unsafe { set(state) };
        let before = set.bytes();
        set.insert(coupon);
        self.keyed.owns_more(set.bytes() - before);
        if set.len() > most_coupons(self.value.precision) {
            self.to_registers(writer, found, hash);
        }
    }

    /// Makes a set of a row's list, with room for more, whose lock the caller has.
    fn to_set(&self, cells: &[AtomicU64], listed: usize, more: usize) {
        let mut set = Coupons::default();
        set.reserve(listed + more);
        set.extend(listed_coupons(cells, listed));
        self.keyed.owns_more(size_of::<Coupons>() + set.bytes());
        let address = Box::into_raw(Box::new(set)).expose_provenance() as u64;
        cells[0].store(address + KIND_SET, Release);
    }

    /// Makes registers of whatever a row is, whose lock the caller has.
    fn to_registers(&self, writer: &mut Writer, found: RowRef<'_>, hash: u64) {
        let cells = self.keyed.cells(found);
        let state = cells[0].load(Relaxed);
        if state & KIND_MASK == KIND_REGISTERS {
            return;
        }
        let before = self.value.bytes_before / size_of::<u64>();
        let row = self.keyed.copy_row(writer, found, before);
        let address = row.as_ptr().wrapping_sub(before).expose_provenance() as u64;
        // SAFETY: the copy was given as many zeroed words before it as registers of this precision and the gap take, of the
        // table's memory.
        let registers = unsafe { View::at(address, self.value.precision) };
        if state & KIND_MASK == KIND_LIST {
            listed_coupons(cells, (state >> LIST_SHIFT) as usize).for_each(|coupon| registers.raise(coupon));
        } else {
            // SAFETY: it is the set's address, seen under the lock, and nobody finds it once the state has changed,
            // which is before the lock is given back.
            let set = unsafe { take_set(state) };
            set.iter().for_each(|coupon| registers.raise(coupon));
            self.keyed.owns_less(size_of::<Coupons>() + set.bytes());
        }
        self.value.dense.fetch_add(1, Relaxed);
        let state = address + KIND_REGISTERS;
        let least = Least { value: 0, number: 0 };
        // SAFETY: the copy has the cells of a row, and nobody else knows of it yet.
        let [first, second] = [0, 1].map(|cell| unsafe { row.add(cell).as_ref() });
        first.store(state, Relaxed);
        second.store(least.cell(), Relaxed);
        cells[0].store(state, Release);
        self.keyed.rename(writer, found, hash, row, least.note());
    }

    /// Makes room for so many different users in a row whose lock the caller has: a set that grows on the way takes
    /// several times as long.
    fn make_room(&self, cells: &[AtomicU64], more: usize) {
        let (state, most) = (cells[0].load(Relaxed), most_coupons(self.value.precision));
        match state & KIND_MASK {
            KIND_LIST => {
                let listed = (state >> LIST_SHIFT) as usize;
                if listed + more > LISTED.min(most) {
                    self.to_set(cells, listed, more.min(most));
                }
            }
            KIND_SET => {
                // SAFETY: the row has a set, and the caller has the lock.
                let set = unsafe { set(state) };
                let before = set.bytes();
                set.reserve(more.min(most - set.len()));
                self.keyed.owns_more(set.bytes() - before);
            }
            _ => {}
        }
    }

    /// Shows all users of a sketch to a key. Registers have the table's precision.
    pub(crate) fn merge(&self, key: HashedKey<'_>, sketch: &Sketch) -> Added {
        with_users(sketch, |users| self.merge_users(key, users))
    }

    fn merge_users(&self, key: HashedKey<'_>, users: Users<'_>) -> Added {
        let found = self.keyed.find(key);
        let Some(found) = found.or_else(|| self.keyed.insert(key)) else {
            self.value.overflow.insert(1, users);
            return Added::Overflow;
        };
        if found.note() == 0 {
            let mut writer = self.keyed.lock(key.hash);
            match users {
                Users::Coupons(coupons) => {
                    self.make_room(self.keyed.cells(found), coupons.len());
                    coupons.iter().for_each(|coupon| self.add_locked(&mut writer, found, key.hash, *coupon));
                    return Added::Row;
                }
                Users::Registers(_) => self.to_registers(&mut writer, found, key.hash),
            }
        }
        match users {
            Users::Coupons(coupons) => self.add_to(Some(found), key, coupons),
            Users::Registers(values) => {
                let found = self.keyed.find(key).unwrap_or_else(|| unreachable!("it has a row"));
                let (own, _least) = self.registers_before(found).unwrap_or_else(|| unreachable!("made so just now"));
                own.raise_all(values);
                self.note_least(found, own);
                Added::Row
            }
        }
    }

    /// The number of different users a row has seen.
    pub(crate) fn estimate(&self, found: RowRef<'_>) -> f64 {
        let cells = self.keyed.cells(found);
        let state = cells[0].load(Acquire);
        if let Some(registers) = self.registers(state) {
            return sketch::estimate_of_registers(&sketch::histogram(registers.values()));
        }
        if state & KIND_MASK == KIND_LIST {
            return sketch::estimate_of_coupons((state >> LIST_SHIFT) as usize);
        }
        self.with_set_or_registers(
            found,
            |set| sketch::estimate_of_coupons(set.len()),
            |registers| sketch::estimate_of_registers(&sketch::histogram(registers.values())),
        )
    }

    /// Shows all users of a row to a sketch without a secret's check that differs, of any precision.
    pub(crate) fn merge_into(&self, found: RowRef<'_>, into: &mut Sketch) {
        let cells = self.keyed.cells(found);
        let state = cells[0].load(Acquire);
        into.fold(self.value.precision);
        if let Some(registers) = self.registers(state) {
            return into.raise_all(registers.values());
        }
        if state & KIND_MASK == KIND_LIST {
            return listed_coupons(cells, (state >> LIST_SHIFT) as usize).for_each(|coupon| into.insert(coupon));
        }
        let into = std::cell::RefCell::new(into);
        self.with_set_or_registers(
            found,
            |set| into.borrow_mut().insert_all(set),
            |registers| {
                into.borrow_mut().raise_all(registers.values());
            },
        );
    }

    /// Looks at a row that had a set a moment ago.
    fn with_set_or_registers<R>(
        &self,
        found: RowRef<'_>,
        look_at_set: impl FnOnce(&Coupons) -> R,
        look_at_registers: impl FnOnce(View<'_>) -> R,
    ) -> R {
        let lock = self.keyed.lock(self.keyed.hash_of(found));
        let state = self.keyed.cells(found)[0].load(Acquire);
        match self.registers(state) {
            Some(registers) => {
                drop(lock);
                look_at_registers(registers)
            }
            // SAFETY: the row has a set, because it had one and has no registers, and the lock is held.
            None => look_at_set(unsafe { set(state) }),
        }
    }
}

/// Does something with the users of a sketch.
fn with_users<R>(sketch: &Sketch, act: impl FnOnce(Users<'_>) -> R) -> R {
    if let Some(registers) = sketch.registers() {
        return act(Users::Registers(registers));
    }
    let coupons: Vec<Coupon> = sketch.coupons().into_iter().flat_map(Coupons::iter).collect();
    act(Users::Coupons(&coupons))
}

/// The set of a row in that state.
///
/// # Safety
/// The state is that of a row with a set, whose lock the caller has during `'a`, and this is the only such reference.
unsafe fn set<'a>(state: u64) -> &'a mut Coupons {
    // SAFETY: `to_set` has put the address of a box there, which is taken back under the lock only.
    unsafe { &mut *std::ptr::with_exposed_provenance_mut((state - KIND_SET) as usize) }
}

/// Takes a row's set back.
///
/// # Safety
/// As of [`set`], and nobody looks for it there any more.
unsafe fn take_set(state: u64) -> Box<Coupons> {
    // SAFETY: as in `set`.
    unsafe { Box::from_raw(std::ptr::with_exposed_provenance_mut((state - KIND_SET) as usize)) }
}

/// Whether a coupon is in a row's list. A coupon that is there stays there, so this needs no lock; whether the row has
/// become more than a list meanwhile makes no difference.
fn is_listed(cells: &[AtomicU64], coupon: Coupon) -> bool {
    cells[1..].iter().any(|cell| {
        let pair = cell.load(Relaxed);
        pair as u32 == coupon.word() || (pair >> 32) as u32 == coupon.word()
    })
}

/// Puts a coupon at its place in a row's list. The caller has the lock.
fn list(cells: &[AtomicU64], at: usize, coupon: Coupon) {
    let cell = &cells[1 + at / 2];
    cell.store(cell.load(Relaxed) | u64::from(coupon.word()) << (at % 2 * 32), Relaxed);
}

/// The first coupons of a row's list.
fn listed_coupons(cells: &[AtomicU64], count: usize) -> impl Iterator<Item = Coupon> {
    (0..count).filter_map(|at| Coupon::from_word((cells[1 + at / 2].load(Relaxed) >> (at % 2 * 32)) as u32))
}

/// Frees what a row owns beside the table's memory.
unsafe fn release(cells: &[AtomicU64]) {
    let state = cells[0].load(Relaxed);
    if state & KIND_MASK == KIND_SET {
        // SAFETY: nobody else can reach the row, and it is not looked at again, by the contract of `keyed::Release`.
        drop(unsafe { take_set(state) });
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::key::{KeyWriter, SHORT_KEY_WORDS, Seed};

    /// Users of a list are shown under the row's lock, also those that come after it got registers.
    #[test]
    fn the_least_register_is_noted_of_a_row_whose_first_users_are_many() {
        for precision in 4..=8 {
            let seed = Seed::random();
            let config = Config { precision, secret: None };
            let table = Generation::<Sketches>::new(&config, 10, seed.clone());
            let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
            let mut writer = KeyWriter::bare(&mut room);
            writer.integer(1);
            let key = seed.key(writer.finish());
            let users: Vec<Coupon> = (0..100 << precision).map(|user| Coupon::of_integer(user, None)).collect();
            assert_eq!(table.add_to(None, key, &users), Added::Row);
            let (noted, least) = table.noted_and_least(table.keyed.find(key).expect("a row")).expect("registers");
            assert!(least >= 1 && noted == least, "{noted} of {least} at {precision}");
        }
    }
}
