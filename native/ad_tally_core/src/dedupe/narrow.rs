//! How a narrow id is looked for: in its home first, a ring (see `home`), and then in the lines which that goes on in.

use std::cmp::Reverse;
use std::hint::select_unpredictable;
use std::sync::atomic::Ordering::Relaxed;

use super::home::{self, Print, Ring};
use super::line::{self, Format, Line, Narrow};
use super::{Dedupe, GENERATIONS, Id, Kind, Quads, Used, entries_in, live_at};
use crate::sync::prefetch::fetch_once;

/// What is known of an id that may have been seen.
enum Met {
    /// It was not.
    New,
    /// It was, and is remembered as if it had been seen now.
    There,
    /// It was, in a generation before, and is to be put anew.
    Again,
}

impl Dedupe {
    /// The line of a home's rests.
    #[inline(always)]
    fn rests(&self, home: &Line) -> &Line {
        &self.lines.all()[self.to_rests + self.number(home)]
    }

    /// Asks for the rests of a home whose quad the next id makes whole, and otherwise for the home, which is near. Without a
    /// branch: one in four is, as good as by chance.
    #[inline(always)]
    pub(super) fn fetch_rests_if_due(Id { home, rests, .. }: Id<'_>) {
        let is_due = Ring(home.word(0).load(Relaxed)).is_nearly_whole();
        fetch_once(select_unpredictable(is_due, rests, home));
    }

    /// Whether an id is seen for the first time.
    #[inline(always)]
    pub(super) fn first_narrow(
        &self,
        Id { hash, home, rests }: Id<'_>,
        quads: Quads<impl Fn() -> Option<usize>>,
    ) -> bool {
        let (held, header) = home.lock_with_header();
        let mut ring = Ring(header);
        // Looked at under the lock: whoever has put an entry here knew its generation before letting go, so this one is not
        // before any entry's.
        let generation = self.generation.load(Relaxed) % GENERATIONS;
        if line::swept_in(header) != generation {
            ring = self.age(home, ring, generation);
        }
        let entry = Narrow::fingerprint(hash) | generation;
        let print = Print::of(entry);
        let candidates = home::candidates(home, print);
        if candidates != 0 || line::link_in(ring.0).is_some() {
            match self.meet(home, ring, entry, candidates) {
                Met::New => {}
                Met::There => {
                    held.release(ring.0);
                    return false;
                }
                Met::Again => {
                    if let Some(ring) = self.make_room(home, ring, entry) {
                        held.release(home::put(home, ring, print).0);
                    }
                    return false;
                }
            }
        }
        if ring.is_whole() || !ring.has_room() {
            match self.make_room(home, ring, entry) {
                Some(roomy) => ring = roomy,
                None => return true,
            }
        }
        ring = home::put(home, ring, print);
        if let Quads::Now = quads {
            ring = home::copy_if_whole(home, rests, ring);
        }
        held.release(ring.0);
        if ring.is_whole()
            && let Quads::Later(thread) = quads
            && let Some(thread) = thread()
        {
            self.copy_later(home, thread);
        }
        true
    }

    /// Whether an id is remembered: from now on then, and otherwise not put anywhere.
    pub(super) fn is_known_narrow(&self, Id { hash, home, .. }: Id<'_>) -> bool {
        let (held, header) = home.lock_with_header();
        let mut ring = Ring(header);
        // Under the lock, as in `first_narrow`.
        let generation = self.generation.load(Relaxed) % GENERATIONS;
        if line::swept_in(header) != generation {
            ring = self.age(home, ring, generation);
        }
        let entry = Narrow::fingerprint(hash) | generation;
        let print = Print::of(entry);
        let met = self.meet(home, ring, entry, home::candidates(home, print));
        if let Met::Again = met {
            match self.make_room(home, ring, entry) {
                Some(roomy) => ring = home::put(home, roomy, print),
                // It was put into a line that the home goes on in, which may have changed the home's header.
                None => return true,
            }
        }
        held.release(ring.0);
        !matches!(met, Met::New)
    }

    /// A home that is held, and the lines it goes on in, without what is too old at a generation.
    #[inline(never)]
    fn age(&self, home: &Line, ring: Ring, generation: u64) -> Ring {
        let ring = ring.at(generation);
        if line::link_in(ring.0).is_some() { self.move_up(home, ring, generation) } else { ring }
    }

    /// Moves entries into a home that is held from the lines it goes on in. A home goes on in others only while it is full, so
    /// those have come later than all that it has; but for what it has forgotten others for, and then they are remembered for
    /// longer.
    #[cold]
    fn move_up(&self, home: &Line, mut ring: Ring, generation: u64) -> Ring {
        let live = live_at(generation);
        let age = |entry: u64| generation.wrapping_sub(entry) % GENERATIONS;
        let mut entries: Vec<u64> =
            self.overflow_lines(home).flat_map(|line| entries_in::<Narrow>(line, live)).collect();
        entries.sort_by_key(|entry| Reverse(age(*entry)));
        let (up, others) = entries.split_at(entries.len().min(home::ENTRIES - ring.length()));
        for entry in up {
            if ring.is_whole() {
                ring = home::copy(home, self.rests(home), ring);
            }
            ring = home::put_older(home, ring, Print::of(*entry), age(*entry));
        }
        home.word(0).store(ring.0, Relaxed);
        self.rewrite::<Narrow>(home, 1, others);
        Ring(home.word(0).load(Relaxed))
    }

    /// Looks for an id in a home that is held, where an entry may be its, and in the lines it goes on in.
    #[inline(never)]
    fn meet(&self, home: &Line, ring: Ring, entry: u64, candidates: u32) -> Met {
        if let Some(slot) = home::find(home, self.rests(home), ring, candidates, Print::of(entry)) {
            self.tally.add(Kind::Duplicate as usize);
            // It may be the entry of another id that looks alike, and then this one's copies must not pass when that one is
            // forgotten. So it is remembered from now on, too.
            let is_older = home::take_back(home, ring, slot);
            return if is_older { Met::Again } else { Met::There };
        }
        let generation = entry % GENERATIONS;
        let Some(line) = self.find_further::<Narrow>(home, entry - generation) else { return Met::New };
        // None of those is too old: `age` has removed what was.
        self.is_first_again::<Narrow>(line, entry, live_at(generation));
        Met::There
    }

    /// Makes room in a home that is held. `None` if the id was put into a line that it goes on in.
    #[inline(never)]
    fn make_room(&self, home: &Line, mut ring: Ring, entry: u64) -> Option<Ring> {
        if ring.is_whole() {
            ring = home::copy(home, self.rests(home), ring);
        }
        if ring.has_room() {
            return Some(ring);
        }
        // Its link may change.
        home.word(0).store(ring.0, Relaxed);
        if self.put_in_overflow::<Narrow>(home, entry) {
            return None;
        }
        let (ring, was_there) = home::forget(home, ring);
        if was_there {
            self.tally.add(Kind::Forgotten as usize);
        }
        Some(ring)
    }

    /// Asks for the rests of a home whose quad is whole, and copies that of another one whose rests have come near.
    ///
    /// A store to a line far away is not waited for, but the next locked instruction is, until it is done.
    #[inline(never)]
    fn copy_later(&self, home: &Line, thread: usize) {
        fetch_once(self.rests(home));
        let Some(home) = self.later.swap(thread, self.number(home)).map(|turn| &self.homes()[turn]) else { return };
        let (held, header) = home.lock_with_header();
        let mut ring = Ring(header);
        // Somebody else may have copied it since.
        if ring.is_whole() {
            ring = home::copy(home, self.rests(home), ring);
        }
        held.release(ring.0);
    }

    /// What of its lines is used.
    pub(super) fn count_narrow(&self) -> Used {
        let in_home = |home: &Line| {
            let (held, header) = home.lock_with_header();
            // Under the lock, as in `first_narrow`.
            let generation = self.generation.load(Relaxed);
            let ring = Ring(header).at(generation % GENERATIONS);
            let used = Used { ids: home::count(held.line(), ring), taken: ring.length() };
            used + self.used_further::<Narrow>(held.line(), live_at(generation))
        };
        self.homes().iter().fold(Used::default(), |used, home| used + in_home(home))
    }
}
