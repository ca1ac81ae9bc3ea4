//! The crates `hyperloglogplus` and `datasketches`, and ours, over the same users at the same precision.

use std::hash::{BuildHasher, Hasher};

use ad_tally_core::sketch::murmur::{murmur3_128, murmur3_128_of_integer};
use ad_tally_core::{Coupon, Sketch};
use datasketches::hll::{HllSketch, HllType};
use hyperloglogplus::{HyperLogLog, HyperLogLogPlus};

use super::runs::pass;

/// Every estimator, in the order of [`estimates`].
pub const NAMES: [&str; 5] =
    ["ad_tally", "ad_tally registers", "hyperloglogplus", "datasketches", "datasketches any order"];

/// What `hyperloglogplus` hashes with: the hash that the other two have, so that only the estimators differ.
#[derive(Clone, Copy, Default)]
pub struct Murmur(u64);

impl BuildHasher for Murmur {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for Murmur {
    fn write(&mut self, bytes: &[u8]) {
        [self.0, _] = murmur3_128(bytes, self.0);
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        [self.0, _] = murmur3_128_of_integer(value, self.0);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn ours(precision: u8, run: u64, sizes: &[u64], registers: bool) -> Vec<f64> {
    let mut sketch = Sketch::new(precision, None).expect("a precision");
    if registers {
        sketch.to_registers();
    }
    let show = |sketch: &mut Sketch, user| sketch.insert(Coupon::of_integer(user, None));
    pass(run, sizes, &mut sketch, show, |sketch, _| sketch.estimate())
}

fn hyperloglogplus(precision: u8, run: u64, sizes: &[u64]) -> Vec<f64> {
    let mut sketch = HyperLogLogPlus::new(precision, Murmur::default()).expect("a precision");
    let show = |sketch: &mut HyperLogLogPlus<u64, Murmur>, user| sketch.insert(&user);
    pass(run, sizes, &mut sketch, show, |sketch, _| sketch.count())
}

/// Its estimate for one ordered stream, and the one for registers that were united, or raised by several threads.
fn datasketches(precision: u8, run: u64, sizes: &[u64]) -> (Vec<f64>, Vec<f64>) {
    let mut sketch = HllSketch::new(precision, HllType::Hll8).expect("a precision");
    let show = |sketch: &mut HllSketch, user: u64| sketch.update(user);
    pass(run, sizes, &mut sketch, show, |sketch, _| (sketch.estimate(), sketch.composite_estimate()))
        .into_iter()
        .unzip()
}

/// What every estimator says in a run, at every size.
pub fn estimates(precision: u8, run: u64, sizes: &[u64]) -> [Vec<f64>; 5] {
    let (ordered, unordered) = datasketches(precision, run, sizes);
    [
        ours(precision, run, sizes, false),
        ours(precision, run, sizes, true),
        hyperloglogplus(precision, run, sizes),
        ordered,
        unordered,
    ]
}
