//! The writer of a key's words.

use std::mem::MaybeUninit;

use super::{
    ARITY_BITS, DESCRIPTOR_BITS, Element, KIND_ATOM, KIND_BYTES, KIND_INTEGER, KeyFault, LENGTH_SHIFT, LONG, MAX_ARITY,
    MAX_BYTES, SHORT_BYTES, SHORT_KEY_WORDS,
};

/// Writes a key's words into borrowed room.
///
/// ```
/// # use ad_tally_core::{KeyWriter, KeyRef, Element};
/// # use std::mem::MaybeUninit;
/// let mut room = [MaybeUninit::uninit(); ad_tally_core::key::SHORT_KEY_WORDS];
/// let mut writer = KeyWriter::tuple(&mut room, 2)?;
/// writer.integer(42);
/// writer.bytes(b"creative-7")?;
/// let elements: Vec<_> = KeyRef::new(writer.finish()).elements().collect();
/// assert_eq!(elements, [Element::Integer(42), Element::Bytes(b"creative-7")]);
/// # Ok::<(), ad_tally_core::key::KeyFault>(())
/// ```
pub struct KeyWriter<'a> {
    room: &'a mut [MaybeUninit<u64>],
    length: usize,
    header: u64,
    shift: u32,
}

impl<'a> KeyWriter<'a> {
    /// Begins a key that is one bare element.
    ///
    /// # Panics
    /// If `room` has fewer than [`SHORT_KEY_WORDS`] words.
    #[inline(always)]
    pub fn bare(room: &'a mut [MaybeUninit<u64>]) -> Self {
        assert!(room.len() >= SHORT_KEY_WORDS);
        Self { room, length: 1, header: 0, shift: ARITY_BITS }
    }

    /// Begins a tuple of `arity` elements.
    ///
    /// # Errors
    /// [`KeyFault::Arity`] unless `arity` is one to eight.
    ///
    /// # Panics
    /// If `room` has fewer than [`SHORT_KEY_WORDS`] words.
    #[inline(always)]
    pub fn tuple(room: &'a mut [MaybeUninit<u64>], arity: usize) -> Result<Self, KeyFault> {
        if arity == 0 || arity > MAX_ARITY {
            return Err(KeyFault::Arity(arity));
        }
        Ok(Self { header: arity as u64, ..Self::bare(room) })
    }

    /// Appends an integer.
    #[inline(always)]
    pub fn integer(&mut self, value: i64) {
        self.describe(KIND_INTEGER);
        self.word(value as u64);
    }

    /// Appends an atom by [`atom_hash`](super::atom_hash) of its text.
    #[inline(always)]
    pub fn atom(&mut self, hash: u64) {
        self.describe(KIND_ATOM);
        self.word(hash);
    }

    /// Appends bytes if there are at most [`SHORT_BYTES`] of them: whether it has.
    #[inline(always)]
    #[must_use]
    pub fn short_bytes(&mut self, bytes: &[u8]) -> bool {
        let is_short = bytes.len() <= SHORT_BYTES;
        if is_short {
            self.any_bytes(bytes);
        }
        is_short
    }

    /// Appends bytes, as many as a key may have.
    ///
    /// # Errors
    /// [`KeyFault::BinaryLength`] above [`MAX_BYTES`], [`KeyFault::Room`] where they do not fit.
    #[inline(always)]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), KeyFault> {
        if self.short_bytes(bytes) { Ok(()) } else { self.long_bytes(bytes) }
    }

    #[cold]
    fn long_bytes(&mut self, bytes: &[u8]) -> Result<(), KeyFault> {
        if bytes.len() > MAX_BYTES {
            return Err(KeyFault::BinaryLength(bytes.len()));
        }
        // Whatever follows still has to fit, so the room that short elements would take is kept free.
        let needed = self.length + 1 + bytes.len().div_ceil(8) + SHORT_KEY_WORDS;
        if needed > self.room.len() {
            // Twice as many at least, so that of several long binaries not each has the key written again from its beginning.
            return Err(KeyFault::Room(needed.max(2 * self.room.len())));
        }
        self.any_bytes(bytes);
        Ok(())
    }

    /// Ends the key: its words.
    #[inline(always)]
    #[must_use]
    pub fn finish(self) -> &'a [u64] {
        self.room[0].write(self.header);
        let words = &self.room[..self.length];
        // SAFETY: word 0 was written above, and `word` wrote every word from 1 to `length` in turn.
        unsafe { &*(std::ptr::from_ref(words) as *const [u64]) }
    }

    #[inline(always)]
    fn any_bytes(&mut self, bytes: &[u8]) {
        self.describe(KIND_BYTES | (bytes.len().min(LONG) as u64) << LENGTH_SHIFT);
        if bytes.len() >= LONG {
            self.word(bytes.len() as u64);
        }
        let (whole, rest) = bytes.as_chunks::<8>();
        whole.iter().for_each(|chunk| self.word(u64::from_le_bytes(*chunk)));
        if !rest.is_empty() {
            self.word(last_word(bytes, rest));
        }
    }

    #[inline(always)]
    fn describe(&mut self, descriptor: u64) {
        self.header |= descriptor << self.shift;
        self.shift += DESCRIPTOR_BITS;
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.room[self.length].write(word);
        self.length += 1;
    }
}

/// The words of a key that is one bare integer, as [`KeyWriter`] writes them.
#[inline(always)]
#[must_use]
pub fn integer_words(value: i64) -> [u64; 2] {
    [KIND_INTEGER << ARITY_BITS, value as u64]
}

/// The last one to seven bytes of `bytes` as a word: one wide read where there are eight bytes to read.
#[inline(always)]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        u64::from_le_bytes(*last) >> (64 - 8 * rest.len())
    } else if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u64::from(first) | u64::from(last) << (8 * (rest.len() - 4))
    } else {
        rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    }
}

/// Appends the words of the key of these elements, each of a length that a key may have: of a tuple of them, or of the one.
///
/// # Panics
/// If they are none or more than a tuple has.
pub(super) fn append_words(is_tuple: bool, elements: &[Element<'_>], words: &mut Vec<u64>) {
    let words_of = |element: &Element<'_>| match element {
        Element::Bytes(bytes) => 1 + bytes.len().div_ceil(8),
        _ => 1,
    };
    // The writer keeps the room of a short key free.
    let mut room = vec![MaybeUninit::uninit(); 1 + elements.iter().map(words_of).sum::<usize>() + SHORT_KEY_WORDS];
    let mut write = || {
        let arity = elements.len();
        let mut writer = if is_tuple { KeyWriter::tuple(&mut room, arity)? } else { KeyWriter::bare(&mut room) };
        for element in elements {
            match *element {
                Element::Integer(value) => writer.integer(value),
                Element::Atom(hash) => writer.atom(hash),
                Element::Bytes(bytes) => writer.bytes(bytes)?,
            }
        }
        words.extend_from_slice(writer.finish());
        Ok::<(), KeyFault>(())
    };
    write().unwrap_or_else(|_fault| unreachable!("there was room for a key of such elements"));
}
