//! Users shown to one sketch that is dense, beside the crates datasketches and hyperloglogplus, and to keyed ones.
//!
//! An insert is everything from the user's integer on: its hash, and the look at its register. hyperloglogplus hashes
//! with ahash, the fastest it can be given; datasketches and ours with MurmurHash3, as the format of their bytes asks
//! for. Several threads share the rivals' sketches behind a `parking_lot` mutex; ours needs none.
//!
//! Every group ends with a look at the sketch: ours must be bit for bit that of the same users, the others' estimates
//! within four standard errors of their number.

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Duration;

use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::reach::Registers;
use ad_tally_core::{Added, Coupon, HashedKey, KeyWriter, Reach, Seed, Sketch};
use criterion::{Criterion, Throughput};
use datasketches::hll::{HllSketch, HllType};
use hyperloglogplus::{HyperLogLog, HyperLogLogPlus};
use parking_lot::Mutex;

mod support;
use support::{mixed, time};

const PRECISION: u8 = 14;
const USERS: u64 = 100_000;
const KEYS: u64 = 1_000;

/// A sketch that threads share.
trait Shared: Sync {
    const NAME: &'static str;

    fn new() -> Self;
    fn insert(&self, user: u64);
    fn check(&self, users: &[u64]);
}

impl Shared for Registers {
    const NAME: &'static str = "ad_tally";

    fn new() -> Self {
        Self::new(PRECISION)
    }

    #[inline]
    fn insert(&self, user: u64) {
        self.view().raise(0, Coupon::of_integer(user, None));
    }

    fn check(&self, users: &[u64]) {
        let mut expected = Sketch::new(PRECISION, None).expect("in range");
        users.iter().for_each(|user| expected.insert(Coupon::of_integer(*user, None)));
        assert!(self.view().values().eq(expected.registers().expect("so many users").iter().copied()));
    }
}

fn check_estimate(estimate: f64, users: &[u64]) {
    let error = estimate / users.len() as f64 - 1.0;
    let standard = 1.04 / f64::from(1_u32 << PRECISION).sqrt();
    assert!(error.abs() < 4.0 * standard, "{estimate} users");
}

fn datasketches() -> HllSketch {
    HllSketch::new(PRECISION, HllType::Hll8).expect("in range")
}

type Plus = HyperLogLogPlus<u64, ahash::RandomState>;

fn plus() -> Plus {
    Plus::new(PRECISION, ahash::RandomState::with_seeds(1, 2, 3, 4)).expect("in range")
}

impl Shared for Mutex<HllSketch> {
    const NAME: &'static str = "datasketches, mutex";

    fn new() -> Self {
        Self::new(datasketches())
    }

    #[inline]
    fn insert(&self, user: u64) {
        self.lock().update(user);
    }

    fn check(&self, users: &[u64]) {
        check_estimate(self.lock().estimate(), users);
    }
}

impl Shared for Mutex<Plus> {
    const NAME: &'static str = "hyperloglogplus, mutex";

    fn new() -> Self {
        Self::new(plus())
    }

    #[inline]
    fn insert(&self, user: u64) {
        self.lock().insert(&user);
    }

    fn check(&self, users: &[u64]) {
        check_estimate(self.lock().count(), users);
    }
}

/// Keyed sketches, every one dense.
struct Keyed {
    reach: Reach,
}

impl Keyed {
    #[inline(always)]
    fn with_key<R>(seed: &Seed, user: u64, act: impl FnOnce(HashedKey<'_>) -> R) -> R {
        let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
        let mut writer = KeyWriter::tuple(&mut room, 2).expect("two elements");
        writer.integer((user % KEYS) as i64);
        writer.atom(7);
        act(seed.key(writer.finish()))
    }
}

impl Shared for Keyed {
    const NAME: &'static str = "ad_tally, 1000 keys";

    fn new() -> Self {
        Self { reach: Reach::new(12, KEYS as usize, None).expect("in range") }
    }

    #[inline]
    fn insert(&self, user: u64) {
        let coupon = Coupon::of_integer(user, None);
        let added = Self::with_key(self.reach.seed(), user, |key| self.reach.add(key, coupon));
        assert_eq!(added, Added::Row);
    }

    fn check(&self, users: &[u64]) {
        let mut expected = vec![Sketch::new(12, None).expect("in range"); KEYS as usize];
        users.iter().for_each(|user| expected[(user % KEYS) as usize].insert(Coupon::of_integer(*user, None)));
        for (key, expected) in (0..KEYS).zip(expected) {
            let estimate = Self::with_key(self.reach.seed(), key, |key| self.reach.estimate(key));
            assert_eq!(estimate, expected.estimate(), "key {key}");
        }
    }
}

fn shared<T: Shared>(criterion: &mut Criterion, group: &str, users: &[u64], threads: usize) {
    let sketch = T::new();
    users.iter().for_each(|user| sketch.insert(*user));
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(users.len() as u64 * threads as u64));
    group.bench_function(T::NAME, |bencher| {
        bencher.iter_custom(|iterations| {
            time(threads, iterations, || users.iter().for_each(|user| sketch.insert(black_box(*user))))
        });
    });
    group.finish();
    sketch.check(users);
}

/// The crate by itself: one thread that has the sketch to itself needs no mutex.
fn datasketches_alone(criterion: &mut Criterion, group: &str, users: &[u64]) {
    let mut sketch = datasketches();
    users.iter().for_each(|user| sketch.update(*user));
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(users.len() as u64));
    group.bench_function("datasketches", |bencher| {
        bencher.iter(|| users.iter().for_each(|user| sketch.update(black_box(*user))));
    });
    group.finish();
    check_estimate(sketch.estimate(), users);
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();

    let users: Vec<u64> = (1..=USERS).map(|number| mixed(number, 0)).collect();
    for (threads, name) in [(1, "dense insert, one thread"), (2, "dense insert, two threads")] {
        shared::<Registers>(&mut criterion, name, &users, threads);
        if threads == 1 {
            datasketches_alone(&mut criterion, name, &users);
        }
        shared::<Mutex<HllSketch>>(&mut criterion, name, &users, threads);
        shared::<Mutex<Plus>>(&mut criterion, name, &users, threads);
    }
    let users: Vec<u64> = (1..=KEYS * 500).map(|number| mixed(number, 0)).collect();
    for (threads, name) in [(1, "1000 keys, one thread"), (2, "1000 keys, two threads")] {
        shared::<Keyed>(&mut criterion, name, &users, threads);
    }

    criterion.final_summary();
}
