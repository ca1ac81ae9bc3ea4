//! Sketches as bytes: the HLL format of Apache DataSketches, which Spark, Druid, Hive, BigQuery's functions and others read.
//!
//! ```text
//! byte 0      preamble, in words of four bytes: 2 list, 3 set, 10 registers
//!      1      serial version, 1
//!      2      family, 7
//!      3      precision
//!      4      binary logarithm of the slots of a list, a set or the exceptions, where they are written with empty slots
//!      5      flags: 4 empty, 8 compact, 16 out of order, 32 what is counted at 6 and 32 is still to be counted
//!      6      coupons of a list; the smallest register (HLL_4)
//!      7      what follows: 0 list, 1 set, 2 registers; plus 4 * the kind of registers: 0 HLL_4, 1 HLL_6, 2 HLL_8
//! list   8..  coupons, four bytes each
//! set    8    their number; 12.. coupons
//! registers
//!        8    an estimate that holds for one ordered stream only; 16, 24 sum of 2^-register for registers below 32
//!        and others, as 64-bit floats
//!        32   how many registers have the smallest value; 36 how many exceptions there are
//!        40   registers: 4 bits over the smallest one, 15 for an exception; 6 bits, and a byte; or 8 bits
//!        then exceptions, as coupons: slot and value, not over the smallest one
//! ```
//!
//! All numbers are little-endian. Written are lists, sets and 8-bit registers, compact. Registers are marked out of order,
//! because their threads had none: a reader then estimates from the registers and not from what lies at 8.
//!
//! Bytes come from outside. Every field is checked before it is used, and nothing is allocated that the input does not
//! justify: a sketch's registers are at most eight bytes to a byte of input.

use std::borrow::Cow;

use super::registers::{count, histogram, words};
use super::{Content, Coupon, Coupons, MAX_PRECISION, MIN_PRECISION, Sketch, SketchCow, most_coupons};

const PREAMBLE_LIST: u8 = 2;
const PREAMBLE_SET: u8 = 3;
const PREAMBLE_REGISTERS: u8 = 10;
const SERIAL_VERSION: u8 = 1;
const FAMILY: u8 = 7;
const FLAG_EMPTY: u8 = 4;
const FLAG_COMPACT: u8 = 8;
const FLAG_OUT_OF_ORDER: u8 = 16;
const FLAG_TO_BE_COUNTED: u8 = 32;
const MODE_LIST: u8 = 0;
const MODE_SET: u8 = 1;
const MODE_REGISTERS: u8 = 2;
const HLL_4: u8 = 0;
const HLL_6: u8 = 1;
const HLL_8: u8 = 2;
/// What every form begins with.
const HEADER: usize = 8;
/// Where the coupons of a set begin, and registers.
const COUPONS_AT: usize = 12;
const REGISTERS_AT: usize = 40;
/// Slots that DataSketches gives a list, and the coupons from which on it makes a set of it.
const LIST_SLOTS_LOG: u8 = 3;
const LIST_END: usize = 1 << LIST_SLOTS_LOG;
/// Slots of the smallest set.
const SET_SLOTS_LOG: u8 = 5;
/// In four bits: the register is among the exceptions.
const EXCEPTION: u8 = 15;
const LARGEST_VALUE: u8 = Coupon::LARGEST;

/// Why bytes are not a sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There are fewer bytes than the sketch needs.
    #[error("{needed} bytes are needed, there are {there}")]
    Truncated {
        /// Bytes that it needs, as far as is known.
        needed: usize,
        /// Bytes that there are.
        there: usize,
    },
    /// There are more.
    #[error("the sketch ends after {needed} bytes, there are {there}")]
    TooLong {
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that there are.
        there: usize,
    },
    /// A field has a value that it cannot have.
    #[error("{field} is {value}, expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// Its value.
        value: u32,
        /// What it may be.
        expected: &'static str,
    },
    /// A coupon that no user has.
    #[error("coupon {at} is {word:#010x}, which no user has")]
    Coupon {
        /// Which one.
        at: usize,
        /// Its bits.
        word: u32,
    },
    /// More or fewer coupons than announced, or the same twice.
    #[error("{count} coupons are announced, {there} are there, {different} of them different")]
    Repeated {
        /// How many the header says there are.
        count: usize,
        /// How many there are.
        there: usize,
        /// How many of those are different.
        different: usize,
    },
    /// A register that is an exception has none, or the other way round.
    #[error("register {register} is {value} by its four bits and its exception")]
    Exception {
        /// Which one.
        register: usize,
        /// What its four bits stand for.
        value: u8,
    },
}

impl FormatError {
    /// The field that was wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Truncated { .. } | Self::TooLong { .. } => "length",
            Self::Field { field, .. } => field,
            Self::Coupon { .. } | Self::Repeated { .. } => "coupons",
            Self::Exception { .. } => "exceptions",
        }
    }
}

impl<'a> SketchCow<'a> {
    /// Its bytes. They do not tell the secret that its users are hidden under, or that there is one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.content {
            Content::Coupons(coupons) => self.coupon_bytes(coupons),
            Content::Registers(registers) => register_bytes(self.precision, registers),
        }
    }

    /// How many those are.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        match &self.content {
            Content::Coupons(coupons) if coupons.len() < LIST_END => HEADER + 4 * coupons.len(),
            Content::Coupons(coupons) => COUPONS_AT + 4 * coupons.len(),
            Content::Registers(registers) => REGISTERS_AT + registers.len(),
        }
    }

    fn coupon_bytes(&self, coupons: &Coupons) -> Vec<u8> {
        let count = coupons.len();
        let mut words: Vec<u32> = coupons.iter().map(Coupon::word).collect();
        // In one order whatever came first, so that equal sketches have equal bytes.
        words.sort_unstable();
        let mut bytes = Vec::with_capacity(self.bytes_len());
        if count < LIST_END {
            let empty = if count == 0 { FLAG_EMPTY } else { 0 };
            let mode = MODE_LIST | HLL_8 << 2;
            bytes.extend([PREAMBLE_LIST, SERIAL_VERSION, FAMILY, self.precision, LIST_SLOTS_LOG]);
            bytes.extend([FLAG_COMPACT | empty, count as u8, mode]);
        } else {
            let mode = MODE_SET | HLL_8 << 2;
            bytes.extend([PREAMBLE_SET, SERIAL_VERSION, FAMILY, self.precision, set_slots_log(count)]);
            bytes.extend([FLAG_COMPACT, 0, mode]);
            bytes.extend((count as u32).to_le_bytes());
        }
        bytes.extend(words.into_iter().flat_map(u32::to_le_bytes));
        bytes
    }

    /// The sketch that bytes are, of whichever DataSketches writer. Registers of a byte each stay where they are.
    ///
    /// # Errors
    /// [`FormatError`] says what is wrong with them.
    pub fn borrow_bytes(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let header = Header::read(bytes)?;
        match header.mode {
            MODE_LIST => header.list(bytes),
            MODE_SET => header.set(bytes),
            _ => header.registers(bytes),
        }
    }
}

impl Sketch {
    /// The same, with registers of its own.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        SketchCow::borrow_bytes(bytes).map(SketchCow::into_owned)
    }
}

/// The bytes of 8-bit registers.
pub(crate) fn register_bytes(precision: u8, registers: &[u8]) -> Vec<u8> {
    let histogram = histogram(words(registers));
    // Exact: each sum is of multiples of its smallest term, below 2^53 of them.
    let sum = |values: std::ops::Range<usize>| -> f64 {
        values.rev().map(|value| f64::from(histogram[value]) * (-(value as f64)).exp2()).sum()
    };
    let mut bytes = Vec::with_capacity(REGISTERS_AT + registers.len());
    bytes.extend([PREAMBLE_REGISTERS, SERIAL_VERSION, FAMILY, precision, 0]);
    bytes.extend([FLAG_COMPACT | FLAG_OUT_OF_ORDER, 0, MODE_REGISTERS | HLL_8 << 2]);
    bytes.extend(0_f64.to_le_bytes());
    bytes.extend(sum(0..32).to_le_bytes());
    bytes.extend(sum(32..64).to_le_bytes());
    bytes.extend(histogram[0].to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend_from_slice(registers);
    bytes
}

struct Header {
    precision: u8,
    slots_log: u8,
    flags: u8,
    compact: bool,
    /// A list's number of coupons, or the smallest register.
    count: u8,
    mode: u8,
    kind: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        need(bytes, HEADER)?;
        let [preamble, version, family, precision, slots_log, flags, count, modes] = bytes[..HEADER] else {
            unreachable!("there are eight")
        };
        check("serial version", version, "1", version == SERIAL_VERSION)?;
        check("family", family, "7 (HLL)", family == FAMILY)?;
        let (mode, kind) = (modes & 3, modes >> 2);
        check("mode", modes, "0 to 2 (list, set, HLL) plus 0, 4 or 8 (HLL_4, 6, 8)", mode <= 2 && kind <= HLL_8)?;
        let expected = [PREAMBLE_LIST, PREAMBLE_SET, PREAMBLE_REGISTERS][usize::from(mode)];
        check("preamble", preamble, "2 for a list, 3 for a set, 10 for registers", preamble == expected)?;
        let allowed = (MIN_PRECISION..=MAX_PRECISION).contains(&precision);
        check("precision", precision, "4 to 18", allowed)?;
        Ok(Self { precision, slots_log, flags, compact: flags & FLAG_COMPACT != 0, count, mode, kind })
    }

    /// Whoever has users is not flagged as empty.
    fn check_empty(&self, is_empty: bool) -> Result<(), FormatError> {
        let holds = is_empty || self.flags & FLAG_EMPTY == 0;
        check("flags", self.flags, "without 4 (empty), where there are users", holds)
    }

    fn list(&self, bytes: &[u8]) -> Result<Sketch, FormatError> {
        let count = usize::from(self.count);
        check("list count", self.count, "0 to 7", count < LIST_END)?;
        self.check_empty(count == 0)?;
        if self.compact {
            need_exactly(bytes, HEADER + 4 * count)?;
        } else {
            check("slots", self.slots_log, "3 for a list", self.slots_log == LIST_SLOTS_LOG)?;
            need_exactly(bytes, HEADER + 4 * LIST_END)?;
        }
        self.coupons(&bytes[HEADER..], count)
    }

    fn set(&self, bytes: &[u8]) -> Result<Sketch, FormatError> {
        need(bytes, COUPONS_AT)?;
        let count = word(bytes, HEADER);
        // Sets are used from a precision of 8 on, by all writers.
        let fits = self.precision >= 8 && count as usize <= most_coupons(self.precision);
        check("set count", count, "as many coupons as a set of this precision has", fits)?;
        self.check_empty(count == 0)?;
        let slots = if self.compact {
            count as usize
        } else {
            // Some writers leave it zero: then it is the least that holds them.
            let slots_log = if self.slots_log == 0 { set_slots_log(count as usize) } else { self.slots_log };
            let allowed = (SET_SLOTS_LOG..=self.precision - 3).contains(&slots_log);
            check("slots", slots_log, "5 to the precision less 3 for a set", allowed)?;
            1 << slots_log
        };
        need_exactly(bytes, COUPONS_AT + 4 * slots)?;
        self.coupons(&bytes[COUPONS_AT..], count as usize)
    }

    /// The coupons among slots. Empty slots there are only where the sketch is not compact.
    fn coupons(&self, slots: &[u8], count: usize) -> Result<Sketch, FormatError> {
        let (mut there, words) = (0, slots.as_chunks::<4>().0);
        let mut coupons = Coupons::default();
        // No more than there can be, whatever is announced.
        coupons.reserve(count.min(words.len()));
        for (at, word) in words.iter().map(|word| u32::from_le_bytes(*word)).enumerate() {
            if word == 0 && !self.compact {
                continue;
            }
            coupons.insert(Coupon::from_word(word).ok_or(FormatError::Coupon { at, word })?);
            there += 1;
        }
        if there != count || coupons.len() != count {
            return Err(FormatError::Repeated { count, there, different: coupons.len() });
        }
        Ok(Sketch::of_coupons(self.precision, None, coupons))
    }

    fn registers<'a>(&self, bytes: &'a [u8]) -> Result<SketchCow<'a>, FormatError> {
        need(bytes, REGISTERS_AT)?;
        let length = 1_usize << self.precision;
        if self.kind != HLL_4 {
            let exceptions = word(bytes, 36);
            check("number of exceptions", exceptions, "0 but for HLL_4", exceptions == 0)?;
        }
        let registers: Cow<'_, [u8]> = match self.kind {
            HLL_8 => {
                need_exactly(bytes, REGISTERS_AT + length)?;
                bytes[REGISTERS_AT..].into()
            }
            HLL_6 => {
                // A byte more than the registers fill, so that the last can be read as two bytes.
                need_exactly(bytes, REGISTERS_AT + length * 6 / 8 + 1)?;
                six_bits(&bytes[REGISTERS_AT..], length).into()
            }
            _ => self.four_bits(bytes, length)?.into(),
        };
        let largest = registers.iter().copied().fold(0, u8::max);
        if largest > LARGEST_VALUE {
            let first = registers.iter().find(|value| **value > LARGEST_VALUE);
            check("register", *first.unwrap_or(&largest), "0 to 63", false)?;
        }
        self.check_smallest(bytes, &registers)?;
        self.check_empty(largest == 0)?;
        Ok(SketchCow::of_registers(self.precision, None, registers))
    }

    /// The smallest register is announced, and how many have its value. Both are right in HLL_4, which counts from there,
    /// and as long as it is zero. Otherwise they may be old: a union of DataSketches counts them when it is asked for an
    /// estimate, and users that come after that raise registers. Some writers have them counted by the reader, and say so.
    fn check_smallest(&self, bytes: &[u8], registers: &[u8]) -> Result<(), FormatError> {
        let smallest = registers.iter().copied().fold(u8::MAX, u8::min);
        check("smallest register", self.count, "no larger than any register", smallest >= self.count)?;
        let there = count(registers, self.count);
        let announced = word(bytes, 32);
        let may_be_old = self.kind != HLL_4 && self.count > 0;
        let to_be_counted = self.kind == HLL_8 && self.flags & FLAG_TO_BE_COUNTED != 0;
        let holds = announced == there || may_be_old && announced as usize <= registers.len() || to_be_counted;
        check("count of the smallest register", announced, "how many registers are the smallest", holds)
    }

    fn four_bits(&self, bytes: &[u8], length: usize) -> Result<Vec<u8>, FormatError> {
        let exceptions_at = REGISTERS_AT + length / 2;
        let count = word(bytes, 36);
        check("number of exceptions", count, "at most one a register", count as usize <= length)?;
        check("smallest register", self.count, "0 to 63", self.count <= LARGEST_VALUE)?;
        let slots = match (self.compact, count) {
            (true, _) => count as usize,
            // The slots are there even if none is taken.
            (false, 0) if self.slots_log == 0 => 1 << exception_slots_log(self.precision),
            (false, _) => {
                let allowed = (2..=self.precision).contains(&self.slots_log);
                check("slots", self.slots_log, "2 to the precision for exceptions", allowed)?;
                1 << self.slots_log
            }
        };
        need_exactly(bytes, exceptions_at + 4 * slots)?;
        let nibbles = bytes[REGISTERS_AT..exceptions_at].iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let mut registers: Vec<u8> = nibbles.collect();
        // Which registers are exceptions, while their place is taken by what the exceptions say.
        let marked: Vec<bool> = registers.iter().map(|value| *value == EXCEPTION).collect();
        registers.iter_mut().for_each(|value| *value += self.count);
        let mut left = marked.clone();
        let words = bytes[exceptions_at..].as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        for (at, word) in words.enumerate() {
            let Some(coupon) = Coupon::from_word(word) else {
                if word == 0 && !self.compact {
                    continue;
                }
                return Err(FormatError::Coupon { at, word });
            };
            let register = coupon.register(length);
            // An exception is at least 15 above the smallest.
            if !std::mem::take(&mut left[register]) || coupon.value() < registers[register] {
                return Err(FormatError::Exception { register, value: registers[register] });
            }
            registers[register] = coupon.value();
        }
        match left.iter().position(|left| *left) {
            Some(register) => Err(FormatError::Exception { register, value: EXCEPTION }),
            None if marked.iter().filter(|marked| **marked).count() == count as usize => Ok(registers),
            None => {
                Err(FormatError::Field { field: "number of exceptions", value: count, expected: "how many there are" })
            }
        }
    }
}

/// The slots a set of so many has in DataSketches: three quarters of them taken at most, and no fewer than 32.
fn set_slots_log(count: usize) -> u8 {
    let slots = (count * 4).div_ceil(3).next_power_of_two();
    (slots.trailing_zeros() as u8).max(SET_SLOTS_LOG)
}

/// The slots for exceptions that DataSketches begins with.
fn exception_slots_log(precision: u8) -> u8 {
    match precision {
        ..7 => 2,
        7..10 => 3,
        10..12 => 4,
        12..14 => 5,
        _ => precision - 8,
    }
}

fn six_bits(bytes: &[u8], length: usize) -> Vec<u8> {
    let register = |at: usize| {
        let bit = at * 6;
        let pair = u16::from_le_bytes([bytes[bit / 8], bytes[bit / 8 + 1]]);
        (pair >> (bit % 8)) as u8 & LARGEST_VALUE
    };
    (0..length).map(register).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
}

fn need(bytes: &[u8], needed: usize) -> Result<(), FormatError> {
    let there = bytes.len();
    if there < needed { Err(FormatError::Truncated { needed, there }) } else { Ok(()) }
}

fn need_exactly(bytes: &[u8], needed: usize) -> Result<(), FormatError> {
    need(bytes, needed)?;
    let there = bytes.len();
    if there > needed { Err(FormatError::TooLong { needed, there }) } else { Ok(()) }
}

fn check(field: &'static str, value: impl Into<u32>, expected: &'static str, holds: bool) -> Result<(), FormatError> {
    if holds { Ok(()) } else { Err(FormatError::Field { field, value: value.into(), expected }) }
}
