//! A touch comes to its user.

use super::entry::{Entry, Format, kind};
use super::locked::{Locked, Place};
use super::run::{self, is_alike};
use super::table::{Kind, Ring};
use crate::attribution::Step;
use crate::bucket::Content;

/// What became of a touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// Whether the user has a touch of that id. Then nothing has changed.
    pub(crate) is_duplicate: bool,
    /// The user's provisional conversions at or after it, each an order and its time.
    pub(crate) pending: Vec<(u64, u64)>,
}

/// What a touch has to know of its user's entries.
#[derive(Default)]
struct Seen<'t> {
    is_duplicate: bool,
    has_pending: bool,
    touches: usize,
    /// The oldest touch, which goes if there are too many.
    oldest: Option<Place<'t>>,
    /// By what it is ordered, see `rank`.
    rank: u128,
    evicted: Option<Place<'t>>,
}

/// A touch's order as a number of which the oldest one has the greatest.
#[inline(always)]
fn rank(entry: Entry) -> u128 {
    let (at, id) = entry.order();
    !(u128::from(at) << 64 | u128::from(id as u64 ^ 1 << 63))
}

impl<'t> Seen<'t> {
    #[inline(always)]
    fn see(&mut self, place: Place<'t>, entry: Entry, step: &Step) {
        // Without branches: where the touches of users lie among others, and in which order, is as good as random.
        let is_touch = entry.is_touch();
        self.is_duplicate |= is_touch & (entry.id() == step.id as u64);
        self.touches += usize::from(is_touch);
        self.has_pending |= entry.kind() == kind::PENDING;
        let rank = rank(entry);
        let is_older = is_touch & (rank > self.rank);
        self.rank = if is_older { rank } else { self.rank };
        self.oldest = if is_older { Some(place) } else { self.oldest };
        self.evicted = if entry.kind() == kind::EVICTED { Some(place) } else { self.evicted };
    }
}

impl Ring {
    /// Inserts a touch. Those before `oldest` are too old for any conversion to come: they go first where room is needed.
    #[inline(always)]
    pub(crate) fn insert(&self, user: u64, step: &Step, oldest: u64) -> Inserted {
        let mut locked = self.locked(user, step.at, |seen: &mut Seen<'_>, place, entry| seen.see(place, entry, step));
        if locked.seen.is_duplicate {
            locked.unlock();
            return Inserted { is_duplicate: true, pending: Vec::new() };
        }
        let pending = if locked.seen.has_pending { locked.pending(step.at) } else { Vec::new() };
        if !(self.collapse && locked.seen.touches > 1 && locked.collapse(step)) {
            locked.add(step, oldest);
        }
        locked.unlock();
        Inserted { is_duplicate: false, pending }
    }
}

impl<'t> Locked<'t, Seen<'t>> {
    /// Puts a touch in an empty place, or in that of the oldest one.
    #[inline(always)]
    fn add(&mut self, step: &Step, oldest: u64) {
        let entry = Entry::touch(self.fingerprint, step);
        if self.seen.touches < self.ring.touches_per_user {
            self.put(entry, oldest);
            self.ring.count(1, 0);
        } else {
            self.add_to_full(entry, oldest);
        }
    }

    #[inline(never)]
    fn add_to_full(&mut self, entry: Entry, oldest: u64) {
        let mut gone = entry;
        if let Some((bucket, at)) = self.seen.oldest {
            let least = Format.get(bucket, at);
            if least.order() < entry.order() {
                self.chain.set((bucket, at), entry);
                gone = least;
            }
        }
        if gone.at() < oldest {
            self.ring.note_dropped(gone.at());
            return;
        }
        self.ring.tally(Kind::EvictedTouches, 1);
        match self.seen.evicted {
            Some((bucket, at)) => {
                let evicted = Format.get(bucket, at);
                if gone.at() > evicted.at() {
                    self.chain.set((bucket, at), evicted.with_at(gone.at()));
                }
            }
            None => self.put(Entry::new(self.fingerprint, kind::EVICTED, 0, gone.at()), oldest),
        }
    }

    /// Whether the touch right before a new one, or that right after it, is alike.
    #[inline(never)]
    fn has_neighbour_alike(&self, step: &Step) -> bool {
        let (mut before, mut after) = (None::<Step>, None::<Step>);
        self.visit(|_, entry| {
            if entry.is_touch() {
                let other = entry.step();
                if other.order() < step.order() {
                    before = before.filter(|before| before.order() > other.order()).or(Some(other));
                } else {
                    after = after.filter(|after| after.order() < other.order()).or(Some(other));
                }
            }
        });
        [before, after].into_iter().flatten().any(|other| is_alike(&other, step))
    }

    /// Has a touch be one with its neighbours, if any is alike: of the run the first and the last one stay. Whether that is so:
    /// not where the run is only two touches long.
    #[inline(never)]
    fn collapse(&mut self, step: &Step) -> bool {
        if !self.has_neighbour_alike(step) {
            return false;
        }
        let mut touches: Vec<(Step, Option<Place<'t>>)> = Vec::with_capacity(self.seen.touches + 1);
        touches.push((*step, None));
        self.visit(|place, entry| {
            if entry.is_touch() {
                touches.push((entry.step(), Some(place)));
            }
        });
        touches.sort_unstable_by_key(|(step, _)| step.order());
        let Some(own) = touches.iter().position(|(_, place)| place.is_none()) else { return false };
        let alike = |at: &usize| is_alike(&touches[*at].0, step);
        let first = (0..own).rev().take_while(alike).last().unwrap_or(own);
        let last = (own..touches.len()).take_while(alike).last().unwrap_or(own);
        if last - first < 2 {
            return false;
        }
        // Those between them go, and the last one stands for them.
        let between = &touches[first + 1..last];
        let (after_first, place) = (touches[first + 1..=last].iter().map(|(step, _)| *step), touches[last].1);
        let stay = [touches[first], (run::last(after_first), place)];
        let mut free: Vec<Place<'t>> = between.iter().filter_map(|(_, place)| *place).collect();
        for (step, place) in stay {
            // The new one has no place yet: if it is not between, one of those between has left its.
            if let Some(place) = place.or_else(|| free.pop()) {
                self.chain.set(place, Entry::touch(self.fingerprint, &step));
            }
        }
        self.ring.count(0, free.len());
        free.into_iter().for_each(|place| self.chain.set(place, Entry::default()));
        true
    }
}
