//! Bytes that agree with themselves. Of bytes that were changed at random, nearly all are refused for a length or a count
//! that does not fit the rest, and what lies behind those checks is never reached: here lengths and counts follow from the
//! rest.

use std::collections::BTreeSet;

const EMPTY: u8 = 4;
const COMPACT: u8 = 8;
const REGISTERS_AT: usize = 40;

/// Changes bytes so that they are a sketch, as little as can be: of the same mode, kind of registers, precision and form
/// where those are possible, with the coupons or the registers that are there.
pub fn mend(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().max(8), 0);
    let (mode, kind) = (bytes[7] & 3, bytes[7] >> 2 & 3);
    let (mode, kind) = (mode % 3, kind % 3);
    bytes[7] = mode | kind << 2;
    bytes[..3].copy_from_slice(&[[2, 3, 10][usize::from(mode)], 1, 7]);
    let least = if mode == 1 { 8 } else { 4 };
    if !(least..=18).contains(&bytes[3]) {
        bytes[3] = least + bytes[3] % 4;
    }
    match mode {
        0 => mend_list(bytes),
        1 => mend_set(bytes),
        _ => mend_registers(bytes, kind),
    }
}

fn mend_list(bytes: &mut Vec<u8>) {
    let words = coupons(&bytes[8..], 7);
    bytes[4] = 3;
    bytes[6] = words.len() as u8;
    put_words(bytes, 8, &words, 8);
}

fn mend_set(bytes: &mut Vec<u8>) {
    let precision = bytes[3];
    bytes.resize(bytes.len().max(12), 0);
    let slots_log = bytes[4].clamp(5, precision - 3);
    bytes[4] = slots_log;
    let words = coupons(&bytes[12..], 3 << (slots_log - 2));
    put_word(bytes, 8, words.len() as u32);
    put_words(bytes, 12, &words, 1 << slots_log);
}

/// Words as coupons: different ones, and none without a value.
fn coupons(bytes: &[u8], most: usize) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    let coupons = words.filter(|word| *word != 0).map(|word| if word >> 26 == 0 { word | 1 << 26 } else { word });
    coupons.filter(|word| seen.insert(*word)).take(most).collect()
}

/// The words, and nothing after them; or empty slots where the form is not compact.
fn put_words(bytes: &mut Vec<u8>, at: usize, words: &[u32], slots: usize) {
    if !words.is_empty() {
        bytes[5] &= !EMPTY;
    }
    let slots = if bytes[5] & COMPACT == 0 { slots } else { words.len() };
    bytes.truncate(at);
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.resize(at + 4 * slots, 0);
}

fn put_word(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

fn mend_registers(bytes: &mut Vec<u8>, kind: u8) {
    let count = 1_usize << bytes[3];
    bytes[5] &= !EMPTY;
    if kind == 0 {
        return mend_four_bits(bytes, count);
    }
    let length = if kind == 1 { count * 6 / 8 + 1 } else { count };
    bytes.resize(REGISTERS_AT + length, 0);
    let packed = &mut bytes[REGISTERS_AT..];
    let registers: Vec<u8> = if kind == 1 {
        let bit = |at: usize| packed[at / 8] >> (at % 8) & 1;
        (0..count).map(|register| (0..6).map(|at| bit(register * 6 + at) << at).sum()).collect()
    } else {
        packed.iter_mut().for_each(|register| *register %= 64);
        packed.to_vec()
    };
    put_smallest(bytes, &registers);
    put_word(bytes, 36, 0);
}

fn mend_four_bits(bytes: &mut Vec<u8>, count: usize) {
    let exceptions_at = REGISTERS_AT + count / 2;
    let precision = bytes[3];
    let said = bytes.get(exceptions_at..).unwrap_or(&[]).to_vec();
    bytes.resize(exceptions_at, 0);
    let smallest = bytes[6] % 49;
    let nibbles: Vec<u8> = bytes[REGISTERS_AT..].iter().flat_map(|byte| [byte & 15, byte >> 4]).collect();
    let exceptions = nibbles.iter().enumerate().filter(|(_, nibble)| **nibble == 15);
    let words: Vec<u32> = exceptions
        .zip(said.chunks(4).chain(std::iter::repeat(&[0_u8][..])))
        .map(|((register, _), said)| {
            let value = (said.last().copied().unwrap_or(0) >> 2).clamp(smallest + 15, 63);
            u32::from(value) << 26 | register as u32
        })
        .collect();
    bytes[6] = smallest;
    put_word(bytes, 32, nibbles.iter().filter(|nibble| **nibble == 0).count() as u32);
    put_word(bytes, 36, words.len() as u32);
    let needed = words.len().next_power_of_two().trailing_zeros() as u8;
    bytes[4] = bytes[4].clamp(needed.max(2), precision);
    let slots = 1 << bytes[4];
    put_words(bytes, exceptions_at, &words, slots);
}

/// Registers of six and eight bits need not say what the smallest is, but if they do it has to be right.
fn put_smallest(bytes: &mut [u8], registers: &[u8]) {
    let least = registers.iter().copied().min().unwrap_or(0);
    let said = bytes[6].min(least);
    bytes[6] = said;
    put_word(bytes, 32, registers.iter().filter(|register| **register == said).count() as u32);
}
