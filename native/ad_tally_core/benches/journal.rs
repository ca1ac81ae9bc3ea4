//! The journal: an event of a record of twelve words, as threads write it while another one cuts.
//!
//! The yardsticks are a hazard pointer to a structure, which every event of a meter takes anyway, and the same words pushed to a
//! vector. What was cut is read: every event must be in it.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ad_tally_core::journal::{Config, Journal};
use ad_tally_core::sync::hazard::Current;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};

#[allow(dead_code, reason = "there are no keys to be mixed")]
mod support;
use support::time;

const WORDS: [u64; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
/// Events of one iteration, so that starting threads costs next to nothing.
const EVENTS: u64 = 10_000;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn write(journal: &Journal) {
    let scribe = journal.begin().expect("whoever cuts keeps up");
    scribe.record(1, 1, WORDS.len(), |words| words.extend(&black_box(WORDS)));
}

/// A journal and a thread that cuts it whenever it is woken, and counts what it gets.
struct Cut {
    journal: Arc<Journal>,
    is_over: Arc<AtomicBool>,
    cutter: JoinHandle<usize>,
}

impl Cut {
    fn new() -> Self {
        let journal = Journal::new(Config { buffer_bytes: 1 << 30, ..Config::default() }, 1);
        let is_over = Arc::new(AtomicBool::new(false));
        let (cut, over) = (journal.clone(), is_over.clone());
        let cutter = thread::spawn(move || {
            let mut count = 0;
            while !over.load(Relaxed) {
                count += cut.cut().len();
                thread::park();
            }
            count + cut.cut().len()
        });
        let waker = cutter.thread().clone();
        journal.set_waker(Box::new(move || waker.unpark()));
        Self { journal, is_over, cutter }
    }

    /// How many records all cuts had.
    fn end(self) -> usize {
        self.is_over.store(true, Relaxed);
        self.cutter.thread().unpark();
        self.cutter.join().expect("no panic")
    }
}

/// Lets threads do that while another one cuts.
fn journaled(group: &mut Group<'_>, name: &str, threads: usize, event: impl Fn(&Journal) + Sync) {
    let cut = Cut::new();
    let written = AtomicUsize::new(0);
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            written.fetch_add(threads * iterations as usize * EVENTS as usize, Relaxed);
            time(threads, iterations, || (0..EVENTS).for_each(|_| event(&cut.journal)))
        });
    });
    assert_eq!(cut.end(), written.into_inner());
}

fn events(criterion: &mut Criterion) {
    let current = Current::new(Arc::new(AtomicBool::new(true)));
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("journal/{threads} threads"));
        group.throughput(Throughput::Elements(EVENTS));
        group.bench_function("hazard pointer alone", |bencher| {
            let protect = || (0..EVENTS).for_each(|_| assert!(current.protect().load(Relaxed)));
            bencher.iter_custom(|iterations| time(threads, iterations, protect))
        });
        group.bench_function("twelve words to a vector", |bencher| {
            let push = || {
                let mut all = Vec::with_capacity(13 * EVENTS as usize);
                (0..EVENTS).for_each(|_| {
                    all.push(1);
                    all.extend_from_slice(&black_box(WORDS));
                });
                black_box(all);
            };
            bencher.iter_custom(|iterations| time(threads, iterations, push))
        });
        group.bench_function("begin", |bencher| {
            let journal = Journal::new(Config::default(), 1);
            let begin = || (0..EVENTS).for_each(|_| drop(journal.begin()));
            bencher.iter_custom(|iterations| time(threads, iterations, begin))
        });
        journaled(&mut group, "event", threads, write);
        journaled(&mut group, "hazard pointer and event", threads, |journal| {
            let protected = current.protect();
            write(journal);
            assert!(protected.load(Relaxed));
        });
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    events(&mut criterion);
    criterion.final_summary();
}
