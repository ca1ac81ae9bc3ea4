//! What a journal costs a meter: events one by one and in lists, with and without one, by turns.
//!
//! Both meters are given the same events: 10,000 keys of three dimensions in 200 campaigns, an id of its own each, one of a million
//! users, two of four metrics. Keys, ids and users are made before, so what is timed is a fraction of what a call from Elixir takes,
//! and the ratio is one that no service sees; the difference is what a service pays. All records of a turn fit the buffers, and are
//! cut between the turns.

use std::mem::MaybeUninit;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ad_tally_core::journal::{Config as JournalConfig, Journal, Part};
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::meter::{Batch, Config, Event, Outcome, Outcomes, ReachConfig};
use ad_tally_core::{Add, Coupon, HashedKey, KeyWriter, Meter, Seed, dedupe};

#[allow(dead_code, reason = "turns are timed here")]
mod support;
use support::mixed;

const BEGIN: u64 = 1_780_272_000_000;
const KEYS: u64 = 10_000;
const CAMPAIGNS: u64 = 200;
const USERS: u64 = 1_000_000;
const LIST: usize = 100;
/// Events of a turn and a thread.
const EVENTS: usize = 100_000;
const TURNS: usize = 8;
const ROUNDS: usize = 6;
const AMOUNTS: [Add; 2] = [Add { metric: 0, amount: 1 }, Add { metric: 3, amount: 1_250 }];

struct Made {
    id: u64,
    key: (u64, Vec<u64>),
    user: Coupon,
}

impl Made {
    fn new(seed: &Seed, number: u64) -> Self {
        let key = mixed(number, 1) % KEYS;
        let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
        let mut writer = KeyWriter::tuple(&mut room, 3).expect("three elements");
        writer.integer((key % CAMPAIGNS) as i64);
        writer.integer(key as i64);
        writer.bytes(b"us").expect("short");
        let key = seed.key(writer.finish());
        let user = Coupon::of_integer(mixed(number, 2) % USERS, None);
        Self { id: mixed(number, 3), key: (key.hash, key.words.to_vec()), user }
    }

    fn event(&self) -> Event<'_> {
        let key = HashedKey { hash: self.key.0, words: &self.key.1 };
        Event { at: BEGIN, id: Some(self.id), key, amounts: &AMOUNTS, user: Some(self.user) }
    }
}

fn config() -> Config {
    Config {
        window: 60_000,
        lateness: 60_000,
        max_ahead: None,
        metrics: 4,
        max_keys: 1_000_000,
        max_open_windows: 10,
        reach: Some(ReachConfig { by: vec![0], precision: 12, max_keys: 10_000, secret: None }),
        dedupe: Some(dedupe::Config { window: 600_000, capacity: 2_000_000, wide: false }),
    }
}

fn one_by_one(meter: &Meter, events: &[Made]) {
    for event in events {
        let event = event.event();
        // In the stages of a call from Elixir.
        let recording = meter.protect_for(event.id);
        let mut lookup = recording.begin(event.at, event.id).expect("a time");
        lookup.fetch_line(event.key.hash);
        lookup.fetch_row(event.key);
        if lookup.record(&event, || BEGIN).is_none() {
            drop(recording);
            assert_eq!(meter.record(&event, || BEGIN), Ok(Outcome::Applied));
        }
    }
}

fn in_lists(meter: &Meter, events: &[Made]) {
    let mut batch = Batch::default();
    let mut outcomes = Outcomes::default();
    for list in events.chunks(LIST) {
        batch.clear();
        let room = batch.room_for_amounts();
        AMOUNTS.into_iter().zip(room).for_each(|(add, room)| {
            room.write(add);
        });
        // SAFETY: they were written just now.
        unsafe { batch.keep_amounts(AMOUNTS.len()) };
        for event in list {
            let (hash, words) = &event.key;
            let room = batch.room(words.len());
            room.iter_mut().zip(words).for_each(|(room, word)| {
                room.write(*word);
            });
            // SAFETY: the key was written just now.
            unsafe { batch.push(BEGIN, Some(event.id), (*hash, words.len()), Some(event.user)) }.expect("a time");
        }
        let mut done = 0;
        while done < batch.len() {
            done += meter.record_batch(&batch, &mut outcomes, || BEGIN, || true);
            assert!(done == 0 || done == batch.len());
        }
    }
    assert_eq!(outcomes.counts[Outcome::Busy as usize], 0);
}

/// Nanoseconds an event of so many threads, each of which has events of its own.
fn time(threads: &[Vec<Made>], act: impl Fn(&[Made]) + Sync) -> f64 {
    let together = Barrier::new(threads.len());
    let spans: Vec<Duration> = thread::scope(|scope| {
        let mut started = Vec::new();
        for events in threads {
            started.push(scope.spawn(|| {
                together.wait();
                let begin = Instant::now();
                act(events);
                begin.elapsed()
            }));
        }
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let all: Duration = spans.iter().sum();
    all.as_nanos() as f64 / (threads.len() * EVENTS) as f64
}

/// That of the quickest tenth of the turns: others were disturbed.
fn undisturbed(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 10]
}

/// Times of a round of turns, without and with a journal, of two meters that begin empty. Where their memory lies makes a difference,
/// so which one is made first changes with the round.
fn round(number: usize, threads: usize, act: &(impl Fn(&Meter, &[Made]) + Sync), times: &mut [Vec<f64>; 2]) {
    let seed = Seed::new(1);
    let journal = Journal::new(JournalConfig { buffer_bytes: 256 << 20, ..JournalConfig::default() }, 1);
    let part = Part::new(journal.clone(), 1);
    let plain = || Meter::with_seed(&config(), seed.clone()).expect("a configuration that is right");
    let stored = || Meter::stored(&config(), seed.clone(), part, 0).expect("a configuration that is right");
    let meters = if number.is_multiple_of(2) {
        let plain = plain();
        [plain, stored()]
    } else {
        let stored = stored();
        [plain(), stored]
    };
    let mut records = 0;
    for turn in 0..TURNS {
        let first = |thread| ((turn * threads + thread) * EVENTS) as u64;
        let made: Vec<Vec<Made>> = (0..threads)
            .map(|thread| (first(thread)..first(thread + 1)).map(|number| Made::new(&seed, number)).collect())
            .collect();
        for which in [turn % 2, 1 - turn % 2] {
            let time = time(&made, |events| act(&meters[which], events));
            // In the first one keys are new, and memory.
            if turn > 0 {
                times[which].push(time);
            }
        }
        records += journal.cut().len();
    }
    let [plain, stored] = meters.map(|meter| meter.info().events);
    assert_eq!(plain, stored);
    assert_eq!(records as u64, plain.applied);
}

fn compare(name: &str, threads: usize, act: impl Fn(&Meter, &[Made]) + Sync) {
    let name = format!("{name}, {threads} threads");
    // Those that are named, or all.
    let mut asked = std::env::args().skip(1).filter(|name| !name.starts_with("--")).peekable();
    if asked.peek().is_some() && !asked.any(|asked| name.contains(&asked)) {
        return;
    }
    let mut times = [vec![], vec![]];
    (0..ROUNDS).for_each(|number| round(number, threads, &act, &mut times));
    let [plain, stored] = times.map(undisturbed);
    let (more, ratio) = (stored - plain, stored / plain);
    println!("{name}: {plain:.1} ns, with a journal {stored:.1} ns: {more:.1} more, {ratio:.2} x");
}

fn main() {
    for threads in [1, 2] {
        compare("one by one", threads, one_by_one);
        compare("in lists of 100", threads, in_lists);
    }
}
