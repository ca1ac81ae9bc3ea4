//! A user's bucket, locked: what the user has there, and how that is changed.

use super::entry::{ENTRIES, Entry, Fingerprint, Format, WORDS, kind};
use super::table::Ring;
use crate::bucket::{self, Chain, Content};

/// Aliases that are followed at most. At rest one leads to its user. While users are united one after the other it may lead to
/// one that has become an alias itself.
pub(super) const HOPS: usize = 8;

pub(super) type Place<'t> = bucket::Place<'t, WORDS>;

/// A bucket whose lock is held until this is dropped, or until [`Locked::unlock`].
pub(super) struct Locked<'t, S> {
    pub(super) ring: &'t Ring,
    pub(super) chain: Chain<'t, Format, WORDS>,
    /// Who it was locked for: the user that an alias leads to.
    pub(super) user: u64,
    pub(super) fingerprint: Fingerprint,
    /// Whether the user has any entry.
    pub(super) is_known: bool,
    /// An empty place.
    pub(super) empty: Option<Place<'t>>,
    /// Buckets of the chain.
    pub(super) buckets: usize,
    /// What was seen of the user's entries. Places are those of before anything was put or removed.
    pub(super) seen: S,
    pub(super) later: Later,
}

/// What is left to be done in other buckets once the lock is let go.
#[derive(Default)]
pub(super) struct Later {
    /// Entries whose other half was evicted.
    pub(super) loose: Vec<Loose>,
    /// Whether there is a user too many, and none here that could have gone.
    pub(super) is_over: bool,
}

/// An entry that names somebody who was evicted: an alias its user, or a user its alias.
pub(super) struct Loose {
    /// Whose entry.
    pub(super) of: u64,
    /// Of which kind.
    pub(super) kind: u64,
    /// Whom it names: the bucket and the fingerprint.
    pub(super) gone: (usize, Fingerprint),
}

impl Ring {
    /// Locks the bucket of a user, or of the user that it is an alias of, and shows its entries. An alias was touched `at` then.
    #[inline(always)]
    pub(super) fn locked<'t, S: Default>(
        &'t self,
        mut user: u64,
        at: u64,
        see: impl Fn(&mut S, Place<'t>, Entry),
    ) -> Locked<'t, S> {
        let mut hops = 0;
        loop {
            // All lines at once: the lock waits for the first of them.
            self.fetch(user);
            let mut locked = self.lock(user);
            match locked.look(&see) {
                Some((place, alias)) if hops < HOPS => {
                    if at > alias.at() {
                        locked.chain.set(place, alias.with_at(at));
                    }
                    user = alias.id();
                    hops += 1;
                }
                _ => return locked,
            }
        }
    }

    #[inline(always)]
    pub(super) fn lock<S: Default>(&self, user: u64) -> Locked<'_, S> {
        let (at, fingerprint) = self.key(user);
        Locked { user, ..self.lock_of(at, fingerprint) }
    }

    /// Locks a bucket for a user of whom no more than that is known.
    #[inline(always)]
    pub(super) fn lock_of<S: Default>(&self, at: usize, fingerprint: Fingerprint) -> Locked<'_, S> {
        Locked {
            ring: self,
            chain: self.buckets.lock_bucket(at),
            user: fingerprint.number(),
            fingerprint,
            is_known: false,
            empty: None,
            buckets: 0,
            seen: S::default(),
            later: Later::default(),
        }
    }
}

/// Shows the places that are bits of a number.
#[inline(always)]
fn each(mut places: u32, mut show: impl FnMut(usize)) {
    while places != 0 {
        show(places.trailing_zeros() as usize);
        places &= places - 1;
    }
}

impl<'t, S> Locked<'t, S> {
    /// Shows the user's entries, and notes an empty place. The entry of an alias, if it is one.
    #[inline(always)]
    fn look(&mut self, see: &impl Fn(&mut S, Place<'t>, Entry)) -> Option<(Place<'t>, Entry)> {
        let mut alias = None;
        let (mut empty, mut buckets, mut is_known) = (None, 0, false);
        let (fingerprint, seen) = (self.fingerprint, &mut self.seen);
        self.chain.each_bucket(|bucket| {
            let (own, free) = Format::find(bucket, fingerprint);
            buckets += 1;
            if free != 0 && empty.is_none() {
                empty = Some((bucket, free.trailing_zeros() as usize));
            }
            each(own, |at| {
                let entry = Format.get(bucket, at);
                if entry.kind() == kind::ALIAS {
                    alias = Some(((bucket, at), entry));
                } else {
                    is_known = true;
                    see(seen, (bucket, at), entry);
                }
            });
        });
        (self.empty, self.buckets, self.is_known) = (empty, buckets, is_known);
        alias
    }

    /// Shows the user's entries as they are now.
    pub(super) fn visit(&self, mut show: impl FnMut(Place<'t>, Entry)) {
        self.chain.each_bucket(|bucket| {
            each(Format::find(bucket, self.fingerprint).0, |at| {
                let entry = Format.get(bucket, at);
                if entry.kind() != kind::ALIAS {
                    show((bucket, at), entry);
                }
            });
        });
    }

    /// Whether it is an entry of the user, and not one by which it is an alias.
    #[inline(always)]
    pub(super) fn is_own(&self, entry: Entry) -> bool {
        entry.of_user() == self.fingerprint && !matches!(entry.kind(), kind::EMPTY | kind::ALIAS)
    }

    /// Lets go of the lock, and does what is left to be done elsewhere.
    #[inline(always)]
    pub(super) fn unlock(self) {
        let ring = self.ring;
        let (at, later) = self.release();
        ring.settle(at, later);
    }

    /// Lets go of the lock. What is left to be done elsewhere, and the number of the bucket.
    #[inline(always)]
    pub(super) fn release(self) -> (usize, Later) {
        let Self { chain, later, .. } = self;
        (chain.at, later)
    }

    /// Removes those entries of the user, or of the alias, that are to go.
    pub(super) fn remove(&mut self, is_to_go: impl Fn(Entry) -> bool) {
        let (mut removed, mut touches, mut of_user, mut left) = (Vec::new(), 0, 0, 0);
        self.chain.visit(|place, entry| {
            if entry.kind() == kind::EMPTY || entry.of_user() != self.fingerprint {
                return;
            }
            let is_of_user = usize::from(entry.kind() != kind::ALIAS);
            if is_to_go(entry) {
                removed.push(place);
                touches += usize::from(entry.is_touch());
                of_user += is_of_user;
            } else {
                left += is_of_user;
            }
        });
        if removed.is_empty() {
            return;
        }
        removed.into_iter().for_each(|place| self.chain.set(place, Entry::default()));
        self.ring.count(0, touches);
        if of_user > 0 && left == 0 {
            self.is_known = false;
            self.ring.users.remove(self.chain.at, 1, 0);
        }
        self.compact();
    }

    /// Gives back overflow buckets, where as many places are empty as one has.
    fn compact(&mut self) {
        if self.chain.header.is_linked() {
            let mut empty = 0;
            self.chain.visit(|_, entry| empty += usize::from(entry.kind() == kind::EMPTY));
            if empty >= ENTRIES {
                self.chain.compact();
            }
        }
        self.empty = None;
    }
}
