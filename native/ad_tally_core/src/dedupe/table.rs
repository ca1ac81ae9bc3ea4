//! Entries in buckets: inserted, renewed, swept, and evicted early where there is no room.
//!
//! A bucket's entries are dense, from its first place on, in the order in which they came. Its header has how many there are, and
//! the generation in which it was last swept, modulo 2^33: none of them is older than that less four, or newer.

use super::entry::{Bucket, Format, MOST, WORDS};
use super::generations::{Generations, OF_A_WINDOW, REMEMBERED, age, entry, is_live};
use crate::bucket::{Buckets, Chain, Content, Header};
use crate::sync::sharded_counter::ShardedCounter;

/// Overflow buckets of any table: of few buckets a larger share is full by chance.
const LEAST_OVERFLOW: usize = 16;

const COUNT_BITS: u32 = 5;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
/// Bits of a header that are left for the generation.
const SWEPT_MASK: u64 = (1 << 33) - 1;

/// What a table is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// For how many milliseconds an id is remembered at least.
    pub window: u64,
    /// Different ids of a window, new ones and copies of older ones, that there is room for.
    pub capacity: usize,
    /// Whether ids are told apart by 61 bits instead of 28 beside their bucket.
    pub wide: bool,
}

/// An id that is looked for: its hash, and the number of its bucket.
#[derive(Clone, Copy)]
pub(crate) struct Id {
    pub(super) hash: u64,
    pub(super) at: usize,
}

impl Id {
    /// Its hash.
    #[inline(always)]
    pub(crate) fn hash(self) -> u64 {
        self.hash
    }
}

/// What became of an id that was inserted or renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It was not remembered. It is from now on, in that generation.
    First(u64),
    /// It was remembered in an earlier generation, and is in that one from now on.
    Renewed(u64),
    /// It was remembered in the newest generation.
    Again,
}

impl Seen {
    /// Whether it was not remembered.
    #[inline(always)]
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::First(_))
    }

    /// The generation that it is remembered in from now on, if it was not before.
    #[inline(always)]
    pub(crate) fn generation(self) -> Option<u64> {
        match self {
            Self::First(generation) | Self::Renewed(generation) => Some(generation),
            Self::Again => None,
        }
    }
}

/// Buckets of one format.
pub(super) struct Table<const WIDE: bool> {
    pub(super) generations: Generations,
    pub(super) buckets: Buckets<Format<WIDE>, WORDS>,
    pub(super) tally: ShardedCounter<KINDS>,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Duplicate,
    Forgotten,
    Future,
}

pub(super) const KINDS: usize = 3;

type Held<'t, const WIDE: bool> = Chain<'t, Format<WIDE>, WORDS>;

/// How many entries a bucket has, without those in overflow buckets.
#[inline(always)]
fn count(header: Header) -> usize {
    (header.policy() & COUNT_MASK) as usize
}

/// For how many generations a bucket was not swept.
#[inline(always)]
fn unswept(header: Header, generation: u64) -> u64 {
    generation.wrapping_sub(header.policy() >> COUNT_BITS) & SWEPT_MASK
}

#[inline(always)]
fn header(header: Header, count: usize, swept: u64) -> Header {
    header.with_policy(swept << COUNT_BITS | count as u64)
}

/// Buckets that a table is laid out with.
pub(super) const fn bucket_count<const WIDE: bool>(capacity: usize) -> usize {
    // Of a capacity a window, the generation before it is remembered as well.
    let most = capacity * REMEMBERED as usize / OF_A_WINDOW as usize + 1;
    (most * 10).div_ceil(Format::<WIDE>::LOAD)
}

impl<const WIDE: bool> Table<WIDE> {
    /// An empty one. `Err` is how many bytes the system did not give.
    pub(super) fn new(config: &Config) -> Result<Self, usize> {
        let count = bucket_count::<WIDE>(config.capacity);
        let mut buckets = Buckets::new(Format, count, 0, count * Format::<WIDE>::OVERFLOW / 100 + LEAST_OVERFLOW)?;
        // Ids spread over all of them at once, and whoever brings the first ones should not have to wait.
        buckets.touch();
        Ok(Self { generations: Generations::new(config.window), buckets, tally: ShardedCounter::new() })
    }

    /// Locks a bucket and sweeps it if it is due. The newest generation is read with the lock held: whoever put an entry there
    /// knew its generation before letting go, so no entry is newer.
    #[inline(always)]
    pub(super) fn lock(&self, at: usize) -> (Held<'_, WIDE>, u64) {
        let chain = self.buckets.lock_bucket(at);
        let generation = self.generations.newest();
        if unswept(chain.header, generation) != 0 {
            return (self.sweep(chain, generation), generation);
        }
        (chain, generation)
    }

    /// Inserts an id, or renews it.
    #[inline(always)]
    pub(super) fn insert(&self, Id { hash, at }: Id) -> Seen {
        let (mut chain, generation) = self.lock(at);
        let fingerprint = Format::<WIDE>::fingerprint(hash);
        let (bucket, now) = (chain.bucket, chain.header);
        // SAFETY: its lock is held.
        let places = Format::<WIDE>::find(&unsafe { bucket.locked_words() }, fingerprint);
        let count = count(now);
        if places != 0 || count == self.buckets.content.entries(false) || now.is_linked() {
            return self.insert_slowly(chain, fingerprint, generation);
        }
        self.buckets.content.set(bucket, count, entry(fingerprint, generation));
        chain.header = header(now, count + 1, generation);
        Seen::First(generation)
    }

    /// The same of an id that may be there, or for which there is no room in the bucket.
    #[inline(never)]
    fn insert_slowly(&self, mut chain: Held<'_, WIDE>, fingerprint: u64, generation: u64) -> Seen {
        self.renew_in(&mut chain, fingerprint, generation).unwrap_or_else(|| {
            self.append(&mut chain, entry(fingerprint, generation), generation);
            Seen::First(generation)
        })
    }

    /// Renews an id, if it is remembered.
    pub(super) fn renew(&self, Id { hash, at }: Id) -> Option<Seen> {
        let (mut chain, generation) = self.lock(at);
        self.renew_in(&mut chain, Format::<WIDE>::fingerprint(hash), generation)
    }

    /// It may be the entry of another id that looks alike, and then this one's copies must not pass when that one is forgotten.
    fn renew_in(&self, chain: &mut Held<'_, WIDE>, fingerprint: u64, generation: u64) -> Option<Seen> {
        let (bucket, place) = self.find(chain, fingerprint)?;
        let content = self.buckets.content;
        let seen =
            if age(content.get(bucket, place), generation) == 0 { Seen::Again } else { Seen::Renewed(generation) };
        content.set(bucket, place, entry(fingerprint, generation));
        self.tally.add(Kind::Duplicate as usize);
        Some(seen)
    }

    /// The bucket and the place of a fingerprint, and the first empty one for 0.
    pub(super) fn find<'t>(&'t self, chain: &Held<'t, WIDE>, fingerprint: u64) -> Option<(&'t Bucket, usize)> {
        let find = |bucket: &'t Bucket, is_linked: bool| {
            // SAFETY: the lock of the bucket at which its chain begins is held.
            let places = Format::<WIDE>::find(&unsafe { bucket.locked_words() }, fingerprint);
            // Behind the entries of a linked bucket is a number.
            let places = places & ((1 << self.buckets.content.entries(is_linked)) - 1);
            (places != 0).then(|| (bucket, places.trailing_zeros() as usize))
        };
        let (bucket, is_linked) = (chain.bucket, chain.header.is_linked());
        let further = || self.buckets.overflow_of(bucket).find_map(|(bucket, is_linked)| find(bucket, is_linked));
        find(bucket, is_linked).or_else(|| is_linked.then(further)?)
    }

    /// Removes what is too old.
    #[inline(never)]
    fn sweep<'t>(&'t self, mut chain: Held<'t, WIDE>, generation: u64) -> Held<'t, WIDE> {
        let now = chain.header;
        if count(now) == 0 {
            chain.header = header(now, 0, generation);
            return chain;
        }
        let unswept = unswept(now, generation);
        let is_live = |entry: &u64| is_live(*entry, generation, unswept);
        if now.is_linked() {
            let live: Vec<u64> = chain.entries().into_iter().filter(is_live).collect();
            self.rewrite(&mut chain, &live, generation);
            return chain;
        }
        // The same without memory of its own.
        let (mut live, mut kept) = ([0; MOST], 0);
        for place in 0..count(now) {
            live[kept] = self.buckets.content.get(chain.bucket, place);
            kept += usize::from(is_live(&live[kept]));
        }
        live[kept..].fill(0);
        Format::<WIDE>::fill(chain.bucket, &live);
        chain.header = header(now, kept, generation);
        chain
    }

    /// Makes a chain one of just these entries, which are no more than it has.
    fn rewrite(&self, chain: &mut Held<'_, WIDE>, entries: &[u64], generation: u64) {
        chain.rewrite(entries);
        let now = chain.header;
        let count = entries.len().min(self.buckets.content.entries(now.is_linked()));
        chain.header = header(now, count, generation);
    }

    /// Appends an entry that is not there, in place of the oldest one if there is no room.
    pub(super) fn append(&self, chain: &mut Held<'_, WIDE>, entry: u64, generation: u64) {
        let content = self.buckets.content;
        let now = chain.header;
        if !now.is_linked() && count(now) < content.entries(false) {
            content.set(chain.bucket, count(now), entry);
            chain.header = header(now, count(now) + 1, generation);
            return;
        }
        if let Some(place) = self.find(chain, 0) {
            content.set(place.0, place.1, entry);
        } else if chain.push_overflow(entry).is_ok() {
            chain.header = header(chain.header, content.entries(true), generation);
        } else {
            let mut entries = chain.entries();
            // Of those that are as old, the one that came first.
            let oldest = (0..entries.len()).rev().max_by_key(|at| age(entries[*at], generation)).unwrap_or(0);
            entries.remove(oldest);
            entries.push(entry);
            self.rewrite(chain, &entries, generation);
            self.tally.add(Kind::Forgotten as usize);
        }
    }

    /// Entries that all buckets have room for: a bucket that is linked has room for one word less.
    pub(super) fn places(&self) -> usize {
        let (buckets, linked) =
            (self.buckets.in_use() + self.buckets.overflow.touched(), self.buckets.overflow.taken());
        let (all, less) = (self.buckets.content.entries(false), self.buckets.content.entries(true));
        buckets * all - linked * (all - less)
    }

    /// How many ids are remembered.
    pub(super) fn remembered(&self) -> usize {
        let in_bucket = |at: usize| {
            let chain = self.buckets.lock_bucket(at);
            let generation = self.generations.newest();
            let unswept = unswept(chain.header, generation);
            let mut ids = 0;
            chain.visit(|_, entry| {
                ids += usize::from(entry != 0 && is_live(entry, generation, unswept));
            });
            ids
        };
        (0..self.buckets.in_use()).map(in_bucket).sum()
    }
}
