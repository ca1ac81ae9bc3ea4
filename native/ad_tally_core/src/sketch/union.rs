//! The union of any number of sketches, the same in whatever order they come.
//!
//! Only registers have a precision that cannot be raised again. A coupon has 26 bits of the hash, more than any precision
//! uses, so it can be inserted into registers of every precision. Hence, as in the union of DataSketches:
//!
//! ```text
//! sketches that hold users        precision of their union
//! at least one has registers      the lowest of those that have registers
//! all have coupons                the highest of them
//! none                            the highest of the empty sketches
//! ```
//!
//! No rule makes nested unions of mixed precision give the same as one union: two lists of coupons at precision 4 that
//! become registers have lost what a union with registers of precision 14 would have kept. They agree in everything but
//! the precision.

use super::coupons::Coupons;
use super::{Content, MAX_PRECISION, MergeError, Sketch, SketchCow};

/// A union that sketches are added to one by one.
#[derive(Debug, Clone)]
pub struct Union {
    /// All users. Coupons that are too many for a sketch of the finest precision have become registers of that precision:
    /// those can be folded to whatever precision the result gets.
    users: Sketch,
    /// The highest precision of those that have coupons.
    finest_coupons: Option<u8>,
    has_registers: bool,
    /// The union of the empty sketches: of the highest precision, and with registers if one has them. So it does not
    /// matter whether they are folded before.
    empty: Sketch,
}

impl Union {
    /// The union of one sketch.
    #[must_use]
    pub fn new(first: &SketchCow<'_>) -> Self {
        let nobody = |precision| Sketch {
            precision,
            secret_check: first.secret_check,
            content: Content::Coupons(Coupons::default()),
        };
        let mut union = Self {
            users: nobody(MAX_PRECISION),
            finest_coupons: None,
            has_registers: false,
            empty: nobody(first.precision),
        };
        union.add(first);
        union
    }

    /// Adds all users of a sketch.
    ///
    /// # Errors
    /// [`MergeError::DifferentSecret`], and nothing has changed.
    pub fn merge(&mut self, sketch: &SketchCow<'_>) -> Result<(), MergeError> {
        if sketch.secret_check != self.users.secret_check {
            return Err(MergeError::DifferentSecret);
        }
        self.add(sketch);
        Ok(())
    }

    fn add(&mut self, sketch: &SketchCow<'_>) {
        match &sketch.content {
            _ if sketch.is_empty() => {
                let precision = self.empty.precision.max(sketch.precision);
                let has_registers = self.empty.registers().is_some() || sketch.registers().is_some();
                if (precision, has_registers) != (self.empty.precision, self.empty.registers().is_some()) {
                    self.empty.precision = precision;
                    self.empty.content = Content::Coupons(Coupons::default());
                    if has_registers {
                        self.empty.to_registers();
                    }
                }
            }
            Content::Coupons(coupons) => {
                self.finest_coupons = self.finest_coupons.max(Some(sketch.precision));
                self.users.insert_all(coupons.len(), coupons.iter());
            }
            Content::Registers(registers) => {
                self.has_registers = true;
                self.users.fold(sketch.precision);
                self.users.raise_all(registers);
            }
        }
    }

    /// The sketch of all users.
    #[must_use]
    pub fn sketch(&self) -> Sketch {
        let mut users = if self.users.is_empty() { self.empty.clone() } else { self.users.clone() };
        if !self.has_registers
            && let Some(precision) = self.finest_coupons
        {
            users.fold(precision);
        }
        users
    }
}

impl Sketch {
    /// Adds all users of another sketch: see [`Union`] for the precision that it has then.
    ///
    /// # Errors
    /// [`MergeError::DifferentSecret`], and nothing has changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        let mut union = Union::new(self);
        union.merge(other)?;
        *self = union.sketch();
        Ok(())
    }
}
