//! All users, bucket by bucket, for exports; and what one of an export had, added to what there is.

use super::entry::{FINGERPRINT_BITS, Fingerprint, kind};
use super::link::Linked;
use super::locked::HOPS;
use super::side::Side;
use super::table::{Kind, Ring};
use super::unite::Owned;
use crate::attribution::Step;

/// By what a user is known in a ring of as many buckets. Its whole hash is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) bucket: u64,
    /// The low 40 bits of the hash.
    pub(crate) fingerprint: u64,
}

impl Ring {
    /// How many buckets there are. Rings of as many know users by the same keys.
    pub(crate) fn buckets(&self) -> u64 {
        self.buckets.in_use() as u64
    }

    /// The key of a user.
    pub(crate) fn key_of(&self, user: u64) -> Key {
        Key { bucket: self.place(user) as u64, fingerprint: Fingerprint::of(user).number() }
    }

    /// Shows what users have, from a bucket on, of as many buckets as `most`, each read as one. The bucket to go on with, if
    /// there are more. Aliases are not shown: who has any names them, and `user_of` says whose they are.
    pub(crate) fn visit(&self, from: u64, most: usize, mut show: impl FnMut(Key, Owned)) -> Option<u64> {
        let buckets = self.buckets();
        let end = from.saturating_add(most as u64).min(buckets);
        for bucket in from..end {
            let chain = self.buckets.lock_bucket(bucket as usize);
            let mut entries = chain.entries();
            drop(chain);
            entries.retain(|entry| entry.kind() != kind::ALIAS);
            entries.sort_unstable_by_key(|entry| (entry.of_user(), entry.order()));
            for of_user in entries.chunk_by(|one, other| one.of_user() == other.of_user()) {
                let mut owned = Owned::default();
                of_user.iter().for_each(|entry| owned.push(*entry));
                show(Key { bucket, fingerprint: of_user[0].of_user().number() }, owned);
            }
        }
        (end < buckets).then_some(end)
    }

    /// A hash that a user of that key may have: whatever is asked by it is asked of the user. `None` if no user has such a key.
    pub(crate) fn hash_of(&self, key: Key) -> Option<u64> {
        let Key { bucket, fingerprint } = key;
        if bucket >= self.buckets() || fingerprint >> FINGERPRINT_BITS != 0 {
            return None;
        }
        // The first hash of the bucket, and from there on the first one with those low bits.
        let begin = (u128::from(bucket) << u64::BITS).div_ceil(u128::from(self.buckets())) as u64;
        let hash = (begin >> FINGERPRINT_BITS << FINGERPRINT_BITS) | fingerprint;
        let hash = if hash < begin { hash.checked_add(1 << FINGERPRINT_BITS)? } else { hash };
        (self.key_of(hash) == key).then_some(hash)
    }

    /// Adds what a user of a ring of as many buckets has had, but for its aliases, which are to be linked: what the user has then.
    /// `None` if no user has such a key.
    pub(crate) fn restore(&self, key: Key, owned: Owned) -> Option<Linked> {
        let mut user = self.hash_of(key)?;
        let mut hops = 0;
        loop {
            let (at, of) = self.key(user);
            let mut side = Side::new(self.lock_of(at, of));
            if let Some(of_alias) = side.alias(of).filter(|_| hops < HOPS) {
                user = of_alias;
                hops += 1;
                continue;
            }
            let mut own = side.take(of);
            let touches = own.touches.len();
            // As when users are linked: conversions are told of those too that are evicted with this.
            let mut steps = [own.touches.as_slice(), owned.touches.as_slice()].concat();
            steps.sort_by_key(Step::order);
            let evicted = own.evicted.max(owned.evicted);
            let gone = own.unite(Owned { aliases: Vec::new(), ..owned }, self.touches_per_user, self.collapse);
            self.count(own.touches.len().saturating_sub(touches), touches.saturating_sub(own.touches.len()));
            self.tally(Kind::EvictedTouches, gone.touches);
            side.entries.extend(own.entries(of));
            let (at, later) = side.store();
            self.settle(at, later);
            return Some(Linked { alias: None, user, pending: own.pending, steps, evicted, forgotten: gone.pending });
        }
    }

    /// Whether all words of a bucket are zero, and it has no overflow bucket.
    #[cfg(test)]
    pub(super) fn is_empty(&self, bucket: usize) -> bool {
        let chain = self.buckets.lock_bucket(bucket);
        !chain.header.is_linked() && chain.bucket.words().iter().all(|word| *word == 0)
    }
}
