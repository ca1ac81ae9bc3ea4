//! Two numbers in as few bytes as they need, read without a branch on how many those are.
//!
//! ```text
//! byte 0   bits 0..4   bytes of the first number, 0 to 8; bits 4..8   bytes of the second one
//! then both numbers, the lowest byte first. The last byte of each is not 0.
//! ```
//!
//! Entries of ids are nothing else.

use crate::codec::{FrameError, Reader};

const MOST: usize = 1 + 8 + 8;

#[inline(always)]
fn significant(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()).div_ceil(8) as usize
}

/// Appends two numbers.
#[inline(always)]
pub(super) fn write(first: u64, second: u64, out: &mut Vec<u8>) {
    let lengths = [significant(first), significant(second)];
    let mut bytes = [0; MOST];
    bytes[0] = (lengths[0] | lengths[1] << 4) as u8;
    bytes[1..9].copy_from_slice(&first.to_le_bytes());
    bytes[1 + lengths[0]..][..8].copy_from_slice(&second.to_le_bytes());
    // A copy of a fixed length is a few instructions, any other one a call.
    let end = out.len() + 1 + lengths[0] + lengths[1];
    out.extend_from_slice(&bytes);
    out.truncate(end);
}

/// Reads two numbers, which are fields of those names.
#[inline(always)]
pub(super) fn read(reader: &mut Reader<'_>, names: [&'static str; 2]) -> Result<(u64, u64), FrameError> {
    let rest = reader.rest();
    let Some(bytes) = rest.first_chunk::<MOST>() else { return read_last(reader, names) };
    let (first, second, length) = take(bytes).ok_or_else(|| fault(bytes, reader.at(), names))?;
    reader.bytes(names[0], length)?;
    Ok((first, second))
}

/// Near the end, where there are fewer bytes than the longest pair has.
#[cold]
fn read_last(reader: &mut Reader<'_>, names: [&'static str; 2]) -> Result<(u64, u64), FrameError> {
    let (rest, at) = (reader.rest(), reader.at());
    let mut bytes = [0; MOST];
    bytes[..rest.len()].copy_from_slice(rest);
    let [first, second] = [bytes[0] & 15, bytes[0] >> 4].map(usize::from);
    if rest.is_empty() || first <= 8 && rest.len() < 1 + first {
        reader.bytes(names[0], 1 + first)?;
    }
    if first <= 8 && second <= 8 && rest.len() < 1 + first + second {
        reader.bytes(names[0], 1 + first)?;
        reader.bytes(names[1], second)?;
    }
    let (first, second, length) = take(&bytes).ok_or_else(|| fault(&bytes, at, names))?;
    reader.bytes(names[0], length)?;
    Ok((first, second))
}

#[inline(always)]
fn take(bytes: &[u8; MOST]) -> Option<(u64, u64, usize)> {
    let lengths = [bytes[0] & 15, bytes[0] >> 4].map(usize::from);
    if lengths[0] > 8 || lengths[1] > 8 {
        return None;
    }
    let number = |at: usize, length: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        // Of no bytes there is none to be kept: a shift by 64 would keep all.
        u64::from_le_bytes(word) & u64::MAX.checked_shr(u64::BITS - 8 * length as u32).unwrap_or(0)
    };
    let (first, second) = (number(1, lengths[0]), number(1 + lengths[0], lengths[1]));
    let is_short = significant(first) == lengths[0] && significant(second) == lengths[1];
    is_short.then_some((first, second, 1 + lengths[0] + lengths[1]))
}

/// What is wrong with a pair, which is long enough.
#[cold]
fn fault(bytes: &[u8; MOST], at: usize, names: [&'static str; 2]) -> FrameError {
    let lengths = [bytes[0] & 15, bytes[0] >> 4].map(usize::from);
    let mut begin = 1;
    for (name, length) in names.into_iter().zip(lengths) {
        if length > 8 {
            return FrameError::new(name, at, format_args!("{length} bytes"), "0 to 8");
        }
        if length > 0 && bytes[begin + length - 1] == 0 {
            return FrameError::new(name, at + begin, "written too long", "no zeros at its end");
        }
        begin += length;
    }
    unreachable!("one of the numbers is wrong")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 2] = ["one", "other"];

    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift)
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(pairs in prop::collection::vec((number(), number()), 1..20)) {
            let mut bytes = Vec::new();
            pairs.iter().for_each(|(first, second)| write(*first, *second, &mut bytes));
            let mut reader = Reader::new(&bytes, 0);
            for pair in &pairs {
                prop_assert_eq!(read(&mut reader, NAMES), Ok(*pair));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_the_pair_that_they_are_written_as_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut reader = Reader::new(&bytes, 0);
            if let Ok((first, second)) = read(&mut reader, NAMES) {
                let mut again = Vec::new();
                write(first, second, &mut again);
                prop_assert_eq!(&again, &bytes[..reader.at()]);
            }
        }
    }

    #[test]
    fn errors_name_the_number_that_is_wrong() {
        for more in [0, 20] {
            let read = |bytes: &[u8]| {
                let bytes = [bytes, &vec![7; more][..]].concat();
                read(&mut Reader::new(&bytes, 0), NAMES).map_err(|error| error.to_string())
            };
            assert_eq!(read(&[0]), Ok((0, 0)));
            assert_eq!(read(&[0x09]), Err("one: 9 bytes, expected 0 to 8 (byte 0 of the frame)".to_owned()));
            assert_eq!(read(&[0x90]), Err("other: 9 bytes, expected 0 to 8 (byte 0 of the frame)".to_owned()));
            let message = "one: written too long, expected no zeros at its end (byte 1 of the frame)";
            assert_eq!(read(&[0x12, 1, 0, 1]), Err(message.to_owned()));
            let message = "other: written too long, expected no zeros at its end (byte 2 of the frame)";
            assert_eq!(read(&[0x11, 1, 0]), Err(message.to_owned()));
        }
        let read = |bytes: &[u8]| read(&mut Reader::new(bytes, 0), NAMES).map_err(|error| error.to_string());
        let cut = |bytes: &[u8], message: &str| assert_eq!(read(bytes), Err(message.to_owned()));
        cut(&[], "one: cut off after 0 bytes, expected 1 bytes (byte 0 of the frame)");
        cut(&[0x12, 1], "one: cut off after 2 bytes, expected 3 bytes (byte 0 of the frame)");
        cut(&[0x21, 1, 5], "other: cut off after 1 bytes, expected 2 bytes (byte 2 of the frame)");
    }
}
