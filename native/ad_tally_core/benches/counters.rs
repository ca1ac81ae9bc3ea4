//! The counters beside dashmap and papaya, which hold an array of plain atomics for a key.
//!
//! All three are given the same keys: `{integer, short binary}`. The rivals get the words of a key ready-made and hash
//! them with ahash; ours writes and hashes them anew for every add, as it does for the NIF. An add of a rival is its
//! lookup and one `fetch_add`, which wraps where ours tells that a total has no room, and neither can be drained
//! without losing adds.
//!
//! Every group ends with a look at the tables: each key must have got all its adds and no other.

use std::array;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use ad_tally_core::journal::{Config, Journal, Part};
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::{Added, Counters, HashedKey, KeyWriter, Seed};
use criterion::{Criterion, Throughput};
use dashmap::DashMap;

mod support;
use support::{mixed, time};

/// What keyed metrics have: impressions, clicks, spend.
const METRICS: usize = 3;
const KEYS: usize = 10_000;
const NEW_KEYS: usize = 100_000;
/// Adds to the hot key that count as one iteration, so that starting threads costs next to nothing.
const HOT_ADDS: usize = 10_000;

/// A key as it comes, and as the words that a table keeps.
struct Key {
    campaign: i64,
    creative: Vec<u8>,
    words: Box<[u64]>,
}

impl Key {
    fn new(number: usize) -> Self {
        let (campaign, creative) = ((number / 20) as i64, format!("creative-{}", number % 20).into_bytes());
        let words = with_words(&Seed::random(), campaign, &creative, |key| key.words.into());
        Self { campaign, creative, words }
    }
}

#[inline(always)]
fn with_words<R>(seed: &Seed, campaign: i64, creative: &[u8], act: impl FnOnce(HashedKey<'_>) -> R) -> R {
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut writer = KeyWriter::tuple(&mut room, 2).expect("two elements");
    writer.integer(campaign);
    writer.bytes(creative).expect("short");
    act(seed.key(writer.finish()))
}

/// The keys in an order that has nothing to do with their numbers, the same in every run.
fn shuffled(count: usize, salt: u64) -> Vec<Key> {
    let mut numbers: Vec<usize> = (0..count).collect();
    numbers.sort_by_key(|number| mixed(*number as u64, salt));
    numbers.into_iter().map(Key::new).collect()
}

/// What is compared: keyed counters that threads share.
trait Table: Sync {
    const NAME: &'static str;

    /// A table for at most `budget` keys, with room for `room` of them if it can be made with room.
    fn new(budget: usize, room: usize) -> Self;
    /// Adds one to the first metric of a key, new or not.
    fn add(&self, key: &Key);
    /// The first metric of a key, 0 for one that has no row.
    fn total(&self, key: &Key) -> i128;
    /// How many keys have a row.
    fn len(&self) -> usize;
}

impl Table for Counters {
    const NAME: &'static str = "ad_tally";

    fn new(budget: usize, _room: usize) -> Self {
        Self::new(METRICS, budget).expect("in range")
    }

    #[inline]
    fn add(&self, key: &Key) {
        let added = with_words(self.seed(), key.campaign, &key.creative, |key| self.add(key, 0, 1));
        assert_eq!(added, Added::Row);
    }

    fn total(&self, key: &Key) -> i128 {
        with_words(self.seed(), key.campaign, &key.creative, |key| self.get_metric(key, 0))
    }

    fn len(&self) -> usize {
        self.info().keys
    }
}

/// With a journal, that is cut when it is full and without being folded.
struct Stored(Counters, Arc<Journal>);

impl Table for Stored {
    const NAME: &'static str = "ad_tally with a journal";

    fn new(budget: usize, _room: usize) -> Self {
        let journal = Journal::new(Config { buffer_bytes: 8 << 20, wake_bytes: 8 << 20 }, 1);
        let part = Part::new(journal.clone(), 1);
        Self(Counters::stored(METRICS, budget, Seed::random(), part).expect("in range"), journal)
    }

    #[inline]
    fn add(&self, key: &Key) {
        with_words(self.0.seed(), key.campaign, &key.creative, |key| {
            while self.0.add(key, 0, 1) == Added::Busy {
                drop(self.1.cut());
            }
        });
    }

    fn total(&self, key: &Key) -> i128 {
        Table::total(&self.0, key)
    }

    fn len(&self) -> usize {
        Table::len(&self.0)
    }
}

type Row = [AtomicI64; METRICS];

fn empty_row() -> Row {
    array::from_fn(|_| AtomicI64::new(0))
}

impl Table for DashMap<Box<[u64]>, Row, ahash::RandomState> {
    const NAME: &'static str = "dashmap";

    fn new(_budget: usize, room: usize) -> Self {
        Self::with_capacity_and_hasher(room, ahash::RandomState::new())
    }

    #[inline]
    fn add(&self, key: &Key) {
        // Two lookups for a new key, so that a known one is not cloned and takes no more than the read lock.
        if let Some(row) = self.get(&*key.words) {
            row[0].fetch_add(1, Relaxed);
            return;
        }
        self.entry(key.words.clone()).or_insert_with(empty_row)[0].fetch_add(1, Relaxed);
    }

    fn total(&self, key: &Key) -> i128 {
        self.get(&*key.words).map_or(0, |row| row[0].load(Relaxed).into())
    }

    fn len(&self) -> usize {
        self.len()
    }
}

impl Table for papaya::HashMap<Box<[u64]>, Row, ahash::RandomState> {
    const NAME: &'static str = "papaya";

    fn new(_budget: usize, room: usize) -> Self {
        // Not its default, the incremental mode: there only writers move entries on, so after the last new key a
        // table may stay between two sizes, where an add to a known key takes about ten times as long.
        let map = papaya::HashMap::builder().resize_mode(papaya::ResizeMode::Blocking);
        map.capacity(room).hasher(ahash::RandomState::new()).build()
    }

    #[inline]
    fn add(&self, key: &Key) {
        let map = self.pin();
        let row = match map.get(&*key.words) {
            Some(row) => row,
            None => map.get_or_insert_with(key.words.clone(), empty_row),
        };
        row[0].fetch_add(1, Relaxed);
    }

    fn total(&self, key: &Key) -> i128 {
        self.pin().get(&*key.words).map_or(0, |row| row[0].load(Relaxed).into())
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// Adds to keys that have a row: `inserted` in that order, then each as often as it is in `adds`, all equally often.
fn known_keys<T: Table>(criterion: &mut Criterion, group: &str, inserted: &[Key], adds: &[&Key], threads: usize) {
    let table = T::new(inserted.len(), inserted.len());
    inserted.iter().for_each(|key| table.add(key));
    let mut iterations = 0;

    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements((adds.len() * threads) as u64));
    group.bench_function(T::NAME, |bencher| {
        bencher.iter_custom(|more| {
            iterations += more;
            time(threads, more, || adds.iter().for_each(|key| table.add(black_box(key))))
        });
    });
    group.finish();

    assert_eq!(table.len(), inserted.len());
    let adds_per_key = (adds.len() / inserted.len() * threads) as u64;
    let expected = i128::from(1 + iterations * adds_per_key);
    inserted.iter().for_each(|key| assert_eq!(table.total(key), expected, "{}", T::NAME));
}

/// Adds to keys that have none, into a table that is fresh in every iteration and grows from nothing.
fn new_keys<T: Table>(criterion: &mut Criterion, keys: &[Key]) {
    let mut group = criterion.benchmark_group(format!("{} new keys, one thread", keys.len()));
    group.throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function(T::NAME, |bencher| {
        bencher.iter_custom(|iterations| (0..iterations).map(|_| time_new_keys::<T>(keys)).sum());
    });
    group.finish();
}

fn time_new_keys<T: Table>(keys: &[Key]) -> Duration {
    let begin = Instant::now();
    let table = T::new(keys.len(), 0);
    keys.iter().for_each(|key| table.add(black_box(key)));
    let taken = begin.elapsed();

    assert_eq!(table.len(), keys.len());
    keys.iter().for_each(|key| assert_eq!(table.total(key), 1, "{}", T::NAME));
    taken
}

type Dash = DashMap<Box<[u64]>, Row, ahash::RandomState>;
type Papaya = papaya::HashMap<Box<[u64]>, Row, ahash::RandomState>;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();

    let (inserted, visited) = (shuffled(KEYS, 1), shuffled(KEYS, 2));
    let adds: Vec<_> = visited.iter().collect();
    for (threads, name) in [(1, "10000 keys, one thread"), (2, "10000 keys, two threads")] {
        known_keys::<Counters>(&mut criterion, name, &inserted, &adds, threads);
        known_keys::<Stored>(&mut criterion, name, &inserted, &adds, threads);
        known_keys::<Dash>(&mut criterion, name, &inserted, &adds, threads);
        known_keys::<Papaya>(&mut criterion, name, &inserted, &adds, threads);
    }

    let hot = [Key::new(0)];
    let adds = vec![&hot[0]; HOT_ADDS];
    for (threads, name) in [(1, "one hot key, one thread"), (2, "one hot key, two threads")] {
        known_keys::<Counters>(&mut criterion, name, &hot, &adds, threads);
        known_keys::<Dash>(&mut criterion, name, &hot, &adds, threads);
        known_keys::<Papaya>(&mut criterion, name, &hot, &adds, threads);
    }

    let keys = shuffled(NEW_KEYS, 3);
    new_keys::<Counters>(&mut criterion, &keys);
    new_keys::<Dash>(&mut criterion, &keys);
    new_keys::<Papaya>(&mut criterion, &keys);

    criterion.final_summary();
}
