//! The groups of a report, by the words of the key that they have in common.
//!
//! ```text
//! shard   by the highest bits of the key's hash; small, so that growing it takes tens of microseconds
//!   slots   bits 0..32   0 if empty, else the number of a group in the shard, from 1 on
//!           bits 32..64  the upper half of the hash, whose lowest bits say where the slot belongs
//!   keys    the words of all groups' keys, one behind the other
//!   sums    of all groups, metric by metric
//! ```

use crate::key::HashedKey;
use crate::memory::free;
use crate::sketch::Sketch;

const SHARD_BITS: u32 = 8;
const SHARDS: usize = 1 << SHARD_BITS;
/// Slots of a shard that has any.
const FIRST: usize = 8;

/// The number of a group: that of its shard in the lowest bits, and the number in that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group(u32);

impl Group {
    fn new(shard: usize, at: usize) -> Self {
        let at = u32::try_from(at).ok().filter(|at| at >> (u32::BITS - SHARD_BITS) == 0);
        Self(at.unwrap_or_else(|| panic!("a report has at most 2^32 groups")) << SHARD_BITS | shard as u32)
    }

    fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }

    fn at(self) -> usize {
        self.0 as usize / SHARDS
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

#[derive(Default)]
struct Shard {
    slots: Vec<u64>,
    keys: Vec<u64>,
    /// Where the key of each group ends.
    ends: Vec<usize>,
    sums: Vec<i128>,
    users: Vec<Users>,
}

impl Shard {
    fn key(&self, at: usize) -> &[u64] {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.keys[begin..self.ends[at]]
    }

    #[inline(always)]
    fn find(&self, key: HashedKey<'_>) -> Result<usize, usize> {
        let (mask, upper) = (self.slots.len() - 1, key.hash >> 32);
        let mut place = upper as usize & mask;
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                return Err(place);
            }
            let at = (slot as u32 - 1) as usize;
            if slot >> 32 == upper && self.key(at) == key.words {
                return Ok(at);
            }
            place = (place + 1) & mask;
        }
    }

    /// Makes room for one more, at most three quarters full.
    #[inline(always)]
    fn reserve(&mut self) {
        if self.ends.len() * 4 >= self.slots.len() * 3 {
            self.grow();
        }
    }

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
    metrics: usize,
    has_users: bool,
}

impl Groups {
    pub(super) fn new(metrics: usize, has_users: bool) -> Self {
        Self { shards: (0..SHARDS).map(|_| Shard::default()).collect(), metrics, has_users }
    }

    pub(super) fn has_users(&self) -> bool {
        self.has_users
    }

    /// The group of a key, which is made if there is none.
    #[inline(always)]
    pub(super) fn group(&mut self, key: HashedKey<'_>) -> Group {
        let number = (key.hash >> (u64::BITS - SHARD_BITS)) as usize;
        let shard = &mut self.shards[number];
        shard.reserve();
        let at = shard.find(key).unwrap_or_else(|place| {
            let at = shard.ends.len();
            shard.slots[place] = key.hash >> 32 << 32 | (at as u64 + 1);
            shard.keys.extend_from_slice(key.words);
            shard.ends.push(shard.keys.len());
            shard.sums.resize(shard.sums.len() + self.metrics, 0);
            if self.has_users {
                shard.users.push(Users::default());
            }
            at
        });
        Group::new(number, at)
    }

    /// The words of its key.
    #[inline(always)]
    pub(super) fn key(&self, group: Group) -> &[u64] {
        self.shards[group.shard()].key(group.at())
    }

    /// What its rows sum up to, by metric.
    #[inline(always)]
    pub(super) fn sums(&self, group: Group) -> &[i128] {
        &self.shards[group.shard()].sums[group.at() * self.metrics..][..self.metrics]
    }

    #[inline(always)]
    pub(super) fn sums_mut(&mut self, group: Group) -> &mut [i128] {
        &mut self.shards[group.shard()].sums[group.at() * self.metrics..][..self.metrics]
    }

    /// Its users, where they are asked for.
    pub(super) fn users(&self, group: Group) -> Option<&Users> {
        self.shards[group.shard()].users.get(group.at())
    }

    #[inline(always)]
    pub(super) fn users_mut(&mut self, group: Group) -> Option<&mut Users> {
        self.shards[group.shard()].users.get_mut(group.at())
    }

    /// The group after one, or the first one.
    pub(super) fn next(&self, group: Option<Group>) -> Option<Group> {
        let (shard, at) = group.map_or((0, 0), |group| (group.shard(), group.at() + 1));
        if at < self.shards[shard].ends.len() {
            return Some(Group::new(shard, at));
        }
        let shard = (shard + 1..SHARDS).find(|shard| !self.shards[*shard].ends.is_empty())?;
        Some(Group::new(shard, 0))
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.ends.len()).sum()
    }
}

/// Reports of fewer groups are freed where they are dropped, in well under a millisecond.
const FREED_IN_PLACE: usize = 1_000;

impl Drop for Groups {
    /// Whoever drops the last reference, a garbage collection perhaps, has not asked to free a million groups.
    fn drop(&mut self) {
        if self.len() > FREED_IN_PLACE {
            free::later(std::mem::take(&mut self.shards));
        }
    }
}
