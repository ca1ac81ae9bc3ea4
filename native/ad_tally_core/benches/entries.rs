//! Entries: folding the events of an interval, writing and reading runs, and merging them.
//!
//! What is written is read and counted, so that what was timed is right. Time is for an event or an entry.

#[path = "../tests/support/in_memory.rs"]
mod in_memory;

use std::hint::black_box;

use ad_tally_core::journal::{Chain, Entries, Entry, Merge, RunWriter, TickChange, TouchEntry};
use ad_tally_core::{Coupon, KeyWriter, Seed};
use criterion::{BatchSize, Criterion, Throughput};

use self::in_memory::{InMemory, each_entry, written};

/// Events of an interval: what fills the buffers of a journal until it is cut.
const EVENTS: u64 = 100_000;
const KEYS: u64 = 10_000;
const ENTRIES: u64 = 1_000_000;
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// An event of a meter, as its record has it.
struct Event {
    words: Vec<u64>,
    user: u64,
    id: u64,
}

fn events(keys: u64) -> Vec<Event> {
    let mut room = [std::mem::MaybeUninit::uninit(); ad_tally_core::key::SHORT_KEY_WORDS];
    (0..EVENTS)
        .map(|number| {
            let random = number.wrapping_mul(SPREAD).rotate_left(29).wrapping_mul(SPREAD);
            let mut writer = KeyWriter::tuple(&mut room, 2).expect("two");
            writer.integer((random % keys / 10) as i64);
            writer.bytes(format!("creative-{}", random % keys % 10).as_bytes()).expect("short");
            Event { words: writer.finish().to_vec(), user: random % 50_000, id: random }
        })
        .collect()
}

fn fold(events: &[Event], seed: &Seed, into: &mut Entries) {
    for event in events {
        let key = seed.key(&event.words);
        into.row(1, 1 << 32, key, 2, [(0, 1), (1, 2_500)]);
        into.coupon(1, 1 << 32, key, 12, Coupon::of_integer(event.user, None));
        into.id(1, event.id, 1_980_000);
    }
}

fn interval(criterion: &mut Criterion) {
    let seed = Seed::new(7);
    let mut group = criterion.benchmark_group("interval of 100,000 events");
    group.throughput(Throughput::Elements(EVENTS));
    for keys in [KEYS, 1_000_000] {
        let events = events(keys);
        let mut entries = Entries::new();
        group.bench_function(format!("fold, {keys} keys"), |bencher| {
            bencher.iter(|| {
                entries.clear();
                fold(&events, &seed, &mut entries);
            });
        });
        // What is measured may be chosen on the command line: the fold above may not have been.
        entries.clear();
        fold(&events, &seed, &mut entries);
        let bytes = written(&mut entries);
        assert!(count(&bytes) > EVENTS);
        println!("{} bytes an event, {} entries", bytes.len() as f64 / EVENTS as f64, count(&bytes));
        group.bench_function(format!("fold and write, {keys} keys"), |bencher| {
            bencher.iter(|| {
                entries.clear();
                fold(&events, &seed, &mut entries);
                written(&mut entries)
            });
        });
    }
    group.finish();
}

/// Entries of one kind, by number.
type Of = fn(u64, &mut dyn FnMut(Entry<'_>));

const KINDS: [(&str, Of); 4] = [
    ("ids", |number, show| show(Entry::Id { hash: hash(number), generation: 1_980_000 + number % 4 })),
    ("pairs", |number, show| {
        let changes: Vec<TickChange> =
            (0..1 + number % 3).map(|at| TickChange::Added(29_000_000 + number % 1_440 + at)).collect();
        show(Entry::Ticks { tier: 0, pair: hash(number), changes: &changes });
    }),
    ("touches", |number, show| {
        let touch = |at: u64| TouchEntry {
            at: 1_790_000_000_000 + number % 86_400_000 + at * 1_000,
            id: (number * 8 + at) as i64,
            kind: 1,
            dimensions: (number % 10_000) as u32,
            repeats: 0,
        };
        let touches: Vec<TouchEntry> = (0..1 + number % 3).map(touch).collect();
        show(Entry::Touches { user: hash(number), touches: &touches, evicted: 0 });
    }),
    ("rows", |number, show| {
        // A tuple of two integers.
        let key = [2, number / 10, number % 10];
        show(Entry::Row { instance: 1, key: &key, sums: &[1 + i128::from(number % 9), 2_500] });
    }),
];

/// In order, and as far apart as those of so many ids.
fn hash(number: u64) -> u64 {
    number * (u64::MAX / ENTRIES) + (number.wrapping_mul(SPREAD) >> 46)
}

fn run(of: Of, numbers: impl Iterator<Item = u64>) -> Vec<u8> {
    let mut run = RunWriter::new(Chain::default());
    numbers.for_each(|number| of(number, &mut |entry| run.push(1, &entry)));
    run.finish().0
}

fn count(run: &[u8]) -> u64 {
    let mut entries = 0;
    each_entry(run, |_, entry| {
        black_box(entry);
        entries += 1;
    });
    entries
}

fn merge(runs: Vec<InMemory>) -> (u64, Vec<u8>) {
    let mut merge = Merge::new(runs, None, true).expect("runs");
    let mut run = RunWriter::new(Chain::default());
    while let Some((part, entry)) = merge.next().expect("runs") {
        run.push(part, &entry);
        if run.whole().len() > 1 << 20 {
            run.clear_whole();
        }
    }
    (run.entries(), run.finish().0)
}

fn runs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("runs");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10);
    for (name, of) in KINDS {
        group.bench_function(format!("write {name}"), |bencher| bencher.iter(|| run(of, 0..ENTRIES)));
        let bytes = run(of, 0..ENTRIES);
        println!("{name}: {} bytes an entry", bytes.len() as f64 / ENTRIES as f64);
        group.bench_function(format!("read {name}"), |bencher| bencher.iter(|| assert_eq!(count(&bytes), ENTRIES)));
        // A base, and sixteen runs of which half of the keys are in the base, too.
        let base = run(of, (0..ENTRIES).filter(|number| number % 4 != 0));
        let others: Vec<Vec<u8>> = (0..16)
            .map(|other| run(of, (0..ENTRIES).filter(|number| number % 2 == 0 && number / 2 % 16 == other)))
            .collect();
        let all = || std::iter::once(&base).chain(&others).map(|bytes| InMemory::new(bytes)).collect();
        assert_eq!(merge(all()).0, ENTRIES);
        group.throughput(Throughput::Elements(ENTRIES * 5 / 4));
        group.bench_function(format!("merge {name} of 17 runs"), |bencher| {
            bencher.iter_batched(all, merge, BatchSize::LargeInput);
        });
        group.throughput(Throughput::Elements(ENTRIES));
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    interval(&mut criterion);
    runs(&mut criterion);
    criterion.final_summary();
}
