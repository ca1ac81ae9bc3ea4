//! A table of caps that is filled again from what its journal wrote: it decides as one that saw just the events of the intervals
//! that were kept, and lets nothing pass that those do not allow.
#![cfg(not(loom))]

#[path = "support/in_memory.rs"]
mod in_memory;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use ad_tally_core::codec::{Frame, Imported};
use ad_tally_core::frequency_cap::{Config, Decision, Reason};
use ad_tally_core::journal::{self, Entry, Fold, Journal, Part, Restore, TickChange};
use ad_tally_core::{FrequencyCap, Rule, Rules, Seed, Window};
use proptest::prelude::*;

use self::in_memory::{each_entry, folded, merged};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Monday, 1 June 2026.
const BEGIN: u64 = 1_780_272_000_000;
/// The number of the table in its journal.
const PART: u16 = 3;

fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Pairs that no table takes for each other: they differ in the bits that every fingerprint has.
fn pair(number: u64) -> u64 {
    mix(number) & !0xffff | number
}

/// One of each kind.
fn configs(capacity: usize) -> [Config; 4] {
    let config = |tiers: &[(u64, u64)], lifetime, strict| Config {
        capacity,
        max_capacity: 16 * capacity,
        tiers: tiers.to_vec(),
        lifetime,
        strict,
        max_ahead: None,
    };
    [
        config(&[(5 * MINUTE, 14 * DAY)], false, false),
        config(&[(SECOND, HOUR)], false, true),
        config(&[(MINUTE, 2 * DAY), (HOUR, 60 * DAY)], true, false),
        config(&[], true, false),
    ]
}

fn windows(config: &Config) -> Vec<Window> {
    let rolling = config.tiers.iter().flat_map(|(granularity, horizon)| {
        [Window::Rolling(*granularity), Window::Rolling(horizon / 3), Window::Rolling(*horizon)]
    });
    rolling.chain(config.lifetime.then_some(Window::Lifetime)).collect()
}

fn rules(config: &Config) -> Vec<Rules> {
    let rules = windows(config).into_iter().flat_map(|window| [1, 2, 4, 28].map(|max| vec![Rule { max, window }]));
    rules.map(|rules| Rules::new(rules).expect("rules")).collect()
}

/// A table with a journal, and what was kept of it: a run for each interval.
struct Durable {
    config: Config,
    caps: FrequencyCap,
    journal: Arc<Journal>,
    runs: Vec<Vec<u8>>,
}

impl Durable {
    fn new(config: &Config) -> Self {
        let journal = Journal::new(journal::Config::default(), 1);
        let part = Part::new(journal.clone(), PART);
        let caps = FrequencyCap::with_journal(config, Seed::new(7), Some(part)).expect("a table");
        Self { config: config.clone(), caps, journal, runs: Vec::new() }
    }

    fn cut(&mut self) {
        cut(&mut self.runs, &self.journal, &self.caps);
    }

    /// Merges some of what was kept, as a store does in time.
    fn merge(&mut self, merging: Merging) {
        let (from, to, is_base) = match merging {
            Merging::Nothing => return,
            Merging::Newest(count) => (self.runs.len().saturating_sub(count), self.runs.len(), false),
            Merging::Oldest(count) => (0, count.min(self.runs.len()), true),
        };
        let fold = self.caps.fold();
        let merged = merged(&self.runs[from..to], Some(&fold), is_base);
        self.runs.splice(from..to, [merged]);
    }

    /// A table like it, or of another capacity, that is filled from the first intervals.
    fn restored(&self, intervals: usize, capacity: usize) -> FrequencyCap {
        let config = Config { capacity, max_capacity: 16 * capacity, ..self.config.clone() };
        let caps = FrequencyCap::with_seed(&config, Seed::new(7)).expect("a table");
        let restoring = caps.restoring();
        self.runs[..intervals].iter().for_each(|run| take_back(run, &restoring));
        assert_eq!(restoring.finish(), 0, "{:?}", caps.info());
        caps
    }
}

/// Ends an interval, and keeps it.
fn cut(runs: &mut Vec<Vec<u8>>, journal: &Journal, caps: &FrequencyCap) {
    let interval = journal.cut();
    assert!(interval.records().all(|record| record.part == PART));
    runs.push(folded(interval.records(), &caps.fold()));
}

fn take_back(run: &[u8], by: &impl Restore) {
    each_entry(run, |part, entry| {
        assert_eq!(part, PART);
        by.restore(entry).expect("an entry of the table");
    });
}

/// Whether one more event at `at`, after all others, would be one too many.
fn is_passed(max: usize, window: Window, times: &[u64], at: u64) -> bool {
    let is_in = |time: &&u64| match window {
        Window::Rolling(window) => **time <= at && at - **time < window,
        _ => true,
    };
    times.iter().filter(is_in).count() >= max
}

/// Both decide and count alike about all pairs, now and later.
fn assert_alike(one: &FrequencyCap, other: &FrequencyCap, config: &Config, pairs: impl Iterator<Item = u64>, now: u64) {
    assert_eq!(one.newest(), other.newest());
    let rules = rules(config);
    for pair in pairs {
        for at in [0, 7 * SECOND, 11 * MINUTE, 5 * HOUR, 3 * DAY].map(|more| now + more) {
            for rules in &rules {
                let [one, other] = [one, other].map(|caps| caps.check(pair, rules, at, || at));
                assert_eq!(one, other, "{pair} at {at}: {rules:?}");
            }
            for window in windows(config) {
                let [one, other] = [one, other].map(|caps| caps.count(pair, window, at));
                assert_eq!(one, other, "{pair} at {at}: {window:?}");
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Admit { pair: u64, rules: usize },
    AdmitAll { pairs: Vec<u64>, rules: usize },
    Record { pair: u64, times: u64 },
    Release { which: prop::sample::Index },
    Pass { seconds: u64 },
    Cut { merge: Merging },
}

/// Which of the runs are merged into one.
#[derive(Debug, Clone, Copy)]
enum Merging {
    Nothing,
    /// The newest ones, so many.
    Newest(usize),
    /// The oldest ones, so many: a base.
    Oldest(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    // One of them has more events than are kept.
    let pairs = || prop_oneof![Just(0), 0..12_u64].prop_map(pair);
    prop_oneof![
        6 => (pairs(), 0..16_usize).prop_map(|(pair, rules)| Operation::Admit { pair, rules }),
        2 => (prop::sample::subsequence((0..12).map(pair).collect::<Vec<_>>(), 1..5), 0..16_usize)
            .prop_map(|(pairs, rules)| Operation::AdmitAll { pairs, rules }),
        3 => (pairs(), 1..4_u64).prop_map(|(pair, times)| Operation::Record { pair, times }),
        1 => (Just(pair(0)), 15..40_u64).prop_map(|(pair, times)| Operation::Record { pair, times }),
        4 => any::<prop::sample::Index>().prop_map(|which| Operation::Release { which }),
        4 => prop_oneof![1..20_u64, 60..4_000_u64, 10_000..200_000_u64].prop_map(|seconds| Operation::Pass { seconds }),
        3 => prop_oneof![
            Just(Merging::Nothing),
            (2..4_usize).prop_map(Merging::Newest),
            (1..9_usize).prop_map(Merging::Oldest),
        ].prop_map(|merge| Operation::Cut { merge }),
    ]
}

/// Tables with and without a journal side by side, through the same operations.
struct Both {
    durable: Durable,
    rules: Vec<Rules>,
    /// Saw what was counted and taken back, and nothing else.
    twin: FrequencyCap,
    now: u64,
    /// All that was counted and not taken back.
    counted: Vec<(u64, u64)>,
    /// Pairs of which more events came than are kept: there the twin may know of fewer.
    crowded: HashSet<u64>,
}

impl Both {
    fn new(config: &Config) -> Self {
        let twin = FrequencyCap::with_seed(config, Seed::new(7)).expect("a table");
        let (counted, crowded) = (Vec::new(), HashSet::new());
        Self { durable: Durable::new(config), rules: rules(config), twin, now: BEGIN, counted, crowded }
    }

    fn count(&mut self, pair: u64) {
        assert_eq!(self.twin.record(pair, self.now, || self.now), Ok(Decision::Admitted));
        self.counted.push((pair, self.now));
        if self.counted.iter().filter(|(other, _)| *other == pair).count() > 28 {
            self.crowded.insert(pair);
        }
    }

    fn operate(&mut self, operation: &Operation) {
        let (caps, now) = (&self.durable.caps, self.now);
        match operation {
            Operation::Admit { pair, rules } => {
                let rules = &self.rules[rules % self.rules.len()];
                if caps.admit(*pair, rules, now, || now) == Ok(Decision::Admitted) {
                    self.count(*pair);
                }
            }
            Operation::AdmitAll { pairs, rules } => {
                let rules = &self.rules[rules % self.rules.len()];
                let all: Vec<_> = pairs.iter().map(|pair| (*pair, rules)).collect();
                if caps.admit_all(&all, now, || now) == Ok(Decision::Admitted) {
                    pairs.iter().for_each(|pair| self.count(*pair));
                }
            }
            Operation::Record { pair, times } => {
                for _ in 0..*times {
                    assert_eq!(self.durable.caps.record(*pair, now, || now), Ok(Decision::Admitted));
                    self.count(*pair);
                }
            }
            Operation::Release { which } if !self.counted.is_empty() => {
                let at = which.index(self.counted.len());
                let (pair, time) = self.counted[at];
                let released = caps.release(pair, time);
                // A denial may have made it forget an old event, which the twin still knows.
                if released == Ok(true) {
                    let of_twin = self.twin.release(pair, time);
                    assert!(of_twin == Ok(true) || self.crowded.contains(&pair));
                    self.counted.swap_remove(at);
                }
            }
            Operation::Release { .. } => {}
            Operation::Pass { seconds } => self.now += seconds * SECOND,
            Operation::Cut { .. } => {}
        }
    }

    /// No rule is passed, also of pairs with more events than are kept.
    fn assert_none_passes(&self, restored: &FrequencyCap) {
        for pair in (0..12).map(pair) {
            let times: Vec<u64> = self.counted.iter().filter(|(of, _)| *of == pair).map(|(_, at)| *at).collect();
            for window in windows(&self.durable.config) {
                for max in [1, 2, 4, 9, 17, 28] {
                    let rules = Rules::new(vec![Rule { max, window }]).expect("rules");
                    for at in [0, 13 * MINUTE, 9 * HOUR].map(|more| self.now + more) {
                        if restored.check(pair, &rules, at, || at) == Ok(Decision::Admitted) {
                            assert!(
                                !is_passed(max as usize, window, &times, at),
                                "{pair} {times:?} {max} {window:?} {at}"
                            );
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever was done, wherever it was cut, and however runs were merged since, all runs together are the table that saw what
    /// they saw.
    #[test]
    fn a_table_decides_as_one_that_saw_the_intervals_that_were_kept(
        kind in 0..4_usize,
        operations in prop::collection::vec(operation(), 1..80),
        capacity in prop_oneof![Just(3_usize), 4..40_usize],
    ) {
        let config = &configs(3)[kind];
        let mut both = Both::new(config);
        for operation in operations.iter().chain([&Operation::Cut { merge: Merging::Nothing }]) {
            both.operate(operation);
            if let Operation::Cut { merge } = operation {
                both.durable.cut();
                both.durable.merge(*merge);
                let restored = both.durable.restored(both.durable.runs.len(), capacity);
                let known = (0..13).map(pair).filter(|pair| !both.crowded.contains(pair));
                assert_alike(&restored, &both.twin, config, known, both.now);
                both.assert_none_passes(&restored);
            }
        }
    }
}

const THREADS: u64 = 4;
const PHASES: u64 = 14;

/// What a thread did to pairs at a time that nothing else has.
#[derive(Debug, Clone)]
struct Event {
    pairs: Vec<u64>,
    at: u64,
    is_released: bool,
}

/// Threads that count and take back, together and one another's, while it is cut: an event is in one interval with all its pairs, a
/// release in no earlier one, and each prefix decides as a table that saw just that.
#[test]
fn threads_that_are_cut_at_any_moment_leave_whole_events_in_the_order_of_their_causes() {
    let seed = std::time::UNIX_EPOCH.elapsed().map_or(1, |passed| passed.as_nanos() as u64);
    println!("seed {seed}");
    let [_, _, config, _] = configs(64);
    let config = Config { tiers: vec![(SECOND, HOUR), (MINUTE, 2 * DAY)], ..config };
    let mut durable = Durable::new(&config);
    // Events of all threads are at different seconds, so that a tick says which it is.
    let (seconds, events) = (AtomicU64::new(0), Mutex::new(Vec::<Event>::new()));
    let counted = Mutex::new(Vec::<(u64, u64)>::new());
    let one = Rules::new(vec![Rule { max: 3, window: Window::Rolling(HOUR) }]).expect("rules");
    let phase = Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        let caps = &durable.caps;
        for number in 0..THREADS {
            let (seconds, events, counted, one, phase) = (&seconds, &events, &counted, &one, &phase);
            scope.spawn(move || {
                let (mut random, mut own) = (mix(seed + number), Vec::new());
                for event in 0..PHASES * 50 {
                    if event % 50 == 0 {
                        phase.wait();
                    }
                    random = mix(random + 1);
                    let some = (random >> 8) % 4;
                    if some == 3 {
                        // One that any thread has counted.
                        let taken = {
                            let mut counted = counted.lock().expect("no panic");
                            if counted.is_empty() {
                                continue;
                            }
                            let at = (random >> 16) as usize % counted.len();
                            counted.swap_remove(at)
                        };
                        assert_eq!(caps.release(taken.0, taken.1), Ok(true));
                        own.push(Event { pairs: vec![taken.0], at: taken.1, is_released: true });
                        continue;
                    }
                    let at = BEGIN + seconds.fetch_add(1, Relaxed) * SECOND;
                    let mut pairs: Vec<u64> = (0..=some).map(|more| pair((random >> (10 + 8 * more)) % 400)).collect();
                    pairs.sort_unstable();
                    pairs.dedup();
                    let decision = match &pairs[..] {
                        [pair] if random & 1 == 0 => caps.admit(*pair, one, at, || at),
                        [pair] => caps.record(*pair, at, || at),
                        pairs => caps.admit_all(&pairs.iter().map(|pair| (*pair, one)).collect::<Vec<_>>(), at, || at),
                    };
                    if decision == Ok(Decision::Admitted) {
                        counted.lock().expect("no panic").extend(pairs.iter().map(|pair| (*pair, at)));
                        own.push(Event { pairs, at, is_released: false });
                    }
                }
                events.lock().expect("no panic").append(&mut own);
            });
        }
        for number in 0..PHASES {
            phase.wait();
            // Some events later, while others go on.
            let begun = seconds.load(Relaxed) + mix(seed ^ number) % 60;
            (0..10_000).take_while(|_| seconds.load(Relaxed) < begun).for_each(|_| thread::yield_now());
            cut(&mut durable.runs, &durable.journal, caps);
        }
    });
    durable.cut();
    let intervals = durable.runs.len();

    // Where each event is, by what the finest tier and the lifetime have of it.
    let mut ticks: HashMap<(u64, u64, bool), Vec<usize>> = HashMap::new();
    for (interval, run) in durable.runs.iter().enumerate() {
        each_entry(run, |_, entry| {
            if let Entry::Ticks { tier: 0, pair, changes } = entry {
                for change in changes {
                    let (tick, is_released) = match change {
                        TickChange::Added(tick) => (*tick, false),
                        TickChange::Released(tick) => (*tick, true),
                    };
                    ticks.entry((pair, tick, is_released)).or_default().push(interval);
                }
            }
        });
    }
    let events = events.into_inner().expect("no panic");
    let place = |pair: u64, at: u64, is_released: bool| match ticks
        .get(&(pair, at / SECOND, is_released))
        .map(|all| &all[..])
    {
        // Counted and taken back within one interval.
        None => None,
        Some([interval]) => Some(*interval),
        more => panic!("{pair} at {at} in {more:?}"),
    };
    let mut seen = 0;
    for event in &events {
        let places: HashSet<_> =
            event.pairs.iter().filter_map(|pair| place(*pair, event.at, event.is_released)).collect();
        assert!(places.len() <= 1, "{event:?} in {places:?}");
        seen += event.pairs.iter().filter(|pair| place(**pair, event.at, event.is_released).is_some()).count();
        if event.is_released
            && let Some(interval) = place(event.pairs[0], event.at, true)
        {
            assert!(place(event.pairs[0], event.at, false).is_some_and(|before| before < interval), "{event:?}");
        }
    }
    assert_eq!(seen, ticks.len());
    // Many were taken back in a later interval than they were counted in.
    assert!(ticks.keys().filter(|(_, _, is_released)| *is_released).count() > 50);

    // Events in the order of intervals, and within one any order: those that were taken back in the same one left nothing.
    let newest = BEGIN + seconds.load(Relaxed) * SECOND;
    for intervals in [1, intervals / 2, intervals] {
        let restored = durable.restored(intervals, 64);
        let mut times: HashMap<u64, Vec<u64>> = HashMap::new();
        for ((pair, tick, is_released), places) in &ticks {
            if !is_released && places[0] < intervals {
                let taken = ticks.get(&(*pair, *tick, true)).is_some_and(|places| places[0] < intervals);
                times.entry(*pair).or_default().extend((!taken).then_some(tick * SECOND));
            }
        }
        for pair in (0..400).map(pair) {
            let times = times.get(&pair).map_or(&[][..], |times| times);
            for window in windows(&config).into_iter().filter(|window| *window != Window::Rolling(HOUR / 3)) {
                let count = restored.count(pair, window, newest + HOUR / 2).expect("a window");
                let is_in = |time: &&u64| match window {
                    // A tick stands for all its moments, and so does that of the finest tier for those of a minute.
                    Window::Rolling(window) if window <= HOUR => newest + HOUR / 2 - **time < window + SECOND,
                    Window::Rolling(window) => newest + HOUR / 2 - **time < window,
                    _ => true,
                };
                let expected = times.iter().filter(is_in).count();
                assert!(
                    times.len() > 28 || count == expected,
                    "{pair} {window:?}: {count}, not {expected} of {times:?}"
                );
            }
        }
    }
}

/// Nothing is counted that could not be written, and denials are answered as ever.
#[test]
fn a_full_journal_counts_nothing_and_says_so() {
    for config in configs(64) {
        let journal = Journal::new(journal::Config { buffer_bytes: 1, ..journal::Config::default() }, 1);
        let part = Part::new(journal.clone(), PART);
        let caps = FrequencyCap::with_journal(&config, Seed::new(7), Some(part)).expect("a table");
        let rules = &rules(&config)[0];
        assert_eq!(caps.admit(pair(1), rules, BEGIN, || BEGIN), Ok(Decision::Admitted));
        let busy = Ok(Decision::Refused(Reason::Busy));
        assert_eq!(caps.admit(pair(2), rules, BEGIN, || BEGIN), busy);
        assert_eq!(caps.record(pair(2), BEGIN, || BEGIN), busy);
        assert_eq!(caps.admit_all(&[(pair(2), rules), (pair(3), rules)], BEGIN, || BEGIN), busy);
        assert!(matches!(caps.admit(pair(1), rules, BEGIN, || BEGIN), Ok(Decision::Capped { .. })));
        assert_eq!(caps.info().refused, [0, 0, 0, 3]);
        for window in windows(&config) {
            assert_eq!(caps.count(pair(2), window, BEGIN), Ok(0));
        }
        // What was counted can be taken back.
        assert_eq!(caps.release(pair(1), BEGIN), Ok(true));
        drop(journal.cut());
        assert_eq!(caps.admit(pair(2), rules, BEGIN, || BEGIN), Ok(Decision::Admitted));
    }
}

/// Frames of another table, and events beside them.
#[test]
fn what_was_imported_is_there_after_a_restart_and_no_frame_is_taken_again() {
    for config in configs(200) {
        let other = FrequencyCap::with_seed(&config, Seed::new(7)).expect("a table");
        for number in 0..500 {
            for event in 0..number % 4 {
                let at = BEGIN + event * HOUR / 3 + mix(number) % HOUR / 3;
                other.record(mix(number), at, || BEGIN + HOUR).expect("a time");
            }
        }
        let mut export = other.frames();
        let frames: Vec<Vec<u8>> = std::iter::from_fn(|| export.next_frame(&other)).collect();
        let (mut durable, mut twin) =
            (Durable::new(&config), FrequencyCap::with_seed(&config, Seed::new(7)).expect("a table"));
        let now = BEGIN + HOUR;
        for caps in [&durable.caps, &mut twin] {
            for frame in &frames {
                let frame = Frame::read(frame).expect("a frame");
                assert!(matches!(caps.import_frame(&frame, now), Ok(Imported::Rows { overflow: 0, .. })));
            }
            for number in (0..600).step_by(3) {
                caps.record(mix(number), now, || now).expect("a time");
            }
        }
        durable.cut();
        let restored = durable.restored(1, 200);
        assert_alike(&restored, &twin, &config, (0..650).map(mix), now);
        assert_eq!(restored.taken().info().frames, frames.len() as u64);
        for frame in &frames {
            let frame = Frame::read(frame).expect("a frame");
            assert_eq!(restored.import_frame(&frame, now), Ok(Imported::AlreadyTaken));
        }

        // In a table of another capacity it may stand for more pairs, and never for fewer.
        for capacity in [90, 199, 333] {
            let restored = durable.restored(1, capacity);
            for (number, window) in
                (0..650).flat_map(|number| windows(&config).into_iter().map(move |window| (number, window)))
            {
                let [count, least] =
                    [&restored, &twin].map(|caps| caps.count(mix(number), window, now).expect("a window"));
                assert!(count >= least, "{number} {window:?}: {count}, and {least} before");
            }
        }
    }
}

/// Lateness is judged by the newest time, and by how far back a bucket reaches: both are there again.
#[test]
fn events_that_are_late_after_a_restart_pass_nothing() {
    for config in &configs(100)[..3] {
        let mut durable = Durable::new(config);
        let horizon = config.tiers[0].1;
        let mut times: HashMap<u64, Vec<u64>> = HashMap::new();
        for event in 0..3_000_u64 {
            let (pair, at) = (pair(mix(event) % 60), BEGIN + event * horizon / 1_000 / SECOND * SECOND);
            let rules = Rules::new(vec![Rule { max: 3, window: Window::Rolling(horizon) }]).expect("rules");
            if durable.caps.admit(pair, &rules, at, || at) == Ok(Decision::Admitted) {
                times.entry(pair).or_default().push(at);
            }
        }
        durable.cut();
        let (restored, newest) = (durable.restored(1, 100), durable.caps.newest());
        assert!(newest.abs_diff(restored.newest()) <= horizon / 4);
        for pair in (0..60).map(pair) {
            for step in 0..20 {
                let at = newest - step * horizon / 18;
                let rules = Rules::new(vec![Rule { max: 3, window: Window::Rolling(horizon) }]).expect("rules");
                match restored.check(pair, &rules, at, || newest).expect("rules") {
                    Decision::Admitted => assert!(!is_passed_around(3, horizon, &times[&pair], at), "{pair} at {at}"),
                    Decision::Refused(reason) => assert_eq!((reason, step >= 17), (Reason::TooOld, true)),
                    Decision::Capped { .. } => {}
                }
            }
        }
    }
}

/// Whether one more event at `at` would be one too many in any window around it.
fn is_passed_around(max: usize, window: u64, times: &[u64], at: u64) -> bool {
    let ends = times.iter().copied().filter(|end| *end >= at && end - at < window).chain([at]);
    ends.into_iter().any(|end| times.iter().filter(|time| **time <= end && end - **time < window).count() >= max)
}

/// What is too old for every rule goes when files are merged, and nothing else.
#[test]
fn old_ticks_are_not_kept_for_ever() {
    let [config, ..] = configs(64);
    let (fold, horizon) = (FrequencyCap::new(&config).expect("a table").fold(), config.tiers[0].1);
    let ticks = [TickChange::Added(BEGIN / (5 * MINUTE))];
    let entry = Entry::Ticks { tier: 0, pair: 7, changes: &ticks };
    // As late as a horizon, with a window of a horizon before that.
    assert!(fold.keeps(&entry, BEGIN + 2 * horizon));
    assert!(!fold.keeps(&entry, BEGIN + 2 * horizon + 15 * MINUTE));
    assert!(fold.keeps(&Entry::Count { tier: 1, pair: 7, change: 1 }, u64::MAX));
    assert!(!fold.keeps(&Entry::Count { tier: 1, pair: 7, change: 0 }, 0));
}

/// A pair that had more events than are kept stays one that may have lost some, when some are taken back in a later interval and
/// both are merged.
#[test]
fn a_crowded_pair_of_which_events_are_taken_back_passes_nothing_after_files_were_merged() {
    for config in &configs(64)[..3] {
        let mut durable = Durable::new(config);
        let (pair, later) = (pair(1), BEGIN + 10 * MINUTE);
        for at in [BEGIN, later] {
            (0..20).for_each(|_| assert_eq!(durable.caps.record(pair, at, || at), Ok(Decision::Admitted)));
        }
        durable.cut();
        (0..5).for_each(|_| assert_eq!(durable.caps.release(pair, later), Ok(true)));
        durable.cut();
        for merging in [Merging::Nothing, Merging::Newest(2), Merging::Oldest(2)] {
            durable.merge(merging);
            let restored = durable.restored(durable.runs.len(), 64);
            for max in [25, 28] {
                let rules = Rules::new(vec![Rule { max, window: Window::Rolling(config.tiers[0].1) }]).expect("rules");
                let decision = restored.check(pair, &rules, later, || later);
                assert_eq!(decision, Ok(Decision::Capped { scope: 0, rule: 0 }), "{max} of 35 after {merging:?}");
            }
        }
    }
}

/// An admission that is taken back has begun to write for the pacer, and nobody has asked for the caps.
#[test]
fn caps_that_have_ended_write_nothing_within_what_another_part_has_begun() {
    let [config, ..] = configs(64);
    let journal = Journal::new(journal::Config::default(), 1);
    let part = Part::new(journal.clone(), PART);
    let caps = FrequencyCap::with_journal(&config, Seed::new(7), Some(part.clone())).expect("a table");
    for pair in [pair(1), pair(2)] {
        assert_eq!(caps.record(pair, BEGIN, || BEGIN), Ok(Decision::Admitted));
    }
    let records = || journal.cut().records().filter(|record| record.part == PART).count();
    assert_eq!(records(), 2);
    let pacer = Part::new(journal.clone(), PART + 1);
    let release = |pair| {
        let _writing = pacer.begin().expect("room");
        caps.release(pair, BEGIN)
    };
    assert_eq!((release(pair(1)), records()), (Ok(true), 1));
    part.end_for_good();
    assert_eq!((release(pair(2)), records()), (Ok(true), 0));
}
