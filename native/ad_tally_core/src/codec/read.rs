//! Reads fields. Every one is checked before it is used; an error names the field, its place, and what would be right.

use std::ops::RangeInclusive;

use super::FrameError;
use crate::key::{AtomNames, decode_key};

/// Bytes of a number of LEB128 that fit a word of 64 bits, whatever they are.
const SHORT: usize = 9;

/// Reads fields from a part of a frame.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// The frame up to the end of the part, so that places are those in the frame.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from a place on.
    ///
    /// # Panics
    /// If there are not as many bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        assert!(at <= bytes.len());
        Self { bytes, at }
    }

    /// The place of what is read next.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether all was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// All that can be read, from the first byte of the frame on.
    #[must_use]
    pub fn all(&self) -> &'a [u8] {
        self.bytes
    }

    /// All that is left, which stays to be read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// If there are not as many.
    #[inline]
    pub fn bytes(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], FrameError> {
        let left = self.bytes.len() - self.at;
        if length > left {
            return Err(FrameError::new(
                field,
                self.at,
                format_args!("cut off after {left} bytes"),
                format_args!("{length} bytes"),
            ));
        }
        let bytes = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FrameError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(field, N)?);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// If there is none.
    #[inline]
    pub fn u8(&mut self, field: &'static str) -> Result<u8, FrameError> {
        self.array(field).map(u8::from_le_bytes)
    }

    /// One byte that is 0 or 1.
    ///
    /// # Errors
    /// If there is none, or another one.
    #[inline]
    pub fn flag(&mut self, field: &'static str) -> Result<bool, FrameError> {
        let at = self.at;
        match self.u8(field)? {
            flag @ 0..=1 => Ok(flag == 1),
            other => Err(FrameError::new(field, at, other, "0 or 1")),
        }
    }

    /// A key's bytes, see `key::bytes`, into `words`, in place of what was there.
    ///
    /// # Errors
    /// What is wrong with the key.
    pub fn key(&mut self, atoms: &mut impl AtomNames, words: &mut Vec<u64>) -> Result<(), FrameError> {
        let length = decode_key(self.rest(), atoms, words)
            .map_err(|error| FrameError::because("key", self.at + error.at, error.fault))?;
        self.at += length;
        Ok(())
    }

    /// Two bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn u16(&mut self, field: &'static str) -> Result<u16, FrameError> {
        self.array(field).map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn u32(&mut self, field: &'static str) -> Result<u32, FrameError> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub fn u64(&mut self, field: &'static str) -> Result<u64, FrameError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A number of LEB128, seven bits a byte, the lowest first, within a range.
    ///
    /// # Errors
    /// If it is cut off, written in more bytes than it needs, or not in the range.
    #[inline]
    pub fn number(&mut self, field: &'static str, range: RangeInclusive<u64>) -> Result<u64, FrameError> {
        let at = self.at;
        let number = self.leb128(field, 64)?;
        if u128::from(*range.start()) > number || number > u128::from(*range.end()) {
            return Err(FrameError::new(field, at, number, format_args!("{} to {}", range.start(), range.end())));
        }
        Ok(number as u64)
    }

    /// A signed number of up to 128 bits, in zigzag: 0, -1, 1, -2, ...
    ///
    /// # Errors
    /// If it is cut off, or written in more bytes than it needs.
    #[inline]
    pub fn signed(&mut self, field: &'static str) -> Result<i128, FrameError> {
        let number = self.leb128(field, 128)?;
        Ok((number >> 1) as i128 ^ -((number & 1) as i128))
    }

    #[inline]
    fn leb128(&mut self, field: &'static str, bits: u32) -> Result<u128, FrameError> {
        // Nearly all numbers are short, and words of 64 bits are shifted in fewer instructions than those of 128.
        let mut number = 0;
        for (at, byte) in self.bytes[self.at..].iter().take(SHORT).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                if *byte == 0 && at > 0 {
                    break;
                }
                self.at += at + 1;
                return Ok(number.into());
            }
        }
        self.long_leb128(field, bits)
    }

    #[cold]
    fn long_leb128(&mut self, field: &'static str, bits: u32) -> Result<u128, FrameError> {
        let begin = self.at;
        let (mut number, mut shift) = (0_u128, 0);
        loop {
            let byte = self.u8(field)?;
            let low = u128::from(byte & 0x7f);
            // The last byte of the largest number has the bits that are left; of a shorter one it is not 0.
            if shift >= bits || shift + 7 > bits && low >> (bits - shift) != 0 {
                return Err(FrameError::new(field, begin, "too large", format_args!("a number of {bits} bits")));
            }
            number |= low << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 7 {
                    return Err(FrameError::new(field, begin, "written too long", "no zeros at its end"));
                }
                return Ok(number);
            }
        }
    }
}
