//! Hashes with a fixed definition, for what is stored, shipped or merged.

/// MurmurHash3 in its x64 128-bit form (Austin Appleby, public domain), both halves seeded alike as DataSketches does.
#[must_use]
pub fn murmur3_128(bytes: &[u8], seed: u64) -> [u64; 2] {
    let mut state = Murmur { first: seed, second: seed };
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        state.block(word(&block[..8]), word(&block[8..]));
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    state.tail(word(low), word(high));
    state.finish(bytes.len() as u64)
}

/// The same of the 8 little-endian bytes of an integer.
#[inline(always)]
#[must_use]
pub fn murmur3_128_of_integer(value: u64, seed: u64) -> [u64; 2] {
    let mut state = Murmur { first: seed, second: seed };
    state.tail(value, 0);
    state.finish(8)
}

/// Up to eight bytes, little-endian, filled up with zeros.
#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

struct Murmur {
    first: u64,
    second: u64,
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

impl Murmur {
    #[inline(always)]
    fn block(&mut self, low: u64, high: u64) {
        self.first ^= mix_low(low);
        self.first = self.first.rotate_left(27).wrapping_add(self.second).wrapping_mul(5).wrapping_add(0x52dc_e729);
        self.second ^= mix_high(high);
        self.second = self.second.rotate_left(31).wrapping_add(self.first).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }

    /// The last 0 to 15 bytes. A half without bytes is zero, and mixing zero in changes nothing.
    #[inline(always)]
    fn tail(&mut self, low: u64, high: u64) {
        self.second ^= mix_high(high);
        self.first ^= mix_low(low);
    }

    #[inline(always)]
    fn finish(mut self, length: u64) -> [u64; 2] {
        self.first ^= length;
        self.second ^= length;
        self.first = self.first.wrapping_add(self.second);
        self.second = self.second.wrapping_add(self.first);
        self.first = avalanche(self.first);
        self.second = avalanche(self.second);
        self.first = self.first.wrapping_add(self.second);
        self.second = self.second.wrapping_add(self.first);
        [self.first, self.second]
    }
}

#[inline(always)]
fn mix_low(word: u64) -> u64 {
    word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

#[inline(always)]
fn mix_high(word: u64) -> u64 {
    word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

#[inline(always)]
fn avalanche(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}
