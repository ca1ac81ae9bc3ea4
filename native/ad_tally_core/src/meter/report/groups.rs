//! The groups of a report, by the words of the key that they have in common.
//!
//! ```text
//! shard   by the highest bits of the key's hash; small, so that growing it takes tens of microseconds
//!   slot    bits 0..32   0 if empty, else where the group lies, and one more
//!           bits 32..64  the upper half of the hash, whose lowest bits say where the slot belongs
//! chunks  2^17 words each, filled from the front: a group stays where it is
//!   group   word 0       bits 0..32 its number, bits 32..64 how many words its key has
//!           2 a metric   what its rows sum up to
//!           then         the words of its key
//! ```

use std::mem::take;

use crate::key::HashedKey;
use crate::memory::free;
use crate::sketch::Sketch;
use crate::sync::prefetch::fetch;

const SHARD_BITS: u32 = 8;
/// Slots of a shard that has any.
const FIRST: usize = 8;
const CHUNK_BITS: u32 = 17;
/// Words of a chunk: more than any group has.
const CHUNK: usize = 1 << CHUNK_BITS;

/// Where a group lies: the number of its chunk, and in the lowest bits that of its first word there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group(u32);

impl Group {
    fn new(chunk: usize, word: usize) -> Self {
        let at = u32::try_from(chunk << CHUNK_BITS | word).ok().filter(|at| *at < u32::MAX);
        Self(at.unwrap_or_else(|| panic!("the groups of a report take at most 32 GiB")))
    }

    fn chunk(self) -> usize {
        self.0 as usize / CHUNK
    }

    fn word(self) -> usize {
        self.0 as usize % CHUNK
    }
}

/// Users of a group.
#[derive(Default)]
pub(super) struct Users {
    /// Whether a row of counters belongs to it. A sketch alone makes no group.
    pub(super) is_counted: bool,
    /// Whether one of its keys had no room for a sketch.
    pub(super) is_incomplete: bool,
    /// Boxed, because many groups have none.
    pub(super) sketch: Option<Box<Sketch>>,
}

/// The slots of some groups, at most three quarters of them taken.
#[derive(Default)]
struct Shard {
    slots: Vec<u64>,
    taken: usize,
}

impl Shard {
    #[cold]
    fn grow(&mut self) {
        let mut slots = vec![0; (2 * self.slots.len()).max(FIRST)];
        let mask = slots.len() - 1;
        for slot in self.slots.iter().filter(|slot| **slot != 0) {
            let mut place = (slot >> 32) as usize & mask;
            while slots[place] != 0 {
                place = (place + 1) & mask;
            }
            slots[place] = *slot;
        }
        self.slots = slots;
    }
}

/// All groups.
pub(super) struct Groups {
    shards: Box<[Shard]>,
    chunks: Vec<Vec<u64>>,
    /// Of every group by its number, where they are asked for.
    users: Vec<Users>,
    count: usize,
    metrics: usize,
    has_users: bool,
}

impl Groups {
    pub(super) fn new(metrics: usize, has_users: bool) -> Self {
        let shards = (0..1 << SHARD_BITS).map(|_| Shard::default()).collect();
        Self { shards, chunks: Vec::new(), users: Vec::new(), count: 0, metrics, has_users }
    }

    pub(super) fn has_users(&self) -> bool {
        self.has_users
    }

    /// The group of a key, which is made if there is none.
    #[inline(always)]
    pub(super) fn group(&mut self, key: HashedKey<'_>) -> Group {
        let (number, upper) = ((key.hash >> (u64::BITS - SHARD_BITS)) as usize, key.hash >> 32);
        let shard = &mut self.shards[number];
        if shard.taken * 4 >= shard.slots.len() * 3 {
            shard.grow();
        }
        let mask = shard.slots.len() - 1;
        let mut place = upper as usize & mask;
        loop {
            let slot = self.shards[number].slots[place];
            if slot == 0 {
                let group = self.push(key.words);
                let shard = &mut self.shards[number];
                shard.slots[place] = upper << 32 | (u64::from(group.0) + 1);
                shard.taken += 1;
                return group;
            }
            let group = Group(slot as u32 - 1);
            if slot >> 32 == upper && self.key(group) == key.words {
                return group;
            }
            place = (place + 1) & mask;
        }
    }

    fn push(&mut self, key: &[u64]) -> Group {
        let words = 1 + 2 * self.metrics + key.len();
        if self.chunks.last().is_none_or(|chunk| chunk.len() + words > CHUNK) {
            // Of one that is not filled, the system provides no more than is.
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let chunk = self.chunks.len() - 1;
        let number = self.count as u64;
        self.count += 1;
        if self.has_users {
            self.users.push(Users::default());
        }
        let into = &mut self.chunks[chunk];
        let group = Group::new(chunk, into.len());
        into.push(number | (key.len() as u64) << 32);
        into.resize(into.len() + 2 * self.metrics, 0);
        into.extend_from_slice(key);
        group
    }

    /// The words of a group from the first one on, and others behind them.
    #[inline(always)]
    fn words(&self, group: Group) -> &[u64] {
        &self.chunks[group.chunk()][group.word()..]
    }

    /// Asks for a group, to be read soon.
    #[inline(always)]
    pub(super) fn fetch(&self, group: Group) {
        fetch(self.words(group).as_ptr());
    }

    /// The words of its key.
    #[inline(always)]
    pub(super) fn key(&self, group: Group) -> &[u64] {
        let words = self.words(group);
        &words[1 + 2 * self.metrics..][..(words[0] >> 32) as usize]
    }

    /// What its rows sum up to, of a metric.
    #[inline(always)]
    pub(super) fn sum(&self, group: Group, metric: usize) -> i128 {
        let words = &self.words(group)[1 + 2 * metric..][..2];
        (u128::from(words[1]) << 64 | u128::from(words[0])) as i128
    }

    /// The same of every metric.
    pub(super) fn sums(&self, group: Group) -> Vec<i128> {
        (0..self.metrics).map(|metric| self.sum(group, metric)).collect()
    }

    /// Adds a row's totals by metric.
    #[inline(always)]
    pub(super) fn add(&mut self, group: Group, totals: impl Fn(usize) -> i128) {
        let sums = &mut self.chunks[group.chunk()][group.word() + 1..][..2 * self.metrics];
        for (metric, words) in sums.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let sum = (u128::from(words[1]) << 64 | u128::from(words[0])) as i128 + totals(metric);
            *words = [sum as u64, (sum >> 64) as u64];
        }
    }

    fn number(&self, group: Group) -> usize {
        self.words(group)[0] as u32 as usize
    }

    /// Its users, where they are asked for.
    pub(super) fn users(&self, group: Group) -> Option<&Users> {
        if self.has_users { self.users.get(self.number(group)) } else { None }
    }

    #[inline(always)]
    pub(super) fn users_mut(&mut self, group: Group) -> Option<&mut Users> {
        if !self.has_users {
            return None;
        }
        let number = self.number(group);
        self.users.get_mut(number)
    }

    /// The group after one, or the first one.
    pub(super) fn next(&self, group: Option<Group>) -> Option<Group> {
        let (chunk, word) = group.map_or((0, 0), |group| {
            let length = 1 + 2 * self.metrics + self.key(group).len();
            (group.chunk(), group.word() + length)
        });
        let is_behind = word == self.chunks.get(chunk)?.len();
        let (chunk, word) = if is_behind { (chunk + 1, 0) } else { (chunk, word) };
        (chunk < self.chunks.len()).then(|| Group::new(chunk, word))
    }
}

/// Reports of fewer groups are freed where they are dropped, in well under a millisecond; with sketches, of which each may have a
/// quarter of a megabyte, those of a few.
const FREED_IN_PLACE: usize = 1_000;
const FREED_WITH_SKETCHES: usize = 10;

impl Drop for Groups {
    /// Whoever drops the last reference, a garbage collection perhaps, has not asked to free a million groups.
    fn drop(&mut self) {
        if self.count > FREED_IN_PLACE || self.users.len() > FREED_WITH_SKETCHES {
            free::later((take(&mut self.shards), take(&mut self.chunks), take(&mut self.users)));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::key::Seed;

    #[test]
    fn sums_are_those_of_a_plain_map_for_keys_of_all_lengths() {
        let seed = Seed::new(7);
        let (mut groups, mut plain) = (Groups::new(2, true), HashMap::new());
        for step in 0..60_000_u64 {
            let number = step * 7_919 % 20_000;
            // Some are nearly as long as a key can be: two of them do not fit into one chunk.
            let length = if number % 5_000 == 0 { 65_600 } else { 2 + number as usize % 9 };
            let key: Vec<u64> = (0..length as u64).map(|word| number ^ word << 40).collect();
            let amount = i128::from(i64::MAX) - i128::from(step);
            let group = groups.group(seed.key(&key));
            assert_eq!(groups.key(group), key);
            groups.add(group, |metric| if metric == 0 { amount } else { -amount });
            groups.users_mut(group).expect("users").is_counted |= number % 2 == 0;
            *plain.entry(key).or_insert(0) += amount;
        }
        let mut seen = 0;
        let mut group = groups.next(None);
        while let Some(this) = group {
            let sum = plain[groups.key(this)];
            assert_eq!((groups.sum(this, 0), groups.sum(this, 1)), (sum, -sum));
            assert_eq!(groups.users(this).expect("users").is_counted, groups.key(this)[0] % 2 == 0);
            (seen, group) = (seen + 1, groups.next(group));
        }
        assert_eq!((seen, groups.count), (plain.len(), plain.len()));
        assert!(Groups::new(2, false).next(None).is_none());
    }
}
