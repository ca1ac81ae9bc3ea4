//! All reservations of this node, by the hash of campaign and request.
//!
//! A bucket's header says when the first of its entries is due: a live one when it expires, another one when it may be
//! forgotten. So a sweep reads one word of a bucket where nothing is due. What is settled is remembered for a while, or until its
//! place is needed. What is live is never forgotten: then there is no room for another one.

use super::entry::{Entry, Packed, State, WORDS};
use crate::bucket::{Buckets, Chain, Content, Full, Place};

/// Entries that a bucket is laid out for, in halves: of five places so many are taken.
const LOAD: usize = 5;
/// Overflow buckets beside a hundred buckets.
const OVERFLOW: usize = 25;
/// Overflow buckets of any table: of few buckets a larger share is full by chance.
const LEAST_OVERFLOW: usize = 16;
/// Headers tell times in about seconds.
const DUE_SHIFT: u32 = 10;

pub(super) type Held<'t> = Chain<'t, Packed, WORDS>;
pub(super) type At<'t> = Place<'t, WORDS>;

/// The reservations.
pub(crate) struct Reservations {
    buckets: Buckets<Packed, WORDS>,
    /// For how many milliseconds more than it lives a settled one is remembered.
    remember: u64,
}

impl Reservations {
    /// Room for so many. `Err` is how many bytes the system did not give.
    pub(crate) fn new(most: usize, remember: u64) -> Result<Self, usize> {
        let count = (2 * most).div_ceil(LOAD).max(1);
        let buckets = Buckets::new(Packed, count, 0, count * OVERFLOW / 100 + LEAST_OVERFLOW)?;
        Ok(Self { buckets, remember })
    }

    /// The number of a hash's bucket. Its low half tells: of requests that take part the high bits are small.
    #[inline(always)]
    fn place(&self, hash: u64) -> usize {
        self.buckets.place(hash.rotate_left(32), 0)
    }

    /// Asks for the bucket of a hash, which is about to be locked.
    #[inline(always)]
    #[cfg(not(loom))]
    pub(crate) fn fetch(&self, hash: u64) {
        self.buckets.bucket(self.place(hash)).fetch_to_write();
    }

    /// Locks the bucket of a hash.
    #[inline(always)]
    pub(super) fn lock(&self, hash: u64) -> Held<'_> {
        self.buckets.lock_bucket(self.place(hash))
    }

    /// The reservation of a hash.
    #[inline(always)]
    pub(super) fn find<'t>(&'t self, chain: &Held<'t>, hash: u64) -> Option<(At<'t>, Entry)> {
        let is_linked = chain.header.is_linked();
        let found = match Packed::find(chain.bucket, is_linked, hash) {
            Some(at) => Some((chain.bucket, at)),
            None if is_linked => self.find_in_overflow(chain, hash),
            None => None,
        };
        let (bucket, at) = found?;
        let entry = Packed.get(bucket, at);
        // The hash of an empty place may be that of a reservation.
        if entry.state == State::Empty { self.find_slowly(chain, hash) } else { Some(((bucket, at), entry)) }
    }

    #[cold]
    fn find_in_overflow<'t>(&'t self, chain: &Held<'t>, hash: u64) -> Option<At<'t>> {
        let find = |(bucket, is_linked)| Packed::find(bucket, is_linked, hash).map(|at| (bucket, at));
        self.buckets.overflow_of(chain.bucket).find_map(find)
    }

    #[cold]
    fn find_slowly<'t>(&'t self, chain: &Held<'t>, hash: u64) -> Option<(At<'t>, Entry)> {
        let mut found = None;
        chain.visit(|place, entry| {
            if entry.hash == hash && entry.state != State::Empty {
                found = Some((place, entry));
            }
        });
        found
    }

    /// Replaces an entry.
    #[inline(always)]
    pub(super) fn set<'t>(&'t self, chain: &mut Held<'t>, place: At<'t>, entry: Entry) {
        chain.set(place, entry);
        self.note_due(chain, entry);
    }

    /// Puts an entry there whose hash is not there yet.
    #[inline(always)]
    pub(super) fn insert<'t>(&'t self, chain: &mut Held<'t>, entry: Entry, clock: u64) -> Result<(), Full> {
        let empty = (0..Packed.entries(chain.header.is_linked()))
            .find(|at| Packed.get(chain.bucket, *at).state == State::Empty);
        match empty {
            Some(at) => self.set(chain, (chain.bucket, at), entry),
            None => self.insert_slowly(chain, entry, clock)?,
        }
        Ok(())
    }

    /// The same where its bucket is full.
    #[cold]
    fn insert_slowly<'t>(&'t self, chain: &mut Held<'t>, entry: Entry, clock: u64) -> Result<(), Full> {
        let (mut empty, mut oldest) = (None, None::<(At<'t>, Entry)>);
        chain.visit(|place, other| {
            if other.state == State::Empty {
                empty = empty.or(Some(place));
            } else if !other.state.is_live()
                // What comes after it expires later, so this one has to have expired.
                && other.expires < clock
                && oldest.is_none_or(|(_, oldest)| other.expires < oldest.expires)
            {
                oldest = Some((place, other));
            }
        });
        let forgettable = oldest.filter(|(_, oldest)| self.is_forgettable(oldest, clock)).map(|(place, _)| place);
        if let Some(place) = empty.or(forgettable) {
            self.set(chain, place, entry);
        } else if chain.push_overflow(entry).is_ok() {
            self.note_due(chain, entry);
        } else {
            let (place, _) = oldest.ok_or(Full)?;
            self.set(chain, place, entry);
        }
        Ok(())
    }

    /// Whether an entry need not be remembered.
    pub(super) fn is_forgettable(&self, entry: &Entry, clock: u64) -> bool {
        !entry.state.is_live() && self.due(entry) < clock
    }

    /// Removes those that need not be remembered, and gives back overflow buckets.
    pub(super) fn forget<'t>(&'t self, chain: &mut Held<'t>, clock: u64) {
        let (mut gone, mut due) = (Vec::new(), 0);
        chain.visit(|place, entry| {
            if entry.state == State::Empty {
            } else if self.is_forgettable(&entry, clock) {
                gone.push(place);
            } else {
                due = earliest(due, self.due(&entry));
            }
        });
        if !gone.is_empty() {
            gone.iter().for_each(|place| chain.set(*place, Entry::default()));
            chain.compact();
        }
        chain.header = chain.header.with_policy(due);
    }

    fn due(&self, entry: &Entry) -> u64 {
        entry.expires + if entry.state.is_live() { 0 } else { self.remember }
    }

    #[inline(always)]
    fn note_due(&self, chain: &mut Held<'_>, entry: Entry) {
        let due = earliest(chain.header.policy(), self.due(&entry));
        chain.header = chain.header.with_policy(due);
    }

    /// Whether anything of a bucket may be due.
    pub(super) fn is_due(&self, at: usize, now: u64) -> bool {
        let due = self.buckets.bucket(at).peek().policy();
        due != 0 && due << DUE_SHIFT <= now
    }

    /// Locks a bucket by its number.
    pub(super) fn lock_at(&self, at: usize) -> Held<'_> {
        self.buckets.lock_bucket(at)
    }

    /// How many buckets there are.
    pub(crate) fn buckets(&self) -> usize {
        self.buckets.in_use()
    }

    /// Memory of all of them.
    #[cfg(not(loom))]
    pub(crate) fn bytes(&self) -> usize {
        self.buckets.bytes()
    }
}

/// The earlier one of what a header says, where 0 is never, and a time.
#[inline(always)]
fn earliest(due: u64, time: u64) -> u64 {
    let time = (time >> DUE_SHIFT).max(1);
    if due == 0 { time } else { due.min(time) }
}
