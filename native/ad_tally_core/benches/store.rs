//! A store on the real disk: what its threads cost an event, bytes an event, how long a sync takes while everything goes on, and how
//! long a start does. One run, printed as a table; no criterion, because a disk is no loop.
//!
//! `cargo bench --bench store [SECONDS]`; the directory is made in `AD_TALLY_BENCH_DIR` or that of temporary files.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ad_tally_core::journal::{Entry, Part, Restore};
use ad_tally_core::key::SHORT_KEY_WORDS;
use ad_tally_core::meter::{Config, Event, Outcome, ReachConfig, Shape};
use ad_tally_core::store::{Options, RealDisk, Store, inspect};
use ad_tally_core::{Add, Coupon, KeyWriter, Meter, Seed, dedupe};

const MINUTE: u64 = 60_000;
const BEGIN: u64 = 1_780_272_000_000;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

fn config(ids: usize) -> Config {
    Config {
        window: 60 * MINUTE,
        lateness: MINUTE,
        max_ahead: None,
        metrics: 2,
        max_keys: 1_000_000,
        max_open_windows: 100,
        reach: Some(ReachConfig { by: vec![0], precision: 12, max_keys: 100_000, secret: None }),
        dedupe: Some(dedupe::Config { window: 60 * MINUTE, capacity: ids, wide: false }),
    }
}

fn open(dir: &Path, options: Options) -> Arc<Store> {
    Store::open(Arc::new(RealDisk), dir, options, Box::new(|_| None), &mut |_, _| Ok(()), Box::new(|_| {}))
        .expect("a store")
}

fn meter(store: &Arc<Store>, ids: usize) -> (Arc<Meter>, u16) {
    let opened = store.part("ads", "meter", None, "").expect("a part");
    let part = Part::new(store.journal().clone(), opened.number);
    let meter = Arc::new(Meter::stored(&config(ids), Seed::new(opened.seed), part, 0).expect("a meter"));
    store.attach(opened.number, meter.fold());
    (meter, opened.number)
}

/// Records an event of 20,000 keys and a million users: its outcome.
fn record(meter: &Meter, number: u64, keys: u64) -> Outcome {
    let random = number.wrapping_mul(SPREAD).rotate_left(29).wrapping_mul(SPREAD);
    let mut room = [MaybeUninit::uninit(); SHORT_KEY_WORDS];
    let mut writer = KeyWriter::tuple(&mut room, 2).expect("two");
    let key = random % keys;
    writer.integer((key / 10) as i64);
    writer.bytes(format!("creative-{}", key % 10).as_bytes()).expect("short");
    let event = Event {
        at: BEGIN + number / 1_000,
        id: Some(random),
        key: meter.seed().key(writer.finish()),
        amounts: &[Add { metric: 0, amount: 1 }, Add { metric: 1, amount: 2_500 }],
        user: Some(Coupon::of_integer(random % 1_000_000, None)),
    };
    meter.record(&event, || BEGIN).expect("an event")
}

/// Nanoseconds that threads of this process have run, by name.
fn run_times() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let ran = read("schedstat").split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0);
        *times.entry(read("comm").trim().to_owned()).or_default() += ran;
    }
    times
}

fn sustained(dir: &Path, rate: u64, seconds: u64) {
    let _ = std::fs::remove_dir_all(dir);
    let store = open(dir, Options::default());
    let (meter, _) = meter(&store, 20_000_000);
    let is_over = Arc::new(AtomicBool::new(false));
    // Sixteen who sync, as a consumer does before it acknowledges.
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (store, is_over) = (store.clone(), is_over.clone());
            std::thread::spawn(move || {
                let mut waits = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(100));
                    let begun = Instant::now();
                    let (sender, receiver) = std::sync::mpsc::channel();
                    store.sync(Box::new(move |result| drop(sender.send(result))));
                    receiver.recv().expect("an answer").expect("a disk");
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    let before = run_times();
    let begun = Instant::now();
    let (mut number, mut busy) = (0_u64, 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let due = (begun.elapsed().as_secs_f64() * rate as f64) as u64;
        if number >= due {
            std::thread::sleep(Duration::from_micros(500));
            continue;
        }
        for _ in 0..(due - number).min(1_000) {
            busy += u64::from(record(&meter, number, 20_000) == Outcome::Busy);
            number += 1;
        }
    }
    let took = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let mut waits: Vec<Duration> = callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect();
    waits.sort_unstable();
    let ran = run_times();
    let of = |name: &str| (ran.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0)) as f64 / number as f64;
    let info = store.info();
    println!(
        "{:>9.0} events/s  busy {busy}  bytes an event {:.1} written, {:.1} by merging  ns an event: store {:.0}, merging {:.0}",
        number as f64 / took.as_secs_f64(),
        info.written_bytes as f64 / number as f64,
        info.compacted_bytes as f64 / number as f64,
        of("ad_tally store"),
        of("ad_tally compac"),
    );
    println!(
        "           {} intervals of {} records, sync of 16 callers: median {:?}, p99 {:?}, slowest fdatasync {} us",
        info.intervals,
        info.records / info.intervals.max(1),
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
        info.max_sync_us,
    );
    store.stop().expect("a disk");
    let report = inspect(&RealDisk, dir).expect("a store");
    assert_eq!(report.damages, []);
}

struct Count(std::sync::atomic::AtomicU64);

impl Restore for Count {
    fn restore(&self, _entry: Entry<'_>) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn start(dir: &Path, events: u64) {
    let _ = std::fs::remove_dir_all(dir);
    let options = || Options { interval: Duration::from_millis(100), buffer_bytes: 256 << 20, ..Options::default() };
    let store = open(dir, options());
    let (meter_before, _) = meter(&store, events as usize);
    let begun = Instant::now();
    let mut number = 0;
    while number < events {
        match record(&meter_before, number, 1_000_000) {
            Outcome::Busy => std::thread::sleep(Duration::from_millis(1)),
            Outcome::Applied => number += 1,
            // Some of many ids look alike.
            Outcome::Duplicate | Outcome::Overflow => number += 1,
            other => panic!("{other:?}"),
        }
    }
    let recorded = begun.elapsed();
    let (sender, receiver) = std::sync::mpsc::channel();
    store.compact(Box::new(move |result| drop(sender.send(result))));
    receiver.recv().expect("an answer").expect("a disk");
    let merged = begun.elapsed() - recorded;
    store.stop().expect("a disk");
    drop((store, meter_before));
    let begun = Instant::now();
    let store = open(dir, options());
    let opened = begun.elapsed();
    let (meter, part) = meter(&store, events as usize);
    let begun = Instant::now();
    let restoring = meter.restoring([(0, Shape::from(&config(events as usize)))]);
    let loaded = store.load(part, &restoring, &|_, _| {}).expect("a part");
    restoring.finish(BEGIN);
    let took = begun.elapsed();
    let begun = Instant::now();
    let only_read = store.load(part, &Count(0.into()), &|_, _| {}).expect("a part");
    assert_eq!(only_read, loaded);
    println!(
        "{events} events recorded in {recorded:.2?}, merged in {merged:.2?}; opened in {opened:.2?}; {} entries of {} MB loaded in \
         {took:.2?} (read and decoded: {:.2?})",
        loaded.entries,
        loaded.bytes >> 20,
        begun.elapsed(),
    );
    assert!(loaded.entries > events, "an id for each event, and rows");
    store.stop().expect("a disk");
}

fn main() {
    let argument = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let seconds = argument.unwrap_or(1);
    let root = std::env::var_os("AD_TALLY_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = root.join(format!("ad_tally_bench_store_{}", std::process::id()));
    for rate in [100_000, 500_000, 1_000_000] {
        sustained(&dir, rate, seconds);
    }
    start(&dir, if argument.is_some() { 5_000_000 } else { 100_000 });
    let _ = std::fs::remove_dir_all(dir);
}
