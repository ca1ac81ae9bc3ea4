//! Sketches that survive a restart.
//!
//! ```text
//! added      coupons, two a word, the last one perhaps alone
//! merged     the bytes of the sketch
//! overflow   how many adds had no row, the bytes of the sketch
//! ```
//!
//! Users without a row have a sketch without a key, and how often they were added is a sum without a key.

use super::value::{Config, Sketches};
use crate::journal::{Entries, Entry, NO_KEY, bytes_in_words, split_bytes};
use crate::key::HashedKey;
use crate::sketch::{Coupon, Sketch};
use crate::sync::hazard::Protected;
use crate::table::{Durable, Generation, Of, Value};

impl Durable for Sketches {
    fn to_words(sketch: &Sketch) -> Vec<u64> {
        bytes_in_words(&sketch.to_bytes()).collect()
    }

    fn overflow_to_words(sketch: &Sketch, adds: &u64) -> Vec<u64> {
        std::iter::once(*adds).chain(bytes_in_words(&sketch.to_bytes())).collect()
    }

    fn fold_added(config: &Config, of: Of, key: HashedKey<'_>, _number: u32, words: &[u64], into: &mut Entries) {
        let key = if of.spilled.is_all() { NO_KEY } else { key };
        let mut users = 0;
        let coupons = words.iter().flat_map(|word| [*word as u32, (word >> 32) as u32]);
        for coupon in coupons.filter_map(Coupon::from_word) {
            into.coupon(of.part, of.instance, key, config.precision, coupon);
            users += 1;
        }
        if of.spilled.is_all() {
            into.overflow(of.part, of.instance, &[users]);
        }
    }

    fn fold_merged(_config: &Config, of: Of, key: HashedKey<'_>, words: &[u64], into: &mut Entries) {
        if of.spilled.is_all() {
            into.overflow(of.part, of.instance, &[1]);
        }
        let key = if of.spilled.is_all() { NO_KEY } else { key };
        fold_sketch(of, key, words, into);
    }

    fn fold_overflow(_config: &Config, of: Of, words: &[u64], into: &mut Entries) {
        let [adds, sketch @ ..] = words else { unreachable!("as it was written") };
        into.overflow(of.part, of.instance, &[i128::from(*adds)]);
        fold_sketch(of, NO_KEY, sketch, into);
    }

    fn restore(table: &Protected<'_, Generation<Self>>, entry: &Entry<'_>) -> Result<(), String> {
        match *entry {
            Entry::Row { key: [], sums: [adds], .. } => {
                let adds = u64::try_from(*adds).map_err(|_| format!("{adds} users had no row"))?;
                Self::merge_overflow(table, &table.value.empty, &adds);
                Ok(())
            }
            Entry::Sketch { key, sketch, .. } => {
                let own = table.value.empty.precision();
                if sketch.precision != own {
                    return Err(format!("a sketch has precision {}, and those of the table {own}", sketch.precision));
                }
                let sketch = sketch.sketch(table.value.empty.secret_check()).into_owned();
                if key.is_empty() {
                    Self::merge_overflow(table, &sketch, &0);
                } else {
                    Self::merge(table, table.keyed.seed().key(key), &sketch);
                }
                Ok(())
            }
            _ => Err("a table of sketches has no counters".into()),
        }
    }
}

fn fold_sketch(of: Of, key: HashedKey<'_>, words: &[u64], into: &mut Entries) {
    let sketch = split_bytes(words).and_then(|(bytes, _)| Sketch::from_bytes(bytes).ok());
    let sketch = sketch.unwrap_or_else(|| unreachable!("as it was written"));
    into.sketch(of.part, of.instance, key, &sketch);
}

/// Coupons as words.
pub(super) fn words_of_coupons(coupons: &[Coupon]) -> impl Iterator<Item = u64> {
    coupons.chunks(2).map(|pair| pair.iter().rfold(0, |word, coupon| word << 32 | u64::from(coupon.word())))
}
