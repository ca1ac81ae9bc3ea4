//! How a wide id is looked for: all of its entry lies in its line, or in one which that goes on in.

use std::sync::atomic::Ordering::Relaxed;

use super::line::{Format, GENERATION_BITS, Line, Wide, places};
use super::{Dedupe, GENERATIONS, Id, Kind, Used, entries_in, live_at, used_in};

impl Dedupe {
    /// Whether an id is seen for the first time.
    #[inline(always)]
    pub(super) fn first_wide(&self, Id { hash, home, .. }: Id<'_>) -> bool {
        let _held = home.lock();
        // Looked at under the lock: whoever has put an entry here knew its generation before letting go, so this one is not
        // before any entry's. With an older one a copy of a moment ago would seem too old to be remembered.
        let generation = self.generation.load(Relaxed);
        let fingerprint = Wide::fingerprint(hash);
        let entry = fingerprint | (generation % GENERATIONS);
        let mut words = home.words();
        if Wide::has(&words, fingerprint) {
            return self.is_first_again::<Wide>(home, entry, live_at(generation));
        }
        if home.link().is_some()
            && let Some(line) = self.find_further::<Wide>(home, fingerprint)
        {
            return self.is_first_again::<Wide>(line, entry, live_at(generation));
        }
        if home.swept() != generation % GENERATIONS {
            self.sweep(home, generation);
            words = home.words();
        }
        match Wide::free(&words) {
            Some(at) => Wide::set(home, at, entry),
            None => self.put_further(home, entry),
        }
        true
    }

    /// Whether an id is remembered: from now on then, and otherwise not put anywhere.
    pub(super) fn is_known_wide(&self, Id { hash, home, .. }: Id<'_>) -> bool {
        let _held = home.lock();
        // Under the lock, as in `first_wide`.
        let generation = self.generation.load(Relaxed);
        let (fingerprint, live) = (Wide::fingerprint(hash), live_at(generation));
        let is_its = |line: &Line, at: usize| {
            let entry = Wide::get(line, at);
            entry - entry % GENERATIONS == fingerprint && live.has(entry)
        };
        let line = self.chain(home).find(|line| places::<Wide>().any(|at| is_its(line, at)));
        line.is_some_and(|line| !self.is_first_again::<Wide>(line, fingerprint | (generation % GENERATIONS), live))
    }

    /// Removes entries that are too old from a line and those it goes on in, and gives back what is no longer needed of them.
    #[inline(never)]
    fn sweep(&self, home: &Line, generation: u64) {
        home.set_swept(generation % GENERATIONS);
        let live = live_at(generation);
        if home.link().is_some() {
            let entries: Vec<u64> = self.chain(home).flat_map(|line| entries_in::<Wide>(line, live)).collect();
            self.rewrite::<Wide>(home, 0, &entries);
        } else {
            Wide::sweep(home, live);
        }
    }

    /// Puts an entry behind a line that is full.
    #[inline(never)]
    fn put_further(&self, home: &Line, entry: u64) {
        if self.put_in_overflow::<Wide>(home, entry) {
            return;
        }
        self.tally.add(Kind::Forgotten as usize);
        // Of several that are as old, one that the new one's fingerprint chooses: no place has its entries last for ever.
        let age = |at: usize| entry.wrapping_sub(Wide::get(home, at)) % GENERATIONS;
        let begin = (entry >> GENERATION_BITS) as usize;
        let oldest = (begin..begin + Wide::ENTRIES).map(|step| 1 + step % Wide::ENTRIES).max_by_key(|at| age(*at));
        Wide::set(home, oldest.unwrap_or(1), entry);
    }

    /// What of its lines is used.
    pub(super) fn count_wide(&self) -> Used {
        let live = live_at(self.generation.load(Relaxed));
        let in_home = |home: &Line| {
            let held = home.lock();
            used_in::<Wide>(held.line(), live) + self.used_further::<Wide>(held.line(), live)
        };
        self.homes().iter().fold(Used::default(), |used, home| used + in_home(home))
    }
}
