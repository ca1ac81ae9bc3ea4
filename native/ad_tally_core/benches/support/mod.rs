//! What all benchmarks need: threads that start together, and numbers in no order.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// Lets every thread do all of it, `iterations` times: from the first start to the last end.
pub fn time(threads: usize, iterations: u64, once: impl Fn() + Sync) -> Duration {
    let run = || {
        let begin = Instant::now();
        for _ in 0..iterations {
            once();
        }
        (begin, Instant::now())
    };
    if threads == 1 {
        let (begin, end) = run();
        return end - begin;
    }
    let together = Barrier::new(threads);
    let spans: Vec<_> = thread::scope(|scope| {
        let start = || {
            scope.spawn(|| {
                together.wait();
                run()
            })
        };
        let started: Vec<_> = (0..threads).map(|_| start()).collect();
        started.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let begin = spans.iter().map(|span| span.0).min().expect("a thread");
    let end = spans.iter().map(|span| span.1).max().expect("a thread");
    end - begin
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): a bijection, so distinct numbers stay distinct.
pub fn mixed(number: u64, salt: u64) -> u64 {
    let mut mixed = number.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
