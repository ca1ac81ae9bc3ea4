//! Keys: what is counted. An integer, a string of bytes, a symbol, or a flat tuple of one to eight of those.
//!
//! A key is kept as 64-bit words, because words are written, hashed and compared without the partial reads and
//! store-forwarding stalls that a byte encoding costs (6 of 52 ns an event, measured through the NIF).
//!
//! ```text
//! word 0, the header
//!   bits 0..4    arity: 0 for a bare element, 1 to 8 for a tuple
//!   bits 4..60   one descriptor of 7 bits an element, the first one lowest:
//!                  bits 0..2  kind: 0 integer, 1 bytes, 2 symbol
//!                  bits 2..7  bytes only: the length, or 31 when it is 31 or more and a word of its own
//! then for every element
//!   integer, symbol   one word
//!   bytes             [the length, if 31 or more], then ceil(length / 8) words, little-endian, the last one
//!                     filled up with zeros
//! ```
//!
//! Lengths precede what they measure, so no key's words are the beginning of another's, and equal words mean
//! equal keys. A symbol is whatever 64-bit name the caller has for an atom: it is as stable as that name is.

use std::hash::{BuildHasher, Hasher};
use std::mem::MaybeUninit;

use crate::error::Error;

/// The most elements a tuple key has.
pub const MAX_ARITY: usize = 8;
/// The most bytes a binary in a key has.
pub const MAX_BYTES: usize = 65_536;
/// Bytes of a binary that is not long. A UUID in text has 36.
pub const SHORT_BYTES: usize = 64;
/// Words that any key without long binaries fits in: the header and eight elements of that many bytes, and their lengths.
pub const SHORT_KEY_WORDS: usize = 1 + MAX_ARITY * (1 + SHORT_BYTES / size_of::<u64>());

const ARITY_BITS: u32 = 4;
const ARITY_MASK: u64 = (1 << ARITY_BITS) - 1;
const DESCRIPTOR_BITS: u32 = 7;
const DESCRIPTOR_MASK: u64 = (1 << DESCRIPTOR_BITS) - 1;
const KIND_MASK: u64 = 0b11;
const KIND_INTEGER: u64 = 0;
const KIND_BYTES: u64 = 1;
const KIND_SYMBOL: u64 = 2;
const LENGTH_SHIFT: u32 = 2;
/// Lengths from here on have a word of their own.
const LONG: usize = 31;

/// The secret under which a table hashes its keys, so that nobody can choose keys that collide.
#[derive(Debug, Clone)]
pub struct Seed {
    begun: ahash::AHasher,
    header_secret: u64,
}

impl Seed {
    /// A seed of fresh random numbers.
    #[must_use]
    pub fn random() -> Self {
        let state = ahash::RandomState::new();
        // Odd, so that multiplying by it loses nothing.
        let header_secret = state.hash_one("header") | 1;
        Self { begun: state.build_hasher(), header_secret }
    }
}

/// A key's words and their hash under one table's seed.
#[derive(Debug, Clone, Copy)]
pub struct HashedKey<'a> {
    /// The hash of `words`.
    pub hash: u64,
    /// The canonical words.
    pub words: &'a [u64],
}

/// There was too little room for a long binary: start again with this many words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortfall(pub usize);

/// Writes a key's words into borrowed room, and hashes them on the way.
///
/// ```
/// # use ad_tally_core::{KeyWriter, KeyRef, Element, Seed};
/// # use std::mem::MaybeUninit;
/// let mut room = [MaybeUninit::uninit(); ad_tally_core::key::SHORT_KEY_WORDS];
/// let mut writer = KeyWriter::tuple(&mut room, &Seed::random(), 2)?;
/// writer.integer(42);
/// writer.bytes(b"creative-7").unwrap().unwrap();
/// let key = writer.finish();
/// let elements: Vec<_> = KeyRef::new(key.words).elements().collect();
/// assert_eq!(elements, [Element::Integer(42), Element::Bytes(b"creative-7")]);
/// # Ok::<(), ad_tally_core::Error>(())
/// ```
pub struct KeyWriter<'a> {
    room: &'a mut [MaybeUninit<u64>],
    length: usize,
    header: u64,
    shift: u32,
    hash: Hash,
}

impl<'a> KeyWriter<'a> {
    /// Begins a key that is one bare element.
    ///
    /// # Panics
    /// If `room` has fewer than [`SHORT_KEY_WORDS`] words.
    #[inline(always)]
    pub fn bare(room: &'a mut [MaybeUninit<u64>], seed: &Seed) -> Self {
        assert!(room.len() >= SHORT_KEY_WORDS);
        Self { room, length: 1, header: 0, shift: ARITY_BITS, hash: Hash::new(seed) }
    }

    /// Begins a tuple of `arity` elements.
    ///
    /// # Errors
    /// [`Error::Arity`] unless `arity` is one to eight.
    ///
    /// # Panics
    /// If `room` has fewer than [`SHORT_KEY_WORDS`] words.
    #[inline(always)]
    pub fn tuple(room: &'a mut [MaybeUninit<u64>], seed: &Seed, arity: usize) -> Result<Self, Error> {
        if arity == 0 || arity > MAX_ARITY {
            return Err(Error::Arity(arity));
        }
        let mut writer = Self::bare(room, seed);
        writer.header = arity as u64;
        Ok(writer)
    }

    /// Appends an integer.
    #[inline(always)]
    pub fn integer(&mut self, value: i64) {
        self.describe(KIND_INTEGER);
        self.word(value as u64);
    }

    /// Appends a symbol.
    #[inline(always)]
    pub fn symbol(&mut self, name: u64) {
        self.describe(KIND_SYMBOL);
        self.word(name);
    }

    /// Appends bytes if there are at most [`SHORT_BYTES`] of them: whether it has.
    #[inline(always)]
    #[must_use]
    pub fn short_bytes(&mut self, bytes: &[u8]) -> bool {
        let is_short = bytes.len() <= SHORT_BYTES;
        if is_short {
            self.length_of_bytes(bytes.len());
            self.byte_words(bytes);
        }
        is_short
    }

    /// The same of bytes in whole words.
    #[inline(always)]
    #[must_use]
    pub fn short_words(&mut self, bytes: InWords<'_>) -> bool {
        let length = bytes.length;
        if (1..=size_of::<u64>()).contains(&length)
            && let Some(word) = bytes.words.first()
        {
            // Codes and names are mostly that short.
            self.describe(KIND_BYTES | (length as u64) << LENGTH_SHIFT);
            self.word(u64::from_le(*word) & u64::MAX >> (64 - 8 * length));
            return true;
        }
        let is_short = bytes.length <= SHORT_BYTES;
        if is_short {
            self.length_of_bytes(bytes.length);
            bytes.for_each(|word| self.word(word));
        }
        is_short
    }

    /// Appends bytes, as many as a key may have. The inner result is an error when the room is too short for them.
    ///
    /// # Errors
    /// [`Error::BinaryLength`] above [`MAX_BYTES`].
    #[inline(always)]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<Result<(), Shortfall>, Error> {
        if self.short_bytes(bytes) { Ok(Ok(())) } else { self.long_bytes(bytes) }
    }

    #[cold]
    fn long_bytes(&mut self, bytes: &[u8]) -> Result<Result<(), Shortfall>, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::BinaryLength(bytes.len()));
        }
        // Whatever follows still has to fit, so the room that short elements would take is kept free.
        let needed = self.length + 1 + bytes.len().div_ceil(8) + SHORT_KEY_WORDS;
        if needed > self.room.len() {
            // Twice as many at least, so that of several long binaries not each has the key written again from its beginning.
            return Ok(Err(Shortfall(needed.max(2 * self.room.len()))));
        }
        self.length_of_bytes(bytes.len());
        self.byte_words(bytes);
        Ok(Ok(()))
    }

    /// Ends the key.
    #[inline(always)]
    #[must_use]
    pub fn finish(self) -> HashedKey<'a> {
        self.room[0].write(self.header);
        let words = &self.room[..self.length];
        // SAFETY: word 0 was written above, and `word` wrote every word from 1 to `length` in turn.
        let words = unsafe { &*(std::ptr::from_ref(words) as *const [u64]) };
        HashedKey { hash: self.hash.finish(self.header), words }
    }

    #[inline(always)]
    fn length_of_bytes(&mut self, length: usize) {
        self.describe(bytes_descriptor(length));
        if length >= LONG {
            self.word(length as u64);
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
        self.hash.word(word);
    }

    #[inline(always)]
    fn byte_words(&mut self, bytes: &[u8]) {
        for_each_word(bytes, |word| self.word(word));
    }
}

/// The words that a key has of bytes.
#[inline(always)]
fn for_each_word(bytes: &[u8], mut act: impl FnMut(u64)) {
    let (whole, rest) = bytes.as_chunks::<8>();
    whole.iter().for_each(|chunk| act(u64::from_le_bytes(*chunk)));
    if !rest.is_empty() {
        act(last_word(bytes, rest));
    }
}

#[inline(always)]
fn bytes_descriptor(length: usize) -> u64 {
    KIND_BYTES | (length.min(LONG) as u64) << LENGTH_SHIFT
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

/// Bytes that lie in whole words of their own: what follows the last of them in its word does not matter. They are taken as
/// words without looking at single ones.
#[derive(Debug, Clone, Copy)]
pub struct InWords<'a> {
    words: &'a [u64],
    length: usize,
}

impl<'a> InWords<'a> {
    /// The first `length` bytes of words.
    ///
    /// # Panics
    /// If those are not as many words as the bytes take.
    #[inline(always)]
    #[must_use]
    pub fn new(words: &'a [u64], length: usize) -> Self {
        assert!(words.len() == length.div_ceil(size_of::<u64>()));
        Self { words, length }
    }

    /// Whether there are none.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.length == 0
    }

    /// The words that a key has of them.
    #[inline(always)]
    fn for_each(self, mut act: impl FnMut(u64)) {
        let mut left = self.length;
        for word in self.words {
            // Of a last word that is whole nothing is taken off.
            let behind = if left < size_of::<u64>() { 64 - 8 * left } else { 0 };
            act(u64::from_le(*word) & u64::MAX >> behind);
            left = left.saturating_sub(size_of::<u64>());
        }
    }
}

/// One element of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'a> {
    /// A signed 64-bit integer.
    Integer(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A caller's 64-bit name for an atom.
    Symbol(u64),
}

/// A key read back from its words.
#[derive(Debug, Clone, Copy)]
pub struct KeyRef<'a> {
    words: &'a [u64],
}

impl<'a> KeyRef<'a> {
    /// A view of words that a [`KeyWriter`] wrote.
    #[must_use]
    pub fn new(words: &'a [u64]) -> Self {
        Self { words }
    }

    /// `None` for a bare element, the number of elements for a tuple.
    #[must_use]
    pub fn arity(self) -> Option<usize> {
        match (self.words[0] & ARITY_MASK) as usize {
            0 => None,
            arity => Some(arity),
        }
    }

    /// The elements in order.
    pub fn elements(self) -> impl Iterator<Item = Element<'a>> {
        let mut descriptors = self.words[0] >> ARITY_BITS;
        let mut rest = &self.words[1..];
        (0..self.arity().unwrap_or(1)).map(move |_| {
            let descriptor = descriptors & DESCRIPTOR_MASK;
            descriptors >>= DESCRIPTOR_BITS;
            match descriptor & KIND_MASK {
                KIND_INTEGER => Element::Integer(take(&mut rest, 1)[0] as i64),
                KIND_SYMBOL => Element::Symbol(take(&mut rest, 1)[0]),
                _ => {
                    let length = match (descriptor >> LENGTH_SHIFT) as usize {
                        LONG => take(&mut rest, 1)[0] as usize,
                        short => short,
                    };
                    let words = take(&mut rest, length.div_ceil(8));
                    Element::Bytes(&bytemuck::cast_slice(words)[..length])
                }
            }
        })
    }
}

fn take<'a>(words: &mut &'a [u64], count: usize) -> &'a [u64] {
    let (taken, rest) = words.split_at(count);
    *words = rest;
    taken
}

/// Does something with the tuple of some elements of a key, whose words these are.
///
/// # Panics
/// If the key has no such element, or they are none or more than a tuple has.
pub(crate) fn with_part<R>(words: &[u64], places: &[usize], seed: &Seed, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
    let (mut elements, mut count) = ([Element::Integer(0); MAX_ARITY], 0);
    for element in KeyRef::new(words).elements() {
        elements[count] = element;
        count += 1;
    }
    let write = |room: &mut [MaybeUninit<u64>]| {
        let mut writer = KeyWriter::tuple(room, seed, places.len()).ok()?;
        for place in places {
            match elements[..count][*place] {
                Element::Integer(value) => writer.integer(value),
                Element::Symbol(name) => writer.symbol(name),
                Element::Bytes(bytes) => writer.bytes(bytes).ok()?.ok()?,
            }
        }
        Some(act(writer.finish()))
    };
    let words_of = |place: &usize| match elements[..count][*place] {
        Element::Bytes(bytes) => 1 + bytes.len().div_ceil(size_of::<u64>()),
        _ => 1,
    };
    // Whether there is room for an element is asked as if short ones were still to follow.
    let room = 1 + places.iter().map(words_of).sum::<usize>() + SHORT_KEY_WORDS;
    let mut short = [MaybeUninit::uninit(); 2 * SHORT_KEY_WORDS];
    let part = match short.get_mut(..room) {
        Some(room) => write(room),
        None => write(&mut vec![MaybeUninit::uninit(); room]),
    };
    part.unwrap_or_else(|| unreachable!("a part of a key is one"))
}

/// How many words the key has whose word `i` is `word(i)`: it reads the header and the lengths only.
pub(crate) fn length_in_words(word: impl Fn(usize) -> u64) -> usize {
    let header = word(0);
    let elements = (header & ARITY_MASK).max(1);
    let mut descriptors = header >> ARITY_BITS;
    let mut length = 1;
    for _ in 0..elements {
        let descriptor = descriptors & DESCRIPTOR_MASK;
        descriptors >>= DESCRIPTOR_BITS;
        length += match (descriptor & KIND_MASK, (descriptor >> LENGTH_SHIFT) as usize) {
            (KIND_BYTES, LONG) => 1 + (word(length) as usize).div_ceil(8),
            (KIND_BYTES, short) => short.div_ceil(8),
            _ => 1,
        };
    }
    length
}

/// The hash of a key's words as they come: reading them back later would wait for them to leave the store buffer, and
/// this way an element is decoded while the one before it is hashed. The header is known last and goes in last, multiplied
/// by a secret, so that nothing waits for it. The secret is odd: equal words under different headers never hash alike.
struct Hash {
    hasher: ahash::AHasher,
    secret: u64,
}

impl Hash {
    #[inline(always)]
    fn new(seed: &Seed) -> Self {
        Self { hasher: seed.begun.clone(), secret: seed.header_secret }
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.hasher.write_u64(word);
    }

    #[inline(always)]
    fn finish(self, header: u64) -> u64 {
        self.hasher.finish() ^ header.wrapping_mul(self.secret)
    }
}

/// The hash of a key that is one bare integer, equal to what [`KeyWriter`] computes.
#[inline(always)]
#[must_use]
pub fn hash_integer(seed: &Seed, value: i64) -> u64 {
    let mut hash = Hash::new(seed);
    hash.word(value as u64);
    hash.finish(KIND_INTEGER << ARITY_BITS)
}

/// The hash of bare bytes, wherever they lie, for who keeps no more of them: not what [`KeyWriter`] computes. They are taken
/// sixteen at a time.
#[inline(always)]
#[must_use]
pub fn hash_bytes(seed: &Seed, bytes: &[u8]) -> u64 {
    let mut hash = Hash::new(seed);
    hash.hasher.write(bytes);
    hash.finish(KIND_BYTES << ARITY_BITS)
}

/// The hash of whole words, equal to what [`KeyWriter`] computed when it wrote them.
pub(crate) fn hash_words(seed: &Seed, length: usize, word: impl Fn(usize) -> u64) -> u64 {
    let mut hash = Hash::new(seed);
    (1..length).for_each(|at| hash.word(word(at)));
    hash.finish(word(0))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The words and the hash of a key that is one bare element.
    fn written(seed: &Seed, write: impl FnOnce(&mut KeyWriter<'_>) -> bool) -> Option<(Vec<u64>, u64)> {
        let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
        let mut writer = KeyWriter::bare(&mut room, seed);
        write(&mut writer).then(|| {
            let key = writer.finish();
            (key.words.to_vec(), key.hash)
        })
    }

    /// Bytes that differ in one bit, or in how many zeros are behind them, are told apart by any 20 bits of their hashes: as
    /// often as numbers are that were drawn.
    #[test]
    fn hashes_of_bytes_are_spread() {
        let seed = Seed::random();
        let mut hashes: Vec<u64> = Vec::new();
        for length in 0..100 {
            let bytes = vec![0; length];
            hashes.push(hash_bytes(&seed, &bytes));
            for bit in 0..8 * length {
                let mut other = bytes.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                hashes.push(hash_bytes(&seed, &other));
            }
        }
        let count = hashes.len() as f64;
        for shift in [0, 20, 44] {
            let mut part: Vec<u64> = hashes.iter().map(|hash| hash >> shift & 0xf_ffff).collect();
            part.sort_unstable();
            let alike = part.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
            // Of so many that were drawn, this many pairs are alike, and ten standard deviations more never are.
            let expected = count * count / 2.0 / f64::from(1 << 20);
            assert!(alike < expected + 10.0 * expected.sqrt(), "{alike} of {expected} at {shift}");
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len() as f64, count);
    }

    #[test]
    fn a_part_of_a_key_is_the_tuple_of_its_elements() {
        let (seed, long) = (Seed::random(), vec![7; MAX_BYTES]);
        let elements = [
            Element::Integer(-1),
            Element::Bytes(b""),
            Element::Bytes(b"a binary of thirty bytes......"),
            Element::Bytes(&long),
            Element::Symbol(11),
            Element::Bytes(&long[..31]),
            Element::Integer(i64::MIN),
            Element::Bytes(b"us"),
        ];
        let key = |elements: &[Element<'_>]| {
            let mut room = vec![MaybeUninit::uninit(); 2 * SHORT_KEY_WORDS + MAX_ARITY * (1 + MAX_BYTES / 8)];
            let mut writer = KeyWriter::tuple(&mut room, &seed, elements.len()).expect("an arity");
            for element in elements {
                match element {
                    Element::Integer(value) => writer.integer(*value),
                    Element::Symbol(name) => writer.symbol(*name),
                    Element::Bytes(bytes) => writer.bytes(bytes).expect("a length").expect("room"),
                }
            }
            let key = writer.finish();
            (key.hash, key.words.to_vec())
        };
        let (_hash, words) = key(&elements);
        let places: [&[usize]; 6] = [&[0], &[1], &[7, 0], &[3], &[2, 5, 4], &[0, 1, 2, 3, 4, 5, 6, 7]];
        for places in places {
            let expected = key(&places.iter().map(|place| elements[*place]).collect::<Vec<_>>());
            with_part(&words, places, &seed, |part| assert_eq!((part.hash, part.words.to_vec()), expected));
        }
        // An element twice.
        let expected = key(&[elements[3], elements[3]]);
        with_part(&words, &[3, 3], &seed, |part| assert_eq!((part.hash, part.words.to_vec()), expected));
        // Of a short one, in room that is not allocated.
        let (_hash, words) = key(&elements[..3]);
        let expected = key(&[elements[2], elements[0]]);
        with_part(&words, &[2, 0], &seed, |part| assert_eq!((part.hash, part.words.to_vec()), expected));
    }

    #[test]
    fn bytes_in_words_are_the_key_that_the_bytes_are_whatever_is_behind_them() {
        let seed = Seed::random();
        for length in 0..=SHORT_BYTES + 9 {
            let bytes: Vec<u8> = (0..length as u8).map(|at| at.wrapping_mul(37) | 0x80).collect();
            let expected = written(&seed, |writer| writer.short_bytes(&bytes));
            assert_eq!(expected.is_some(), length <= SHORT_BYTES);
            for behind in [0, 0x5a, 0xff] {
                let mut padded = bytes.clone();
                padded.resize(length.next_multiple_of(8), behind);
                let words: Vec<u64> =
                    padded.as_chunks().0.iter().map(|word: &[u8; 8]| u64::from_ne_bytes(*word)).collect();
                let bytes = InWords::new(&words, length);
                assert_eq!(written(&seed, |writer| writer.short_words(bytes)), expected, "{length} {behind}");
            }
        }
    }
}
