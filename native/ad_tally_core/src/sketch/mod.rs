//! One HyperLogLog sketch: the number of different users among those it has seen, in a few kilobytes.
//!
//! ```text
//! Sketch ── coupons    every user's own word, as long as there are few: nearly exact
//!        └─ registers  2^precision maxima, from then on
//! ```
//!
//! What a sketch is depends on the users alone, not on their order, or on what was united in which order: with
//! `n` different coupons it is a set of coupons as long as `n <= most_coupons(precision)`, the same bound at which
//! DataSketches changes over.

mod bytes;
mod coupon;
mod coupons;
mod estimate;
mod joint;
pub mod murmur;
mod registers;
mod union;

pub use bytes::FormatError;
pub use coupon::{Coupon, Secret};
pub use coupons::Coupons;
pub use estimate::{
    Histogram, of_coupons as estimate_of_coupons, of_registers as estimate_of_registers, relative_standard_error,
};
pub use joint::Overlap;
pub(crate) use registers::{has_less, histogram, larger, words};
pub use union::Union;

use std::borrow::Cow;

use crate::error::Error;

/// The coarsest precision: 16 registers.
pub const MIN_PRECISION: u8 = 4;
/// The finest precision: 262,144 registers.
pub const MAX_PRECISION: u8 = 18;

/// The most coupons that a sketch keeps: from there on, registers take no more memory.
#[must_use]
pub const fn most_coupons(precision: u8) -> usize {
    match precision {
        // A list of seven, and nothing between that and registers.
        ..8 => 7,
        // Three quarters of a set whose slots take half the registers' memory.
        _ => 3 << (precision - 5),
    }
}

/// Why sketches were not united.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Their users were hidden under different secrets, or only those of one.
    #[error("the sketches were made under different secrets")]
    DifferentSecret,
    /// A live table keeps its precision, and registers of a lower one do not tell its own.
    #[error("registers of precision {sketch} cannot be merged into a table of precision {table}")]
    Coarser {
        /// The precision of the sketch.
        sketch: u8,
        /// The precision of the table.
        table: u8,
    },
}

/// A sketch.
pub type Sketch = SketchCow<'static>;

/// A sketch whose registers may still lie in the bytes that it was read from: a union or an estimate needs no copy of them.
#[derive(Debug, Clone)]
pub struct SketchCow<'a> {
    precision: u8,
    secret_check: Option<u64>,
    content: Content<'a>,
}

#[derive(Debug, Clone)]
enum Content<'a> {
    Coupons(Coupons),
    Registers(Cow<'a, [u8]>),
}

/// Checks that a sketch can have that precision.
pub(crate) fn check_precision(precision: u8) -> Result<(), Error> {
    let allowed = (MIN_PRECISION..=MAX_PRECISION).contains(&precision);
    if allowed { Ok(()) } else { Err(Error::Precision(precision)) }
}

impl<'a> SketchCow<'a> {
    /// A sketch of no users.
    ///
    /// # Errors
    /// [`Error::Precision`] unless it is 4 to 18.
    pub fn new(precision: u8, secret_check: Option<u64>) -> Result<Self, Error> {
        check_precision(precision)?;
        Ok(Self { precision, secret_check, content: Content::Coupons(Coupons::default()) })
    }

    /// A sketch of those coupons, made of registers if there are too many or the caller wants them at once.
    pub(crate) fn of_coupons(precision: u8, secret_check: Option<u64>, coupons: Coupons) -> Self {
        let mut sketch = Self { precision, secret_check, content: Content::Coupons(coupons) };
        sketch.settle();
        sketch
    }

    /// A sketch of those registers, `2^precision` of them.
    pub(crate) fn of_registers(precision: u8, secret_check: Option<u64>, registers: Cow<'a, [u8]>) -> Self {
        debug_assert_eq!(registers.len(), 1 << precision);
        Self { precision, secret_check, content: Content::Registers(registers) }
    }

    /// The same sketch with registers of its own.
    #[must_use]
    pub fn into_owned(self) -> Sketch {
        let Self { precision, secret_check, content } = self;
        let content = match content {
            Content::Coupons(coupons) => Content::Coupons(coupons),
            Content::Registers(registers) => Content::Registers(registers.into_owned().into()),
        };
        Sketch { precision, secret_check, content }
    }

    /// Its precision: it has `2^precision` registers.
    #[must_use]
    pub fn precision(&self) -> u8 {
        self.precision
    }

    /// The number that tells under which secret its users are hidden, if under any. See [`Secret::check`].
    #[must_use]
    pub fn secret_check(&self) -> Option<u64> {
        self.secret_check
    }

    /// The same sketch, said to be of users hidden under that secret: the bytes do not tell.
    #[must_use]
    pub fn with_secret_check(self, secret_check: Option<u64>) -> Self {
        Self { secret_check, ..self }
    }

    /// Adds a user.
    #[inline]
    pub fn insert(&mut self, coupon: Coupon) {
        match &mut self.content {
            Content::Registers(registers) => raise(registers.to_mut(), coupon),
            Content::Coupons(coupons) => {
                coupons.insert(coupon);
                if coupons.len() > most_coupons(self.precision) {
                    self.settle();
                }
            }
        }
    }

    /// Forgets all users.
    pub(crate) fn clear(&mut self) {
        self.content = Content::Coupons(Coupons::default());
    }

    /// Goes over to registers if there are more coupons than a sketch keeps.
    fn settle(&mut self) {
        if let Content::Coupons(coupons) = &self.content
            && coupons.len() > most_coupons(self.precision)
        {
            self.to_registers();
        }
    }

    /// Goes over to registers.
    pub fn to_registers(&mut self) {
        self.make_registers(self.precision);
    }

    /// Goes over to registers of a precision that is not above that of its own registers, if it has some.
    fn make_registers(&mut self, precision: u8) {
        match &self.content {
            Content::Registers(_) => self.fold(precision),
            Content::Coupons(coupons) => {
                let mut registers = vec![0; 1 << precision];
                coupons.iter().for_each(|coupon| raise(&mut registers, coupon));
                (self.precision, self.content) = (precision, Content::Registers(registers.into()));
            }
        }
    }

    /// Whether it holds no users.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match &self.content {
            Content::Coupons(coupons) => coupons.is_empty(),
            Content::Registers(registers) => registers.iter().all(|value| *value == 0),
        }
    }

    /// Adds so many users.
    pub(crate) fn insert_all(&mut self, count: usize, coupons: impl Iterator<Item = Coupon>) {
        if let Content::Coupons(own) = &mut self.content {
            own.reserve(count);
        }
        coupons.for_each(|coupon| self.insert(coupon));
    }

    /// Raises its registers to others, of its own precision or a finer one.
    pub(crate) fn raise_all(&mut self, registers: &[u8]) {
        registers::raise_all(self.own_registers(), registers);
    }

    /// The same with words of registers.
    pub(crate) fn raise_to_words(&mut self, words: impl Iterator<Item = u64>) {
        registers::raise_to_words(self.own_registers(), words);
    }

    fn own_registers(&mut self) -> &mut [u8] {
        self.to_registers();
        let Content::Registers(own) = &mut self.content else { unreachable!("made so just now") };
        own.to_mut()
    }

    /// Makes it coarser, if `precision` is below its own: as coarse as a sketch can be at most.
    pub fn fold(&mut self, precision: u8) {
        let precision = precision.max(MIN_PRECISION);
        if precision >= self.precision {
            return;
        }
        self.precision = precision;
        match &mut self.content {
            Content::Coupons(_) => self.settle(),
            Content::Registers(registers) => {
                let mut folded = registers[..1 << precision].to_vec();
                registers::raise_all(&mut folded, &registers[1 << precision..]);
                self.content = Content::Registers(folded.into());
            }
        }
    }

    /// Its coupons, if it is made of them.
    #[must_use]
    pub fn coupons(&self) -> Option<&Coupons> {
        match &self.content {
            Content::Coupons(coupons) => Some(coupons),
            Content::Registers(_) => None,
        }
    }

    /// Its registers, if it is made of them.
    #[must_use]
    pub fn registers(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Coupons(_) => None,
            Content::Registers(registers) => Some(registers),
        }
    }

    /// The number of different users. At most 2^64.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        match &self.content {
            Content::Coupons(coupons) => estimate::of_coupons(coupons.len()),
            Content::Registers(registers) => estimate::of_registers(&histogram(words(registers))),
        }
    }

    /// Between which numbers of users the true one lies, at so many standard deviations (1, 2 or 3): with a probability of
    /// at least 68, 95 or 99.7 %.
    #[must_use]
    pub fn bounds(&self, deviations: u8) -> (f64, f64) {
        self.estimate_and_bounds(deviations).1
    }

    /// Both: registers are counted once.
    #[must_use]
    pub fn estimate_and_bounds(&self, deviations: u8) -> (f64, (f64, f64)) {
        let deviations = deviations.clamp(1, 3);
        match &self.content {
            Content::Coupons(coupons) => {
                let count = coupons.len();
                (estimate::of_coupons(count), estimate::bounds_of_coupons(count, deviations))
            }
            Content::Registers(registers) => {
                let histogram = histogram(words(registers));
                let bounds = estimate::bounds_of_registers(&histogram, f64::from(deviations));
                (estimate::of_registers(&histogram), bounds)
            }
        }
    }

    /// How many users two sketches have in common, with bounds at so many standard deviations.
    ///
    /// # Errors
    /// [`MergeError::DifferentSecret`].
    pub fn overlap(&self, other: &Self, deviations: u8) -> Result<Overlap, MergeError> {
        if self.secret_check != other.secret_check {
            return Err(MergeError::DifferentSecret);
        }
        if let (Content::Coupons(own), Content::Coupons(others)) = (&self.content, &other.content) {
            return Ok(common_coupons(own, others, deviations));
        }
        // Coupons become registers of whatever precision the other sketch has.
        let precisions = [self, other].into_iter().filter(|sketch| sketch.registers().is_some()).map(Self::precision);
        let precision = precisions.min().unwrap_or_else(|| unreachable!("one has registers"));
        let registers = |sketch: &Self| {
            let mut sketch = sketch.clone();
            sketch.make_registers(precision);
            sketch
        };
        let (own, others) = (registers(self), registers(other));
        let (Some(own), Some(others)) = (own.registers(), others.registers()) else { unreachable!("made so just now") };
        Ok(joint::overlap(own, others, f64::from(deviations)))
    }
}

/// Users whose coupons are in both sets. Of two different users one has a coupon of the other's with `COLLISION`, so a
/// common coupon may be none: as many as that are expected are below the lower bound, and above the upper one.
fn common_coupons(own: &Coupons, others: &Coupons, deviations: u8) -> Overlap {
    let (few, many) = if own.len() < others.len() { (own, others) } else { (others, own) };
    let mut all = many.clone();
    all.reserve(few.len());
    all.extend(few.iter());
    let common = few.len() + many.len() - all.len();
    let by_chance = few.len() as f64 * many.len() as f64 * estimate::COLLISION;
    let spread = f64::from(deviations) * by_chance.sqrt() + by_chance;
    let (low, high) = estimate::bounds_of_coupons(common, deviations);
    Overlap { estimate: common as f64, low: (low - spread).max(0.0).min(common as f64), high }
}

#[inline(always)]
fn raise(registers: &mut [u8], coupon: Coupon) {
    let register = &mut registers[coupon.register(registers.len())];
    *register = (*register).max(coupon.value());
}

/// Equal for whoever counts: the same users, precision and secret.
impl PartialEq for SketchCow<'_> {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |coupons: &Coupons| {
            let mut words: Vec<Coupon> = coupons.iter().collect();
            words.sort_unstable();
            words
        };
        self.precision == other.precision
            && self.secret_check == other.secret_check
            && match (&self.content, &other.content) {
                (Content::Coupons(own), Content::Coupons(others)) => sorted(own) == sorted(others),
                (Content::Registers(own), Content::Registers(others)) => own == others,
                _ => false,
            }
    }
}

impl Eq for SketchCow<'_> {}
