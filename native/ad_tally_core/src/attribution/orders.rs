//! The conversions that are known, by the hash of their order: provisional ones with all that may still change them, final ones
//! for as long as they may be adjusted.
//!
//! They lie in shards, each with a lock and in the order in which they were last used. An order that finds its shard full takes
//! the place of the one that was used longest ago.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use ahash::RandomState;
use hashlink::LinkedHashMap;
use parking_lot::{Mutex, MutexGuard};

use super::posting::Net;
use super::types::{Change, Step, Unchanged};

/// How many shards there are, so that threads seldom meet in one.
const SHARDS: usize = 64;
/// Below so many orders there is one, so that small tables are full exactly at theirs.
const SHARDED_ORDERS: usize = 1 << 16;

/// A conversion.
#[derive(Clone)]
pub(super) struct Record {
    /// The words of its order's key, until it is final.
    pub(super) words: Box<[u64]>,
    /// The hash of its user, until it is final or the user is forgotten.
    pub(super) user: Option<u64>,
    pub(super) at: u64,
    pub(super) action: u8,
    pub(super) state: State,
    /// Whether touches may be missing in it.
    pub(super) truncated: bool,
    /// One, and how often touches that came late have changed its credits.
    pub(super) revision: u32,
    /// Its path: of a provisional one the newest touches at or before it, of a final one those that are credited.
    pub(super) steps: Vec<Step>,
    /// What it was worth at first.
    pub(super) value: i64,
    /// What it is worth now.
    pub(super) net: Net,
    /// When it was last changed, and what was not booked yet.
    pub(super) adjusted_at: Option<u64>,
    pub(super) adjustments: Vec<Adjustment>,
    pub(super) journaled: Journaled,
}

/// What a journal needs of a conversion. All is 0 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Journaled {
    /// The version that it began with: no other conversion of the same order has it.
    pub(super) born: u64,
    /// The version that it had when it was last used: by that it is found which ones were used longest ago.
    pub(super) used: u64,
    /// The window that it is provisional in.
    pub(super) instance: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Provisional,
    /// Whether it counts.
    Final {
        counts: bool,
    },
}

/// A change, and what the conversion is worth after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Adjustment {
    pub(super) at: u64,
    pub(super) net: Net,
}

/// What a change has come to.
pub(super) enum Changed {
    /// Something newer was known already.
    Superseded,
    /// It is worth something else than this from now on.
    From(Net),
}

impl Record {
    pub(super) fn is_provisional(&self) -> bool {
        self.state == State::Provisional
    }

    /// Puts touches into its path that are at or before it and not there yet, of which so many stay, the newest ones: the newest
    /// time of those that do not.
    pub(super) fn merge(&mut self, steps: &[Step], most: usize) -> Option<u64> {
        if let [step] = steps {
            let is_new = step.at <= self.at && self.steps.iter().all(|own| own.id != step.id);
            if is_new {
                self.steps.insert(self.steps.partition_point(|own| own.order() < step.order()), *step);
            }
        } else {
            self.merge_many(steps);
        }
        let surplus = self.steps.len().saturating_sub(most);
        self.steps.drain(..surplus).next_back().map(|step| step.at)
    }

    /// A user who has become another one may bring 255 touches to 255 conversions: one by one that took 20 ms.
    #[cold]
    fn merge_many(&mut self, steps: &[Step]) {
        // Of those with one id the first one stays, which is the one that was known.
        let mut ids: HashSet<i64, RandomState> = self.steps.iter().map(|step| step.id).collect();
        let at = self.at;
        self.steps.extend(steps.iter().filter(|step| step.at <= at && ids.insert(step.id)));
        // Two runs that are in order, mostly, which this sort is made for.
        self.steps.sort_by_key(Step::order);
    }

    /// Changes what it is worth.
    ///
    /// # Errors
    /// [`Unchanged::Retracted`].
    pub(super) fn change(&mut self, change: Change, at: u64) -> Result<Changed, Unchanged> {
        if !self.net.counts {
            return Err(Unchanged::Retracted);
        }
        let before = self.net;
        match change {
            Change::Retract => self.net = Net::default(),
            // Of two at the same time the greater value stays, so that the order in which they come makes no difference.
            Change::Restate(value) if self.adjusted_at.is_some_and(|last| (at, value) <= (last, self.net.value)) => {
                return Ok(Changed::Superseded);
            }
            Change::Restate(value) => self.net.value = value,
        }
        self.adjusted_at = Some(at);
        Ok(Changed::From(before))
    }

    /// Memory that it takes, with its place in a shard.
    fn bytes(&self) -> usize {
        let of_entry = size_of::<(u64, Self)>() + size_of::<[usize; 3]>();
        of_entry
            + size_of_val(&*self.words)
            + self.steps.capacity() * size_of::<Step>()
            + self.adjustments.capacity() * size_of::<Adjustment>()
    }
}

/// The conversions of a shard.
#[derive(Default)]
pub(super) struct Shard {
    /// Those that were used longest ago first.
    records: LinkedHashMap<u64, Record, RandomState>,
    /// The version that was given last.
    version: u64,
}

/// All conversions that are known.
pub(super) struct Orders {
    shards: Box<[Mutex<Shard>]>,
    most_of_a_shard: usize,
    bytes: AtomicUsize,
}

/// A shard whose lock is held.
pub(super) struct Locked<'o> {
    shard: MutexGuard<'o, Shard>,
    orders: &'o Orders,
}

impl Orders {
    /// None, of which there may be so many.
    pub(super) fn new(most: usize) -> Self {
        let shards = if most < SHARDED_ORDERS { 1 } else { SHARDS };
        let average = most.div_ceil(shards);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            // Orders spread at random over shards: with four standard deviations more than the average hardly any shard is
            // full before the table is.
            most_of_a_shard: if shards == 1 { average } else { average + 4 * average.isqrt() },
            bytes: AtomicUsize::new(0),
        }
    }

    /// Locks the shard of an order.
    pub(super) fn lock(&self, order: u64) -> Locked<'_> {
        self.lock_shard((order >> (u64::BITS - SHARDS.trailing_zeros())) as usize % self.shards.len())
    }

    /// Locks a shard by its number.
    pub(super) fn lock_shard(&self, number: usize) -> Locked<'_> {
        Locked { shard: self.shards[number].lock(), orders: self }
    }

    pub(super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().records.len()).sum()
    }

    /// Memory of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed) + size_of_val(&*self.shards)
    }
}

impl Locked<'_> {
    pub(super) fn get(&self, order: u64) -> Option<&Record> {
        self.shard.records.get(&order)
    }

    /// Changes a conversion, if it is known.
    pub(super) fn update<T>(&mut self, order: u64, update: impl FnOnce(&mut Record) -> T) -> Option<T> {
        let record = self.shard.records.get_mut(&order)?;
        let before = record.bytes();
        let updated = update(record);
        let after = record.bytes();
        self.orders.bytes.fetch_add(after, Relaxed);
        self.orders.bytes.fetch_sub(before, Relaxed);
        Some(updated)
    }

    /// Notes that an order was used just now.
    pub(super) fn touch(&mut self, order: u64) {
        self.shard.records.to_back(&order);
    }

    /// Adds an order, in place of one that may not be adjusted any more.
    pub(super) fn insert(&mut self, order: u64, record: Record) {
        self.remove(order);
        self.orders.bytes.fetch_add(record.bytes(), Relaxed);
        self.shard.records.insert(order, record);
    }

    pub(super) fn remove(&mut self, order: u64) {
        if let Some(record) = self.shard.records.remove(&order) {
            self.orders.bytes.fetch_sub(record.bytes(), Relaxed);
        }
    }

    /// A version that is greater than all that were given in this shard.
    pub(super) fn next_version(&mut self) -> u64 {
        self.shard.version += 1;
        self.shard.version
    }

    /// Goes on with the orders of before a restart, in the order in which they were used: versions are greater than this one.
    pub(super) fn resume(&mut self, version: u64) {
        let Shard { records, version: own } = &mut *self.shard;
        *own = version.max(*own);
        let mut used: Vec<(u64, u64)> = records.iter().map(|(order, record)| (record.journaled.used, *order)).collect();
        used.sort_unstable();
        for (_, order) in used {
            records.to_back(&order);
        }
    }

    /// Whether there are more than may be.
    pub(super) fn is_over(&self) -> bool {
        self.shard.records.len() > self.orders.most_of_a_shard
    }

    /// Whether another order would be one too many.
    pub(super) fn is_full(&self) -> bool {
        self.shard.records.len() >= self.orders.most_of_a_shard
    }

    /// Orders with their conversions, those that were used longest ago first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Record)> {
        self.shard.records.iter().map(|(order, record)| (*order, record))
    }
}
