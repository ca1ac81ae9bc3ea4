//! The sketches of a generation as a value kind of the keyed table.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::overflow::{Overflow, Users};
use super::row::{Shared, SketchRef, WIDTH};
use crate::error::Error;
use crate::key::HashedKey;
use crate::sketch::{Coupon, Coupons, Secret, Sketch};
use crate::sync::AtomicUsize;
use crate::sync::hazard::Protected;
use crate::table::{Generation, RowRef, Spilled, Value};

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
    /// A sketch of no users.
    pub(crate) empty: Sketch,
    shared: Shared,
    overflow: Overflow,
}

impl Value for Sketches {
    type Config = Config;
    type Snapshot = Sketch;
    /// Adds and merges.
    type Overflowed = u64;

    fn new(config: &Config) -> Self {
        let empty = config.empty_sketch().unwrap_or_else(|_| unreachable!("checked when the table was made"));
        let overflow = Overflow::new(empty.clone());
        let shared = Shared { precision: config.precision, dense: AtomicUsize::new(0), lines: Mutex::default() };
        Self { overflow, shared, empty }
    }

    fn words(&self) -> usize {
        WIDTH
    }

    fn bytes(&self) -> usize {
        self.shared.lines.lock().bytes() + self.overflow.bytes()
    }

    fn grown_rows(&self) -> usize {
        self.shared.dense.load(Relaxed)
    }

    fn read(table: &Generation<Self>, row: RowRef<'_>) -> Sketch {
        let mut sketch = table.value.empty.clone();
        table.sketch(row).merge_into(&mut sketch);
        sketch
    }

    /// Registers have the table's precision.
    fn merge(table: &Protected<'_, Generation<Self>>, key: HashedKey<'_>, sketch: &Sketch) -> Spilled {
        with_users(sketch, |users| {
            let Some(row) = table.keyed.find(key).or_else(|| table.keyed.insert(key)) else {
                table.value.overflow.insert(1, users);
                return Spilled::ALL;
            };
            let own = table.sketch(row);
            match users {
                Users::Coupons(coupons) => coupons.iter().for_each(|coupon| own.insert(*coupon)),
                Users::Registers(values) => own.raise_all(values),
            }
            Spilled::NOTHING
        })
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
    /// The sketch of a row.
    #[inline(always)]
    pub(crate) fn sketch<'a>(&'a self, row: RowRef<'a>) -> SketchRef<'a> {
        let cells = self.keyed.cells(row).first_chunk().unwrap_or_else(|| unreachable!("rows are as wide as that"));
        SketchRef { shared: &self.value.shared, cells }
    }

    /// Adds users to a key whose row was looked for just now. No users, no row: otherwise its row, unless it can have none.
    #[inline(always)]
    pub(crate) fn add<'a>(
        &'a self,
        row: Option<RowRef<'a>>,
        key: HashedKey<'_>,
        users: &[Coupon],
    ) -> Option<RowRef<'a>> {
        let Some(row) = row else { return self.add_to_new(key, users) };
        let sketch = self.sketch(row);
        users.iter().for_each(|user| sketch.insert(*user));
        Some(row)
    }

    #[cold]
    fn add_to_new(&self, key: HashedKey<'_>, users: &[Coupon]) -> Option<RowRef<'_>> {
        let row = self.keyed.insert(key);
        if row.is_none() {
            self.value.overflow.insert(users.len() as u64, Users::Coupons(users));
        }
        self.add(Some(row?), key, users)
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

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use super::*;
    use crate::key::{KeyWriter, SHORT_KEY_WORDS, Seed};

    #[test]
    fn the_lower_bound_of_a_row_whose_first_users_are_many_is_the_least_register() {
        for precision in 4..=8 {
            let seed = Seed::random();
            let config = Config { precision, secret: None };
            let table = Generation::<Sketches>::new(&config, 10, seed.clone());
            let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
            let mut writer = KeyWriter::bare(&mut room);
            writer.integer(1);
            let key = seed.key(writer.finish());
            let users: Vec<Coupon> = (0..100 << precision).map(|user| Coupon::of_integer(user, None)).collect();
            let row = table.add_to_new(key, &users).expect("a row");
            let (bound, least) = table.sketch(row).bound_and_least().expect("registers");
            assert!(least >= 1 && bound == least, "{bound} of {least} at {precision}");
        }
    }
}
