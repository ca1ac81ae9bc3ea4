//! Numbers for keys of windows, as they come: an open-addressed index of their hashes, and their words one after the other.

use crate::key::HashedKey;

/// Slots of the smallest index.
const FIRST: usize = 64;

/// So many keys are compared whole, and all that have so many words in common.
const FEW: usize = 8;
const DEEP: usize = 16;

/// A key of a window.
#[derive(Debug, Clone, Copy)]
struct Key {
    instance: u64,
    /// That of both, see [`hash_of`].
    hash: u64,
    begin: usize,
    length: usize,
}

/// Keys by number, and numbers by key.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// 0 where empty, else the high half of a hash and the number plus one. At most half of them are taken.
    slots: Vec<u64>,
    keys: Vec<Key>,
    words: Vec<u64>,
}

impl Keys {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The number of a key, and whether it is new.
    #[inline(always)]
    pub(super) fn number(&mut self, instance: u64, key: HashedKey<'_>) -> (usize, bool) {
        if 2 * self.keys.len() >= self.slots.len() {
            self.grow();
        }
        let hash = hash_of(instance, key.hash);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                break;
            }
            if slot >> 32 == hash >> 32 {
                let number = slot as u32 as usize - 1;
                let known = self.keys[number];
                if known.instance == instance && self.words[known.begin..][..known.length] == *key.words {
                    return (number, false);
                }
            }
            at = (at + 1) & mask;
        }
        let number = self.keys.len();
        self.slots[at] = slot(hash, number);
        self.keys.push(Key { instance, hash, begin: self.words.len(), length: key.words.len() });
        self.words.extend_from_slice(key.words);
        (number, true)
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (2 * self.slots.len()).max(FIRST);
        assert!(slots <= 1 << 32, "an interval has so many keys");
        self.slots.clear();
        self.slots.resize(slots, 0);
        for (number, key) in self.keys.iter().enumerate() {
            let mut at = key.hash as usize & (slots - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = slot(key.hash, number);
        }
    }

    /// The window and the words of a key.
    pub(super) fn key(&self, number: usize) -> (u64, &[u64]) {
        let key = &self.keys[number];
        (key.instance, &self.words[key.begin..][..key.length])
    }

    /// The numbers in the order of their keys.
    pub(super) fn sorted(&self) -> impl Iterator<Item = usize> + use<> {
        let mut sorted: Vec<(u64, u32)> =
            self.keys.iter().enumerate().map(|(number, key)| (key.instance, number as u32)).collect();
        self.sort(&mut sorted, 0);
        sorted.into_iter().map(|(_, number)| number as usize)
    }

    /// Sorts keys that have the first `depth` of their words and the window in common, by the word that each is with. Word by word,
    /// because a comparison of whole keys, which lie anywhere, waits for memory.
    fn sort(&self, keys: &mut [(u64, u32)], depth: usize) {
        keys.sort_unstable();
        for equal in keys.chunk_by_mut(|one, other| one.0 == other.0).filter(|equal| equal.len() > 1) {
            if equal.len() <= FEW || depth == DEEP {
                equal.sort_unstable_by(|one, other| self.words_of(one.1).cmp(self.words_of(other.1)));
                continue;
            }
            // A key that has ended comes before all others: what is equal to the end is compared whole.
            equal.iter_mut().for_each(|(word, number)| *word = self.words_of(*number).get(depth).copied().unwrap_or(0));
            self.sort(equal, depth + 1);
        }
    }

    #[inline(always)]
    fn words_of(&self, number: u32) -> &[u64] {
        self.key(number as usize).1
    }

    /// Forgets all keys, and keeps their room.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.keys.clear();
        self.words.clear();
    }
}

/// The hash of a key in one window. The multiplier is the golden ratio's, so that windows with small numbers differ in all bits.
#[inline(always)]
fn hash_of(instance: u64, hash: u64) -> u64 {
    hash ^ (instance.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(32)
}

#[inline(always)]
fn slot(hash: u64, number: usize) -> u64 {
    hash >> 32 << 32 | (number as u64 + 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_same_numbers_whatever_came_since() {
        let mut keys = Keys::default();
        let number = |keys: &mut Keys, at: u64| {
            let words = [at / 3];
            keys.number(at % 3, HashedKey { hash: (at / 3).wrapping_mul(0x2545_f491_4f6c_dd1d), words: &words })
        };
        for at in 0..3_000 {
            assert_eq!(number(&mut keys, at), (at as usize, true));
            assert_eq!(number(&mut keys, at / 2), (at as usize / 2, false));
        }
        assert!((0..3_000).all(|at| number(&mut keys, at) == (at as usize, false)));
    }
}
