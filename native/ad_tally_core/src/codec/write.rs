//! Writes fields, each as [`Reader`](super::Reader) reads it.

/// Appends fields to bytes.
#[derive(Debug, Default)]
pub struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Has something else append to the bytes.
    #[inline]
    pub fn with<R>(&mut self, append: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        append(&mut self.bytes)
    }

    /// Bytes as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Two bytes.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    /// Four bytes.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Eight bytes.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    /// A number of LEB128.
    #[inline]
    pub fn number(&mut self, value: u64) {
        let mut value = value;
        while value > 0x7f {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// A signed number in zigzag.
    #[inline]
    pub fn signed(&mut self, value: i128) {
        let mut value = ((value << 1) ^ (value >> 127)) as u128;
        while value > u128::from(u64::MAX) {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.number(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Reader;
    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.into_bytes()
    }

    #[test]
    fn numbers_are_written_in_as_few_bytes_as_they_need() {
        for (value, length) in
            [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)]
        {
            let bytes = written(|writer| writer.number(value));
            assert_eq!(bytes.len(), length, "{value}");
            assert_eq!(Reader::new(&bytes, 0).number("it", 0..=u64::MAX), Ok(value));
        }
        for value in [0, -1, 1, i128::from(i64::MIN), i128::MAX, i128::MIN] {
            let bytes = written(|writer| writer.signed(value));
            assert_eq!(Reader::new(&bytes, 0).signed("it"), Ok(value));
        }
    }

    #[test]
    fn rejects_numbers_that_are_cut_off_too_large_or_written_too_long() {
        let read = |bytes: &[u8]| Reader::new(bytes, 0).number("it", 0..=u64::MAX).map_err(|error| error.reason);
        assert_eq!(read(&[0x80]), Err("cut off after 0 bytes, expected 1 bytes".to_owned()));
        assert_eq!(read(&[0x80, 0]), Err("written too long, expected no zeros at its end".to_owned()));
        assert_eq!(read(&[&[0xff; 9][..], &[1]].concat()), Ok(u64::MAX));
        assert_eq!(read(&[&[0xff; 9][..], &[2]].concat()), Err("too large, expected a number of 64 bits".to_owned()));
        assert_eq!(read(&[&[0x80; 10][..], &[1]].concat()), Err("too large, expected a number of 64 bits".to_owned()));
        let error = Reader::new(&[9], 0).number("age", 0..=4).expect_err("above the range");
        assert_eq!(error.to_string(), "age: 9, expected 0 to 4 (byte 0 of the frame)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_number_that_they_are_written_as_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut reader = Reader::new(&bytes, 0);
            if let Ok(value) = reader.signed("it") {
                prop_assert_eq!(&written(|writer| writer.signed(value)), &bytes[..reader.at()]);
            }
            let mut reader = Reader::new(&bytes, 0);
            if let Ok(value) = reader.number("it", 0..=u64::MAX) {
                prop_assert_eq!(&written(|writer| writer.number(value)), &bytes[..reader.at()]);
            }
        }
    }
}
